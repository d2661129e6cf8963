"""What the tests share: servers, stores with sample data, and a clean environment."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from pipeline.model.reader import DispatchModel, load_model
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main as train_model
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.helpers import SAMPLE_WEEKS, Webhook
from tests.support.local_servers import s3_server, serving

ONCE = ("system", "deployment", "documents")
"""Folders whose tests are the same on every Python, and run once."""
MAX_SECONDS_OF_ONCE = 900
"""For one of those tests: some install things, and some machines are slow."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of those folders, before others are chosen by marker."""
    for item in items:
        folder = item.path.parent.name
        if folder in ONCE:
            item.add_marker("system")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(MAX_SECONDS_OF_ONCE))
        if folder == "documents":
            item.add_marker("documents")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings and credentials of whoever runs the tests out of them, and any proxy."""
    for name in list(os.environ):
        if name.startswith(("TTD_", "AWS_")) or name == "GIT_COMMIT_HASH":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no_config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no_credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Run an S3 server in a process of its own and return its URL."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Run a Dask scheduler and two workers, a process each."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def s3_store_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make an empty bucket, set the credentials for it, and return its store URL."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"orders-{uuid4()}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    client.close()
    return f"s3://{bucket}/ttd"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """Return an empty store."""
    return DirectoryStore(str(tmp_path))


@pytest.fixture
def sample_store(tmp_path: Path) -> Path:
    """Copy the datasets of the sample store, so that nothing is written into the tracked one."""
    return _copy_sample_datasets(tmp_path / "store")


@pytest.fixture(scope="session")
def trained_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the sample datasets and one model; tests only read it."""
    store = _copy_sample_datasets(tmp_path_factory.mktemp("trained") / "store")
    assert train_model([str(store)]) == 0
    return store


@pytest.fixture
def production(trained_store: Path, tmp_path: Path) -> Path:
    """Copy the trained store, so that a test may train on a next week."""
    return shutil.copytree(trained_store, tmp_path / "production")


@pytest.fixture(scope="session")
def served_model(trained_store: Path) -> DispatchModel:
    """Return the model of the trained store, as the service has it."""
    return load_model(DirectoryStore(str(trained_store)))


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """Run a webhook in a thread."""
    with serving(Webhook()) as server:
        yield server


def _copy_sample_datasets(store: Path) -> Path:
    (store / "datasets").mkdir(parents=True)
    for week in SAMPLE_WEEKS:
        shutil.copy2(week, store / "datasets")
    return store
