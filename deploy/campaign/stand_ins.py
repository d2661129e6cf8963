"""What a cluster needs from outside, on this machine: S3, Git, and a word from Docker Hub.

`python -m deploy.campaign.stand_ins --address ADDRESS --registry URL --image IMAGE -- COMMAND` runs
a command with all of it, and tells it about it by environment variables: those of the campaign
(`GIT_URL`, `S3_ENDPOINT`, `IMAGE`) and those by which Git and Bodywork find and trust the rest. The
repository holds the working tree as it is. Pods reach all of it at the address.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer

from deploy.campaign.git_repositories import commit_working_tree, git
from deploy.campaign.hub_stand_in import DOCKER_HUB, Registry, https_server
from deploy.campaign.tunnel_proxy import tunnel_proxy

REPOSITORY = "time-to-dispatch.git"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def main(arguments: Sequence[str]) -> int:
    """Run a command beside the stand-ins, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.campaign.stand_ins")
    parser.add_argument("--address", required=True, help="of this machine, as pods reach it")
    parser.add_argument("--registry", required=True, help="URL of the registry of the images")
    parser.add_argument("--image", required=True, help="user/name:tag")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    with stand_ins(options.address, options.registry) as variables:
        environment = {**os.environ, **variables, "IMAGE": options.image}
        return subprocess.run(options.command, env=environment).returncode


@contextmanager
def stand_ins(address: str, registry: str) -> Iterator[Mapping[str, str]]:
    """Run all stand-ins, and yield the environment variables that tell of them.

    Args:
        address: of this machine, as pods reach it.
        registry: URL of the registry that is asked whether an image exists.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = make_certificate(folder, address)
        published = publish_working_tree(folder)
        server = https_server(address, certificate, published, Registry(registry))
        https = stack.enter_context(server)
        proxy = stack.enter_context(tunnel_proxy(address, {DOCKER_HUB: (address, https)}))
        s3 = ThreadedMotoServer(address, port=0, verbose=False)
        s3.start()
        stack.callback(s3.stop)
        yield {
            **CREDENTIALS,
            "S3_ENDPOINT": "http://{}:{}".format(*s3.get_host_and_port()),
            "GIT_URL": f"https://{address}:{https}/{REPOSITORY}",
            "GIT_SSL_CAINFO": str(certificate),
            "REQUESTS_CA_BUNDLE": str(certificate),
            "https_proxy": f"http://{address}:{proxy}",
            "no_proxy": f"localhost,127.0.0.1,{address}",
        }


def make_certificate(folder: Path, address: str) -> Path:
    """Make a key, and a certificate for an address and Docker Hub's name that trusts itself.

    Returns:
        The file of the certificate, in a folder of its own; the key is in `key.pem` in `folder`.
    """
    certificate = folder / "trusted" / "certificate.pem"
    certificate.parent.mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=stand-in of a test"]
    command += ["-addext", f"subjectAltName=IP:{address},DNS:{DOCKER_HUB}"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def publish_working_tree(folder: Path) -> Path:
    """Commit the working tree to a repository, and return a folder that any web server may show.

    Git clones from plain files too, if it finds lists of the branches and of the packs among them.
    Repacking makes those, and puts all objects into one file, since each is a request.
    """
    commit_working_tree(folder / "origin")
    published = folder / "published"
    published.mkdir()
    git(published, "clone", "--quiet", "--bare", str(folder / "origin"), REPOSITORY)
    git(published / REPOSITORY, "repack", "-a", "-d", "--quiet")
    return published


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
