"""The training stage on a week that no machine can hold: alone, and on two Dask workers."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv

from benchmarks.measuring.measured_process import (
    ENVIRONMENT,
    KIB_PER_MIB,
    ROOT,
    ProcessCost,
)
from benchmarks.measuring.server_processes import free_port
from benchmarks.training.stage_costs import WEEK_STREAM, forget_models, run_stage, world_of
from benchmarks.worlds.order_worlds import World
from benchmarks.worlds.weekly_stores import newest_model, temporary_store, week_path
from pipeline.model.artifact import MODELS
from pipeline.orders.parts import SUCCESS

PRODUCTS = 10_000
PART_ROWS = 2_000_000
PARTS, FEWER_PARTS = 50, 5
WORKERS = 2
MAX_PEAK_MIB = 1.0 * 1024
MAX_GROWTH = 1.3
"""Of the processor time of a row, from the fewer parts to all."""
MAX_DRIVER_MIB = 0.4 * 1024
MAX_WORKER_MIB = 0.6 * 1024


class ManyRowsCost(NamedTuple):
    """The stage on one week in parts.

    Attributes:
        where: who does the work.
        rows: of the week.
        stage: the process of the stage.
        worker_seconds: processor time of the workers.
        worker_mib: most memory that any of them held at once; None without workers.
        curves: of the published model, as they stand in it; None if there is none.
    """

    where: str
    rows: int
    stage: ProcessCost
    worker_seconds: float
    worker_mib: float | None
    curves: str | None

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the stage and its workers."""
        return self.stage.cpu_seconds + self.worker_seconds

    def growth_from(self, fewer: "ManyRowsCost", smallest_cpu_seconds: float) -> float:
        """Return the processor time of a row beyond the smallest week, in units of another's."""
        here = (self.cpu_seconds - smallest_cpu_seconds) / self.rows
        return here / ((fewer.cpu_seconds - smallest_cpu_seconds) / fewer.rows)


class ManyRows(NamedTuple):
    """A week in few parts and in all of them alone, and in all on two Dask workers."""

    fewer: ManyRowsCost
    alone: ManyRowsCost
    on_workers: ManyRowsCost

    def facts(self, smallest_cpu_seconds: float) -> dict[str, object]:
        """Return what was measured, for JSON."""
        return {
            "costs": [cost._replace(curves=None)._asdict() for cost in self],
            "goals": self.goals(smallest_cpu_seconds),
        }

    def goals(self, smallest_cpu_seconds: float) -> dict[str, bool]:
        """Tell for each goal whether it was met."""
        alone, on_workers = self.alone, self.on_workers
        ended = alone.curves is not None
        return {
            "ends": ended,
            "memory": ended and alone.stage.peak_mib <= MAX_PEAK_MIB,
            "linear": ended and alone.growth_from(self.fewer, smallest_cpu_seconds) <= MAX_GROWTH,
            "same curves": ended and on_workers.curves == alone.curves,
            "driver's memory": on_workers.stage.peak_mib <= MAX_DRIVER_MIB,
            "worker's memory": (on_workers.worker_mib or 0.0) <= MAX_WORKER_MIB,
            "faster on workers": on_workers.stage.seconds < alone.stage.seconds,
        }


def measure_many_rows() -> ManyRows:
    """Measure all three."""
    with temporary_store() as store:
        folder = week_path(store, week=0).with_suffix("")
        world = world_of(PARTS * PART_ROWS, PRODUCTS)
        _write_parts(folder, world, range(FEWER_PARTS))
        fewer = _measure(store, FEWER_PARTS)
        _write_parts(folder, world, range(FEWER_PARTS, PARTS))
        alone = _measure(store, PARTS)
        with _dask_workers() as (address, workers), TemporaryDirectory() as scratch:
            options = ["--scheduler", address, "--scratch", scratch]
            on_workers = _measure(store, PARTS, options, workers)
    return ManyRows(fewer, alone, on_workers)


def _measure(
    store: Path, parts: int, options: Sequence[str] = (), workers: Sequence[psutil.Popen] = ()
) -> ManyRowsCost:
    forget_models(store)
    stage = run_stage(store, *options)
    model = newest_model(store)
    where = f"{len(workers)} Dask workers" if workers else "alone"
    print(f"{parts * PART_ROWS:,} rows, {where}: {stage.seconds:.1f} s", file=sys.stderr)
    return ManyRowsCost(
        where,
        parts * PART_ROWS,
        stage,
        sum(sum(worker.cpu_times()[:2]) for worker in workers),
        max(map(_peak_mib, workers)) if workers else None,
        None if model is None else _curves(store),
    )


def _curves(store: Path) -> str:
    """Return the curves of the newest model, as they stand in its artifact."""
    import onnx

    newest = max((store / MODELS).glob("*.onnx"))
    properties = onnx.load(newest).metadata_props
    return str(next(entry.value for entry in properties if entry.key == "curves"))


def _peak_mib(process: psutil.Process) -> float:
    """Return the most memory that a process has held at once so far, as Linux counts it."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / KIB_PER_MIB


def _write_parts(folder: Path, world: World, parts: range) -> None:
    """Write parts of a week, and say that it is whole."""
    folder.mkdir(exist_ok=True)
    weights = np.ones(PRODUCTS, dtype=int)
    plain = pyarrow.csv.WriteOptions(quoting_style="none")
    for part in parts:
        rows = world.draw_week(PART_ROWS, world.random(WEEK_STREAM + part), weights)
        table = pa.Table.from_pandas(rows, preserve_index=False)
        pyarrow.csv.write_csv(table, folder / f"part-{part:05}.csv", plain)
    (folder / SUCCESS).touch()


@contextmanager
def _dask_workers() -> Iterator[tuple[str, list[psutil.Popen]]]:
    """Run a scheduler and its workers, a process and a thread each; yield its address and them."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    single = ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]]
    commands += [["worker", address, *single]] * WORKERS
    with TemporaryDirectory() as folder:
        processes = [
            psutil.Popen(
                [sys.executable, "-m", "dask", *command],
                cwd=folder,
                env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.DEVNULL,
            )
            for command in commands
        ]
        try:
            yield address, processes[1:]
        finally:
            for process in processes:
                process.kill()
                process.wait()
