"""The stage on a week of more than a million rows: done by workers, ended, or left alone."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.model.reader import load_model
from pipeline.stores.directory import DirectoryStore
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.helpers import ROOT
from tests.support.order_files import deliver_parts

pytestmark = pytest.mark.slow

ROWS, PRODUCTS, PARTS = 1_200_000, 300, 6


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a week in parts, each product with a slope of its own."""
    folder = tmp_path_factory.mktemp("store")
    random = np.random.default_rng(0)
    product, orders = random.integers(0, PRODUCTS, ROWS), random.integers(0, 300, ROWS)
    slopes = random.uniform(0.02, 0.1, PRODUCTS)
    week = pd.DataFrame(
        {
            "product_code": np.array([f"P{i:03}" for i in range(PRODUCTS)])[product],
            "orders_placed": orders,
            "hours_to_dispatch": 3 + slopes[product] * orders + random.uniform(-1, 1, ROWS),
        }
    )
    rows = np.array_split(np.arange(ROWS), PARTS)
    parts = {f"part-{n}.parquet": week.iloc[part].to_parquet() for n, part in enumerate(rows)}
    deliver_parts(DirectoryStore(str(folder)), parts)
    return folder


@contextmanager
def training(store: Path, scratch: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the stage in a process, and end it with the test."""
    scratch.mkdir()
    command = [sys.executable, "-m", "pipeline.train_model", str(store), "--scratch", str(scratch)]
    with subprocess.Popen([*command, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def wait_for_files(scratch: Path, run: "subprocess.Popen[str]") -> None:
    while not list(scratch.glob("*/*.arrow")) and run.poll() is None:
        time.sleep(0.02)


def errors_in(log: str) -> list[str]:
    return re.findall(r" - ERROR - train_model.main - (.*)", log)


def test_processes_and_a_cluster_publish_the_same_curves(
    store: Path, tmp_path: Path, shared_cluster: DaskCluster
) -> None:
    ways = {"jobs": ["--jobs", "2"], "dask": ["--scheduler", shared_cluster.address, "--retrain"]}
    graphs = []
    for name, options in ways.items():
        with training(store, tmp_path / name, *options) as run:
            _, log = run.communicate()
        assert run.returncode == 0, log
        assert re.search(r"Reading 6 parts (in 2 processes|on 2 workers of tcp:)", log)
        assert re.search(r"Fitting 64 buckets of products (in 2 processes|on 2 workers of )", log)
        assert list((tmp_path / name).iterdir()) == []
        graphs.append(load_model(DirectoryStore(str(store))))

    points = {"product_code": ["P001"] * 300, "orders_placed": list(range(300))}
    first, second = (model.estimate(points).tolist() for model in graphs)
    assert first == second and graphs[0].version != graphs[1].version


@pytest.mark.parametrize("options", [[], ["--jobs", "2"]], ids=["here", "processes"])
def test_sigterm_leaves_nothing_behind(store: Path, tmp_path: Path, options: list[str]) -> None:
    scratch = tmp_path / "scratch"
    with training(store, scratch, "--retrain", *options) as run:
        wait_for_files(scratch, run)
        run.send_signal(signal.SIGTERM)
        _, log = run.communicate()

    assert run.returncode == 128 + signal.SIGTERM, log
    assert list(scratch.iterdir()) == []
    assert "Traceback" not in log


def test_a_scheduler_that_goes_away_ends_the_stage_without_a_model(
    store: Path, tmp_path: Path
) -> None:
    models = DirectoryStore(str(store)).list_keys("models")
    scratch = tmp_path / "scratch"
    with dask_cluster(tmp_path) as cluster:
        with training(store, scratch, "--retrain", "--scheduler", cluster.address) as run:
            wait_for_files(scratch, run)
            cluster.scheduler.kill()
            _, log = run.communicate()

    assert run.returncode == 1
    (error,) = errors_in(log)
    assert error == f"Lost the Dask scheduler {cluster.address} while it was at work."
    assert "Traceback" not in log
    assert DirectoryStore(str(store)).list_keys("models") == models
    assert list(scratch.iterdir()) == []
