"""The service with as few rights as a careful cluster leaves it."""

import sys
from pathlib import Path

import psutil

from tests.support.helpers import predict
from tests.support.sandbox import confined
from tests.support.service_clients import watched_service


def test_the_service_needs_no_rights_and_writes_nothing(
    trained_store: Path, tmp_path: Path
) -> None:
    command = confined(sys.executable, "-m", "pipeline.serve_model")
    with watched_service(tmp_path, str(trained_store), command=command) as service:
        answer = predict(f"http://127.0.0.1:{service.port}")
        (*_, process) = psutil.Process(service.process.pid).children(recursive=True)
        facts = Path(f"/proc/{process.pid}")
        rights = dict(line.split(":\t", 1) for line in (facts / "status").read_text().splitlines())
        mounts = [line.split() for line in (facts / "mountinfo").read_text().splitlines()]
        inner_user = int((facts / "uid_map").read_text().split()[0])

    assert answer["est_hours_to_dispatch"] > 0
    assert {rights[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (rights["NoNewPrivs"], inner_user) == ("1", 1000)
    (options,) = [mount[5].split(",") for mount in mounts if mount[4] == "/"]
    assert "ro" in options
    assert [line for line in service.log.splitlines() if " - INFO - " not in line] == []
