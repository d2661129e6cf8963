"""The service as an application, and as a process in each of the ways to start it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from socket import create_server, socket

import pytest
from fastapi.testclient import TestClient

from pipeline.api.service import DispatchService
from pipeline.model.artifact import MODELS
from pipeline.serve_model import LazyApp, app_from_environment, create_app, main
from pipeline.stages.errors import ArtifactError, ServiceError
from pipeline.stages.settings import ServeSettings
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main as train_model
from tests.support.helpers import (
    EXAMPLE,
    PREDICTION,
    ROOT,
    free_port,
    logged,
    predict,
    running_service,
)
from tests.support.service_clients import STAGE, flip_a_bit, watched_service

OPEN = "No API key is asked for: whoever reaches the port is answered."
UVICORN = (sys.executable, "-m", "uvicorn", "pipeline.serve_model:app")


def test_an_app_loads_its_model_when_it_starts_and_only_then(
    trained_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    created = create_app(service_of(trained_store))
    assert TestClient(created).get("/readyz").status_code == 503
    with TestClient(created) as client:
        assert client.get("/readyz").status_code == 200
        assert client.post(PREDICTION, json=EXAMPLE).status_code == 200
    assert len([line for line in logged(caplog, "INFO") if "Serving" in line]) == 1


def test_an_app_that_cannot_load_its_model_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="There is no model"):
        with TestClient(create_app(service_of(tmp_path))):
            pytest.fail("The application started.")


def test_an_app_that_is_not_started_loads_its_model_once_as_soon_as_it_can(
    trained_store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client = TestClient(create_app(service_of(tmp_path)))
    statuses = [client.post(PREDICTION, json=EXAMPLE).status_code]
    shutil.copytree(trained_store / MODELS, tmp_path / MODELS)
    statuses += [client.post(PREDICTION, json=EXAMPLE).status_code for _ in range(3)]
    assert statuses == [503, 200, 200, 200]
    assert len([line for line in logged(caplog, "INFO") if "Serving" in line]) == 1


def test_an_app_with_a_wrong_setting_says_so_and_ends_no_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_PORT", "abc")
    with pytest.raises(ServiceError, match="A setting is wrong"):
        TestClient(LazyApp(app_from_environment)).post(PREDICTION, json=EXAMPLE)
    assert "--port (or TTD_PORT) is 'abc'" in capsys.readouterr().err


def test_serving_a_refused_model_is_worth_a_warning(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_model([str(sample_store), "--r2-error-threshold", "1", "--r2-warning-threshold", "1"])
    (refused,) = DirectoryStore(str(sample_store)).list_keys("refused")
    assert service_of(sample_store, "--model-key", refused).answers().model
    assert "This model was refused: R² 0.98" in caplog.text


@pytest.mark.parametrize(
    ("command", "folder"),
    [((sys.executable, "serve_model.py"), "pipeline"), (UVICORN, ".")],
    ids=["script inside its folder", "uvicorn with the imported app"],
)
def test_other_ways_to_start_serve_the_example(
    command: tuple[str, ...], folder: str, trained_store: Path
) -> None:
    environment = os.environ | {"TTD_STORE": str(trained_store), "PYTHONPATH": str(ROOT)}
    with running_service(command=command, cwd=ROOT / folder, environment=environment) as url:
        assert predict(url)["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)


def test_sigterm_ends_the_service_with_exit_code_0_and_json_lines_if_asked_for(
    trained_store: Path, tmp_path: Path
) -> None:
    arguments = (str(trained_store), "--log-format", "json", "--drain-seconds", "0.5")
    with watched_service(tmp_path, *arguments) as service:
        service.process.terminate()
        assert service.process.wait(timeout=30) == 0
        records = [json.loads(line) for line in service.log.splitlines()]
    assert [record["message"] for record in records if record["module"] == "serve_model"] == [
        f"Starting serve-model stage. {OPEN}",
        "Finished serve-model stage.",
    ]
    assert {record["level"] for record in records} == {"INFO"}


@pytest.mark.parametrize("seconds", [0, 0.002, 0.02])
def test_a_sigterm_before_the_port_is_open_is_not_lost(seconds: float, trained_store: Path) -> None:
    command = (*STAGE, str(trained_store), "--port", "0", "--drain-seconds", "0")
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "Starting" in process.stderr.readline()
        time.sleep(seconds)
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_a_client_that_never_finishes_does_not_keep_the_service_from_stopping(
    trained_store: Path, tmp_path: Path
) -> None:
    arguments = (str(trained_store), "--drain-seconds", "0", "--request-seconds", "2")
    with watched_service(tmp_path, *arguments) as service, service.connect() as client:
        client.sendall(
            f"POST {PREDICTION} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        time.sleep(0.2)
        service.process.terminate()
        assert service.process.wait(timeout=30) == 0


def test_a_damaged_model_is_never_served(production: Path) -> None:
    (artifact,) = (production / MODELS).iterdir()
    flip_a_bit(artifact, artifact)
    port = free_port()
    command = (*STAGE, str(production), "--port", str(port))
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            with socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
            time.sleep(0.005)
        assert process.stderr is not None
        (error,) = error_lines(process.stderr.read())
    assert process.returncode == 1
    assert "is damaged or was renamed: the hash of its" in error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["no_such_folder"], "no_such_folder: there is no such folder. Create it, or name another"),
        ([str(ROOT / "tests")], "There is no model under"),
        ([str(ROOT / "tests"), "--workers", "2"], "There is no model under"),
        (["data", "--model-key", "models/none.onnx"], "none.onnx: there is no such file"),
    ],
    ids=["no folder", "no model", "no model for two workers", "no such key"],
)
def test_what_cannot_be_loaded_ends_the_stage_with_one_error(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(arguments) == 1
    assert signal.getsignal(signal.SIGTERM) == before
    log = capsys.readouterr().err
    (error,) = error_lines(log)
    assert reason in error
    assert "Traceback" not in log


def test_a_port_in_use_ends_the_stage_and_is_named(trained_store: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = (*STAGE, str(trained_store), "--port", str(port))
        failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    (reason,) = error_lines(failed.stderr)
    assert f"Cannot listen on port {port} of 127.0.0.1: Address already in use" in reason
    assert "choose another --port" in failed.stderr
    assert "Finished" not in failed.stderr


def test_the_service_of_a_folder_loads_no_s3_client_and_no_runtime_and_prints_nothing(
    trained_store: Path,
) -> None:
    script = (
        "import sys; from pipeline.serve_model import DispatchService as Service;"
        "from pipeline.stages.settings import ServeSettings as Settings;"
        "service = Service(Settings.from_arguments(sys.argv[1:]));"
        "service.answers().model.estimate({'product_code': ['SKU001'], 'orders_placed': [112]});"
        "print(*sys.modules)"
    )
    command = (sys.executable, "-c", script, str(trained_store))
    printed = subprocess.check_output(command, cwd=ROOT, text=True, timeout=60)
    modules = set(printed.split())
    assert printed.count("\n") == 1
    assert "pipeline.model.reader" in modules
    assert not modules & {"boto3", "onnxruntime", "rich"}


def service_of(store: Path, *arguments: str) -> DispatchService:
    """Return a service that has not loaded the model of its store yet."""
    return DispatchService(ServeSettings.from_arguments([str(store), *arguments]))


def error_lines(log: str) -> list[str]:
    """Return the lines of a log in text format that have level ERROR."""
    return [line for line in log.splitlines() if " - ERROR - " in line]
