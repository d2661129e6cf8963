"""Deploy a branch with Bodywork, and make sure that it was deployed.

`python -m deploy.deploy_pipeline GIT_URL --branch BRANCH [--commit HASH] [--image USER/NAME:TAG]`
ends with exit code 0 if the service of that commit runs now, 1 if not, and 2 after wrong arguments.
Bodywork's own exit code does not say so much: it is 0 too when the cluster lets nobody in. Bodywork
clones with the hook and the helper of `docker/git`, as it does in the image: so it deploys the
commit that it is told, with a password for Git from GIT_USERNAME and GIT_TOKEN.

`kubectl` and `git` are found on PATH, and Bodywork where the environment variable BODYWORK says.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deploy.bodywork_run import DEPLOYMENT, NAMESPACE, DeployFailure, run_bodywork

KUBECTL_SECONDS = "30s"
ROOT = Path(__file__).resolve().parents[1]


class Rollout(NamedTuple):
    """The state of the service's Deployment.

    Attributes:
        commit: short hash of the commit that it runs.
        updated: when Bodywork wrote it; a new value with each deployment.
    """

    commit: str
    updated: str


def main(arguments: Sequence[str] = ()) -> int:
    """Deploy, and return the exit code.

    Args:
        arguments: of the command line; wrong ones end the process with exit code 2.
    """
    options = _parser().parse_args(arguments)
    try:
        commit = options.commit or commit_of(options.git_url, options.branch)
        before = current_rollout()
        image = options.image or image_of_version()
        run_bodywork(options.git_url, options.branch, commit, image, git_settings())
        check_rollout(before, current_rollout(), commit)
    except DeployFailure as failure:
        print(f"{options.git_url} was not deployed: {failure}", file=sys.stderr)
        return 1
    print(f"Commit {commit} of {options.git_url} is deployed.")
    return 0


def commit_of(git_url: str, branch: str) -> str:
    """Return the newest commit of a branch.

    Raises:
        DeployFailure: the repository cannot be read, or has no such branch.
    """
    listing = output_of("git", "ls-remote", git_url, f"refs/heads/{branch}")
    if not listing:
        raise DeployFailure(f"there is no branch {branch!r}; name another one with --branch")
    return listing.split()[0]


def current_rollout() -> Rollout | None:
    """Return the state of the service's Deployment, or None if there is none.

    Raises:
        DeployFailure: the cluster does not say.
    """
    command = ["kubectl", f"--request-timeout={KUBECTL_SECONDS}", "--namespace", NAMESPACE, "get"]
    text = output_of(*command, "deployment", DEPLOYMENT, "--ignore-not-found", "--output=json")
    if not text:
        return None
    template: Any = json.loads(text)["spec"]["template"]["metadata"]
    return Rollout(
        template.get("labels", {}).get("git-commit-hash", ""),
        template.get("annotations", {}).get("last-updated", ""),
    )


def git_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that give Git the settings it has in the image.

    Args:
        environment: whose own settings for Git remain.
    """
    own = ROOT / "docker" / "git"
    settings = {
        "core.hooksPath": str(own),
        "credential.helper": str(own / "credential"),
        "core.abbrev": "40",  # Bodywork names the commit by its whole hash
    }
    first = int(environment.get("GIT_CONFIG_COUNT", "0"))
    variables = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (name, value) in enumerate(settings.items(), first):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def image_of_version() -> str:
    """Return the image that `bodywork.yaml` names, with the tag of this version."""
    config = (ROOT / "bodywork.yaml").read_text()
    (name,) = re.findall(r"^ *docker_image: ([^:\s]+)", config, re.MULTILINE)
    return f"{name}:{(ROOT / 'VERSION').read_text().strip()}"


def check_rollout(before: Rollout | None, after: Rollout | None, commit: str) -> None:
    """Compare the Deployment before with that after.

    Raises:
        DeployFailure: nothing was deployed, or another commit.
    """
    if after is None or (before is not None and before.updated == after.updated):
        raise DeployFailure(
            f"Deployment {DEPLOYMENT} in namespace {NAMESPACE} is as it was before; the lines "
            "above say why (Bodywork ends with exit code 0 when the cluster refuses it)"
        )
    if not after.commit or not commit.startswith(after.commit):
        raise DeployFailure(
            f"commit {after.commit or 'unknown'} was deployed instead of {commit}; the branch has "
            "moved meanwhile, or somebody else has deployed"
        )


def output_of(*command: str) -> str:
    """Return what a command prints.

    Raises:
        DeployFailure: it failed, or cannot be started.
    """
    try:
        done = subprocess.run(
            command,
            check=True,
            env=os.environ | git_settings() | {"GIT_TERMINAL_PROMPT": "0"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        raise DeployFailure(f"`{' '.join(command)}` failed: {error.stderr.strip()}") from error
    except OSError as error:
        raise DeployFailure(f"{command[0]} could not be started: {error}") from error
    return done.stdout.strip()


def _shown(text: str) -> str:
    """Return a text without the password or token that a URL in it may have."""
    return re.sub(r"(?<=//)[^/\s]+(?=@)", "…", text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.deploy_pipeline",
        description="Deploy a branch with Bodywork to the cluster of the current kubeconfig.",
    )
    parser.add_argument("git_url", type=_git_url, help="https:// or file:// URL of the repository")
    parser.add_argument("--branch", default="master", type=_branch, help="of it (default master)")
    parser.add_argument("--commit", type=_commit, help="of the branch (default: its newest)")
    parser.add_argument(
        "--image", type=_image, help="user/name:tag on Docker Hub (default: that of VERSION)"
    )
    return parser


def _git_url(text: str) -> str:
    if not re.match("(https|file)://.", text):
        raise argparse.ArgumentTypeError(f"{_shown(text)!r} should begin with https://")
    if _shown(text) != text:
        raise argparse.ArgumentTypeError(
            f"{_shown(text)!r} holds a password, which all logs would show: put it into GIT_TOKEN, "
            "and into the secret 'git' of the cluster"
        )
    return text


def _commit(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{40}", text):
        raise argparse.ArgumentTypeError(f"{text!r} should be the whole hash of a commit")
    return text


def _branch(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} should be letters, digits, dots and dashes: Bodywork makes a label of it"
        )
    return text


def _image(text: str) -> str:
    if not re.fullmatch(r"[^/:@\s]+/[^/:@\s]+:[^/:@\s]+", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} should be user/name:tag; Bodywork takes images from Docker Hub only"
        )
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
