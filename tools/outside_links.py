"""The documents for the site, in build/docs: those of docs/, with their links out of it replaced.

With `REPOSITORY_URL` in the environment such a link leads to the file in the repository; without
it, its words remain. Links inside docs/ are for Zensical to check, which builds the site.
"""

import os
import re
import shutil
import sys
from pathlib import Path

CODE_OR_LINK = re.compile(
    r"^```.*?^```|`[^`\n]+`"
    r"|(?<!!)\[(?P<words>[^\]]*)\]\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)
DOCS = Path("docs")
SITE_DOCS = Path("build/docs")


def main() -> int:
    """Write the documents for the site, and return 0, or 1 after telling of every dead link."""
    shutil.rmtree(SITE_DOCS, ignore_errors=True)
    shutil.copytree(DOCS, SITE_DOCS)
    dead: list[str] = []
    for page in sorted(DOCS.rglob("*.md")):
        text, dead_here = for_the_site(page, os.environ.get("REPOSITORY_URL", ""))
        (SITE_DOCS / page.relative_to(DOCS)).write_text(text, encoding="utf-8")
        dead += [
            f"{page} links to '{path}', which the project does not have." for path in dead_here
        ]
    print("".join(f"{line}\n" for line in dead), file=sys.stderr, end="")
    return 1 if dead else 0


def for_the_site(page: Path, repository: str) -> tuple[str, list[str]]:
    """Return a page with its links to files outside docs/ replaced, and the dead ones of these."""
    dead = []

    def replacement(found: re.Match[str]) -> str:
        if found["path"] is None:
            return found[0]
        target = Path(os.path.normpath(page.parent / found["path"]))
        if target.is_relative_to(DOCS):
            return found[0]
        if target.is_absolute() or ".." in target.parts or not target.exists():
            dead.append(found["path"])
        if not repository:
            return found["words"]
        url = f"{repository.rstrip('/')}/blob/HEAD/{target.as_posix()}{found['anchor'] or ''}"
        return f"[{found['words']}]({url})"

    return CODE_OR_LINK.sub(replacement, page.read_text(encoding="utf-8")), dead


if __name__ == "__main__":
    sys.exit(main())
