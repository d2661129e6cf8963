"""How the service stops: without losing a request, or at once."""

import asyncio
import json
import resource
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from socket import socket

import pytest
import uvicorn

from deploy.campaign.steady_load import PATIENCE_SECONDS, request_bytes
from pipeline.api.predictions import ESTIMATE
from pipeline.model.reader import DispatchModel
from pipeline.serve_model import create_app
from pipeline.server.server import DispatchServer
from tests.support.service_clients import (
    EXAMPLE_REQUEST,
    STAGE,
    WatchedService,
    exchange,
    is_closed,
    read_answer,
    wait_until,
    watched_service,
)
from tests.support.service_fixtures import hand_made_service
from tests.support.service_takeover import check_takeover

LONG_DRAIN = ("--drain-seconds", "600")
"""Longer than any test, so that a service that ends was not waiting for it."""


TERM, INT, HANGUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


@pytest.mark.parametrize(
    ("started", "signals", "stops_at_once"),
    [
        (True, [TERM], False),
        (True, [HANGUP], False),
        (True, [TERM, HANGUP], True),
        (True, [INT], True),
        (True, [TERM, TERM], True),
        (True, [TERM, INT], True),
        (False, [TERM], True),
    ],
)
def test_only_a_first_sigterm_or_sighup_of_a_started_server_drains_it(
    started: bool, signals: Sequence[signal.Signals], stops_at_once: bool
) -> None:
    service = hand_made_service("--drain-seconds", "0.2")
    server = DispatchServer(uvicorn.Config(create_app(service), log_config=None), service)
    server.started = started
    for number in signals:
        server.handle_exit(number, None)
    assert asyncio.run(server.on_tick(1)) == server.force_exit == stops_at_once
    time.sleep(0.3)
    assert asyncio.run(server.on_tick(2))
    assert server.force_exit == stops_at_once


@pytest.mark.system
def test_no_request_is_lost_when_one_instance_takes_over_from_another(
    trained_store: Path, served_model: DispatchModel, tmp_path: Path
) -> None:
    arguments = (str(trained_store), "--drain-seconds", "3")
    with (
        watched_service(tmp_path, *arguments) as old,
        watched_service(tmp_path, *arguments) as new,
    ):
        check_takeover(old, new, served_model)


@pytest.mark.system
def test_a_service_that_is_about_to_stop_answers_for_the_last_time_on_each_connection(
    trained_store: Path, tmp_path: Path
) -> None:
    half = len(EXAMPLE_REQUEST) - 10
    with (
        watched_service(tmp_path, str(trained_store), *LONG_DRAIN) as service,
        service.connect() as kept_alive,
        service.connect() as half_sent,
    ):
        assert not exchange(kept_alive, EXAMPLE_REQUEST).is_last
        half_sent.sendall(EXAMPLE_REQUEST[:half])
        told_to_stop(service)
        answers = [
            exchange(kept_alive, EXAMPLE_REQUEST),
            exchange(half_sent, EXAMPLE_REQUEST[half:]),
            service.ask(EXAMPLE_REQUEST),
            service.ask(request_bytes("GET", "/readyz")),
            service.ask(request_bytes("POST", ESTIMATE, length=2 * 1024 * 1024)),
        ]
        assert [answer.status for answer in answers] == [200, 200, 200, 503, 413]
        assert all(answer.is_last for answer in answers)
        assert is_closed(kept_alive)
        assert is_closed(half_sent)
        assert service.process.poll() is None


@pytest.mark.system
def test_what_is_in_flight_at_the_end_of_the_drain_is_finished(
    trained_store: Path, tmp_path: Path
) -> None:
    arguments = (str(trained_store), "--drain-seconds", "0.5")
    with (
        watched_service(tmp_path, *arguments) as service,
        service.connect() as idle,
        service.connect() as half_sent,
    ):
        exchange(idle, EXAMPLE_REQUEST)
        half_sent.sendall(EXAMPLE_REQUEST[:-10])
        told_to_stop(service)
        wait_until(lambda: not accepts(service), "it closes its port")
        assert is_closed(idle)
        answer = exchange(half_sent, EXAMPLE_REQUEST[-10:])
        assert answer.status == 200
        assert answer.is_last
        assert json.loads(answer.body)["est_hours_to_dispatch"] > 0
        assert service.process.wait(PATIENCE_SECONDS) == 0
        assert service.errors == []


@pytest.mark.system
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("signals", "exit_code", "last_words"),
    [
        ([INT], 130, "ERROR - serve_model.main - Interrupted.\n"),
        ([HANGUP, TERM], 0, "INFO - serve_model.main - Finished serve-model stage.\n"),
    ],
)
def test_a_service_that_is_told_to_stop_at_once_does_so(
    signals: Sequence[signal.Signals],
    exit_code: int,
    last_words: str,
    workers: str,
    trained_store: Path,
    tmp_path: Path,
) -> None:
    arguments = (str(trained_store), "--reload-seconds", "0.1", "--workers", workers, *LONG_DRAIN)
    with (
        watched_service(tmp_path, *arguments) as service,
        service.connect() as idle,
        service.connect() as half_sent,
    ):
        exchange(idle, EXAMPLE_REQUEST)
        half_sent.sendall(EXAMPLE_REQUEST[:-10])
        service.ask(EXAMPLE_REQUEST)  # by now the half has arrived
        for number in signals[:-1]:
            told_to_stop(service, number)
        service.process.send_signal(signals[-1])
        assert service.process.wait(PATIENCE_SECONDS) == exit_code
        answer = read_answer(half_sent)
        assert (answer.status, answer.is_last) == (503, True)
        assert json.loads(answer.body)["detail"].startswith("The service is stopping.")
        assert is_closed(idle)
        assert service.log.endswith(last_words)
        assert len(service.errors) == signals.count(INT)


@pytest.mark.system
def test_more_clients_are_served_than_the_system_allows_files_by_default(
    trained_store: Path, tmp_path: Path
) -> None:
    few_files = ("sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh", *STAGE)
    with (
        watched_service(tmp_path, str(trained_store), command=few_files) as service,
        ExitStack() as clients,
    ):
        hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        assert service.metric("process_max_fds") == hard_limit
        for _ in range(100):
            clients.enter_context(service.connect())
        assert service.ask(EXAMPLE_REQUEST).status == 200


def told_to_stop(service: WatchedService, number: signal.Signals = TERM) -> None:
    """Send a signal to a service, and return when it knows."""
    service.process.send_signal(number)
    wait_until(
        lambda: f"Received {number.name}. Serving for" in service.log, "it says that it stops"
    )


def accepts(service: WatchedService) -> bool:
    """Tell whether a service accepts connections."""
    with socket() as client:
        return client.connect_ex(("127.0.0.1", service.port)) == 0
