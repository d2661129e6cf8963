"""Alerts that no webhook took: what is kept of them, and how many the service counts."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pipeline.model.undelivered_alerts import tell_people
from pipeline.serve_model import create_app
from pipeline.stages.messages import Message
from tests.support.helpers import WEBHOOK_TOKEN, Webhook, logged
from tests.support.service_clients import wait_until
from tests.support.service_fixtures import hand_made_service

MESSAGE = Message("Refused.", ("It is worse.",), {"Report": "s3://bucket/reports/a.html"})


@pytest.fixture
def broken(webhook: Webhook) -> str:
    """Return the URL of a webhook that takes nothing."""
    webhook.statuses = [500]
    return webhook.url


def test_what_no_webhook_took_is_kept_whole_and_told(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not tell_people(broken, str(tmp_path), MESSAGE, pause=0)

    (file,) = (tmp_path / "alerts").iterdir()
    kept = json.loads(file.read_text())
    assert kept["text"] == f"time-to-dispatch: {MESSAGE}"
    assert kept["not_posted_because"] == "it answered with status 500"
    assert f"The alert is kept as {file}." in logged(caplog, "WARNING")[1]
    assert WEBHOOK_TOKEN not in caplog.text + file.read_text()


def test_what_a_webhook_took_is_not_kept(webhook: Webhook, tmp_path: Path) -> None:
    assert tell_people(webhook.url, str(tmp_path), MESSAGE)
    assert not tell_people(None, str(tmp_path), MESSAGE)

    assert len(webhook.received) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_alert_that_cannot_be_kept_either_is_a_warning(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not tell_people(broken, str(tmp_path / "nowhere"), MESSAGE, pause=0)

    assert "could not be kept in the store either: Cannot open" in logged(caplog, "WARNING")[1]


def told(client: TestClient, name: str = "ttd_undelivered_alerts") -> float:
    """Return what a service tells of its store."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    (sample,) = next(f for f in families if f.name == name).samples
    return sample.value


def test_a_service_counts_what_waits_when_it_starts_and_at_each_look(
    broken: str, tmp_path: Path
) -> None:
    (tmp_path / "alerts").mkdir()
    service = hand_made_service(str(tmp_path), "--reload-seconds", "0.05")
    with TestClient(create_app(service)) as client:
        wait_until(lambda: told(client) == 0, "it has looked")
        tell_people(broken, str(tmp_path), MESSAGE, pause=0)
        wait_until(lambda: told(client) == 1, "it has found the alert")
        next((tmp_path / "alerts").iterdir()).unlink()
        wait_until(lambda: told(client) == 0, "somebody has read it")


def test_a_store_that_does_not_tell_its_alerts_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts").write_text("a file in the way")
    with TestClient(create_app(hand_made_service(str(tmp_path)))) as client:
        wait_until(lambda: bool(logged(caplog, "ERROR")), "it has looked")
        assert client.get("/readyz").status_code == 200
        assert str(told(client)) == "nan"
    (error,) = logged(caplog, "ERROR")
    assert error.startswith(f"Cannot see what people should know: Cannot list {tmp_path}/alerts")
