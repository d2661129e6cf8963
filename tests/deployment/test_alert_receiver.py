"""The webhook inside the cluster, as a file alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.campaign.alert_receiver import PORT
from pipeline.stages.alerts import post_alert
from tests.support.helpers import ROOT, free_port
from tests.support.service_clients import wait_until


def test_it_prints_the_alerts_one_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    port = free_port()
    text = (ROOT / "deploy" / "campaign" / "alert_receiver.py").read_text()
    assert f"PORT = {PORT}\n" in text
    alone = tmp_path / "receiver.py"
    alone.write_text(text.replace(f"PORT = {PORT}\n", f"PORT = {port}\n"))
    command = [sys.executable, "-I", "-S", "-u", str(alone)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as receiver:
        try:
            wait_until(
                lambda: post_alert(f"http://127.0.0.1:{port}/services/campaign", "one\nline"),
                "it takes an alert",
            )
            assert receiver.stdout is not None
            assert json.loads(receiver.stdout.readline()) == "one\nline"
        finally:
            receiver.terminate()
