"""The stage that runs after a failed deployment: what people are told, and the exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.notify_failure import main
from tests.support.helpers import ROOT, Webhook, logged

REASON = "job=train-model in namespace=time-to-dispatch have failed"
"""In Bodywork's words."""
TOLD = f"The deployment failed: {REASON}.\n  - The logs of the deployment and of its pods say more."


@pytest.fixture(autouse=True)
def reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the reason as Bodywork does."""
    monkeypatch.setenv("EXCEPTION_MESSAGE", REASON)


@pytest.fixture
def configured(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Webhook:
    """Name a webhook to the stage as a secret does."""
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", webhook.url)
    return webhook


@pytest.mark.parametrize("given", [REASON, f"{REASON}."])
def test_the_reason_is_posted(
    given: str,
    configured: Webhook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("EXCEPTION_MESSAGE", given)
    assert main() == 0
    assert configured.texts == [f"time-to-dispatch: {TOLD}"]
    assert logged(caplog, "ERROR") == [TOLD]


@pytest.mark.parametrize("given", [None, "", " . "], ids=["missing", "empty", "nothing but a dot"])
def test_a_failure_without_a_reason_is_posted_too(
    given: str | None, configured: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXCEPTION_MESSAGE")
    if given is not None:
        monkeypatch.setenv("EXCEPTION_MESSAGE", given)
    assert main() == 0
    (text,) = configured.texts
    assert text.startswith("time-to-dispatch: The deployment failed: Bodywork gave no reason.\n")


def test_without_a_webhook_the_log_has_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    assert main() == 0
    assert logged(caplog, "ERROR") == [TOLD]
    (warning,) = logged(caplog, "WARNING")
    assert "Set TTD_ALERT_WEBHOOK" in warning


def test_a_webhook_that_does_not_take_it_is_a_failure(
    configured: Webhook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configured.statuses = [500]
    assert main([str(tmp_path)]) == 1
    not_posted, kept = logged(caplog, "WARNING")
    assert "it answered with status 500" in not_posted
    assert f"The alert is kept as {tmp_path}/alerts/time_to_dispatch_" in kept
    assert "was not posted" in logged(caplog, "ERROR")[-1]


def test_the_stage_needs_none_of_the_libraries_for_models() -> None:
    heavy = "{'numpy', 'pandas', 'sklearn', 'onnxruntime', 'boto3', 'fastapi'}"
    command = f"import sys, pipeline.notify_failure; print({heavy} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "set()"
