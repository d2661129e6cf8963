"""The wheel: what is in it, how it is published, and that its commands need no checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.build_model_wheel import version_of
from deploy.campaign.git_repositories import IDENTITY, commit_working_tree, git
from tests.support.helpers import HTTP, ROOT, free_port, predict, running_service, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # it makes environments

VERSION = (ROOT / "VERSION").read_text().strip()
WHEEL = f"time_to_dispatch-{VERSION}-py3-none-any.whl"
COMMANDS = Path(sys.executable).parent
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TOX", "TTD_", "AWS_", "TWINE_", "PYTHON"))
} | {
    "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
    "UV_COMPILE_BYTECODE": "0",
    "no_proxy": "*",
}
USER = "platform"
PASSWORD = "a-secret-password"
CREDENTIALS = {"TWINE_USERNAME": USER, "TWINE_PASSWORD": PASSWORD}


class Index(NamedTuple):
    """A private package index that runs: its URL, and the folder of what it has."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit the working tree to a repository of its own."""
    folder = tmp_path_factory.mktemp("package") / "checkout"
    commit_working_tree(folder)
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Run an empty private index, which would overwrite files, as some do."""
    folder, port = tmp_path_factory.mktemp("index"), free_port()
    command = [sys.executable, "-m", "tests.support.package_index", str(folder), str(port)]
    with subprocess.Popen([*command, USER, PASSWORD], cwd=ROOT) as process:
        wait_for(f"http://127.0.0.1:{port}/", process=process)
        yield Index(f"http://127.0.0.1:{port}/", folder)
        process.terminate()


@pytest.fixture(scope="module")
def published(checkout: Path, index: Index) -> Path:
    """Publish the wheel with `make publish`, and return the file that the index has then."""
    # The environment that runs the tests has tox, so that no .venv is made in the checkout.
    make = [
        "make",
        "--old-file=.tox/runner/ready",
        f"LIGHT_TOX={sys.executable} -m tox run",
        "publish",
    ]
    exit_code, text = run([*make, f"INDEX_URL={index.url}"], checkout, **CREDENTIALS)
    assert exit_code == 0, text
    assert PASSWORD not in text
    return index.folder / WHEEL


@pytest.fixture(scope="module")
def installed(published: Path, index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the published wheel as the documents say, and return the folder of its commands."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    environment = folder / "environment"
    python = f"--python {environment}"
    for command in (
        f"uv venv --quiet --seed --python {sys.executable} {environment}",
        f"uv pip --quiet install {python} -r requirements_pipe.txt",
        f"{environment}/bin/pip install --quiet --no-deps --index-url {index.url}simple/ "
        f"time-to-dispatch=={VERSION}",
        f"uv pip --quiet check {python}",
    ):
        variables = {"NETRC": f"{folder}/netrc", "PIP_CONFIG_FILE": os.devnull}
        exit_code, text = run(command.split(), ROOT, **variables)
        assert exit_code == 0, text
    return environment / "bin"


def run(command: Sequence[str], cwd: Path, **variables: str) -> tuple[int, str]:
    """Return the exit code of a command with these variables, and all that it prints."""
    finished = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT | variables, capture_output=True, text=True
    )
    return finished.returncode, finished.stdout + finished.stderr


def publish(checkout: Path, url: str, password: str = PASSWORD) -> tuple[int, str]:
    """Return the exit code of publishing what is in `dist/` of a checkout, and what it says."""
    variables = {"INDEX_URL": url, "TWINE_USERNAME": USER, "TWINE_PASSWORD": password}
    return run([sys.executable, "-m", "deploy.publish_wheel"], checkout, **variables)


def built_elsewhere(checkout: Path, folder: Path, added: str = "") -> Path:
    """Build the wheel of a clone, with text added to a module, and return the clone."""
    git(checkout, "clone", "--quiet", str(checkout), str(folder))
    if added:
        with (folder / "pipeline" / "__init__.py").open("a") as module:
            module.write(added)
        git(folder, *IDENTITY, "commit", "--all", "--quiet", "--message=Another content")
    (folder / "pipeline" / "leftover_module.py").touch()
    (folder / "dist").mkdir()
    (folder / "dist" / "time_to_dispatch-0.0.9-py3-none-any.whl").touch()
    (folder / "pipeline" / "serve_model.py").write_text("# not committed\n")
    for file in (folder / "pipeline").rglob("*.py"):
        file.chmod(0o600)
    command = f"umask 077 && exec '{sys.executable}' -m deploy.build_wheel"
    exit_code, text = run(["sh", "-c", command], folder)
    assert exit_code == 0, text
    assert "Uncommitted changes are left out" in text
    return folder


def test_the_wheel_holds_the_pipeline_and_nothing_else(published: Path, checkout: Path) -> None:
    tracked = set(git(checkout, "ls-files", "pipeline").splitlines())
    facts = f"time_to_dispatch-{VERSION}.dist-info"

    with zipfile.ZipFile(published) as wheel:
        names = set(wheel.namelist())
        metadata = message_from_bytes(wheel.read(f"{facts}/METADATA"))

    assert {name for name in names if not name.startswith(f"{facts}/")} == tracked
    assert {"pipeline/py.typed", "pipeline/api/web_page.html"} <= names
    assert f"{facts}/licenses/LICENSE" in names
    assert metadata["Version"] == VERSION
    assert metadata["License-Expression"] == "MIT"
    assert "Private :: Do Not Upload" in metadata.get_all("Classifier", [])


def test_another_machine_builds_the_same_bytes(
    published: Path, checkout: Path, tmp_path: Path
) -> None:
    clone = built_elsewhere(checkout, tmp_path / "clone")

    assert [file.name for file in (clone / "dist").glob("*.whl")] == [WHEEL]
    assert (clone / "dist" / WHEEL).read_bytes() == published.read_bytes()


def test_the_same_bytes_are_published_once(published: Path, checkout: Path, index: Index) -> None:
    before = published.stat().st_mtime_ns

    exit_code, text = publish(checkout, index.url)

    assert exit_code == 0
    assert f"The index has this {WHEEL} already" in text
    assert published.stat().st_mtime_ns == before


def test_other_bytes_under_the_same_version_are_refused(
    published: Path, checkout: Path, index: Index, tmp_path: Path
) -> None:
    before = published.read_bytes()
    clone = built_elsewhere(checkout, tmp_path / "clone", "# changed\n")

    exit_code, text = publish(clone, index.url)

    assert exit_code == 1
    assert f"has another {WHEEL} than the one built now" in text
    assert "VERSION" in text
    assert published.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "password", "reason"),
    [
        ("", "wrong", "answers 40[13].*Check INDEX_URL, TWINE_USERNAME and TWINE_PASSWORD"),
        ("", "", "answers 40[13].*Check INDEX_URL, TWINE_USERNAME and TWINE_PASSWORD"),
        ("no/such/path/", PASSWORD, "404 Not Found"),
    ],
)
def test_what_the_index_refuses_is_told_without_the_password(
    path: str, password: str, reason: str, published: Path, checkout: Path, index: Index
) -> None:
    exit_code, text = publish(checkout, index.url + path, password)

    assert exit_code == 1
    assert re.search(reason, text)
    assert not password or password not in text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "INDEX_URL should be where your private package index takes uploads"),
        ("packages.example.com", "INDEX_URL should be where"),
        ("https://upload.pypi.org/legacy/", "upload.pypi.org is public"),
        ("https://pypi.org", "pypi.org is public"),
        ("https://me:hidden@packages.example.com", "INDEX_URL has credentials in it"),
    ],
)
def test_an_index_that_cannot_be_meant_is_wrong_usage(
    url: str, reason: str, checkout: Path
) -> None:
    exit_code, text = publish(checkout, url)

    assert exit_code == 2
    assert reason in text
    assert "hidden" not in text


def test_the_installed_commands_train_and_serve(
    installed: Path, sample_store: Path, tmp_path: Path
) -> None:
    training = run([str(installed / "ttd-train"), str(sample_store)], tmp_path)
    assert training[0] == 0, training[1]
    serve = [str(installed / "ttd-serve")]
    with running_service(
        str(sample_store), command=serve, cwd=tmp_path, environment=ENVIRONMENT
    ) as url:
        answer = predict(url)
        health = json.load(HTTP.open(f"{url}/healthz", timeout=30))
        page = HTTP.open(f"{url}/", timeout=30).read()
        report = HTTP.open(f"{url}/report", timeout=30).read()

    assert answer["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)
    assert health["version"] == VERSION
    assert page.startswith(b"<!DOCTYPE html>")
    assert answer["model_version"].encode() in report


@pytest.mark.parametrize("name", ["ttd-train", "ttd-serve"])
def test_an_installed_command_calls_itself_by_its_name_and_must_be_told_its_store(
    name: str, installed: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "data" / "datasets", tmp_path / "data" / "datasets")

    exit_code, text = run([str(installed / name)], tmp_path)

    assert exit_code == 2
    assert f"{name}: error: STORE (or TTD_STORE) is '': should be s3://bucket" in text


def test_a_model_is_published_installed_and_served_as_a_package(
    installed: Path, checkout: Path, index: Index, trained_store: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(checkout, "clone", "--quiet", str(checkout), str(clone))
    (model,) = (trained_store / "models").iterdir()
    build = [sys.executable, "-m", "deploy.build_model_wheel", str(trained_store)]

    for _ in range(2):  # the same model is the same bytes
        assert run(build, clone) == (0, "")
        exit_code, text = publish(clone, index.url)
        assert exit_code == 0, text
    (wheel,) = (clone / "dist").glob("*.whl")
    version = version_of(datetime.strptime(model.stem[:36], "time_to_dispatch_%Y-%m-%dT%H-%M-%S"))
    pip = f"install --quiet --no-deps --index-url {index.url}simple/ time-to-dispatch-model"
    netrc = str(installed.parents[1] / "netrc")
    exit_code, text = run(
        [str(installed / "pip"), *f"{pip}=={version}".split()],
        tmp_path,
        NETRC=netrc,
        PIP_CONFIG_FILE=os.devnull,
    )
    assert exit_code == 0, text
    serve = [str(installed / "ttd-serve"), "package:time-to-dispatch-model"]
    with running_service(command=serve, cwd=tmp_path, environment=ENVIRONMENT) as url:
        health = json.load(HTTP.open(f"{url}/healthz", timeout=30))
        report = HTTP.open(f"{url}/report", timeout=30).read()

    assert wheel.name == f"time_to_dispatch_model-{version}-py3-none-any.whl"
    assert health["model_version"] == model.stem
    assert model.stem.encode() in report


def test_a_store_without_a_model_makes_no_package(checkout: Path, sample_store: Path) -> None:
    build = [sys.executable, "-m", "deploy.build_model_wheel", str(sample_store)]

    exit_code, text = run(build, checkout)

    assert exit_code == 1
    assert text.startswith("make publish-model: error: ")
    assert str(sample_store) in text
