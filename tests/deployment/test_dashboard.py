"""Grafana knows every field of the dashboard, and Prometheus every metric in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.support.deploy_objects import DEPLOY, MONITORING, copy_of_deploy, render, the
from tests.support.exposed_metrics import FROM_THE_OPERATOR, chosen, exposed_series, promtool

DASHBOARD = json.loads((DEPLOY / "components/monitoring/dashboard.json").read_text())
CHARTS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {"$namespace": FROM_THE_OPERATOR["namespace"], "$__rate_interval": "5m"}


def expressions(panels: list[dict[str, Any]]) -> list[str]:
    """Return what panels ask Prometheus, with the values of Grafana's variables."""
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def unknown(ours: object, known: object, place: str) -> Iterator[str]:
    """Yield the places of what is not the same in what Grafana's schema has kept."""
    if isinstance(ours, dict) and isinstance(known, dict):
        for name, value in ours.items():
            yield from unknown(value, known.get(name), f"{place}/{name}")
    elif isinstance(ours, list) and isinstance(known, list) and len(ours) == len(known):
        for number, pair in enumerate(zip(ours, known)):
            yield from unknown(*pair, f"{place}/{number}")
    elif ours != known:
        yield place


def test_every_field_is_one_of_grafana_s() -> None:
    register_default_plugins()
    kept = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    assert list(unknown(DASHBOARD, kept, "")) == []


def test_every_panel_asks_for_series_that_there_are_and_says_what_it_shows() -> None:
    exposed = exposed_series()
    for panel in CHARTS:
        assert panel["title"] and panel["description"].endswith(".")
        for expression in expressions([panel]):
            assert all(chosen(expression, exposed)), expression


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    records = [{"record": "a", "expr": expression} for expression in expressions(CHARTS)]
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    promtool("check", "rules", "--lint=none", str(rules))


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in DASHBOARD["panels"]):
        rows, columns = range(place["h"]), range(place["w"])
        cells = {(place["x"] + column, place["y"] + row) for row in rows for column in columns}
        assert not cells & taken and max(cells)[0] < 24
        taken |= cells


@pytest.mark.parametrize("overlay", ["production", "plain-production"])
def test_it_is_applied_where_grafana_looks(overlay: str, tmp_path: Path) -> None:
    objects = render(copy_of_deploy(tmp_path, MONITORING) / "overlays" / overlay)
    dashboard = the(objects, "ConfigMap", "dashboard")
    assert dashboard["metadata"]["namespace"] == "time-to-dispatch"
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["time-to-dispatch.json"]) == DASHBOARD
