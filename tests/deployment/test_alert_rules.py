"""The alert rules are about metrics that the service has, and fire when they should and only then.

promtool checks and runs them: it is Prometheus' own, with the engine that evaluates rules.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pipeline.serve_model import create_app
from tests.support.alert_cases import CASES, QUIET, Case
from tests.support.deploy_objects import DEPLOY
from tests.support.helpers import EXAMPLE, ROOT
from tests.support.service_fixtures import (
    BATCH,
    PRODUCTS,
    V0_1,
    V0_2,
    BrokenModel,
    hand_made_service,
)

MANIFEST = yaml.safe_load((DEPLOY / "components/monitoring/alert_rules.yaml").read_text())
RULES = [rule for group in MANIFEST["spec"]["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
FROM_THE_OPERATOR = {"namespace": "time-to-dispatch", "job": "serve-model"}
"""Labels that the Prometheus operator gives to what it scrapes of the Kubernetes service."""

Samples = dict[str, list[dict[str, str]]]
"""The labels of all samples of a metric, by its name."""


class Selector(NamedTuple):
    """A choice of series in an expression.

    Attributes:
        metric: its name.
        matchers: operator and value, by label.
    """

    metric: str
    matchers: dict[str, tuple[str, str]]

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it chooses a series of its metric with these labels."""
        return all(
            labels.get(label, "") == value
            if operator == "="
            else re.fullmatch(value, labels.get(label, "")) is not None
            for label, (operator, value) in self.matchers.items()
        )


def selectors(rule: Mapping[str, str]) -> list[Selector]:
    """Return all selectors of the service's metrics in a rule."""
    found = re.findall(r"(ttd_\w+)\{([^}]*)\}", rule["expr"])
    assert len(found) == len(re.findall(r"ttd_\w+", rule["expr"]))
    return [
        Selector(
            metric,
            {
                label: (operator, value)
                for label, operator, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers)
            },
        )
        for metric, matchers in found
    ]


@pytest.fixture(scope="module")
def exposed() -> Samples:
    """Return what a service exposes after requests of all kinds, one of which has failed."""
    service = hand_made_service()
    client = TestClient(create_app(service), raise_server_exceptions=False)
    for path in (V0_1, V0_2):
        client.post(path, json=EXAMPLE)
    client.post(BATCH, json={"orders": [EXAMPLE]})
    for path in (PRODUCTS, "/", "/healthz", "/readyz", "/metrics"):
        client.get(path)
    service.serve(BrokenModel())
    client.post(V0_1, json=EXAMPLE)
    samples: Samples = {}
    for family in text_string_to_metric_families(service.metrics.exposition().decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels | FROM_THE_OPERATOR)
    return samples


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert", "record"))
def test_every_series_in_a_rule_is_one_that_the_service_exposes(
    rule: dict[str, Any], exposed: Samples
) -> None:
    records = {rule["record"] for rule in RULES if "record" in rule}
    assert set(re.findall(r"\w+(?::\w+)+", rule["expr"])) <= records

    for selector in selectors(rule):
        assert [labels for labels in exposed[selector.metric] if selector.takes(labels)], selector
        assert FROM_THE_OPERATOR.keys() <= selector.matchers.keys()
        for aggregation in re.findall(r"by \(([^)]*)\)", rule["expr"]):
            assert set(aggregation.split(", ")) <= exposed[selector.metric][0].keys()


@pytest.mark.parametrize(
    ("alert", "routes"),
    [("TtdErrors", {V0_1, V0_2, BATCH, PRODUCTS}), ("TtdSlow", {V0_1, V0_2})],
)
def test_an_alert_is_about_the_routes_that_clients_use(
    alert: str, routes: set[str], exposed: Samples
) -> None:
    *_, selector = selectors(ALERTS[alert])

    assert {
        labels["route"] for labels in exposed[selector.metric] if selector.takes(labels)
    } == routes


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]

    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"#{alert.lower()}")
    assert rule["for"]


@pytest.mark.documents
def test_the_runbook_has_a_heading_for_every_alert() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()

    assert re.findall(r"^### (Ttd\w+)$", page, re.MULTILINE) == list(ALERTS)


def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
    _promtool("check", "rules", "--lint=all", "--lint-fatal", str(_rules_in(tmp_path)))


@pytest.mark.parametrize("name", CASES)
def test_alerts_fire_when_they_should_and_only_then(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    _rules_in(tmp_path)
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": f"{case.minutes}m",
        "tests": [
            {
                "interval": f"{case.minutes}m",
                "input_series": [
                    {"series": series, "values": values}
                    for series, values in (QUIET | case.series).items()
                ],
                "alert_rule_test": [
                    {
                        "eval_time": f"{case.at * case.minutes}m",
                        "alertname": alert,
                        "exp_alerts": [_expected(alert, case)] if alert in case.firing else [],
                    }
                    for alert in ALERTS
                ],
            }
        ],
    }
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))

    _promtool("test", "rules", str(tmp_path / "tests.yaml"))


def _expected(alert: str, case: Case) -> dict[str, Any]:
    """Return an alert as promtool expects it, with the value in its summary filled in."""
    rule = ALERTS[alert]
    labels = {"namespace": FROM_THE_OPERATOR["namespace"], **rule["labels"]}
    if alert == "TtdServiceDown":
        labels |= FROM_THE_OPERATOR
    summary = re.sub(r"\{\{.*?\}\}", case.firing[alert], rule["annotations"]["summary"])
    return {"exp_labels": labels, "exp_annotations": rule["annotations"] | {"summary": summary}}


def _rules_in(folder: Path) -> Path:
    """Write the rules as Prometheus reads them, without Kubernetes around them."""
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(MANIFEST["spec"]))
    return path


def _promtool(*arguments: str) -> None:
    places: Sequence[str] = (os.environ["PATH"], str(ROOT / ".tools" / "usr" / "bin"))
    promtool = shutil.which("promtool", path=os.pathsep.join(places))
    if promtool is None:
        pytest.fail("There is no promtool, neither on PATH nor in .tools: run `make promtool`.")
    check = subprocess.run([promtool, *arguments], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
