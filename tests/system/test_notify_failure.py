"""The stage that runs after a failed deployment: what people are told, and the exit code."""

import os
import subprocess
import sys

import pytest

from pipeline.notify_failure import main
from tests.support.helpers import ROOT, Webhook, free_port, logged

REASON = "job=train-model in namespace=time-to-dispatch have failed"
"""In Bodywork's words."""
TOLD = f"The deployment failed: {REASON}. The logs of the deployment and of its pods say more."


@pytest.fixture(autouse=True)
def reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the reason as Bodywork does."""
    monkeypatch.setenv("EXCEPTION_MESSAGE", REASON)


@pytest.fixture
def configured(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Webhook:
    """Name a webhook to the stage as a secret does."""
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", webhook.url)
    return webhook


def test_the_reason_is_posted(configured: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    assert main() == 0
    assert configured.texts == [f"time-to-dispatch: {TOLD}"]
    assert logged(caplog, "ERROR") == [TOLD]


@pytest.mark.parametrize("given", [None, "", " . "], ids=["missing", "empty", "nothing but a dot"])
def test_a_failure_without_a_reason_is_posted_too(
    given: str | None, configured: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given is None:
        monkeypatch.delenv("EXCEPTION_MESSAGE")
    else:
        monkeypatch.setenv("EXCEPTION_MESSAGE", given)
    assert main() == 0
    (text,) = configured.texts
    assert text.startswith("time-to-dispatch: The deployment failed: Bodywork gave no reason. ")


def test_a_reason_that_ends_in_a_full_stop_gets_no_second(
    configured: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCEPTION_MESSAGE", f"{REASON}.")
    assert main() == 0
    assert configured.texts == [f"time-to-dispatch: {TOLD}"]


@pytest.mark.parametrize("webhook_url", [None, "", " "], ids=["none", "empty", "blank"])
def test_without_a_webhook_the_log_has_the_reason(
    webhook_url: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if webhook_url is not None:
        monkeypatch.setenv("TTD_ALERT_WEBHOOK", webhook_url)
    assert main() == 0
    assert logged(caplog, "ERROR") == [TOLD]
    (warning,) = logged(caplog, "WARNING")
    assert "Set TTD_ALERT_WEBHOOK" in warning


def test_a_webhook_that_does_not_take_it_is_a_failure(
    configured: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    configured.status = 500
    assert main() == 1
    assert "it answered with status 500" in logged(caplog, "WARNING")[0]
    assert "was not posted" in logged(caplog, "ERROR")[-1]


def test_a_webhook_that_is_not_there_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", f"http://127.0.0.1:{free_port()}/hook")
    assert main() == 1
    assert "refused" in logged(caplog, "WARNING")[0]


@pytest.mark.parametrize("wrong", ["slack.example.com/hook", "file:///etc/passwd"])
def test_a_webhook_that_is_no_url_is_wrong_usage(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", wrong)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "notify_failure: error: --alert-webhook (or TTD_ALERT_WEBHOOK) is wrong" in message
    assert wrong not in message


@pytest.mark.system
def test_the_stage_runs_as_bodywork_starts_it(configured: Webhook) -> None:
    stage = subprocess.run(
        [sys.executable, "notify_failure.py"],
        cwd=ROOT / "pipeline",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert stage.returncode == 0, stage.stderr
    assert "ERROR - notify_failure.main - The deployment failed: job=train-model" in stage.stderr
    assert configured.texts == [f"time-to-dispatch: {TOLD}"]


@pytest.mark.system
def test_the_stage_needs_none_of_the_libraries_for_models() -> None:
    heavy = "{'numpy', 'pandas', 'sklearn', 'onnxruntime', 'boto3', 'fastapi'}"
    command = f"import sys, pipeline.notify_failure; print({heavy} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "set()"
