"""Alerts: what a webhook receives, and that no failure raises or tells the secret."""

import socket
import threading
import time

import pytest

from pipeline.stages.alerts import alert_on_failure, post_alert
from pipeline.stages.errors import PipelineError
from pipeline.stages.messages import Message
from tests.support.helpers import WEBHOOK_TOKEN as SECRET
from tests.support.helpers import Webhook, free_port

MANY_SECONDS = 30.0


def test_a_webhook_receives_blocks_and_all_of_it_as_text(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    links = {"Report": "https://host/a b?x=1&y=<2>", "Dataset": "s3://bucket/<week>.csv"}

    post_alert(webhook.url, Message("Refused: R² < 0.8.", ("<!channel> & co.", "two"), links))

    ((path, headers, body),) = webhook.received
    assert path == f"/services/{SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert body["text"].splitlines() == [
        "time-to-dispatch: Refused: R² &lt; 0.8.",
        "  - &lt;!channel&gt; &amp; co.",
        "  - two",
        "  Report: https://host/a b?x=1&amp;y=&lt;2&gt;",
        "  Dataset: s3://bucket/&lt;week&gt;.csv",
    ]
    header, *sections = body["blocks"]
    assert header == {
        "type": "header",
        "text": {"type": "plain_text", "text": "time-to-dispatch: Refused: R² < 0.8."},
    }
    assert [section["text"] for section in sections] == [
        {"type": "mrkdwn", "text": "• &lt;!channel&gt; &amp; co.\n• two"},
        {
            "type": "mrkdwn",
            "text": "<https://host/a%20b?x=1%26y=%3C2%3E|Report>\n"
            "Dataset: s3://bucket/&lt;week&gt;.csv",
        },
    ]
    assert caplog.records == []


@pytest.mark.parametrize("text", ["x" * 100_000, "<" * 100_000], ids=["plain", "markup"])
def test_what_is_too_long_for_slack_is_cut_off(text: str, webhook: Webhook) -> None:
    post_alert(webhook.url, Message("x" * 151, (text,)))

    ((*_, body),) = webhook.received
    header, section = body["blocks"]
    assert len(header["text"]["text"]) == 150
    for cut in (body["text"], section["text"]["text"]):
        assert 2_990 < len(cut) <= 3_000 and cut.endswith(("x…", ";…"))


@pytest.mark.parametrize("characters", [140, 400])
def test_a_headline_too_long_for_a_title_is_shown_whole_below_it(
    characters: int, webhook: Webhook
) -> None:
    headline = "x" * (characters - len(" the limit of 0.1.")) + " the limit of 0.1."

    post_alert(webhook.url, Message(headline))

    ((*_, body),) = webhook.received
    title, section = body["blocks"]
    assert title["text"]["text"].endswith("…") and len(title["text"]["text"]) == 150
    assert section["text"]["text"] == f"• time-to-dispatch: {headline}"


@pytest.mark.parametrize(
    ("status", "told"),
    [(302, "302 and redirects, which is not followed"), (404, "404"), (500, "500")],
)
def test_all_but_2xx_is_a_warning_after_three_tries_and_no_redirect_is_followed(
    status: int, told: str, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.statuses = [status]

    failure = post_alert(webhook.url, Message("Hello."), pause=0)

    assert failure == f"it answered with status {told}"
    assert [path for path, *_ in webhook.received] == [f"/services/{SECRET}"] * 3
    assert warning(caplog) == (
        f"An alert could not be posted to http://127.0.0.1: {failure}. "
        "Check the webhook's URL (TTD_ALERT_WEBHOOK) and the network."
    )


@pytest.mark.parametrize("statuses", [[200], [204], [500, 200], [302, 503, 200]])
def test_an_alert_arrives_if_one_of_three_tries_succeeds(
    statuses: list[int], webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.statuses = list(statuses)

    assert post_alert(webhook.url, Message("Hello."), pause=0) is None

    assert webhook.texts == ["time-to-dispatch: Hello."] * len(statuses)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{free_port}/{secret}", "127.0.0.1: [Errno 111] Connection refused"),
        ("https://user:{secret}@hooks.invalid/{secret}", "hooks.invalid: "),
        ("https://127.0.0.1:{webhook.server_port}/{secret}", "127.0.0.1: [SSL"),
    ],
    ids=["nobody listens", "unknown host", "no TLS"],
)
def test_a_server_that_is_not_reached_is_a_warning(
    url: str, reason: str, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    url = url.format(free_port=free_port(), secret=SECRET, webhook=webhook)

    assert post_alert(url, Message("Hello."), MANY_SECONDS, pause=0)

    assert f"posted to {url.split(':')[0]}://{reason}" in warning(caplog)


def test_a_server_that_never_answers_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    threads_before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}"
        post_alert(url, Message("Hello."), seconds=0.3, pause=0)
        for thread in set(threading.enumerate()) - threads_before:
            thread.join(MANY_SECONDS)
            assert not thread.is_alive()

    assert "posted to http://127.0.0.1: timed out." in warning(caplog)


def test_the_time_limit_is_for_all_steps_together(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_slowly() -> None:
            listener.settimeout(MANY_SECONDS)
            connection, _ = listener.accept()  # that of the first try
            with connection:
                for piece in [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 20, b"\r\n"]:
                    time.sleep(0.1)
                    connection.sendall(piece)

        thread = threading.Thread(target=answer_slowly)
        thread.start()
        post_alert(
            f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}",
            Message("Hello."),
            seconds=0.6,
            pause=0,
        )
        assert thread.is_alive(), "the whole answer takes two seconds"
        # Whoever still waits for the answer does not keep the process from ending.
        assert any(thread.daemon for thread in threading.enumerate())
        thread.join()

    assert "timed out" in warning(caplog)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", "the webhook: this is not an http:// or https:// URL"),
        (f"file:///{SECRET}", "the webhook: this is not an http:// or https:// URL"),
        (f"ftp://host/{SECRET}", "ftp://host: this is not an http:// or https:// URL"),
        (f"http:///{SECRET}", "the webhook: "),
        (f"http://host\\{SECRET}", "the webhook: "),
        (f"http://host:{SECRET}/", "http://host: InvalidURL"),
        (f"http://user:{SECRET}@127.0.0.1/", "http://127.0.0.1: "),
        (f"http://127.0.0.1/{SECRET} \n{SECRET}", "http://127.0.0.1: InvalidURL"),
        (f"http://{'a' * 64}.invalid/{SECRET}", f"http://{'a' * 64}.invalid: "),
    ],
)
def test_an_invalid_url_is_a_warning(
    url: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    post_alert(url, Message("Hello."), MANY_SECONDS, pause=0)

    assert f"An alert could not be posted to {shown}" in warning(caplog)


def test_the_proxy_of_the_environment_is_asked(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{webhook.server_port}")

    post_alert("http://hooks.invalid/services", Message("Hello."))

    ((path, _, _),) = webhook.received
    assert path == "http://hooks.invalid/services"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "text"),
    [(PipelineError("The model is worse."), "The model is worse."), (MemoryError(), "MemoryError")],
)
def test_a_failure_is_told_and_goes_on(error: Exception, text: str) -> None:
    told: list[Message] = []

    with pytest.raises(type(error)) as raised, alert_on_failure(told.append):
        raise error

    assert raised.value is error
    assert told == [Message(text)]


def warning(caplog: pytest.LogCaptureFixture) -> str:
    """Return the only log line, after a check that it is a warning of one line without secret."""
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "\n" not in record.message
    assert SECRET.lower() not in caplog.text.lower()
    return record.message
