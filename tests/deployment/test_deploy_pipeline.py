"""The deployment that is checked afterwards: real Git and kubectl, and a cluster that does nothing.

Where Bodywork would deploy, a script stands in for it. The real one does it in deploy/campaign.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from deploy.campaign.git_repositories import commit_all
from deploy.deploy_pipeline import DEPLOYMENT, NAMESPACE, main
from tests.support.helpers import ROOT, free_port
from tests.support.local_servers import serving
from tests.support.recording_cluster import RecordingCluster, write_kubeconfig

SERVICE = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{DEPLOYMENT}"
OTHER = "0123456"
STAND_IN = """#!{}
import sys
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener
Path("{}/arguments").write_text(" ".join(sys.argv[1:]))
if change := b'{}':
    build_opener(ProxyHandler({{}})).open(Request("{}", change, method="PUT")).close()
sys.exit({})
"""
Deploying = Callable[..., int]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingCluster]:
    """Run the front of a cluster, and point kubectl and Bodywork at it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with serving(RecordingCluster()) as cluster:
        write_kubeconfig(tmp_path / "kubeconfig", cluster.url)
        yield cluster


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
def deploying(
    cluster: RecordingCluster, git_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Deploying:
    """Return what deploys with a script in Bodywork's place."""

    def deploy(before: str | None, deployed: str | None, *options: str, code: int = 0) -> int:
        """Deploy where one commit was deployed before, with a script that deploys another."""
        if before:
            cluster.add(_deployment(before, "2026-11-20T23:30:00"))
        change = json.dumps(_deployment(deployed, "2026-11-27T23:30:00")) if deployed else ""
        script = tmp_path / "bodywork"
        script.write_text(
            STAND_IN.format(sys.executable, tmp_path, change, cluster.url + SERVICE, code)
        )
        script.chmod(0o755)
        monkeypatch.setenv("BODYWORK", str(script))
        return main([git_url, *options])

    return deploy


def _deployment(commit: str, updated: str) -> dict[str, object]:
    """Return the service's Deployment, as far as it is looked at."""
    labels, annotations = {"git-commit-hash": commit[:7]}, {"last-updated": updated}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE},
        "spec": {"template": {"metadata": {"labels": labels, "annotations": annotations}}},
    }


@pytest.mark.parametrize(
    ("before", "image"),
    [(None, ("--image", "shop/pipeline:0.1.0")), (OTHER, ()), ("same", ())],
)
def test_what_bodywork_deploys_is_found_on_the_cluster(
    before: str | None,
    image: tuple[str, ...],
    deploying: Deploying,
    commit: str,
    git_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert deploying(commit if before == "same" else before, commit, *image) == 0

    assert capsys.readouterr().out == f"Commit {commit} of {git_url} is deployed.\n"
    expected = ["create", "deployment", git_url, "--branch", "master"]
    expected += ["--bodywork-image", "shop/pipeline:0.1.0"] if image else []
    assert (tmp_path / "arguments").read_text().split() == expected


@pytest.mark.parametrize(
    ("before", "deployed", "code", "reason"),
    [
        (None, None, 0, "is as it was before"),
        ("same", None, 0, "is as it was before"),
        (None, OTHER, 0, f"commit {OTHER} was deployed instead of"),
        (OTHER, OTHER, 0, f"commit {OTHER} was deployed instead of"),
        ("same", "same", 1, "Bodywork ended with exit code 1"),
    ],
)
def test_what_was_not_deployed_is_told(
    before: str | None,
    deployed: str | None,
    code: int,
    reason: str,
    deploying: Deploying,
    commit: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commits = {"same": commit, OTHER: OTHER, None: None}

    assert deploying(commits[before], commits[deployed], code=code) == 1
    told = capsys.readouterr().err
    assert reason in told and "SECRET" not in told


def test_without_a_cluster_nothing_is_deployed(
    deploying: Deploying, commit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{free_port()}")

    assert deploying(None, commit) == 1
    assert "`kubectl" in capsys.readouterr().err
    assert not (tmp_path / "arguments").exists()


@pytest.mark.parametrize(
    ("url", "branch", "reason"),
    [
        (None, "master", "Bodywork could not be started"),
        (None, "release", "there is no branch 'release'"),
        ("file://me:SECRET@/no/such", "master", "`git ls-remote file://…@/no/such "),
        ("file:///no/such", "master", "`git ls-"),
    ],
)
@pytest.mark.usefixtures("cluster")
def test_without_bodywork_or_the_branch_nothing_is_deployed(
    url: str | None,
    branch: str,
    reason: str,
    git_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BODYWORK", "/no/such/bodywork")

    assert main([url or git_url, "--branch", branch]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["git@github.com:shop/pipeline.git"],
        *(["https://a/b", "--branch", branch] for branch in ("", "feature/one", "--force")),
        *(
            ["https://a/b", "--image", image]
            for image in ("", "pipeline", "shop/pipeline", "localhost:5000/pipeline:1", "a.b/c/d:1")
        ),
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
