"""The smoke test of a deployment, against a real service, and against what is none."""

import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.campaign.git_repositories import git
from deploy.smoke_test import SmokeFailure, an_order, check_commit, check_prediction, main
from tests.support.helpers import ROOT, QuietHandler, free_port, running_service
from tests.support.local_servers import serving

LONG_COMMIT = git(ROOT, "rev-parse", "HEAD").strip()
COMMIT = LONG_COMMIT[:7]
KEY = "a-key-of-the-shop"
PREDICTION = {"est_hours_to_dispatch": 8.28, "model_version": "time_to_dispatch_x"}


@pytest.fixture(scope="module")
def service(trained_store: Path) -> Iterator[str]:
    """Run a service that asks for a key and knows its commit, and return its URL."""
    environment = {"TTD_API_KEY": f"{KEY},another-key", "GIT_COMMIT_HASH": COMMIT}
    with running_service(str(trained_store), environment=environment) as url:
        yield url


@pytest.mark.parametrize(
    ("key", "commit", "code", "told"),
    [
        (f"{KEY}, another-key", COMMIT, 0, f"from commit {COMMIT}."),
        (KEY, LONG_COMMIT, 0, f"from commit {COMMIT}."),
        (KEY, "0000000", 1, f"from commit {COMMIT}, not from 0000000"),
        ("", COMMIT, 1, "status 401: is TTD_API_KEY set to a key of the service?"),
        ("a-wrong-key", COMMIT, 1, "status 401: is TTD_API_KEY set to a key of the service?"),
    ],
)
def test_a_service_passes_with_its_key_and_the_expected_commit(
    key: str,
    commit: str,
    code: int,
    told: str,
    service: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TTD_API_KEY", key)

    assert main([f"{service}/", "--commit", commit, "--wait-seconds", "0"]) == code
    printed = capsys.readouterr()
    assert told in (printed.err if code else printed.out)
    assert "a-wrong-key" not in printed.err


def test_it_runs_as_a_file_alone_with_nothing_but_python(service: str, tmp_path: Path) -> None:
    alone = tmp_path / "smoke.py"
    alone.write_bytes((ROOT / "deploy" / "smoke_test.py").read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(alone), service, "--wait-seconds", "0"],
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
        *([url] for url in ("", "example.com", "ftp://example.com", "http://")),
        *(["http://example.com", "--commit", commit] for commit in ("main", "")),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)

    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            b"HTTP/1.0 301 Moved\r\nlocation: https://example.com/elsewhere\r\n\r\n",
            "a redirect to https://example.com/elsewhere",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "answered with something else than JSON"),
        (b"HTTP/1.0 503 Unavailable\r\n\r\nno endpoints", "status 503: no endpoints"),
        (b"nonsense\r\n\r\n", "was not answered"),
    ],
)
def test_another_site_fails(answer: bytes, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    class Site(QuietHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer)

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Site)) as site:
        assert main([f"http://127.0.0.1:{site.server_port}", "--wait-seconds", "0"]) == 1

    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        *(({"status": "ok", "git_commit": commit}, COMMIT) for commit in (None, "", "abc")),
        ({"status": "ok"}, COMMIT),
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
        *(
            {**PREDICTION, "est_hours_to_dispatch": one}
            for one in (-0.1, *map(float, ("nan", "inf")))
        ),
        {**PREDICTION, "est_hours_to_dispatch": None},
        *({**PREDICTION, "model_version": one} for one in ("", 1)),
        [8.28, "time_to_dispatch_x"],
        None,
    ],
)
def test_a_prediction_in_another_form_fails(answer: Any) -> None:
    assert check_prediction(PREDICTION) == (8.28, "time_to_dispatch_x")
    with pytest.raises(SmokeFailure):
        check_prediction(answer)


@pytest.mark.parametrize("products", [{"products": []}, {}, {"products": [{}]}, None, []])
def test_a_service_without_products_fails(products: Any) -> None:
    with pytest.raises(SmokeFailure):
        an_order(products)
