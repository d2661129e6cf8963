"""The smoke test of a deployment, against a real service."""

import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest

from deploy.smoke_test import (
    SmokeFailure,
    an_order,
    check_commit,
    check_prediction,
    main,
)
from tests.support.helpers import ROOT, free_port, running_service
from tests.support.local_servers import serving

COMMIT = "5210017"
LONG_COMMIT = "5210017c4a9e1f0b8d7e6a5b4c3d2e1f0a9b8c7d"
KEY = "a-key-of-the-shop"
PREDICTION = {"est_hours_to_dispatch": 8.28, "model_version": "time_to_dispatch_x"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no proxy: all services are on this machine."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="module")
def service(trained_store: Path) -> Iterator[str]:
    """Run a service that asks for a key and knows its commit, and return its URL."""
    environment = {"TTD_API_KEY": f"{KEY},another-key", "GIT_COMMIT_HASH": COMMIT}
    with running_service(str(trained_store), environment=environment) as url:
        yield url


def smoke(*arguments: str) -> int:
    """Run the smoke test, which asks once."""
    return main([*arguments, "--wait-seconds", "0"])


@pytest.mark.parametrize("commit", [COMMIT, LONG_COMMIT, LONG_COMMIT[:9]])
def test_a_service_of_the_expected_commit_passes(
    commit: str, service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_API_KEY", f"{KEY}, another-key")

    assert smoke(f"{service}/", "--commit", commit) == 0
    assert f"from commit {COMMIT}." in capsys.readouterr().out


def test_a_service_of_another_commit_fails(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_API_KEY", KEY)

    assert smoke(service, "--commit", "5210018") == 1
    assert f"from commit {COMMIT}, not from 5210018" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["", "a-wrong-key"])
def test_a_wrong_key_fails_and_is_not_shown(
    key: str, service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_API_KEY", key)

    assert smoke(service) == 1
    error = capsys.readouterr().err
    assert "status 401: is TTD_API_KEY set to a key of the service?" in error
    assert "a-wrong-key" not in error


def test_it_runs_as_a_file_alone_with_nothing_but_python(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "smoke.py"
    alone.write_bytes((ROOT / "deploy" / "smoke_test.py").read_bytes())
    command = [sys.executable, "-I", "-S", str(alone), service, "--wait-seconds", "0"]
    done: CompletedProcess[str] = run(
        command,
        cwd=tmp_path,
        env={"TTD_API_KEY": KEY, "no_proxy": "*"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "estimates" in done.stdout


def test_it_goes_on_asking_until_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()

    assert main([f"http://127.0.0.1:{free_port()}", "--wait-seconds", "1.5"]) == 1
    assert time.monotonic() - started > 1.5
    assert "/healthz was not answered" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ["example.com"],
        ["ftp://example.com"],
        ["http://"],
        ["http://example.com", "--commit", "main"],
        ["http://example.com", "--commit", ""],
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)

    assert stop.value.code == 2


class Site(BaseHTTPRequestHandler):
    """Another site than ours."""

    answer: Callable[["Site"], None]

    def do_GET(self) -> None:
        type(self).answer(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def redirect(site: Site) -> None:
    site.send_response(301)
    site.send_header("location", "https://example.com/elsewhere")
    site.end_headers()


def page(site: Site) -> None:
    site.send_response(200)
    site.end_headers()
    site.wfile.write(b"<html>")


def breakdown(site: Site) -> None:
    site.send_response(503)
    site.end_headers()
    site.wfile.write(b"no endpoints")


def nonsense(site: Site) -> None:
    site.wfile.write(b"nonsense\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (redirect, "a redirect to https://example.com/elsewhere"),
        (page, "answered with something else than JSON"),
        (breakdown, "status 503: no endpoints"),
        (nonsense, "was not answered"),
    ],
)
def test_another_site_fails(
    answer: Callable[[Site], None], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = type("Handler", (Site,), {"answer": answer})
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as site:
        assert smoke(f"http://127.0.0.1:{site.server_port}") == 1

    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({"status": "ok"}, COMMIT),
        ({"status": "ok", "git_commit": None}, COMMIT),
        ({"status": "ok", "git_commit": ""}, COMMIT),
        ({"status": "ok", "git_commit": "abc"}, COMMIT),
        ({"status": "starting", "git_commit": COMMIT}, COMMIT),
        ({"status": "starting"}, None),
        (["ok"], None),
    ],
)
def test_a_service_that_is_unwell_or_hides_its_commit_fails(
    health: Any, expected: str | None
) -> None:
    with pytest.raises(SmokeFailure):
        check_commit(health, expected)


def test_a_commit_matters_only_if_one_is_expected() -> None:
    assert check_commit({"status": "ok", "git_commit": None}, None) == "unknown"
    assert check_commit({"status": "ok", "git_commit": COMMIT}, None) == COMMIT


@pytest.mark.parametrize(
    "answer",
    [
        {**PREDICTION, "interval": 1},
        {"est_hours_to_dispatch": 8.28},
        {**PREDICTION, "est_hours_to_dispatch": -0.1},
        {**PREDICTION, "est_hours_to_dispatch": float("nan")},
        {**PREDICTION, "est_hours_to_dispatch": float("inf")},
        {**PREDICTION, "est_hours_to_dispatch": None},
        {**PREDICTION, "model_version": ""},
        {**PREDICTION, "model_version": 1},
        [8.28, "time_to_dispatch_x"],
        None,
    ],
)
def test_a_prediction_in_another_form_fails(answer: Any) -> None:
    with pytest.raises(SmokeFailure):
        check_prediction(answer)


def test_a_prediction_in_the_right_form_passes() -> None:
    assert check_prediction(PREDICTION) == (8.28, "time_to_dispatch_x")


@pytest.mark.parametrize("products", [{"products": []}, {}, {"products": [{}]}, None, []])
def test_a_service_without_products_fails(products: Any) -> None:
    with pytest.raises(SmokeFailure):
        an_order(products)
