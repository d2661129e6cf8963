"""Alerts: what a webhook receives, and that no failure raises or tells the secret."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.stages.alerts import alert_on_failure, post_alert
from pipeline.stages.errors import PipelineError
from tests.support.helpers import WEBHOOK_TOKEN as SECRET
from tests.support.helpers import Webhook, free_port

MANY_SECONDS = 30.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no proxy for servers on this machine."""
    monkeypatch.setenv("no_proxy", "*")


def test_a_webhook_receives_the_text_as_json(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    post_alert(webhook.url, "The model was refused: R² 0.5.\nSee the log.")

    ((path, headers, body),) = webhook.received
    assert path == f"/services/{SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert body == {"text": "The model was refused: R² 0.5.\nSee the log."}
    assert caplog.records == []


def test_the_characters_that_slack_takes_for_markup_are_escaped(webhook: Webhook) -> None:
    post_alert(webhook.url, "<!channel> R² < 0.8 & &lt; \ud800")

    ((_, _, body),) = webhook.received
    assert body == {"text": "&lt;!channel&gt; R² &lt; 0.8 &amp; &amp;lt; \ud800"}


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("x" * 3_000, "x" * 3_000),
        ("x" * 3_001, "x" * 2_999 + "…"),
        ("<" * 100_000, "&lt;" * 2_999 + "…"),
    ],
    ids=["just short enough", "too long by one", "far too long"],
)
def test_a_long_text_is_cut(text: str, received: str, webhook: Webhook) -> None:
    post_alert(webhook.url, text)

    ((_, _, body),) = webhook.received
    assert body == {"text": received}
    assert len(body["text"]) < 40_000


@pytest.mark.parametrize("status", [200, 202, 204])
def test_every_2xx_is_a_success(
    status: int, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.status = status

    post_alert(webhook.url, "Hello.")

    assert caplog.records == []


@pytest.mark.parametrize("status", [301, 302, 307, 304, 404, 429, 500, 503])
def test_every_other_answer_is_a_warning_and_no_redirect_is_followed(
    status: int, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.status = status

    post_alert(webhook.url, "Hello.")

    assert warning(caplog) == (
        "An alert could not be posted to http://127.0.0.1: it answered with status "
        f"{status}. Check the webhook's URL (TTD_ALERT_WEBHOOK) and the network."
    )
    assert len(webhook.received) == 1


def test_a_refused_connection_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    post_alert(f"http://127.0.0.1:{free_port()}/{SECRET}", "Hello.")

    message = warning(caplog)
    assert "posted to http://127.0.0.1: [Errno" in message and "refused" in message


def test_an_unknown_host_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    post_alert(f"https://user:{SECRET}@hooks.invalid/{SECRET}", "Hello.", MANY_SECONDS)

    assert "posted to https://hooks.invalid: " in warning(caplog)


def test_a_server_without_tls_is_a_warning(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    post_alert(webhook.url.replace("http:", "https:"), "Hello.")

    assert "posted to https://127.0.0.1: [SSL" in warning(caplog)


@contextmanager
def raw_server(*pieces: bytes) -> Iterator[str]:
    """Run a server that sends these bytes, a piece every 0.1 s, and closes; yield a URL of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                for piece in pieces:
                    time.sleep(0.1)
                    connection.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}"
        thread.join()


def test_a_server_that_never_answers_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    threads_before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}"
        start = time.monotonic()
        post_alert(url, "Hello.", seconds=0.2)
        seconds = time.monotonic() - start
        for thread in set(threading.enumerate()) - threads_before:
            thread.join(timeout=2)
            assert not thread.is_alive()

    assert "posted to http://127.0.0.1: timed out." in warning(caplog)
    assert 0.1 < seconds < 2


def test_the_time_limit_is_for_all_steps_together(caplog: pytest.LogCaptureFixture) -> None:
    start = time.monotonic()
    with raw_server(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 20, b"\r\n") as url:
        post_alert(url, "Hello.", seconds=0.5)
        seconds = time.monotonic() - start
        # Whoever still waits for the answer does not keep the process from ending.
        assert any(thread.daemon for thread in threading.enumerate())

    assert "timed out" in warning(caplog)
    assert seconds < 1.5


@pytest.mark.parametrize("answer", [b"", f"{SECRET}\r\n\r\n".encode()], ids=["empty", "not HTTP"])
def test_an_answer_that_is_not_http_is_a_warning(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with raw_server(answer) as url:
        post_alert(url, "Hello.")

    assert "posted to http://127.0.0.1: " in warning(caplog)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", "the webhook: this is not an http:// or https:// URL"),
        (SECRET, "the webhook: this is not an http:// or https:// URL"),
        (f"file:///{SECRET}", "the webhook: this is not an http:// or https:// URL"),
        (f"ftp://host/{SECRET}", "ftp://host: this is not an http:// or https:// URL"),
        (f"http:///{SECRET}", "the webhook: "),
        (f"http://[{SECRET}", "the webhook: "),
        (f"http://host\\{SECRET}", "the webhook: "),
        (f"http://host%2F{SECRET}", "the webhook: "),
        (f"http://host:{SECRET}/", "http://host: InvalidURL"),
        (f"http://user:{SECRET}@127.0.0.1/", "http://127.0.0.1: "),
        (f"http://127.0.0.1/{SECRET} \n{SECRET}", "http://127.0.0.1: InvalidURL"),
        (f"http://127.0.0.1/ü{SECRET}", "http://127.0.0.1: UnicodeEncodeError"),
        (f"http://{'a' * 64}.invalid/{SECRET}", f"http://{'a' * 64}.invalid: "),
    ],
)
def test_an_invalid_url_is_a_warning(
    url: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    post_alert(url, "Hello.", MANY_SECONDS)

    assert f"An alert could not be posted to {shown}" in warning(caplog)


def test_the_proxy_of_the_environment_is_asked(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{webhook.server_port}")

    post_alert("http://hooks.invalid/services", "Hello.")

    ((path, _, _),) = webhook.received
    assert path == "http://hooks.invalid/services"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PipelineError("The model is worse."), "time-to-dispatch: The model is worse."),
        (MemoryError(), "time-to-dispatch: MemoryError"),
    ],
)
def test_a_failure_is_posted_and_goes_on(error: Exception, text: str, webhook: Webhook) -> None:
    with pytest.raises(type(error)) as raised, alert_on_failure(webhook.url):
        raise error

    assert raised.value is error
    assert [body for _, _, body in webhook.received] == [{"text": text}]


def test_a_failure_goes_on_if_it_cannot_be_posted(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PipelineError, match="worse"):
        with alert_on_failure(f"http://127.0.0.1:{free_port()}/{SECRET}"):
            raise PipelineError("The model is worse.")

    assert "refused" in warning(caplog)


def test_without_webhook_a_failure_goes_on_alone(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PipelineError, match="worse"), alert_on_failure(None):
        raise PipelineError("The model is worse.")

    assert caplog.records == []


def test_without_failure_nothing_is_posted(webhook: Webhook) -> None:
    with alert_on_failure(webhook.url):
        pass

    assert webhook.received == []


def warning(caplog: pytest.LogCaptureFixture) -> str:
    """Return the only log line, after a check that it is a warning of one line without secret."""
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "\n" not in record.message
    assert SECRET.lower() not in caplog.text.lower()
    return record.message
