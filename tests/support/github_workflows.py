"""The workflows of GitHub Actions, and what is read alike in both CI systems."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.support.helpers import ROOT

WORKFLOW_FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {
    # Without types: YAML would read the key `on` as a boolean.
    path.stem: yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    for path in WORKFLOW_FILES
}
GITHUB_JOBS = {
    f"{workflow}.{name}": job
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
}


def commands_of(job: Mapping[str, Any]) -> Iterator[str]:
    """Yield the commands of a job's steps."""
    for step in job["steps"]:
        if isinstance(step, dict) and "run" in step:
            yield step["run"]
