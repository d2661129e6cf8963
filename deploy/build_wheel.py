"""`make package`: build the wheel of the last commit into `dist/`, with the same bytes everywhere.

What is built is a copy of what the commit holds: nothing that is uncommitted, nothing that an
earlier build left, and no permissions or times of this machine's files.
"""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
TIME_OF_ALL_FILES = "315532800"
"""1980-01-01, where the time of zip files begins: the wheel depends on what is in it alone."""


def main() -> int:
    """Build the wheel, the only one in `dist/` then, and return the exit code of the build."""
    for earlier in DIST.glob("*.whl"):
        earlier.unlink()
    if _git("status", "--porcelain", "--untracked-files=no"):
        print("Uncommitted changes are left out of the wheel.", file=sys.stderr)
    os.umask(0o022)  # the builder copies files, and the wheel keeps their permissions
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", "HEAD"))) as archive:
            archive.extractall(folder, filter="data")
        command = ["uv", "build", "--quiet", "--wheel", "--python", sys.executable]
        environment = os.environ | {"SOURCE_DATE_EPOCH": TIME_OF_ALL_FILES}
        command += ["--out-dir", str(DIST), folder]
        return subprocess.run(command, env=environment).returncode


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    sys.exit(main())
