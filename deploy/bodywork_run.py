"""Let Bodywork deploy, and find out whether it did, and why not: its exit code is no help.

Needs nothing but Python, since the image has it as well, for the weekly job.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping

NAMESPACE = "time-to-dispatch"
DEPLOYMENT = "serve-model"
SUCCESS = "Deployment successful"
TOLD = "Completed k8s job for stage = notify-failure"
REASONS = (
    # What Kubernetes says of a request that it refuses is in the middle of Bodywork's lines.
    re.compile(r'"message":\s*("(?:[^"\\]|\\.)+")'),
    re.compile(r"Deployment failed --> (.+?)(?= \[\d\d/|$)"),
    re.compile(r"--> (.+?)(?= \[\d\d/|$)"),
)


class DeployFailure(Exception):
    """The pipeline was not deployed.

    Attributes:
        told: whether the failure stage has told people so.
    """

    def __init__(self, reason: str, told: bool = False) -> None:
        """Take over the reason, a line."""
        super().__init__(reason)
        self.told = told


def run_bodywork(
    git_url: str, branch: str, commit: str, image: str, settings: Mapping[str, str] | None = None
) -> None:
    """Let Bodywork deploy, and show what it says.

    Args:
        git_url: of the repository.
        branch: of it; always given, since the pods need it.
        commit: that is deployed, whatever the head of the branch is by then.
        image: of all stages.
        settings: more variables of its environment.

    Raises:
        DeployFailure: it does not say that it has deployed.
    """
    command = [os.environ.get("BODYWORK", "bodywork"), "create", "deployment", git_url]
    command += ["--branch", branch, "--bodywork-image", image]
    wanted = {"GIT_COMMIT_HASH": commit} | dict(settings or {})
    lines = []
    try:
        with subprocess.Popen(
            command,
            env=os.environ | wanted,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
    except OSError as error:
        raise DeployFailure(f"Bodywork could not be started: {error}") from error
    output = "".join(lines)
    if process.returncode != 0 or SUCCESS not in output:
        raise DeployFailure(
            f"Bodywork says: {reason_in(output) or f'nothing (exit code {process.returncode})'}",
            TOLD in output,
        )


def reason_in(output: str) -> str:
    """Return the line in which Bodywork's output tells why it failed, or an empty text."""
    # It breaks its lines where a terminal ends.
    joined = re.sub(r"\s*\n\s*", " ", output).strip()
    for pattern in REASONS:
        found = pattern.search(joined)
        if found:
            text = found[1].strip()
            return str(json.loads(text)) if pattern is REASONS[0] else text
    return ""
