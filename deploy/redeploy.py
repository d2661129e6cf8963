"""What the weekly job runs, in the image: deploy again what is deployed, for the model of the week.

URL, branch, commit and image are those of the service's Deployment, so that a roll-back lasts. The
exit code is 0 if all that was deployed again, and 1 if not. Then a webhook (TTD_ALERT_WEBHOOK) is
told why, unless the failure stage has told it.

It runs on Bodywork's Python, which has the client of Kubernetes.
"""

import json
import os
import sys
from typing import NamedTuple
from urllib.request import Request, urlopen

from kubernetes import client, config

from deploy.bodywork_run import DEPLOYMENT, NAMESPACE, DeployFailure, run_bodywork

WEBHOOK_SECONDS = 20.0


class Deployed(NamedTuple):
    """What is deployed.

    Attributes:
        git_url: of the repository.
        branch: of it.
        commit: hash of the commit.
        image: of the pods.
    """

    git_url: str
    branch: str
    commit: str
    image: str


def main() -> int:
    """Deploy, tell people if that fails, and return the exit code."""
    try:
        run_bodywork(*what_is_deployed())
    except DeployFailure as failure:
        text = f"The weekly deployment failed. {failure}"
        print(f"error: {text}", file=sys.stderr)
        if not failure.told:
            tell(f"time-to-dispatch: {text}")
        return 1
    return 0


def what_is_deployed() -> Deployed:
    """Return what Bodywork has deployed last.

    Raises:
        DeployFailure: nothing, or the cluster does not say.
    """
    try:
        config.load_config()
        found = client.AppsV1Api().read_namespaced_deployment(DEPLOYMENT, NAMESPACE)
        template = found.spec.template
        labels, (container, *_) = template.metadata.labels, template.spec.containers
        return Deployed(
            container.args[0], labels["git-branch"], labels["git-commit-hash"], container.image
        )
    except client.ApiException as error:
        raise DeployFailure(
            f"The cluster does not tell what is deployed: {error.status} {error.reason} for "
            f"Deployment {DEPLOYMENT} in namespace {NAMESPACE}. If there is none, make deploy."
        ) from error
    except Exception as error:  # the client has many kinds, for no cluster and no credentials
        raise DeployFailure(f"The cluster cannot be asked what is deployed: {error}") from error


def tell(text: str) -> None:
    """Post a text to the webhook, if there is one; nothing else can be done if that fails."""
    webhook = os.environ.get("TTD_ALERT_WEBHOOK", "none").strip()
    if webhook == "none":
        return
    body = json.dumps({"text": text}).encode()
    request = Request(webhook, body, {"content-type": "application/json"})  # noqa: S310
    try:
        urlopen(request, timeout=WEBHOOK_SECONDS).close()  # noqa: S310
    except (OSError, ValueError) as error:
        print(f"error: The webhook was not told: {type(error).__name__}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
