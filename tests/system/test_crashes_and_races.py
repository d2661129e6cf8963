"""Trainings that are ended at any step, and trainings at the same time, leave a sound store.

`CRASH_ROUNDS` says how many steps are tried for each signal (1), and `RACING_TRAININGS` how many
run at once (3): the campaign is
`CRASH_ROUNDS=100 RACING_TRAININGS=20 pytest tests/system/test_crashes_and_races.py`.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.model.artifact import MODELS, REPORTS
from pipeline.model.reader import load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.base import ObjectStore, open_store
from tests.support.helpers import NEXT_WEEK, ROOT

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))
TRAININGS = int(os.environ.get("RACING_TRAININGS", "3"))
WEEK = simulate_orders(150, seed=1, hours_per_order={"A": 0.06, "B": 0.1}).to_csv(index=False)

AGAIN = ("--retrain", "--accept-shift")
"""Publish another model of the same week, however many there are."""
ENDS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}

Outcome = dict[str, int]


class Trainings:
    """A process that forks others, which train.

    Attributes:
        temporary: their folder for temporary files.
    """

    def __init__(self, process: "subprocess.Popen[str]", temporary: Path) -> None:
        """Take the process."""
        self.temporary = temporary
        self._process = process

    def run(
        self, store: ObjectStore, *options: str, at_once: int = 1, number: int = 0, step: int = 0
    ) -> list[Outcome]:
        """Train several times at once; end each by a signal at a step, if there is one."""
        assert self._process.stdin is not None and self._process.stdout is not None
        one = {
            "arguments": [store.url, *options],
            "environment": {key: value for key, value in os.environ.items() if "AWS" in key},
            "signal": number,
            "step": step,
        }
        self._process.stdin.write(json.dumps([one] * at_once) + "\n")
        self._process.stdin.flush()
        outcomes: list[Outcome] = json.loads(self._process.stdout.readline())
        return outcomes


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    """Start the process that forks trainings."""
    temporary = tmp_path_factory.mktemp("temporary")
    matplotlib = str(tmp_path_factory.mktemp("matplotlib"))
    # A first training that compiled what it imports would take more steps than the next.
    environment = os.environ | {
        "MPLCONFIGDIR": matplotlib,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(temporary),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.forked_trainings"],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Trainings(process, temporary)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(params=["folder", "S3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Return a store with a small week."""
    if request.param == "S3":
        url = request.getfixturevalue("s3_store_url")
    else:
        url = str(tmp_path / "store")
        Path(url).mkdir()
    store = open_store(url)
    store.write_new(NEXT_WEEK, WEEK.encode())
    return store


def check_is_sound(store: ObjectStore, temporary: Path) -> None:
    """Fail if something is half, or a file is left that nobody needs."""
    for key in store.list_keys(MODELS):
        load_model(store, key)
    for key in store.list_keys(REPORTS):
        assert key.endswith(".txt") or store.read(key).rstrip().endswith(b"</html>")
    assert list(temporary.glob("[!.]*")) == []
    assert not [*Path(store.url).glob("**/.writing-*")]


def test_whatever_ends_a_training_nothing_is_half_and_the_next_one_is_fine(
    store: ObjectStore, trainings: Trainings
) -> None:
    trainings.run(store)
    (sound,) = trainings.run(store, *AGAIN)
    assert sound["exit_code"] == 0
    chance = random.Random(type(store).__name__)
    for number, exit_code in ENDS.items():
        steps = range(1, sound["steps"] + 1)
        for step in chance.sample(steps, min(ROUNDS, len(steps))):
            (ended,) = trainings.run(store, *AGAIN, number=number, step=step)
            assert (ended["exit_code"], ended["steps"]) == (exit_code, step)
            check_is_sound(store, trainings.temporary)
    (next_one,) = trainings.run(store, *AGAIN)
    assert next_one["exit_code"] == 0
    check_is_sound(store, trainings.temporary)


@pytest.mark.parametrize(
    ("store", "on_refusal"), [("folder", "fail"), ("S3", "keep")], indirect=["store"]
)
def test_trainings_at_once_publish_models_whole_and_others_are_overtaken(
    on_refusal: str, store: ObjectStore, trainings: Trainings
) -> None:
    outcomes = trainings.run(store, "--on-refusal", on_refusal, at_once=TRAININGS)
    codes = [one["exit_code"] for one in outcomes]
    assert 1 <= len(store.list_keys(MODELS)) <= TRAININGS
    assert 0 in codes and set(codes) <= ({0, 3} if on_refusal == "fail" else {0})
    check_is_sound(store, trainings.temporary)
