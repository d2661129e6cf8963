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
from tests.deploy_objects import DEPLOY
from tests.helpers import EXAMPLE, ROOT
from tests.service_fixtures import BATCH, PRODUCTS, V0_1, V0_2, BrokenModel, hand_made_service

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


@pytest.mark.system
def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
    _promtool("check", "rules", "--lint=all", "--lint-fatal", str(_rules_in(tmp_path)))


DAY = 24 * 3600
POD = 'namespace="time-to-dispatch", job="serve-model", pod="a"'
NEXT_POD = POD.replace('"a"', '"b"')
AGE = "ttd_model_age_seconds"
QUIET = {
    f"{AGE}{{{POD}}}": f"{DAY}x1000",
    f"ttd_dataset_age_seconds{{{POD}}}": f"{DAY}x1000",
    f"ttd_predictions_total{{{POD}, product_code='SKU001'}}": "0x1000",
    f"ttd_extrapolations_total{{{POD}}}": "0x1000",
}
"""A pod that is well, and that nobody asks: the values of its series, step by step."""
Series = dict[str, str]


def requests(status: int, values: str, route: str = V0_1) -> Series:
    """Return a series of requests."""
    return {f'ttd_requests_total{{{POD}, route="{route}", status="{status}"}}': values}


def latencies(route: str, **counts: int) -> Series:
    """Return the buckets of a route: how many requests a minute were at most so long."""
    return {
        f'ttd_request_seconds_bucket{{{POD}, route="{route}", le="{end}"}}': f"0+{count}x60"
        for end, count in zip(("0.05", "0.1", "0.2", "+Inf"), counts.values(), strict=True)
    }


def estimates(percent_before: int, percent_now: int) -> Series:
    """Return a hundred estimates a step, of which so many are extrapolated up to step 500."""
    then = percent_before * 500
    return {
        f"ttd_predictions_total{{{POD}, product_code='SKU001'}}": "0+100x1000",
        f"ttd_extrapolations_total{{{POD}}}": (
            f"0+{percent_before}x500 {then + percent_now}+{percent_now}x1000"
        ),
    }


ROLLING_UPDATE = {
    f"{AGE}{{{POD}}}": f"{8 * DAY - 900}+60x30 stale",
    f"{AGE}{{{NEXT_POD}}}": f"_x24 {60}+60x100",
    f"ttd_dataset_age_seconds{{{POD}}}": f"{8 * DAY - 900}+60x30 stale",
    f"ttd_dataset_age_seconds{{{NEXT_POD}}}": f"_x24 {3600}+60x100",
    f'ttd_requests_total{{{POD}, route="{V0_1}", status="200"}}': "90000+3000x30 stale",
    f'ttd_requests_total{{{NEXT_POD}, route="{V0_1}", status="200"}}': "_x24 0+3000x100",
    f'ttd_requests_total{{{POD}, route="/readyz", status="503"}}': "_x27 10+10x3 stale",
}
"""A pod takes over from another in the first quarter of an hour of its ninth day."""


class Case(NamedTuple):
    """What Prometheus sees, and which alerts fire.

    Attributes:
        series: beside or instead of those of a quiet pod.
        at: at which step.
        firing: what the summary tells of the value, by alert.
        minutes: from one step to the next.
    """

    series: Series
    at: int
    firing: dict[str, str]
    minutes: int = 1


CASES = {
    "nobody asks": Case({}, 60, {}),
    "no pod ever": Case(dict.fromkeys(QUIET, "_x60"), 4, {"TtdServiceDown": ""}),
    "gone for two minutes": Case(dict.fromkeys(QUIET, "1x30 stale"), 33, {}),
    "gone for longer": Case(dict.fromkeys(QUIET, "1x30 stale"), 35, {"TtdServiceDown": ""}),
    "2 % of the requests fail": Case(
        requests(200, "0+98x60") | requests(500, "0+2x60"), 20, {"TtdErrors": "2%"}
    ),
    "few requests, and all fail": Case(requests(503, "0 0 1+1x60"), 20, {"TtdErrors": "100%"}),
    "half a per cent fail": Case(requests(200, "0+995x60") | requests(500, "0+5x60"), 60, {}),
    "failing for less than ten minutes": Case(
        requests(200, "0+98x60") | requests(500, "0+0x10 2+2x60"), 18, {}
    ),
    "clients make mistakes": Case(requests(422, "0+50x60") | requests(200, "0+50x60"), 60, {}),
    "not ready, and asked often": Case(
        requests(503, "0+60x60", "/readyz") | requests(200, "0+1x60"), 60, {}
    ),
    "a counter begins anew": Case(
        requests(200, "9000+98x30 0+98x30") | requests(500, "900x30 0x30"), 35, {}
    ),
    "2 % take 0.1 to 0.2 s": Case(
        latencies(V0_2, a=90, b=98, c=100, d=100), 30, {"TtdSlow": "150ms"}
    ),
    "half a per cent take so long": Case(latencies(V0_2, a=900, b=995, c=1000, d=1000), 60, {}),
    "batches take longer": Case(latencies(BATCH, a=0, b=0, c=0, d=100), 60, {}),
    "nobody asks for single estimates": Case(latencies(V0_1, a=0, b=0, c=0, d=0), 60, {}),
    "the model is eight days old": Case({f"{AGE}{{{POD}}}": f"{8 * DAY}+0x60"}, 60, {}),
    "the model is older": Case(
        {f"{AGE}{{{POD}}}": f"{8 * DAY + 1}+0x60"}, 20, {"TtdModelTooOld": "8d 0h 0m 1s"}
    ),
    "the dataset is older": Case(
        {f"ttd_dataset_age_seconds{{{POD}}}": f"{9 * DAY}+0x60"},
        20,
        {"TtdDatasetTooOld": "9d 0h 0m 0s"},
    ),
    "one of two pods kept the old model": Case(
        {f"{AGE}{{{NEXT_POD}}}": f"{9 * DAY}+0x60"}, 20, {"TtdModelTooOld": "9d 0h 0m 0s"}
    ),
    "just before the rolling update": Case(ROLLING_UPDATE, 23, {}),
    "in the rolling update": Case(ROLLING_UPDATE, 29, {}),
    "just after the rolling update": Case(ROLLING_UPDATE, 32, {}),
    "long after the rolling update": Case(ROLLING_UPDATE, 60, {}),
    "extrapolations rise from 2 to 15 %": Case(
        estimates(2, 15), 510, {"TtdExtrapolations": "15%"}, minutes=20
    ),
    "extrapolations have just risen": Case(estimates(2, 90), 502, {}, minutes=20),
    "extrapolations are at 15 % in the first week": Case(
        estimates(15, 15), 10, {"TtdExtrapolations": "15%"}, minutes=20
    ),
    "extrapolations are at 15 % always": Case(estimates(15, 15), 510, {}, minutes=20),
    "extrapolations rise from 10 to 15 %": Case(estimates(10, 15), 510, {}, minutes=20),
    "extrapolations rise from 1 to 9 %": Case(estimates(1, 9), 510, {}, minutes=20),
}


@pytest.mark.system
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
