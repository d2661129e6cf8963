"""What the campaign must be told about the cluster's surroundings, by environment variables."""

from collections.abc import Mapping
from typing import NamedTuple, Self

S3 = {
    "S3_ENDPOINT": "URL of S3, as pods and this machine reach it",
    "AWS_ACCESS_KEY_ID": "key of an account that may make buckets there",
    "AWS_SECRET_ACCESS_KEY": "its secret",
    "AWS_DEFAULT_REGION": "region of the bucket",
}
BODYWORK = S3 | {
    "IMAGE": "image of the pods on Docker Hub, user/name:tag",
    "GIT_URL": "https:// URL of the repository to deploy, as pods and this machine reach it",
}
"""What the campaign with Bodywork needs."""
PLAIN = S3 | {
    "TRAIN_IMAGE": "image of the target plain, name@sha256:…",
    "SERVE_IMAGE": "image of the target serve, name@sha256:…",
}
"""What the campaign without it needs."""
PROXIES = ("https_proxy", "no_proxy")


class SettingsMissing(Exception):
    """The campaign cannot begin."""


class CampaignSettings(NamedTuple):
    """Where everything is.

    Attributes:
        image: of all pods; without Bodywork, of the target plain.
        serve_image: of the target serve; empty with Bodywork.
        git_url: of the repository; empty without Bodywork.
        branch: of it.
        s3_endpoint: URL.
        credentials: for S3, by the names of their environment variables.
        proxies: by which HTTPS leaves this network, by the names of their environment variables.
    """

    image: str
    serve_image: str
    git_url: str
    branch: str
    s3_endpoint: str
    credentials: Mapping[str, str]
    proxies: Mapping[str, str]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], needed: Mapping[str, str]) -> Self:
        """Read them.

        Args:
            environment: where they are.
            needed: those without which the campaign cannot begin, and what they mean.

        Raises:
            SettingsMissing: some are not there; the message names them all.
        """
        missing = [f"{name} ({needed[name]})" for name in needed if not environment.get(name)]
        if missing:
            raise SettingsMissing("Set " + ", ".join(missing) + ". See deploy/campaign/README.md.")
        return cls(
            image=environment["IMAGE" if "IMAGE" in needed else "TRAIN_IMAGE"],
            serve_image=environment.get("SERVE_IMAGE", ""),
            git_url=environment.get("GIT_URL", ""),
            branch=environment.get("BRANCH") or "master",
            s3_endpoint=environment["S3_ENDPOINT"],
            credentials={name: environment[name] for name in S3 if name.startswith("AWS_")},
            proxies={name: environment[name] for name in PROXIES if environment.get(name)},
        )
