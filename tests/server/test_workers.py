"""Several workers keep the promises of one, and the service outlives each of them."""

import json
import os
import signal
import subprocess
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from deploy.campaign.steady_load import Answer, request_bytes
from pipeline.model.artifact import MODELS
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders
from pipeline.server.workers import serve_with_workers
from pipeline.stages.errors import ServiceError
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main as train_model
from tests.support.helpers import ROOT, deliver
from tests.support.service_clients import (
    EXAMPLE_REQUEST,
    STAGE,
    WatchedService,
    exchange,
    wait_until,
    watched_service,
)
from tests.support.service_takeover import check_takeover

TWO = ("--workers", "2", "--drain-seconds", "3")
FEW_REQUESTS = 40
"""So many that each of two workers gets some."""
READY = request_bytes("GET", "/readyz")


def workers_of(service: WatchedService) -> dict[int, psutil.Process]:
    """Return the processes below that of a service, by their numbers."""
    return {child.pid: child for child in psutil.Process(service.process.pid).children()}


def worker_of(answer: Answer) -> int:
    """Return the number of the process that gave an answer, which its identifier has in it."""
    return int(answer.headers["x-request-id"].split("-")[1], 16)


def asked_often(service: WatchedService) -> list[Answer]:
    """Ask on new connections until each of two workers has answered, and return all answers."""
    answers: list[Answer] = []

    def have_both_answered() -> bool:
        answers.extend(service.ask(EXAMPLE_REQUEST) for _ in range(FEW_REQUESTS))
        return len({worker_of(answer) for answer in answers}) == 2

    wait_until(have_both_answered, "both workers answer")
    assert {answer.status for answer in answers} == {200}
    return answers


@pytest.mark.system
def test_no_request_is_lost_when_workers_take_over_from_others(
    trained_store: Path, served_model: DispatchModel, tmp_path: Path
) -> None:
    with (
        watched_service(tmp_path, str(trained_store), *TWO) as old,
        watched_service(tmp_path, str(trained_store), *TWO) as new,
    ):
        check_takeover(old, new, served_model)


@pytest.mark.system
def test_one_worker_is_the_process_itself(trained_store: Path, tmp_path: Path) -> None:
    with watched_service(tmp_path, str(trained_store)) as service:
        assert workers_of(service) == {}
        assert worker_of(service.ask(READY)) == service.process.pid
        assert service.metric("process_open_fds") > 0


@pytest.mark.system
def test_metrics_are_summed_and_none_falls_when_a_worker_is_replaced(
    trained_store: Path, tmp_path: Path
) -> None:
    def all_count(number: int) -> bool:
        """Return whether each worker says so: one that is killed must have told the other."""
        asked = range(FEW_REQUESTS)
        counts = {service.metric("ttd_predictions_total", product_code="SKU001") for _ in asked}
        return counts == {number}

    with watched_service(tmp_path, str(trained_store), *TWO) as service:
        before = workers_of(service)
        answers = asked_often(service)
        assert {worker_of(answer) for answer in answers} == before.keys()
        wait_until(lambda: all_count(len(answers)), "the workers know each other's counts")
        assert service.metric("ttd_model_info") == 1
        assert service.metric("process_open_fds") == 0

        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(workers_of(service).keys() - {killed}) == 2, "it is replaced")
        answers += asked_often(service)
        wait_until(lambda: all_count(len(answers)), "the counts of the dead are kept")
        assert service.errors[0].endswith(
            f"Worker {killed} has ended: SIGKILL. Another replaces it."
        )
        service.process.terminate()
        assert service.process.wait(30) == 0
        assert len(service.errors) == 1


@pytest.mark.system
def test_each_worker_serves_a_newer_model_and_so_does_who_replaces_it(
    production: Path, tmp_path: Path
) -> None:
    def versions() -> set[str]:
        return {json.loads(answer.body)["model_version"] for answer in asked_often(service)}

    with watched_service(tmp_path, str(production), *TWO, "--reload-seconds", "0.5") as service:
        deliver(production, simulate_orders(1_000, 7, HOURS_PER_ORDER))
        assert train_model([str(production)]) == 0
        newest = load_model(DirectoryStore(str(production))).version
        wait_until(lambda: versions() == {newest}, "all workers serve the new model")
        wait_until(
            lambda: service.metric("ttd_model_reloads_total", outcome="served") == 2,
            "each has told of it",
        )
        os.kill(min(workers_of(service)), signal.SIGKILL)
        wait_until(lambda: versions() == {newest}, "the one that replaces it does so too")
        wait_until(lambda: service.metric("ttd_model_info") == 1, "nobody serves the old one")


@pytest.mark.system
def test_another_program_that_would_share_the_port_is_noticed(
    trained_store: Path, tmp_path: Path
) -> None:
    with watched_service(tmp_path, str(trained_store), *TWO) as service:
        command = (*STAGE, str(trained_store), *TWO, "--port", str(service.port))
        failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    assert f"Cannot listen on port {service.port} of 127.0.0.1: Address already" in failed.stderr


@pytest.mark.system
def test_kept_connections_are_spread_over_the_workers(trained_store: Path, tmp_path: Path) -> None:
    with (
        watched_service(tmp_path, str(trained_store), *TWO) as service,
        ExitStack() as stack,
    ):
        connections = [stack.enter_context(service.connect()) for _ in range(FEW_REQUESTS)]
        by_worker = Counter(worker_of(exchange(one, READY)) for one in connections)
    assert len(by_worker) == 2
    assert min(by_worker.values()) >= FEW_REQUESTS / 8


@pytest.mark.system
def test_workers_stop_if_nobody_watches_them_and_leave_nothing(
    trained_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--workers", "2", "--drain-seconds", "0.2")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with watched_service(tmp_path, str(trained_store), *arguments) as service:
        left_behind = workers_of(service).values()
        service.process.kill()
        psutil.wait_procs(left_behind, timeout=30)
        assert not [worker for worker in left_behind if worker.is_running()]
        assert service.errors[0].endswith("is gone, so the worker stops too.")
    assert list(folder.glob("[!.]*")) == []


@pytest.mark.system
def test_a_worker_that_is_told_to_stop_alone_is_replaced(
    trained_store: Path, tmp_path: Path
) -> None:
    arguments = ("--workers", "2", "--drain-seconds", "0.2")
    with watched_service(tmp_path, str(trained_store), *arguments) as service:
        told = min(workers_of(service))
        os.kill(told, signal.SIGTERM)
        wait_until(lambda: len(workers_of(service).keys() - {told}) == 2, "it is replaced")
        (error,) = service.errors
        assert error.endswith(f"Worker {told} has ended: exit code 0. Another replaces it.")


def test_without_a_folder_for_temporary_files_there_are_no_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / MODELS))
    with pytest.raises(ServiceError, match="Cannot make files for the counts") as failure:
        serve_with_workers(lambda: pytest.fail("a worker starts"), [[]])
    assert "Let TMPDIR name a folder" in str(failure.value)
