"""`make publish` and `make publish-model`: upload the wheel in `dist/` to a private package index.

A version is published once. The same bytes again are no error, so that a job may be run again.
Other bytes under the same version are refused, also where the index would let them through.
"""

import html
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

DIST = Path(__file__).resolve().parents[1] / "dist"
PUBLIC_HOSTS = r"(.+\.)?pypi\.org|pypi\.python\.org"
PATIENCE_SECONDS = 60.0


class UsageError(Exception):
    """The index is not named, or not one that the wheel may go to; the text says what to set."""


class PublishError(Exception):
    """The wheel cannot be published; the text says why, and what to do."""


def main() -> int:
    """Publish the wheel, and return the exit code: 0 it is there, 1 refused or failed, 2 usage."""
    try:
        index_url = _index_url()
        wheel = _wheel()
        published = _published(wheel.name, index_url)
        if published == [wheel.read_bytes()]:
            print(f"The index has this {wheel.name} already, so there is nothing to do.")
            return 0
        if published:
            raise PublishError(
                f"{index_url} has another {wheel.name} than the one built now. A version is "
                "published once: raise it in the file VERSION; of a model, train anew."
            )
    except (UsageError, PublishError) as error:
        print(f"make publish: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    command = [sys.executable, "-m", "twine", "upload", "--non-interactive"]
    command += ["--disable-progress-bar", "--repository-url", index_url, str(wheel)]
    return subprocess.run(command).returncode


def _index_url() -> str:
    """Return the URL that packages are uploaded to, with a slash at its end."""
    index_url = os.environ.get("INDEX_URL", "").strip()
    parts = urlsplit(index_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            "INDEX_URL should be where your private package index takes uploads, as in "
            "make publish INDEX_URL=https://packages.example.com/. TWINE_USERNAME and "
            "TWINE_PASSWORD in the environment are the credentials for it."
        )
    if parts.username or parts.password:
        raise UsageError(
            "INDEX_URL has credentials in it, which logs would show: put them into "
            "TWINE_USERNAME and TWINE_PASSWORD."
        )
    if re.fullmatch(PUBLIC_HOSTS, parts.hostname):
        raise UsageError(f"{parts.hostname} is public and the package is not: name another index.")
    return index_url.rstrip("/") + "/"


def _wheel() -> Path:
    wheels = sorted(DIST.glob("*.whl"))
    if len(wheels) != 1:
        raise PublishError(f"There are {len(wheels)} wheels in {DIST}, not one: run make package.")
    return wheels[0]


def _published(name: str, index_url: str) -> list[bytes]:
    """Return the contents of the files that an index lists under the name of a wheel."""
    project = name.split("-")[0].replace("_", "-")
    page_url = urljoin(index_url, f"simple/{project}/")
    page = _get(page_url, index_url)
    if page.status_code == 404 or not _same_host(page.url, index_url):
        return []  # some indexes refer to PyPI for what they do not have
    links = re.findall(r"""href=["']([^"'#]+)""", _checked(page).text)
    urls = [urljoin(page.url, html.unescape(link)) for link in links]
    files = [url for url in urls if urlsplit(url).path.endswith(f"/{name}")]
    return [_checked(_get(file, index_url)).content for file in files]


def _get(url: str, index_url: str) -> requests.Response:
    """Return the answer to a GET. Credentials go to the host of the index and to no other."""
    credentials = os.environ.get("TWINE_USERNAME", ""), os.environ.get("TWINE_PASSWORD", "")
    auth = credentials if all(credentials) and _same_host(url, index_url) else None
    try:
        return requests.get(url, auth=auth, timeout=PATIENCE_SECONDS)
    except requests.RequestException as error:
        raise PublishError(f"{url} cannot be asked what is published: {error}.") from error


def _same_host(url: str, index_url: str) -> bool:
    return urlsplit(url).netloc == urlsplit(index_url).netloc


def _checked(answer: requests.Response) -> requests.Response:
    """Return an answer, if it is a good one."""
    if not answer.ok:
        raise PublishError(
            f"{answer.url} cannot be asked what is published: it answers {answer.status_code} "
            f"{answer.reason}. Check INDEX_URL, TWINE_USERNAME and TWINE_PASSWORD."
        )
    return answer


if __name__ == "__main__":
    sys.exit(main())
