"""The objects of `deploy/`, with the settings of the campaign's cluster: an overlay of its own.

Three things are other than in production: the weekly job never starts by itself, with Bodywork it
goes through the proxy, if there is one, and the service may also talk to the ports on which S3 and
Git are here.
"""

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


def deployed_objects(
    settings: CampaignSettings, client_namespace: str, folder: Path
) -> list[dict[str, Any]]:
    """Return all objects of `deploy/bodywork` but secrets, ready to be applied.

    Args:
        settings: of the campaign.
        client_namespace: whose pods may talk to the service.
        folder: empty; kustomize reads from it.
    """
    write_overlay("bodywork", settings, client_namespace, folder)
    found = yaml.safe_load_all(kubectl("kustomize", str(folder)))
    return [one for one in found if one["kind"] != "Secret"]


def write_overlay(
    way: str, settings: CampaignSettings, client_namespace: str, folder: Path
) -> None:
    """Write an overlay with settings like those of staging.

    Args:
        way: `bodywork` or `plain`.
        settings: of the campaign.
        client_namespace: whose pods may talk to the service.
        folder: where it is written.
    """
    staging = {"bodywork": "staging", "plain": "plain-staging"}[way]
    values = yaml.safe_load((ROOT / "deploy" / "overlays" / staging / "settings.yaml").read_text())
    values["data"]["ingressNamespace"] = client_namespace
    if way == "bodywork":
        values["data"]["image"] = settings.image
    names = (way, f"components/settings-{way}")
    base, component = (os.path.relpath(ROOT / "deploy" / name, folder.resolve()) for name in names)
    kustomization = {
        "resources": [base, "settings.yaml"],
        "components": [component],
        "patches": [
            _patch("CronJob", _changes_of_job(way, settings)),
            _patch("NetworkPolicy", [_more_ports(settings)]),
        ],
    }
    (folder / "settings.yaml").write_text(json.dumps(values))
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))


def environment_variables(values: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
    """Return environment variables as a container lists them."""
    return [{"name": name, "value": value} for name, value in values.items()]


def _changes_of_job(way: str, settings: CampaignSettings) -> list[Mapping[str, Any]]:
    changes: list[Mapping[str, Any]] = [{"op": "add", "path": "/spec/suspend", "value": True}]
    if way == "bodywork":
        place = "/spec/jobTemplate/spec/template/spec/containers/0/env/-"
        changes += [
            {"op": "add", "path": place, "value": one}
            for one in environment_variables(settings.proxies)
        ]
    return changes


def _more_ports(settings: CampaignSettings) -> Mapping[str, Any]:
    ports = {_port(url) for url in (settings.s3_endpoint, settings.git_url) if url}
    allowed = [{"protocol": "TCP", "port": port} for port in sorted(ports)]
    return {"op": "add", "path": "/spec/egress/-", "value": {"ports": allowed}}


def _patch(kind: str, changes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {"target": {"kind": kind}, "patch": json.dumps(changes)}


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
