"""The deployment that is checked afterwards: real Git and kubectl, and a cluster that does nothing.

Where Bodywork would deploy, a script stands in for it. The real one does it in deploy/campaign.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from deploy.campaign.git_repositories import commit_all
from deploy.deploy_pipeline import DEPLOYMENT, NAMESPACE, main
from tests.support.cluster_front import ClusterFront, write_kubeconfig
from tests.support.helpers import ROOT, free_port
from tests.support.local_servers import serving

STAND_IN = """#!{python}
import json, sys
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener
Path("{folder}/arguments.json").write_text(json.dumps(sys.argv[1:]))
state = {state}
if state:
    body = json.dumps(state).encode()
    build_opener(ProxyHandler({{}})).open(Request("{url}", body, method="PUT")).close()
sys.exit({code})
"""
LATER = "2026-11-27T23:30:00"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterFront]:
    """Run the front of a cluster, and point kubectl and Bodywork at it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("no_proxy", "*")
    with serving(ClusterFront()) as front:
        write_kubeconfig(tmp_path / "kubeconfig", front.url)
        yield front


@pytest.fixture
def commit(tmp_path: Path) -> str:
    """Make a repository with one commit, and return its hash."""
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin" / "bodywork.yaml").write_text("version: '1.1'\n")
    return commit_all(tmp_path / "origin")


@pytest.fixture
def git_url(commit: str, tmp_path: Path) -> str:
    """Return the URL of that repository."""
    return f"file://{tmp_path / 'origin'}"


@pytest.fixture
def stand_in(
    cluster: ClusterFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return what puts a script in Bodywork's place."""

    def put(deployed: str | None, code: int = 0, updated: str = LATER) -> None:
        """Let it deploy a commit, or nothing, and end with an exit code."""
        script = tmp_path / "bodywork"
        state = [deployed, updated] if deployed else None
        url = cluster.url
        script.write_text(
            STAND_IN.format(python=sys.executable, folder=tmp_path, state=state, url=url, code=code)
        )
        script.chmod(0o755)
        monkeypatch.setenv("BODYWORK", str(script))

    return put


@pytest.mark.parametrize("before", [None, "0123456"])
def test_what_bodywork_deploys_is_found_on_the_cluster(
    before: str | None,
    cluster: ClusterFront,
    stand_in: Callable[..., None],
    commit: str,
    git_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.commit = before
    stand_in(commit[:7])

    assert main([git_url, "--image", "shop/pipeline:0.1.0"]) == 0
    assert capsys.readouterr().out == f"Commit {commit} of {git_url} is deployed.\n"
    assert json.loads((tmp_path / "arguments.json").read_text()) == [
        *("create", "deployment", git_url, "--branch", "master"),
        *("--bodywork-image", "shop/pipeline:0.1.0"),
    ]


def test_the_same_commit_may_be_deployed_again(
    cluster: ClusterFront, stand_in: Callable[..., None], commit: str, git_url: str, tmp_path: Path
) -> None:
    cluster.commit = commit[:7]
    stand_in(commit[:7])

    assert main([git_url]) == 0
    assert "--bodywork-image" not in (tmp_path / "arguments.json").read_text()


@pytest.mark.parametrize(
    ("before", "deployed", "code", "reason"),
    [
        (None, None, 0, "is as it was before"),
        ("same", None, 0, "is as it was before"),
        (None, "other", 0, "commit 0123456 was deployed instead of"),
        ("other", "other", 0, "commit 0123456 was deployed instead of"),
        (None, None, 1, "Bodywork ended with exit code 1"),
        ("same", "same", 1, "Bodywork ended with exit code 1"),
    ],
)
def test_what_was_not_deployed_is_told(
    before: str | None,
    deployed: str | None,
    code: int,
    reason: str,
    cluster: ClusterFront,
    stand_in: Callable[..., None],
    commit: str,
    git_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commits = {"same": commit[:7], "other": "0123456"}
    cluster.commit = commits[before] if before else None
    stand_in(commits[deployed] if deployed else None, code)

    assert main([git_url]) == 1
    assert reason in capsys.readouterr().err


def test_without_a_cluster_nothing_is_deployed(
    cluster: ClusterFront,
    stand_in: Callable[..., None],
    commit: str,
    git_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(commit[:7])
    write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{free_port()}")

    assert main([git_url]) == 1
    assert "`kubectl" in capsys.readouterr().err
    assert not (tmp_path / "arguments.json").exists()


def test_without_bodywork_nothing_is_deployed(
    cluster: ClusterFront,
    git_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BODYWORK", "/no/such/bodywork")

    assert main([git_url]) == 1
    assert "Bodywork could not be started" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "branch", "reason"),
    [(None, "release", "there is no branch 'release'"), ("file:///no/such", "master", "`git ls-")],
)
def test_what_is_not_in_git_is_not_deployed(
    url: str | None,
    branch: str,
    reason: str,
    cluster: ClusterFront,
    git_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([url or git_url, "--branch", branch]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ["git@github.com:shop/pipeline.git"],
        ["https://example.com/shop", "--branch", ""],
        ["https://example.com/shop", "--branch", "feature/one"],
        ["https://example.com/shop", "--branch", "--force"],
        ["https://example.com/shop", "--image", ""],
        ["https://example.com/shop", "--image", "pipeline"],
        ["https://example.com/shop", "--image", "shop/pipeline"],
        ["https://example.com/shop", "--image", "registry.example.com/shop/pipeline:1"],
        ["https://example.com/shop", "--image", "localhost:5000/pipeline:1"],
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)

    assert stop.value.code == 2


def test_the_names_are_those_that_bodywork_makes_of_its_configuration() -> None:
    config = yaml.safe_load((ROOT / "bodywork.yaml").read_text())

    assert NAMESPACE == config["pipeline"]["name"]
    assert DEPLOYMENT.replace("-", "_") in config["stages"]


@pytest.mark.bodywork
def test_a_refusal_that_bodywork_ends_with_0_is_noticed(
    cluster: ClusterFront,
    commit: str,
    git_url: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster.commit = commit[:7]

    assert main([git_url]) == 1
    printed = capfd.readouterr()
    assert "Could not authenticate with active Kubernetes context" in printed.out + printed.err
    assert "is as it was before" in printed.err
    assert "Bodywork ended with" not in printed.err
    assert os.environ["BODYWORK"]
