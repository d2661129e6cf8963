"""The steady load as a file alone, which is how it runs inside a cluster."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.campaign.steady_load import Answer, Asked, summary
from tests.support.helpers import ROOT
from tests.support.service_clients import watched_service

PREDICTION = b'{"est_hours_to_dispatch": 1.0, "model_version": "one"}'
KEY = "a-key-of-the-shop"


def test_a_load_tells_what_came_of_its_requests_until_the_service_was_killed(
    trained_store: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "steady_load.py"
    alone.write_bytes((ROOT / "deploy" / "campaign" / "steady_load.py").read_bytes())
    command = [sys.executable, "-I", "-S", str(alone), "127.0.0.1"]
    options = ["--until", "over", "--product-codes", "SKU001,SKU002"]
    options += ["--per-second", "100", "--max-seconds", "60"]
    with (
        watched_service(tmp_path, str(trained_store), "--api-key", KEY) as service,
        subprocess.Popen(
            [*command, str(service.port), *options],
            cwd=tmp_path,
            env={"TTD_API_KEY": KEY},
            stdout=subprocess.PIPE,
            text=True,
        ) as load,
    ):
        time.sleep(1.5)
        service.process.kill()
        time.sleep(0.5)
        (tmp_path / "over").touch()
        printed, _ = load.communicate(timeout=60)
    result = json.loads(printed)

    ((version, answers),) = result["answers"].items()
    assert load.returncode == 0
    assert version.startswith("time_to_dispatch_")
    assert answers > 50
    assert result["failed"] > 10
    assert result["requests"] == result["failed"] + answers
    assert result["kept_alive"] == (result["requests"] + 1) // 2
    assert 0.01 <= result["longest_pause"] < 1.5
    assert any("on a kept connection: 0 " in failure for failure in result["failures"])
    assert any("on its own connection: 0 " in failure for failure in result["failures"])


def test_the_longest_pause_is_between_two_requests() -> None:
    answer = Answer(200, {}, PREDICTION)
    asked = [Asked("SKU001", 1, moment, True, answer) for moment in (7.0, 7.5, 10.0, 11.0)]

    assert summary(asked)["longest_pause"] == 2.5
    assert summary([])["longest_pause"] == 0


@pytest.mark.parametrize(
    ("status", "body", "is_answered"),
    [
        (200, PREDICTION, True),
        (500, PREDICTION, False),
        (200, b'{"status": "ok"}', False),
        (0, b"ConnectionResetError()", False),
    ],
)
def test_only_a_prediction_is_an_answer(status: int, body: bytes, is_answered: bool) -> None:
    result = summary([Asked("SKU001", 1, 7.0, True, Answer(status, {}, body))])

    assert result["failed"] == (not is_answered)
    assert result["answers"] == ({"one": 1} if is_answered else {})
    assert bool(result["failures"]) == (not is_answered)
