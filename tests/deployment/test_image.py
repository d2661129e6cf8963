"""The images, as far as they can be tested without a container engine: commands, and wrapper.

The commands of the Dockerfile that install things are run, with a folder of the test in place of
`/opt`. What they have made, and the environment that the Dockerfile sets, then run the stages.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest

from deploy.campaign.git_repositories import IDENTITY, commit_working_tree, git
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.base import open_store
from tests.support.helpers import (
    HTTP,
    ROOT,
    Webhook,
    deliver,
    free_port,
    predict,
    running_service,
    wait_for,
)
from tests.support.service_clients import WatchedService
from tests.support.service_takeover import check_takeover

# The first of them makes two environments.
pytestmark = pytest.mark.timeout(900)

POD_SECONDS = 300.0
"""Upper bound for what a pod does; long, since the machine may be busy."""


class Image(NamedTuple):
    """What the Dockerfile has made, in a folder of this machine.

    Attributes:
        bodywork: the command that a pod starts.
        environment: variables of a pod, without secrets.
    """

    bodywork: Path
    environment: dict[str, str]


def words_of(name: str, *stages: str) -> list[str]:
    """Return what the instructions of a name say in stages of the Dockerfile, each on one line.

    Without stages: in all of them.
    """
    lines = (ROOT / "Dockerfile").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    parts = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]
    wanted = [part for part in parts if not stages or part.split("\n")[0].split()[-1] in stages]
    assert len(wanted) == len(stages or wanted)
    return re.findall(rf"^{name} +(.*)$", "".join(wanted), re.MULTILINE)


def install(stage: str, folder: Path) -> None:
    """Run what a stage of the Dockerfile runs, in a folder instead of `/opt`."""
    build = folder / f"build_{stage}"
    build.mkdir()
    for words in words_of("COPY", stage):
        names = [] if words.startswith("--from") else words.split()[:-1]
        for copied in (ROOT / name for name in names):
            copy = shutil.copytree if copied.is_dir() else shutil.copy2
            copy(copied, build / copied.name)
    arguments = dict(words.split("=", 1) for words in words_of("ARG", stage))
    engine = dict(pair.split("=") for pair in words_of("ENV", "tools")[0].split())
    del engine["UV_NO_CACHE"]
    # uv is beside the Python that runs the tests.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for words in words_of("RUN", stage):
        command = ["sh", "-ec", words.replace("/opt", str(folder))]
        environment = {**os.environ, **arguments, **engine, "PATH": path}
        subprocess.run(command, cwd=build, env=environment, check=True)


def variables_of(folder: Path, *stages: str) -> dict[str, str]:
    """Return the environment that stages of the Dockerfile set."""
    text = " ".join(words_of("ENV", *stages)).replace("/opt", str(folder))
    variables = dict(re.findall(r"(\w+)=(\S+)", text))
    variables["PATH"] = variables["PATH"].replace("$PATH", os.environ["PATH"])
    # The image has all bytecode. Here the first pod that needs some writes it, not each anew.
    del variables["PYTHONDONTWRITEBYTECODE"]
    return variables


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Run what the Dockerfile runs to install the requirements, in a folder instead of `/opt`."""
    folder = tmp_path_factory.mktemp("image")
    for stage in ("requirements", "box"):
        install(stage, folder)
    copies = "\n".join(words_of("COPY", "bodywork"))
    (bodywork,) = re.findall(r"^(\S+) /usr/local/bin/bodywork$", copies, re.M)
    shutil.copy2(ROOT / bodywork, folder / "bodywork_wrapper")
    shutil.copytree(ROOT / "docker" / "git", folder / "git")
    variables = variables_of(folder, "pod", "bodywork")
    return Image(folder / "bodywork_wrapper", dict(os.environ) | variables)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Commit the working tree as it is to a new Git repository, and return its URL."""
    origin = tmp_path_factory.mktemp("repository") / "origin"
    commit_working_tree(origin)
    return f"file://{origin}"


@contextmanager
def pod(
    image: Image, repository: str, stage: str, folder: Path, **secrets: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a stage as a pod does, with what it prints in `log` of a new folder."""
    folder.mkdir()
    command = [str(image.bodywork), "stage", repository, stage, "--branch=master"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env=image.environment | secrets, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield process
        finally:
            while process.poll() is None:  # a second SIGTERM stops the service at once
                process.terminate()
                process.wait(POD_SECONDS)


@contextmanager
def service_pod(
    image: Image, repository: str, store: Path, folder: Path, **variables: str
) -> Iterator[WatchedService]:
    """Start the service as a pod does, and yield it once it is ready."""
    port = free_port()
    secrets = {"TTD_STORE": str(store), "TTD_PORT": str(port), "TTD_DRAIN_SECONDS": "3"}
    secrets |= variables
    with pod(image, repository, "serve_model", folder, **secrets) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz", POD_SECONDS, process)
        yield WatchedService(process, port, folder / "log")


@pytest.mark.bodywork
def test_no_request_is_lost_when_one_pod_takes_over_from_another(
    image: Image, repository: str, trained_store: Path, served_model: DispatchModel, tmp_path: Path
) -> None:
    with (
        service_pod(image, repository, trained_store, tmp_path / "old") as old,
        service_pod(image, repository, trained_store, tmp_path / "new") as new,
    ):
        check_takeover(old, new, served_model)
        assert "Received SIGTERM. Serving for 3 s more, then stopping." in old.log
        assert "Finished serve-model stage." in old.log


@pytest.mark.bodywork
def test_a_stage_trains_on_what_is_in_s3(
    image: Image, repository: str, s3_store_url: str, sample_store: Path, tmp_path: Path
) -> None:
    store = open_store(s3_store_url)
    for dataset in (sample_store / "datasets").iterdir():
        store.write_new(f"datasets/{dataset.name}", dataset.read_bytes())
    secrets = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    secrets |= {"TTD_STORE": s3_store_url}
    with pod(image, repository, "train_model", tmp_path / "pod", **secrets) as training:
        assert training.wait(POD_SECONDS) == 0
    assert len(store.list_keys("models")) == 1


@pytest.mark.bodywork
def test_pods_run_the_commit_that_was_deployed_after_a_merge_that_was_not(
    image: Image, repository: str, tmp_path: Path
) -> None:
    """Bodywork clones the head of the branch at each start of a pod."""
    origin, store = tmp_path / "origin", tmp_path / "store"
    git(tmp_path, "clone", "--quiet", repository, str(origin))
    deployed = git(origin, "rev-parse", "HEAD").strip()
    for stage in ("train_model", "serve_model"):
        (origin / "pipeline" / f"{stage}.py").write_text("raise SystemExit('not deployed')\n")
    git(origin, *IDENTITY, "commit", "--quiet", "--all", "--message=Never deployed")
    deliver(store, simulate_orders(300, seed=1))
    variables = {"TTD_STORE": str(store), "GIT_COMMIT_HASH": deployed}

    with pod(image, f"file://{origin}", "train_model", tmp_path / "pod", **variables) as training:
        assert training.wait(POD_SECONDS) == 0
    with service_pod(
        image, f"file://{origin}", store, tmp_path / "service", GIT_COMMIT_HASH=deployed
    ) as service:
        with urlopen(f"http://127.0.0.1:{service.port}/healthz") as answer:
            assert json.load(answer)["git_commit"] == deployed

    assert load_model(open_store(str(store))).metadata.git_commit == deployed


@pytest.mark.bodywork
@pytest.mark.parametrize("commit", ["0" * 40, "abcdef0"])
def test_a_pod_whose_commit_is_gone_ends_with_the_reason(
    commit: str, image: Image, repository: str, tmp_path: Path
) -> None:
    with pod(
        image, repository, "notify_failure", tmp_path / "pod", GIT_COMMIT_HASH=commit
    ) as telling:
        assert telling.wait(POD_SECONDS) == 1

    # Bodywork breaks its lines after 175 letters.
    log = " ".join((tmp_path / "pod" / "log").read_text().split())
    assert f"error: Commit {commit} was deployed, and cannot be had from the repository" in log


@pytest.mark.bodywork
def test_a_stage_that_fails_makes_the_pod_fail(
    image: Image, repository: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (store / "datasets").mkdir(parents=True)
    with pod(image, repository, "train_model", tmp_path / "pod", TTD_STORE=str(store)) as training:
        assert training.wait(POD_SECONDS) == 1
    assert "ERROR - train_model.main" in (tmp_path / "pod" / "log").read_text()


@pytest.mark.bodywork
def test_the_failure_stage_tells_people(
    image: Image, repository: str, webhook: Webhook, tmp_path: Path
) -> None:
    secrets = {"TTD_ALERT_WEBHOOK": webhook.url, "EXCEPTION_MESSAGE": "train-model has failed"}
    with pod(image, repository, "notify_failure", tmp_path / "pod", **secrets) as telling:
        assert telling.wait(POD_SECONDS) == 0
    (text,) = webhook.texts
    assert text.startswith("time-to-dispatch: The deployment failed: train-model has failed.\n")


@pytest.mark.bodywork
def test_a_pod_finds_the_python_and_the_list_of_fonts_of_the_image(image: Image) -> None:
    script = "import sys, sklearn, matplotlib; print(sys.prefix); print(matplotlib.get_cachedir())"
    found = subprocess.run(
        ["python", "-c", script], env=image.environment, check=True, capture_output=True, text=True
    )
    pipeline, fonts = (image.bodywork.parent / name for name in ("pipeline", "matplotlib"))
    assert found.stdout.splitlines() == [str(pipeline), str(fonts)]
    assert [path.suffix for path in fonts.iterdir()] == [".json"]
    # It takes no list from a folder that it may not write.
    assert fonts.stat().st_mode & 0o777 == 0o777


@pytest.mark.slow
def test_the_image_for_serving_is_small_and_serves(
    trained_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it needs beside the base image, where the goal for all of it is 250 MB."""
    for stage in ("code", "serving"):
        install(stage, tmp_path)
    files = [path.stat() for path in (tmp_path / "serve").rglob("*") if path.is_file()]
    megabytes = sum(stat.st_blocks for stat in files) * 512 / 10**6
    with capsys.disabled():
        print(f"\nThe image for serving has {megabytes:.0f} MB beside Python.")
    assert megabytes < 190

    variables = variables_of(tmp_path, "pod", "serve") | {"GIT_COMMIT_HASH": "5210017"}
    bare = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(tmp_path / "serve" / "bin" / "ttd-serve")]
    with running_service(
        str(trained_store), command=command, cwd=tmp_path, environment=bare | variables
    ) as url:
        assert predict(url)["model_version"]
        with HTTP.open(f"{url}/healthz") as response:
            assert json.load(response)["git_commit"] == "5210017"


def test_code_gets_into_both_images_without_bodywork_in_the_same_way() -> None:
    (pipeline,), serving = words_of("RUN", "pipeline"), words_of("RUN", "serving")[0]

    assert pipeline.replace("/opt/pipeline", "/opt/serve") in re.sub(" +", " ", serving)
    for stage in ("plain", "serve"):
        assert "GIT_COMMIT_HASH=$REVISION" in words_of("ENV", stage)[0]
        assert "git" not in " ".join(words_of("RUN", stage, "pod")).split()


def test_one_image_from_outside_is_below_all_and_no_pod_runs_as_root() -> None:
    names = [words.split()[-1] for words in words_of("FROM")]
    outside = [words for words in words_of("FROM") if words.split()[0] not in names]

    assert len(outside) == 1
    assert re.fullmatch(r"python:3\.11-slim(@sha256:[0-9a-f]{64})? AS python", outside[0])
    assert names[-1] == "bodywork"  # what is built without a target
    for target in ("plain", "serve", "bodywork"):
        assert words_of("USER", target) == ["1000:1000"]


def test_the_engine_gets_what_it_copies_and_nothing_else() -> None:
    nothing, *rest, compiled = (ROOT / ".dockerignore").read_text().splitlines()[1:]
    copied = [words.split()[:-1] for words in words_of("COPY") if "--from" not in words]
    assert (nothing, compiled) == ("*", "**/__pycache__")
    assert {f"!{name}" for names in copied for name in names} == set(rest)


@pytest.mark.parametrize(
    ("target", "licences"),
    [("plain", "MIT"), ("serve", "MIT"), ("bodywork", "MIT AND AGPL-3.0-only")],
)
def test_an_image_says_what_it_is(target: str, licences: str) -> None:
    labels = dict(
        re.findall(r'org\.opencontainers\.image\.(\w+)="(.*?)"', words_of("LABEL", target)[0])
    )

    assert list(labels) == ["title", "description", "licenses", "version", "revision"]
    assert labels["licenses"] == licences
