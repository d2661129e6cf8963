"""The service as an application, and as a process in each of the ways to start it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pipeline.api.service import DispatchService
from pipeline.model.artifact import MODELS
from pipeline.model.reader import DispatchModel
from pipeline.serve_model import (
    LazyApp,
    app,
    app_from_environment,
    create_app,
    main,
)
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
    wait_for,
)

STAGE = (sys.executable, "-m", "pipeline.serve_model")


@pytest.fixture
def damaged_store(trained_store: Path, tmp_path: Path) -> Path:
    """Return a store whose only model has one flipped bit."""
    store = tmp_path / "damaged"
    shutil.copytree(trained_store / MODELS, store / MODELS)
    (artifact,) = (store / MODELS).iterdir()
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 0b0000_1000
    artifact.write_bytes(content)
    return store


def test_an_imported_app_serves_the_store_in_the_environment_without_being_started(
    trained_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `app` keeps its first model for as long as this process lives: all tests use one store.
    monkeypatch.setenv("TTD_STORE", str(trained_store))
    response = TestClient(app).post(PREDICTION, json=EXAMPLE)
    assert response.status_code == 200
    assert response.json()["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)


def test_an_app_loads_its_model_when_it_starts_and_only_then(
    trained_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    service = service_of(trained_store)
    created = create_app(service)
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


def test_a_stage_that_fails_returns_1_and_logs_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    (error,) = error_lines(capsys.readouterr().err)
    assert "There is no model under" in error


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
    settings = ServeSettings.from_arguments([str(sample_store), "--model-key", refused])
    assert DispatchService(settings).answers().model.metadata.refused_because
    assert "This model was refused: R² 0.98" in caplog.text


@pytest.mark.system
def test_the_module_serves_the_example(trained_store: Path, served_model: DispatchModel) -> None:
    with running_service(str(trained_store)) as url:
        answer = predict(url)
    assert answer["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)
    assert answer["model_version"] == served_model.version


@pytest.mark.system
def test_the_script_serves_the_example_from_inside_its_folder(trained_store: Path) -> None:
    with running_service(
        str(trained_store),
        command=(sys.executable, "serve_model.py"),
        cwd=ROOT / "pipeline",
        environment=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as url:
        assert predict(url)["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)


@pytest.mark.system
def test_uvicorn_serves_the_example_from_the_imported_app(trained_store: Path) -> None:
    with running_service(
        command=(sys.executable, "-m", "uvicorn", "pipeline.serve_model:app"),
        environment=os.environ | {"TTD_STORE": str(trained_store)},
    ) as url:
        assert predict(url)["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)


@pytest.mark.system
def test_many_clients_at_once_get_right_answers(
    trained_store: Path, served_model: DispatchModel
) -> None:
    codes = sorted(served_model.products) * 40
    orders = [1.5 * number for number in range(len(codes))]
    with running_service(str(trained_store)) as url, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(predict, [url] * len(codes), codes, orders))
    estimates = [answer["est_hours_to_dispatch"] for answer in answers]
    assert estimates == [
        round(hours, 2)
        for hours in served_model.estimate(
            {"product_code": codes, "orders_placed": orders}
        ).tolist()
    ]
    assert len(set(estimates)) > 100  # so an answer to somebody else's request would show


@pytest.mark.system
def test_a_long_body_is_refused_before_it_is_sent(trained_store: Path) -> None:
    with (
        running_service(str(trained_store)) as url,
        closing(HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection,
    ):
        connection.putrequest("POST", PREDICTION)
        connection.putheader("content-length", str(2 * 1024 * 1024))
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert json.load(response) == {"detail": "The body is longer than 1,048,576 bytes."}


@pytest.mark.system
def test_sigterm_ends_the_service_with_exit_code_0(trained_store: Path) -> None:
    stopped = run_until_sigterm(str(trained_store), TTD_DRAIN_SECONDS="0.5")
    assert stopped.returncode == 0
    assert stopped.stderr.endswith("serve_model.main - Finished serve-model stage.\n")
    assert stopped.stdout == ""


@pytest.mark.system
@pytest.mark.parametrize("seconds", [0, 0.002, 0.02])
def test_a_sigterm_before_the_port_is_open_is_not_lost(seconds: float, trained_store: Path) -> None:
    arguments = ("--port", "0", "--drain-seconds", "0")
    with stage_process(str(trained_store), *arguments) as process:
        assert process.stderr is not None
        assert "Starting" in process.stderr.readline()
        time.sleep(seconds)
        process.terminate()
        assert process.wait(timeout=10) == 0


@pytest.mark.system
def test_a_client_that_never_finishes_does_not_keep_the_service_from_stopping(
    trained_store: Path,
) -> None:
    port = free_port()
    arguments = ("--port", str(port), "--drain-seconds", "0", "--request-seconds", "2")
    with stage_process(str(trained_store), *arguments) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                f"POST {PREDICTION} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
            time.sleep(0.2)
            process.terminate()
            assert process.wait(timeout=30) == 0


@pytest.mark.system
def test_log_lines_are_json_if_asked_for(trained_store: Path) -> None:
    stopped = run_until_sigterm(str(trained_store), TTD_LOG_FORMAT="json", TTD_DRAIN_SECONDS="0")
    records = [json.loads(line) for line in stopped.stderr.splitlines()]
    assert [record["message"] for record in records if record["module"] == "serve_model"] == [
        "Starting serve-model stage.",
        "Finished serve-model stage.",
    ]
    assert {record["level"] for record in records} == {"INFO"}


@pytest.mark.system
def test_a_damaged_model_is_never_served(damaged_store: Path) -> None:
    port = free_port()
    with stage_process(str(damaged_store), "--port", str(port)) as process:
        while process.poll() is None:
            assert not is_open(port)
            time.sleep(0.005)
        stderr = process.communicate()[1]
    assert process.returncode == 1
    (error,) = error_lines(stderr)
    assert "is damaged or was renamed: the hash of its" in error
    assert "Traceback" not in stderr


@pytest.mark.system
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["no_such_folder"], "no_such_folder: there is no such folder. Create it, or name another"),
        ([str(ROOT / "tests")], "There is no model under"),
        (["data", "--model-key", "models/none.onnx"], "none.onnx: there is no such file"),
        (["data", "--model-key", "../mypy.ini"], "'../mypy.ini' leads out of the store"),
    ],
    ids=["no folder", "no model", "no such key", "key outside"],
)
def test_what_cannot_be_loaded_ends_the_stage_with_one_error(
    arguments: list[str], reason: str
) -> None:
    failed = run_stage(*arguments)
    assert failed.returncode == 1
    (error,) = error_lines(failed.stderr)
    assert reason in error
    assert "Traceback" not in failed.stderr


@pytest.mark.system
def test_debugging_adds_the_traceback(damaged_store: Path) -> None:
    failed = run_stage(str(damaged_store), "--log-level", "DEBUG")
    assert failed.returncode == 1
    assert len(error_lines(failed.stderr)) == 1
    assert "Traceback" in failed.stderr


@pytest.mark.system
def test_a_port_in_use_ends_the_stage_and_is_named(trained_store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run_stage(str(trained_store), "--port", str(port))
    assert failed.returncode == 1
    reason, advice = error_lines(failed.stderr)
    assert f"('127.0.0.1', {port}): address already in use" in reason
    assert "choose another --port" in advice
    assert "Finished" not in failed.stderr


@pytest.mark.system
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["ftp://bucket"],
            "STORE (or TTD_STORE) is 'ftp://bucket': should be s3://bucket[/prefix] or the path",
        ),
        (
            ["--port", "70000"],
            "--port (or TTD_PORT) is '70000': input should be less than or equal to 65535",
        ),
        (["--colour=red"], "error: unrecognized arguments: --colour=red"),
    ],
    ids=["store", "port", "option"],
)
def test_wrong_arguments_end_with_exit_code_2(arguments: list[str], complaint: str) -> None:
    failed = run_stage(*arguments)
    assert failed.returncode == 2
    assert complaint in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.system
def test_help_lists_the_settings() -> None:
    helped = run_stage("--help")
    assert helped.returncode == 0
    for setting in ("STORE", "--port", "--host", "--model-key", "--log-level", "--log-format"):
        assert setting in helped.stdout


@pytest.mark.system
def test_the_service_of_a_folder_loads_no_s3_client_and_prints_nothing(trained_store: Path) -> None:
    script = (
        "import sys; from pipeline.serve_model import DispatchService as Service;"
        "from pipeline.stages.settings import ServeSettings as Settings;"
        "service = Service(Settings.from_arguments(sys.argv[1:]));"
        "service.answers().model.estimate({'product_code': ['SKU001'], 'orders_placed': [112]});"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        (sys.executable, "-c", script, str(trained_store)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    modules = set(done.stdout.split())
    assert done.stdout.count("\n") == 1
    assert {"onnxruntime", "pipeline.model.reader"} <= modules
    assert not modules & {"boto3", "rich"}


def service_of(store: Path) -> DispatchService:
    """Return a service that has not loaded the model of its store yet."""
    return DispatchService(ServeSettings.from_arguments([str(store)]))


def run_stage(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the stage to its end."""
    command = (*STAGE, *arguments)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@contextmanager
def stage_process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the stage, and kill it if it still runs in the end."""
    with subprocess.Popen(
        (*STAGE, *arguments),
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_until_sigterm(store: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the stage until it is ready, and stop it in the way of Kubernetes."""
    port = free_port()
    with stage_process(store, "--port", str(port), **environment) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        process.terminate()
        stdout, stderr = process.communicate(timeout=30)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def error_lines(log: str) -> list[str]:
    """Return the lines of a log in text format that have level ERROR."""
    return [line for line in log.splitlines() if " - ERROR - " in line]


def is_open(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
