"""Work done elsewhere: results in sequence, the first error, and what becomes of lost workers."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stages.errors import DatasetError, WorkersError
from pipeline.stages.messages import MAX_HEADLINE_CHARACTERS
from pipeline.stages.workers import HERE, LocalWorkers, Workers, open_workers
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.helpers import ROOT, free_port


@pytest.fixture(params=["here", "processes", "dask"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workers]:
    """Return each kind of workers."""
    if request.param == "dask":
        cluster: DaskCluster = request.getfixturevalue("shared_cluster")
        with open_workers(1, cluster.address, tmp_path) as dask:
            yield dask
    else:
        yield LocalWorkers(2) if request.param == "processes" else HERE


def tell(number: int) -> tuple[int, int]:
    """Return a number and the process."""
    return number, os.getpid()


def refuse_odd(number: int) -> int:
    """Return an even number, and refuse others."""
    if number % 2:
        raise DatasetError(f"Refused {number}: it is odd.", "Take an even one.")
    return number


def die_once(marker: Path) -> str:
    """Kill the worker, unless one was killed before."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return "alive"
    os.kill(os.getpid(), signal.SIGKILL)
    return "dead"


def test_results_come_in_sequence_from_where_they_should(workers: Workers) -> None:
    results = list(workers.map(tell, range(9)))

    assert [number for number, _ in results] == list(range(9))
    assert (os.getpid() in {process for _, process in results}) == (not workers.are_apart)


def test_the_first_error_in_sequence_is_raised_where_results_would_be(workers: Workers) -> None:
    results = workers.map(refuse_odd, [0, 2, 3, 5])

    assert [next(results), next(results)] == [0, 2]
    with pytest.raises(DatasetError, match="Refused 3") as refusal:
        next(results)
    assert refusal.value.message.details == ("Take an even one.",)


def test_a_process_that_is_killed_ends_the_work_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(WorkersError, match="Lost one of 2 processes: it was killed"):
        list(LocalWorkers(2).map(die_once, [tmp_path / "marker"] * 4))


@pytest.mark.system
def test_a_dask_worker_that_is_killed_leaves_its_work_to_the_other(tmp_path: Path) -> None:
    with (
        dask_cluster(tmp_path) as cluster,
        open_workers(1, cluster.address, tmp_path) as workers,
    ):
        assert list(workers.map(die_once, [tmp_path / "marker"] * 4)) == ["alive"] * 4
        assert sum(worker.poll() is not None for worker in cluster.workers) == 1


@pytest.mark.system
def test_a_scheduler_that_goes_away_ends_the_work_in_one_line(tmp_path: Path) -> None:
    with dask_cluster(tmp_path) as cluster:
        with pytest.raises(WorkersError, match="Lost the Dask scheduler") as error:
            with open_workers(1, cluster.address, tmp_path) as workers:
                results = workers.map(tell, range(1000))
                next(results)
                cluster.scheduler.kill()
                list(results)
    assert len(error.value.message.headline) <= MAX_HEADLINE_CHARACTERS


@pytest.mark.system
def test_a_scheduler_that_is_not_there_is_told(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"

    with pytest.raises(WorkersError, match=f"Cannot reach the Dask scheduler {address} within"):
        with open_workers(1, address, tmp_path):
            pass


@pytest.mark.system
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("stages/wording.py", "has code of the pipeline [0-9a-f]{12} instead of [0-9a-f]{12}"),
        ("stages/environment.py", "cannot run the code of this stage"),
    ],
)
def test_workers_with_other_code_are_refused(change: str, reason: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline")
    changed = tmp_path / "pipeline" / change
    changed.write_text("" if "environment" in change else changed.read_text() + "\n")

    with dask_cluster(tmp_path, workers=1, code=tmp_path) as cluster:
        with pytest.raises(WorkersError, match=f"The Dask worker tcp://[^ ]+ {reason}"):
            with open_workers(1, cluster.address, tmp_path):
                pass


def test_a_scratch_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkersError, match="there is no such folder"):
        with open_workers(1, None, tmp_path / "nowhere"):
            pass


@pytest.mark.system
def test_a_scratch_folder_that_a_worker_does_not_see_is_told(
    shared_cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(WorkersError, match="does not see the files of this stage in /proc/self"):
        with open_workers(1, shared_cluster.address, Path("/proc/self/cwd")):
            pass
