"""Deploy without Bodywork, make sure that the service is well, and go back if it is not.

`python -m deploy.deploy_plain OVERLAY --train-image NAME@sha256:… --serve-image NAME@sha256:…
--url URL [--commit COMMIT]` ends with exit code 0 if the service of that image answers at the URL,
1 if not, and 2 after wrong arguments. After a failure the pods and the weekly training have the
images that they had before. Where nothing was deployed before, it trains first.

Images are named by digest, so that what runs is what was named. `kubectl` is found on PATH.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

from deploy import smoke_test
from deploy.bodywork_run import DEPLOYMENT, NAMESPACE, DeployFailure
from deploy.deploy_pipeline import output_of

OVERLAYS = Path(__file__).resolve().parent / "overlays"
CRON_JOB = "weekly-training"
TRAINER = "train-model"
ROLLOUT_SECONDS = 240
TRAINING_SECONDS = 1_800.0
REVISION = "deployment.kubernetes.io/revision"


class Image(NamedTuple):
    """An image by its digest.

    Attributes:
        name: with the registry, if it is not Docker Hub.
        digest: `sha256:` and 64 digits.
    """

    name: str
    digest: str

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the image that NAME@sha256:DIGITS means."""
        parts = re.fullmatch(r"([a-z0-9][\w.:/-]*)@(sha256:[0-9a-f]{64})", text)
        if parts is None:
            raise argparse.ArgumentTypeError(
                f"{text!r} should be NAME@sha256:… with 64 digits, as the registry tells"
            )
        return cls(*parts.groups())


class Running(NamedTuple):
    """What was deployed before.

    Attributes:
        replicas: that the autoscaler has set.
        revision: of the Deployment, to which it can go back.
        trainer: image of the weekly training; None if there is none.
    """

    replicas: int
    revision: str
    trainer: str | None


def main(arguments: Sequence[str] = ()) -> int:
    """Deploy, and return the exit code.

    Args:
        arguments: of the command line; wrong ones end the process with exit code 2.
    """
    options = _parser().parse_args(arguments)
    check = partial(check_service, options.url, options.commit, options.wait_seconds)
    try:
        deploy(OVERLAYS / options.overlay, options.train_image, options.serve_image, check)
    except DeployFailure:
        return 1
    return 0


def deploy(
    overlay: Path, train_image: Image, serve_image: Image, check: Callable[[], None]
) -> None:
    """Deploy, train first where nothing was deployed, and go back after a failure.

    Args:
        overlay: folder of the objects, for kustomize.
        train_image: of the weekly training.
        serve_image: of the service.
        check: raises a DeployFailure if the service does not answer as it should.

    Raises:
        DeployFailure: the service is not well; people have been told why.
    """
    before = None
    try:
        before = running()
        apply(overlay, train_image, serve_image, before)
        if before is None:
            train()
        wait_for_rollout()
        check()
    except DeployFailure as failure:
        print(f"{serve_image.name} was not deployed: {failure}", file=sys.stderr)
        go_back(before)
        raise


def running() -> Running | None:
    """Return what is deployed, or None if there is no Deployment.

    Raises:
        DeployFailure: the cluster does not say.
    """
    deployment, job = _found("deployment", DEPLOYMENT), _found("cronjob", CRON_JOB)
    if deployment is None:
        return None
    template = job and job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return Running(
        deployment["spec"]["replicas"],
        deployment["metadata"].get("annotations", {}).get(REVISION, ""),
        template["containers"][0]["image"] if template else None,
    )


def apply(overlay: Path, train_image: Image, serve_image: Image, before: Running | None) -> None:
    """Apply the objects of an overlay with these images, and with the replicas of before.

    Raises:
        DeployFailure: the cluster refuses an object.
    """
    with TemporaryDirectory() as folder:
        kustomization: dict[str, Any] = {
            # kustomize takes no absolute path.
            "resources": [os.path.relpath(overlay.resolve(), Path(folder).resolve())],
            "images": [
                {"name": f"time-to-dispatch/{use}", "newName": image.name, "digest": image.digest}
                for use, image in (("train", train_image), ("serve", serve_image))
            ],
        }
        if before is not None:
            kustomization["replicas"] = [{"name": DEPLOYMENT, "count": before.replicas}]
        (Path(folder) / "kustomization.yaml").write_text(json.dumps(kustomization))
        print(output_of("kubectl", "apply", "--kustomize", folder))


def train() -> None:
    """Run the weekly training once, and start the pods anew, which have waited for a model.

    Raises:
        DeployFailure: it failed, or did not end in time.
    """
    name = f"first-training-{time.time_ns():x}"
    print(_kubectl("create", "job", name, f"--from=cronjob/{CRON_JOB}"))
    deadline = time.monotonic() + TRAINING_SECONDS
    while (ended := _condition(name)) is None and time.monotonic() < deadline:
        time.sleep(1)
    if ended != "Complete":
        raise DeployFailure(
            f"the first training has not ended well; `kubectl --namespace {NAMESPACE} logs "
            f"job/{name}` says why"
        )
    _kubectl("rollout", "restart", f"deployment/{DEPLOYMENT}")


def wait_for_rollout() -> None:
    """Return when all pods are of the newest revision, and ready.

    Raises:
        DeployFailure: they are not in time.
    """
    limit = f"--timeout={ROLLOUT_SECONDS}s"
    print(_kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", limit))


def check_service(url: str, commit: str | None, wait_seconds: float) -> None:
    """Ask the service for a prediction, as a client does.

    Args:
        url: where it is.
        commit: that it should come from, if that is known.
        wait_seconds: for the right answer.

    Raises:
        DeployFailure: the answer is not as it should be.
    """
    arguments = [url, f"--wait-seconds={wait_seconds}"]
    if smoke_test.main([*arguments, *(["--commit", commit] if commit else [])]) != 0:
        raise DeployFailure("the pods are ready, but the smoke test failed; see the line above")


def go_back(before: Running | None) -> None:
    """Give pods and weekly training what they had before, and tell how that went.

    Args:
        before: what was deployed; None if there was nothing.
    """
    if before is None:
        print("Nothing was deployed before, so there is nothing to go back to.", file=sys.stderr)
        return
    try:
        now = running()
        if now is None or now.revision != before.revision:
            revision = f"--to-revision={before.revision}"
            _kubectl("rollout", "undo", f"deployment/{DEPLOYMENT}", revision)
            wait_for_rollout()
        if before.trainer is not None:
            _kubectl("set", "image", f"cronjob/{CRON_JOB}", f"{TRAINER}={before.trainer}")
    except DeployFailure as failure:
        print(f"Going back failed as well: {failure}", file=sys.stderr)
    else:
        print(f"Revision {before.revision}, which ran before, runs again.", file=sys.stderr)


def _condition(job: str) -> str | None:
    """Return how a job has ended, or None."""
    found = _found("job", job) or {}
    ended = [
        one["type"] for one in found.get("status", {}).get("conditions", []) if _is_end_of_job(one)
    ]
    return ended[0] if ended else None


def _is_end_of_job(condition: Any) -> bool:
    return condition["type"] in ("Complete", "Failed") and condition["status"] == "True"


def _found(kind: str, name: str) -> Any | None:
    text = _kubectl("get", kind, name, "--ignore-not-found", "--output=json")
    return json.loads(text) if text else None


def _kubectl(*arguments: str) -> str:
    return output_of("kubectl", "--namespace", NAMESPACE, *arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.deploy_plain",
        description="Deploy images without Bodywork to the cluster of the current kubeconfig.",
    )
    parser.add_argument("overlay", choices=sorted(path.name for path in OVERLAYS.glob("plain-*")))
    for name, target in (("--train-image", "plain"), ("--serve-image", "serve")):
        parser.add_argument(
            name, required=True, type=Image.parsed, help=f"of the target {target}: NAME@sha256:…"
        )
    parser.add_argument(
        "--url", required=True, type=smoke_test.url_argument, help="where the service is"
    )
    parser.add_argument(
        "--commit", type=smoke_test.commit_argument, help="that it should come from"
    )
    parser.add_argument(
        "--wait-seconds", type=float, default=60.0, help="for the right answer (default 60)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
