"""Git repositories that hold the project's working tree as it is."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.com")


def commit_working_tree(folder: Path) -> str:
    """Commit the project's working tree as it is to a new repository, and return the commit.

    Args:
        folder: of the repository, whose branch is `master`; made if it is not there.
    """
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return commit_all(folder)


def commit_all(folder: Path) -> str:
    """Commit what is in a folder to a new repository there, and return the commit."""
    git(folder, "init", "--quiet", "--initial-branch=master")
    git(folder, "add", "--all")
    git(folder, *IDENTITY, "commit", "--quiet", "--message=The working tree")
    return git(folder, "rev-parse", "HEAD").strip()


def git(folder: Path, *arguments: str) -> str:
    """Run Git in a folder, and return what it prints."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
