"""Calling functions that may hang, in threads that the process does not wait for at its end."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_daemon_thread(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Future[Result]:
    """Begin to call a function, and return what will have its result, or what it raises.

    The thread bears the name of this function.
    """
    result: Future[Result] = Future()

    def work() -> None:
        result.set_running_or_notify_cancel()
        try:
            result.set_result(function(*args, **kwargs))
        except BaseException as error:  # for whoever waits
            result.set_exception(error)

    Thread(target=work, name=in_daemon_thread.__name__, daemon=True).start()
    return result
