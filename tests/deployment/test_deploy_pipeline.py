"""The deployment that is checked afterwards: real Git and kubectl, and a cluster that does nothing.

Where Bodywork would deploy, a script stands in for it. The real one does it in deploy/campaign.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from deploy.bodywork_run import DEPLOYMENT, NAMESPACE, reason_in
from deploy.campaign.git_repositories import commit_all
from deploy.deploy_pipeline import main
from tests.support.helpers import ROOT, free_port
from tests.support.local_servers import serving
from tests.support.recording_cluster import RecordingCluster, write_kubeconfig

SERVICE = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{DEPLOYMENT}"
OTHER = "0123456"
IMAGE_NAME = yaml.safe_load((ROOT / "bodywork.yaml").read_text())["pipeline"][
    "docker_image"
].removesuffix(":latest")
VERSION = (ROOT / "VERSION").read_text().strip()
STAND_IN = """#!{}
import os, sys
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener
Path("{}/arguments").write_text(" ".join(sys.argv[1:] + [os.environ["GIT_COMMIT_HASH"]]))
if change := b'{}':
    build_opener(ProxyHandler({{}})).open(Request("{}", change, method="PUT")).close()
print("Deployment successful")
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
    ("before", "options", "image"),
    [
        (None, ("--image", "shop/pipeline:0.1.0"), "shop/pipeline:0.1.0"),
        (OTHER, (), f"{IMAGE_NAME}:{VERSION}"),
        ("same", (), f"{IMAGE_NAME}:{VERSION}"),
    ],
)
def test_what_bodywork_deploys_is_found_on_the_cluster(
    before: str | None,
    options: tuple[str, ...],
    image: str,
    deploying: Deploying,
    commit: str,
    git_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert deploying(commit if before == "same" else before, commit, *options) == 0

    assert capsys.readouterr().out.endswith(f"\nCommit {commit} of {git_url} is deployed.\n")
    expected = ["create", "deployment", git_url, "--branch", "master", "--bodywork-image", image]
    assert (tmp_path / "arguments").read_text().split() == [*expected, commit]


def test_an_older_commit_can_be_deployed(
    deploying: Deploying, commit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "origin" / "bodywork.yaml").write_text("version: '2'\n")
    newer = commit_all(tmp_path / "origin")

    assert deploying(newer, commit, "--commit", commit) == 0
    assert f"\nCommit {commit} of " in capsys.readouterr().out
    assert (tmp_path / "arguments").read_text().split()[-1] == commit


@pytest.mark.parametrize(
    ("before", "deployed", "code", "reason"),
    [
        (None, None, 0, "is as it was before"),
        ("same", None, 0, "is as it was before"),
        (None, OTHER, 0, f"commit {OTHER} was deployed instead of"),
        (OTHER, OTHER, 0, f"commit {OTHER} was deployed instead of"),
        ("same", "same", 1, "Bodywork says: nothing (exit code 1)"),
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
        ["https://a/b", "--commit", "5210017"],
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


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", ""),
        (
            "[28/11/26 17:06:45] ERROR    Deployment failed --> cannot find key=GIT_TOKEN in \n"
            "                             secret=git in namespace=time-to-dispatch   \n"
            "[28/11/26 17:06:46] INFO     Executing stage = notify_failure\n",
            "cannot find key=GIT_TOKEN in secret=git in namespace=time-to-dispatch",
        ),
        (
            "[28/11/26 17:06:45] ERROR    Deployment failed --> (409)\n"
            '       Reason: Conflict HTTP response body: {"kind":"Status","message":"jobs.batch\n'
            '       \\"train-model\\" already exists","code":409}\n',
            'jobs.batch "train-model" already exists',
        ),
        (
            "Could not authenticate with active Kubernetes context. \n--> No configuration found\n",
            "No configuration found",
        ),
    ],
)
def test_the_reason_is_found_in_what_bodywork_prints(output: str, reason: str) -> None:
    assert reason_in(output) == reason


def test_a_password_in_the_url_is_refused_and_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["https://me:SECRET@github.com/shop/pipeline.git"])

    told = capsys.readouterr().err
    assert "'https://…@github.com/shop/pipeline.git' holds a password" in told
    assert "SECRET" not in told


def test_the_names_are_those_that_bodywork_makes_of_its_configuration() -> None:
    config = yaml.safe_load((ROOT / "bodywork.yaml").read_text())

    assert NAMESPACE == config["pipeline"]["name"]
    assert DEPLOYMENT.replace("-", "_") in config["stages"]
