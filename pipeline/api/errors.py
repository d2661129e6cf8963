"""The errors that the service answers: FastAPI's form in v0.1, problem documents in v0.2.

Every mistake of a client is a 4xx with a JSON body; none of them may become a 500.
"""

import json
import reprlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from pipeline.api.faults import PydanticFault, faults_of
from pipeline.api.schemas import Fault, Problem
from pipeline.stages.errors import PipelineError

PROBLEM_PREFIX = "/api/v0.2/"
"""Paths below this get problem documents."""
PROBLEM_MEDIA_TYPE = "application/problem+json"

MAX_INPUT_LETTERS_IN_ERROR = 200
MAX_INTEGER_BITS_IN_ERROR = 64

NOT_SENT_AS_JSON = {
    "type": "json_expected",
    "loc": ("body",),
    "msg": "The body should be JSON, sent with the header Content-Type: application/json",
}

UNEXPECTED_ERROR = (
    "Unexpected error. The service's log has the details under the X-Request-ID of this answer. "
    "Please report this."
)


def error_response(
    path: str,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Fault] = (),
) -> Response:
    """Return an error in the form that a path's API version has.

    Args:
        path: of the request, without the prefix that a proxy may have put before it.
        status: of the answer.
        detail: what is wrong, and what to do.
        headers: more headers of the answer.
        errors: what is wrong with the input, for v0.2.
    """
    if not path.startswith(PROBLEM_PREFIX):
        return _json_response({"detail": detail}, status, "application/json", headers)
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors),
    )
    content = problem.model_dump(exclude_none=True, exclude=None if errors else {"errors"})
    return _json_response(content, status, PROBLEM_MEDIA_TYPE, headers)


def route_path(scope: Scope) -> str:
    """Return the path of a request without the prefix that a proxy may have put before it."""
    path: str = scope["path"]
    rest = path.removeprefix(scope.get("root_path", ""))
    return rest if not rest or rest.startswith("/") else path


def install_error_handlers(app: FastAPI) -> None:
    """Answer invalid requests with 4xx, a missing model with 503, unexpected errors with 500."""
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(PipelineError, _answer_no_model)
    app.add_exception_handler(Exception, _answer_unexpected_error)


async def _answer_invalid_request(request: Request, error: Exception) -> Response:
    """Answer 422, whatever the client sent.

    FastAPI's own handler repeats the input as JSON, which fails on NaN, infinities and lone
    surrogates, and would repeat a megabyte.
    """
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for mypy
    faults = [NOT_SENT_AS_JSON] if isinstance(error.body, bytes) else error.errors()
    for fault in faults:
        request.app.state.service.metrics.count_refusal(fault["type"])
    path = route_path(request.scope)
    if not path.startswith(PROBLEM_PREFIX):
        details = [_printable(fault) for fault in faults]
        return _json_response({"detail": details}, 422, "application/json")
    errors = faults_of(faults)
    detail = "; ".join(fault.detail for fault in errors)
    return error_response(path, 422, f"{detail}.", errors=errors)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for mypy
    path, detail = route_path(request.scope), error.detail
    if error.status_code == HTTPStatus.BAD_REQUEST:
        request.app.state.service.metrics.count_refusal("unreadable")
        if path.startswith(PROBLEM_PREFIX):
            detail += _why_unreadable(error.__cause__)
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # which the middleware sees to
    return error_response(path, error.status_code, detail, headers)


def _why_unreadable(cause: BaseException | None) -> str:
    """Return why Python's JSON parser gave up, to follow the words of FastAPI."""
    match cause:
        case UnicodeDecodeError():
            return f": it is not {cause.encoding.upper()} at byte {cause.start}"
        case RecursionError():
            return ": it nests too deeply"
        case ValueError():
            return ": it has a number of too many digits"
    return ""


async def _answer_no_model(request: Request, error: Exception) -> Response:
    return error_response(route_path(request.scope), 503, str(error))


async def _answer_unexpected_error(request: Request, error: Exception) -> Response:
    """Answer 500; the error is raised again after that, and whoever catches it logs it."""
    return error_response(route_path(request.scope), 500, UNEXPECTED_ERROR)


def _json_response(
    content: object, status: int, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(json.dumps(content), status, headers, media_type)


def _printable(fault: PydanticFault) -> dict[str, Any]:
    """Return type, location, message and input of a fault, the input cut to what JSON can carry.

    Strict readers of JSON refuse lone surrogates even where they are escaped.
    """
    given = fault.get("input")
    is_short_integer = isinstance(given, int) and given.bit_length() <= MAX_INTEGER_BITS_IN_ERROR
    if isinstance(given, str):
        given = given[:MAX_INPUT_LETTERS_IN_ERROR].encode(errors="backslashreplace").decode()
    elif given is not None and not is_short_integer:
        given = reprlib.repr(given)
    context = {
        name: value if isinstance(value, (int, float)) else str(value)
        for name, value in fault.get("ctx", {}).items()
    }
    printable = {name: fault[name] for name in ("type", "loc", "msg")} | {"input": given}
    return printable | ({"ctx": context} if context else {})
