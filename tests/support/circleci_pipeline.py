"""What CircleCI does with a push: the parameters of the pipeline, and the jobs that run.

It knows as much of CircleCI's rules as the project's two configurations need: path filtering,
filters by branch, tag or expression, and what a job requires.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import yaml

from tests.support.helpers import ROOT

SETUP = yaml.safe_load((ROOT / ".circleci" / "config.yml").read_text())
CONTINUATION = yaml.safe_load((ROOT / ".circleci" / "continue_config.yml").read_text())
TOKEN = re.compile(r'\s*(\(|\)|==|!=|starts-with|[\w.-]+|"[^"]*")')

Values = Mapping[str, str | bool]
"""Pipeline values and parameters by their full names."""


class Push(NamedTuple):
    """A branch or a tag that was pushed, and the paths that changed on the branch."""

    branch: str = ""
    tag: str = ""
    changed: tuple[str, ...] = ()


class Rule(NamedTuple):
    """A line of the path filtering: if a whole path matches, the parameter gets the value."""

    paths: str
    parameter: str
    value: str | bool


def jobs_of(workflow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of a workflow's jobs, by the names that they have there."""
    entries = [
        (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        for entry in workflow["jobs"]
    ]
    return {settings.get("name", job): settings for job, settings in entries}


SETUP_JOBS = jobs_of(SETUP["workflows"]["find-what-changed"])
RULES = [
    Rule(paths, parameter, json.loads(value))
    for paths, parameter, value in (
        line.split() for line in SETUP_JOBS["compare-with-master"]["mapping"].splitlines()
    )
]


def pipeline_parameters(push: Push) -> dict[str, str | bool] | None:
    """Return what the first half of a pipeline passes on, or None if it runs no job at all.

    A pipeline can be continued once, so it fails if two of its jobs run.
    """
    running = [name for name, job in SETUP_JOBS.items() if is_let_through(job, push, {})]
    if not running:
        return None
    (name,) = running
    if name == "compare-with-master":
        return dict(_matches(push.changed))
    parameters: dict[str, str | bool] = json.loads(SETUP_JOBS[name]["parameters"])
    return parameters


def _matches(changed: Iterable[str]) -> Iterable[tuple[str, str | bool]]:
    for rule in RULES:
        if any(re.fullmatch(rule.paths, path) for path in changed):
            yield rule.parameter, rule.value


def running_jobs(push: Push, **given: str) -> list[str]:
    """Return the jobs of a pipeline's second half in alphabetical order, of all its workflows.

    It fails if a job requires one that does not run, which CircleCI leaves out without a word.

    Args:
        push: what was pushed.
        given: values of parameters beside those of the first half, with _ for -.
    """
    passed_on = pipeline_parameters(push)
    if passed_on is None:
        return []
    declared = CONTINUATION["parameters"]
    parameters = {name: parameter["default"] for name, parameter in declared.items()}
    parameters |= passed_on | {name.replace("_", "-"): value for name, value in given.items()}
    values = {f"pipeline.parameters.{name}": value for name, value in parameters.items()}
    values |= {"pipeline.git.branch": push.branch, "pipeline.git.tag": push.tag}
    running: list[str] = []
    for workflow in CONTINUATION["workflows"].values():
        if holds(workflow["when"], values):
            running += _running_jobs_of(workflow, push, values)
    return sorted(running)


def _running_jobs_of(workflow: Mapping[str, Any], push: Push, values: Values) -> list[str]:
    jobs = jobs_of(workflow)
    running = [name for name, job in jobs.items() if is_let_through(job, push, values)]
    for name in running:
        assert set(jobs[name].get("requires", [])) <= set(running), name
    return running


def is_let_through(job: Mapping[str, Any], push: Push, values: Values) -> bool:
    """Tell whether the filters of a job let a push through.

    Without a filter for branches all of them pass, and without one for tags none of them.
    """
    filters = job.get("filters", {})
    if isinstance(filters, str):
        return holds(filters, values)
    if push.tag:
        return "tags" in filters and _passes(filters["tags"], push.tag)
    return _passes(filters.get("branches", {}), push.branch)


def _passes(allowed: Mapping[str, str], name: str) -> bool:
    if "only" in allowed:
        return _is_named(allowed["only"], name)
    return "ignore" not in allowed or not _is_named(allowed["ignore"], name)


def _is_named(pattern: str, name: str) -> bool:
    if pattern.startswith("/"):
        return re.fullmatch(pattern.strip("/"), name) is not None
    return pattern == name


def holds(expression: str, values: Values) -> bool:
    """Tell whether an expression is true; `not` binds most tightly, then `==`, then `and`."""
    tokens = TOKEN.findall(expression)
    assert "".join(tokens) == re.sub(r"\s", "", expression), expression
    value = _disjunction(tokens, values)
    assert not tokens and isinstance(value, bool), expression
    return value


def _disjunction(tokens: list[str], values: Values) -> str | bool:
    value = _conjunction(tokens, values)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        right = _conjunction(tokens, values)
        value = bool(value or right)
    return value


def _conjunction(tokens: list[str], values: Values) -> str | bool:
    value = _comparison(tokens, values)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        right = _comparison(tokens, values)
        value = bool(value and right)
    return value


def _comparison(tokens: list[str], values: Values) -> str | bool:
    left = _operand(tokens, values)
    if not tokens or tokens[0] not in ("==", "!=", "starts-with"):
        return left
    operator, right = tokens.pop(0), _operand(tokens, values)
    if operator == "starts-with":
        assert isinstance(left, str) and isinstance(right, str)
        return left.startswith(right)
    return (left == right) == (operator == "==")


def _operand(tokens: list[str], values: Values) -> str | bool:
    token = tokens.pop(0)
    if token == "not":
        return not _operand(tokens, values)
    if token == "(":
        value = _disjunction(tokens, values)
        assert tokens.pop(0) == ")"
        return value
    return token.strip('"') if token.startswith('"') else values[token]
