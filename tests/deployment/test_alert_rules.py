"""The alert rules are about metrics that the service has, and fire when they should and only then.

promtool checks and runs them: it is Prometheus' own, with the engine that evaluates rules.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alert_cases import CASES, QUIET, Case
from tests.support.deploy_objects import DEPLOY
from tests.support.exposed_metrics import (
    FROM_THE_OPERATOR,
    Series,
    chosen,
    exposed_series,
    promtool,
)
from tests.support.helpers import ROOT
from tests.support.service_fixtures import BATCH, PRODUCTS, V0_1, V0_2

MANIFEST = yaml.safe_load((DEPLOY / "components/monitoring/alert_rules.yaml").read_text())
RULES = [rule for group in MANIFEST["spec"]["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}


@pytest.fixture(scope="module")
def exposed() -> dict[str, list[Series]]:
    """Return the series of a service by metric."""
    return exposed_series()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert", "record"))
def test_every_series_in_a_rule_is_one_that_the_service_exposes(
    rule: dict[str, Any], exposed: dict[str, list[Series]]
) -> None:
    records = {rule["record"] for rule in RULES if "record" in rule}
    grouped = ", ".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))

    assert set(re.findall(r"\w+(?::\w+)+", rule["expr"])) <= records
    for series in chosen(rule["expr"], exposed):
        assert set(re.findall(r"\w+", grouped)) <= series[0].keys()


@pytest.mark.parametrize(
    ("alert", "routes"),
    [("TtdErrors", {V0_1, V0_2, BATCH, PRODUCTS}), ("TtdSlow", {V0_1, V0_2})],
)
def test_an_alert_is_about_the_routes_that_clients_use(
    alert: str, routes: set[str], exposed: dict[str, list[Series]]
) -> None:
    assert {labels["route"] for labels in chosen(ALERTS[alert]["expr"], exposed)[-1]} == routes


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
    page = (ROOT / "docs" / "deploy" / "operations.md").read_text()

    assert re.findall(r"^### (Ttd\w+)$", page, re.MULTILINE) == list(ALERTS)


def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(_rules_in(tmp_path)))


@pytest.mark.parametrize("name", CASES)
def test_alerts_fire_when_they_should_and_only_then(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    series = [{"series": one, "values": values} for one, values in (QUIET | case.series).items()]
    expected = [
        {
            "eval_time": f"{case.at * case.minutes}m",
            "alertname": alert,
            "exp_alerts": [_expected(alert, case)] if alert in case.firing else [],
        }
        for alert in ALERTS
    ]
    step = f"{case.minutes}m"
    test = {"interval": step, "input_series": series, "alert_rule_test": expected}
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump(
            {
                "rule_files": [_rules_in(tmp_path).name],
                "evaluation_interval": step,
                "tests": [test],
            }
        )
    )

    promtool("test", "rules", str(tmp_path / "tests.yaml"))


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
