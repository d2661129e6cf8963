"""Links of the documents to files outside docs/: a hook of MkDocs, which knows only what is inside.

With `repo_url` such a link leads to the file in the repository; without it, its words remain. A
link to a file that does not exist is left as it is, and MkDocs, being strict, ends with an error.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

CODE_OR_LINK = re.compile(
    r"^```.*?^```|`[^`\n]+`"
    r"|(?<!!)\[(?P<words>[^\]]*)\]\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Return the text of a page with its links to files outside docs/ replaced."""
    docs = Path(config.docs_dir)
    folder = (docs / page.file.src_uri).parent

    def replacement(found: re.Match[str]) -> str:
        if found["path"] is None:
            return found[0]
        target = Path(os.path.normpath(folder / found["path"]))
        beside = target.is_relative_to(docs.parent) and not target.is_relative_to(docs)
        if not beside or not target.exists():
            return found[0]
        if not config.repo_url:
            return found["words"]
        path = target.relative_to(docs.parent).as_posix()
        url = f"{config.repo_url.rstrip('/')}/blob/HEAD/{path}{found['anchor'] or ''}"
        return f"[{found['words']}]({url})"

    return CODE_OR_LINK.sub(replacement, markdown)
