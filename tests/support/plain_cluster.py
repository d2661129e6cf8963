"""`kubectl` for a cluster that is a file: it keeps what is applied, and does what it is told.

Run as a program in place of `kubectl`, with the state's file in PLAIN_CLUSTER. The real `kubectl`,
in REAL_KUBECTL, renders what is applied. Pods of an image with the digest BAD never become ready.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

BAD = "sha256:" + "b" * 64
STATE = Path(os.environ.get("PLAIN_CLUSTER", os.devnull))
REVISION = "deployment.kubernetes.io/revision"


def main(arguments: list[str]) -> int:
    """Do what kubectl would, and return its exit code."""
    state = json.loads(STATE.read_text())
    state["commands"].append(" ".join(arguments))
    words = [word for word in arguments if not word.startswith("-") and word != "time-to-dispatch"]
    answer = ANSWERS[words[0] if words[0] != "rollout" else words[1]]
    code, printed = answer(state, words, arguments)
    STATE.write_text(json.dumps(state))
    print(printed, file=sys.stderr if code else sys.stdout)
    return code


def _apply(state: Any, words: list[str], arguments: list[str]) -> tuple[int, str]:
    if state["refuses"]:
        return 1, "error: the server does not let you"
    rendering = [os.environ["REAL_KUBECTL"], "kustomize", words[-1]]
    text = subprocess.run(rendering, check=True, capture_output=True, text=True).stdout
    for item in yaml.safe_load_all(text):
        if item["kind"] == "Deployment":
            _write_deployment(state, item)
        elif item["kind"] == "CronJob":
            state["cronjob"] = item
        elif item["kind"] == "Service":
            item["spec"]["clusterIP"] = "127.0.0.1"
            state["service"] = item
    return 0, "applied"


def _write_deployment(state: Any, deployment: Any) -> None:
    revision = str(len(state["revisions"]) + 1)
    deployment["metadata"]["annotations"] = {REVISION: revision}
    state["revisions"][revision] = deployment
    state["deployment"] = deployment


def _get(state: Any, words: list[str], arguments: list[str]) -> tuple[int, str]:
    kind = words[1]
    if kind == "job":
        ended = [{"type": state["training"], "status": "True"}]
        return 0, json.dumps({"status": {"conditions": ended}})
    return 0, json.dumps(state[kind]) if state[kind] else ""


def _status(state: Any, words: list[str], arguments: list[str]) -> tuple[int, str]:
    (container,) = state["deployment"]["spec"]["template"]["spec"]["containers"]
    return (1, "error: timed out") if BAD in container["image"] else (0, "rolled out")


def _undo(state: Any, words: list[str], arguments: list[str]) -> tuple[int, str]:
    _write_deployment(state, state["revisions"][arguments[-1].split("=")[1]])
    return 0, "rolled back"


def _set(state: Any, words: list[str], arguments: list[str]) -> tuple[int, str]:
    pod = state["cronjob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = arguments[-1].split("=")[1]
    return 0, "image updated"


def _nothing(state: Any, words: list[str], arguments: list[str]) -> tuple[int, str]:
    return 0, "done"


ANSWERS = {
    "apply": _apply,
    "create": _nothing,
    "get": _get,
    "restart": _nothing,
    "set": _set,
    "status": _status,
    "undo": _undo,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
