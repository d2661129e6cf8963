"""Read-only and full disks, no folders, little memory, odd clocks: all works, or says why not."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.orders.simulator import simulate_orders
from pipeline.stores.directory import DirectoryStore
from tests.support.helpers import deliver, names_in, predict, running_service
from tests.support.order_files import HEADER, csv, deliver_parts
from tests.support.surroundings import (
    Result,
    at_the_time,
    command,
    environment,
    limited,
    run,
    sandbox,
    tool,
)

NO_FOLDER = "error: There is no working directory (No such file or directory): start in one that"
NO_SCRATCH = "error: No folder for temporary files can be written to: set TMPDIR to one that can."
NO_MEMORY = "error: This process may have 300 MB of memory (ulimit -{}), and the training asks for"
BEYOND_TIME = "error: The clock is beyond April 2262, which Python cannot tell: set it right."
IN_A_LOST_FOLDER = ["sh", "-c", 'd=$(mktemp -d) && cd $d && rmdir $d && exec "$@"', "sh"]


@pytest.fixture
def small_store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    deliver(store, simulate_orders(300, seed=1))
    return store


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with modules that would stand for those of the standard library."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("typing", "enum", "json"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from the folder')")
    return folder


@pytest.fixture
def poor(tmp_path: Path, small_store: Path) -> list[str]:
    """What runs a command with one processor, 64 open files, and a disk that is read-only."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    few = [tool("taskset"), "-c", "0", *limited(nofile=64)]
    return [*sandbox(small_store, scratch), *few, "env", f"TMPDIR={scratch}"]


def last_line(done: Result) -> str:
    """Return the headline of the error that a stage ended with."""
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if re.match(r"error:|.* - ERROR - ", line)]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_everything_works_with_next_to_nothing(
    poor: list[str], small_store: Path, hostile: Path
) -> None:
    file = str(next((small_store / "datasets").iterdir()))
    store = str(small_store)

    trained = run([*poor, *command("train", store)], hostile)
    assert trained.returncode == 0, trained.stderr
    (model,) = names_in(small_store / "models")
    checked = run([*poor, *command("check", file)], hostile)
    assert f"{file} passes every check." in checked.stdout, checked.stderr
    listed = run([*poor, *command("models", "list", store)], hostile)
    assert (model in listed.stdout, listed.stderr) == (True, "")
    serve = [*poor, *limited(data=300 * 10**6), *command("serve")]
    with running_service(store, command=serve, cwd=hostile, environment=environment()) as url:
        assert predict(url)["model_version"] == model


@pytest.mark.slow
def test_processes_that_a_command_starts_import_nothing_from_the_folder_either(
    tmp_path: Path, hostile: Path
) -> None:
    parts = {f"{n}.csv": csv(f"SKU00{n},1,2") for n in range(2)}
    deliver_parts(DirectoryStore(str(tmp_path)), parts)

    done = run(command("train", str(tmp_path), "--jobs", "2"), hostile)

    assert "Reading 2 parts in 2 processes." in done.stderr
    assert "Read 2 valid rows of " in done.stderr, done.stderr


@pytest.mark.parametrize("entry", ["train", "check", "serve", "models"])
def test_without_a_working_directory_nothing_starts(entry: str) -> None:
    done = run([*IN_A_LOST_FOLDER, *command(entry)])

    assert (done.returncode, last_line(done)[: len(NO_FOLDER)]) == (1, NO_FOLDER)


@pytest.mark.parametrize("entry", ["train", "check"])
@pytest.mark.parametrize(
    ("surroundings", "error"),
    [
        (sandbox, NO_SCRATCH),
        (lambda: limited(data=300 * 10**6), NO_MEMORY.format("d")),
        (lambda: limited(**{"as": 300 * 10**6}), NO_MEMORY.format("v")),
        (lambda: at_the_time("2300-01-01"), BEYOND_TIME),
    ],
    ids=["no temporary folder", "little memory", "little address space", "2300"],
)
def test_what_training_cannot_do_without_is_named_before_it_starts(
    surroundings: Callable[[], list[str]], error: str, entry: str
) -> None:
    done = run([*surroundings(), *command(entry)], Path("/"))

    assert (done.returncode, last_line(done)[: len(error)]) == (1, error)


def test_in_1970_a_week_is_refused_since_the_clock_must_be_wrong(small_store: Path) -> None:
    done = run([*at_the_time("1970-01-01"), *command("train", str(small_store))])

    assert done.returncode == 3
    assert re.search(r"its name is dated 20,78\d days ahead of the clock\.$", last_line(done))


@pytest.mark.slow
def test_without_assertions_and_in_2262_a_week_is_trained_on(small_store: Path) -> None:
    line = [*at_the_time("2262-02-01"), *command("train", str(small_store))]

    done = run(line, PYTHONOPTIMIZE="2")

    assert done.returncode == 0, done.stderr
    assert names_in(small_store / "models")[0].startswith("time_to_dispatch_2262-02-01T00-00-")


@pytest.mark.slow
def test_a_store_on_a_read_only_disk_is_refused_before_the_training(small_store: Path) -> None:
    scratch = small_store.parent / "scratch"
    scratch.mkdir()

    done = run([*sandbox(small=scratch, size=10**6), *command("train", str(small_store))], scratch)

    assert done.returncode == 1
    assert last_line(done).endswith(f"Cannot write to {small_store}: Read-only file system.")


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["No space left on device", "Too many open files"])
def test_a_large_week_that_finds_no_room_for_its_rows_is_told_so(
    reason: str, tmp_path: Path
) -> None:
    store, scratch = tmp_path / "store", tmp_path / "scratch"
    scratch.mkdir()
    deliver(store, HEADER + "".join(f"SKU{n},1,2\n" for n in range(1_000)) * 1_001)
    full = [*sandbox(store, small=scratch, size=10**6), "env", f"TMPDIR={scratch}"]

    done = run(
        [*(full if "space" in reason else limited(nofile=64)), *command("train", str(store))]
    )

    assert done.returncode == 1
    assert re.search(f"Cannot write rows into .*/time-to-dispatch-.*: {reason}.$", last_line(done))


@pytest.mark.slow
def test_on_a_full_disk_there_is_no_model(small_store: Path) -> None:
    done = run([*limited(fsize=5_000), *command("train", str(small_store))])

    assert done.returncode == 1
    assert re.search(r"Cannot write .*/reports/.*\.html: File too large\.$", last_line(done))
    assert names_in(small_store / "models") == []
