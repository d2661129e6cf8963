"""The series that a service exposes, and those that an expression of Prometheus chooses of them."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pipeline.serve_model import create_app
from tests.support.helpers import EXAMPLE, ROOT
from tests.support.service_fixtures import (
    BATCH,
    PRODUCTS,
    V0_1,
    V0_2,
    broken_model,
    hand_made_service,
)

FROM_THE_OPERATOR = {"namespace": "time-to-dispatch", "job": "serve-model"}
"""Labels that the Prometheus operator gives to what it scrapes of the Kubernetes service."""

Series = dict[str, str]
"""The labels of a series."""


def exposed_series() -> dict[str, list[Series]]:
    """Return the series of a service by metric, after requests of all kinds; one has failed."""
    service = hand_made_service()
    client = TestClient(create_app(service), raise_server_exceptions=False)
    for path in (V0_1, V0_2):
        client.post(path, json=EXAMPLE)
    client.post(path, json={})
    client.post(BATCH, json={"orders": [EXAMPLE]})
    for path in (PRODUCTS, "/", "/healthz", "/readyz", "/metrics"):
        client.get(path)
    service.serve(broken_model())
    client.post(V0_1, json=EXAMPLE)
    samples: dict[str, list[Series]] = {}
    for family in text_string_to_metric_families(service.metrics.exposition().decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels | FROM_THE_OPERATOR)
    return samples


def chosen(expression: str, exposed: Mapping[str, list[Series]]) -> list[list[Series]]:
    """Return the series that each selector in an expression chooses among the exposed ones."""
    selectors = re.findall(r"((?:ttd|process)_\w+)\{([^}]*)\}", expression)
    assert len(selectors) == len(re.findall(r"(?:ttd|process)_\w+", expression))
    matchers = [dict(re.findall(r'(\w+)=~?"([^"]*)"', text)) for _, text in selectors]
    assert [one for one in matchers if not one.keys() >= FROM_THE_OPERATOR.keys()] == []
    return [
        [
            labels
            for labels in exposed[metric]
            if all(re.fullmatch(value, labels.get(name, "")) for name, value in wanted.items())
        ]
        for (metric, _), wanted in zip(selectors, matchers, strict=True)
    ]


def promtool(*arguments: str) -> None:
    """Run Prometheus' own checker; fail if it finds something wrong."""
    path = f"{os.environ['PATH']}{os.pathsep}{ROOT}/.tools/usr/bin"
    program = shutil.which("promtool", path=path)
    if program is None:
        pytest.fail("There is no promtool, neither on PATH nor in .tools: run `make tools`.")
    check = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
