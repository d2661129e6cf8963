"""The objects of `deploy/`, with the settings of the campaign's cluster."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from deploy.campaign.git_repositories import ROOT
from deploy.campaign.kubectl_commands import kubectl
from deploy.campaign.settings import CampaignSettings

CRON_JOB = "weekly-deployment"


def deployed_objects(
    settings: CampaignSettings, client_namespace: str, folder: Path
) -> list[dict[str, Any]]:
    """Return all objects of `deploy/bodywork` but secrets, ready to be applied.

    Three things are other than in production: the weekly deployment never starts by itself, it goes
    through the proxy, if there is one, and the service may also talk to the ports on which S3 and
    Git are here.

    Args:
        settings: of the campaign.
        client_namespace: whose pods may talk to the service.
        folder: empty; kustomize reads from it.
    """
    found = yaml.safe_load_all(rendered(settings, client_namespace, folder))
    objects = [one for one in found if one["kind"] != "Secret"]
    by_kind = {one["kind"]: one for one in objects}
    _adapt_cron_job(by_kind["CronJob"], settings)
    ports = [_port(settings.s3_endpoint), _port(settings.git_url)]
    by_kind["NetworkPolicy"]["spec"]["egress"].append(
        {"ports": [{"protocol": "TCP", "port": port} for port in sorted(set(ports))]}
    )
    return objects


def rendered(settings: CampaignSettings, client_namespace: str, folder: Path) -> str:
    """Return what kustomize makes of `deploy/bodywork` with settings like those of an overlay."""
    staging = ROOT / "deploy" / "overlays" / "staging" / "settings.yaml"
    values = yaml.safe_load(staging.read_text())
    values["data"] |= {
        "image": settings.image,
        "ingressNamespace": client_namespace,
    }
    base, component = (
        _relative(folder, name) for name in ("bodywork", "components/settings-bodywork")
    )
    kustomization = {"resources": [base, "settings.yaml"], "components": [component]}
    (folder / "settings.yaml").write_text(json.dumps(values))
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))
    return kubectl("kustomize", str(folder))


def _adapt_cron_job(cron_job: dict[str, Any], settings: CampaignSettings) -> None:
    cron_job["spec"]["suspend"] = True
    (container,) = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["env"] += environment_variables(settings.proxies)


def environment_variables(values: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
    """Return environment variables as a container lists them."""
    return [{"name": name, "value": value} for name, value in values.items()]


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _relative(folder: Path, name: str) -> str:
    """Return the path of a folder in `deploy/` from another folder: kustomize takes no absolute."""
    return os.path.relpath(ROOT / "deploy" / name, folder.resolve())
