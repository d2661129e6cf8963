"""The steady load as a file alone, which is how it runs inside a cluster."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.campaign.steady_load import Answer, Asked, summary
from tests.support.helpers import ROOT
from tests.support.service_clients import WatchedService, watched_service

PREDICTION = b'{"est_hours_to_dispatch": 1.0, "model_version": "one"}'
KEY = "a-key-of-the-shop"


@contextmanager
def loaded_service(
    store: Path, folder: Path
) -> "Iterator[tuple[WatchedService, subprocess.Popen[str]]]":
    """Run a service, and the load on it from a copy of its file; file `over` ends the load."""
    alone = folder / "steady_load.py"
    alone.write_bytes((ROOT / "deploy" / "campaign" / "steady_load.py").read_bytes())
    options = ["--until", "over", "--product-codes", "SKU001,SKU002"]
    options += ["--per-second", "100", "--most-seconds", "60"]
    with watched_service(folder, str(store), "--api-key", KEY) as service:
        command = [sys.executable, "-I", "-S", str(alone), "127.0.0.1", str(service.port), *options]
        with subprocess.Popen(
            command, cwd=folder, env={"TTD_API_KEY": KEY}, stdout=subprocess.PIPE, text=True
        ) as load:
            yield service, load


def result_of(process: "subprocess.Popen[str]", folder: Path) -> dict[str, Any]:
    """End the load, and return what it prints."""
    (folder / "over").touch()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    result: dict[str, Any] = json.loads(printed)
    return result


def test_a_load_tells_what_came_of_its_requests(trained_store: Path, tmp_path: Path) -> None:
    with loaded_service(trained_store, tmp_path) as (_, load):
        time.sleep(1.5)
        result = result_of(load, tmp_path)

    (version,) = result["answers"]
    assert version.startswith("time_to_dispatch_")
    assert result["requests"] == result["answers"][version] > 50
    assert result["kept_alive"] == (result["requests"] + 1) // 2
    assert (result["failed"], result["failures"]) == (0, [])
    assert 0.01 <= result["longest_pause"] < 1.5


def test_a_load_counts_what_a_killed_service_did_not_answer(
    trained_store: Path, tmp_path: Path
) -> None:
    with loaded_service(trained_store, tmp_path) as (service, load):
        time.sleep(1)
        service.process.kill()
        time.sleep(0.5)
        result = result_of(load, tmp_path)

    assert result["failed"] > 10
    assert result["requests"] == result["failed"] + sum(result["answers"].values())
    assert any("on a kept connection: 0 " in failure for failure in result["failures"])
    assert any("on its own connection: 0 " in failure for failure in result["failures"])


def test_the_longest_pause_is_between_two_requests() -> None:
    answer = Answer(200, {}, PREDICTION)
    asked = [Asked("SKU001", 1, moment, True, answer) for moment in (7.0, 7.5, 10.0, 11.0)]

    assert summary(asked)["longest_pause"] == 2.5
    assert summary([])["longest_pause"] == 0


@pytest.mark.parametrize(
    ("answer", "is_answered"),
    [
        (Answer(200, {}, PREDICTION), True),
        (Answer(500, {}, PREDICTION), False),
        (Answer(200, {}, b'{"status": "ok"}'), False),
        (Answer(0, {}, b"ConnectionResetError()"), False),
    ],
)
def test_only_a_prediction_is_an_answer(answer: Answer, is_answered: bool) -> None:
    result = summary([Asked("SKU001", 1, 7.0, True, answer)])

    assert result["failed"] == (not is_answered)
    assert result["answers"] == ({"one": 1} if is_answered else {})
    assert bool(result["failures"]) == (not is_answered)
