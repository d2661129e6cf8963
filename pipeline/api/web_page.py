"""The service's web pages, for people: an estimate with the model behind it, and the history.

Each is one file, into which is written what both have in common, and the fields of an order. It has
no data, and asks the service's own API for all that it shows.
"""

import json
from functools import cache
from pathlib import Path
from secrets import token_urlsafe

from fastapi import APIRouter, Response

from pipeline.api.browser_rules import hash_source, own_sources, page_headers
from pipeline.model.order import ORDERS, PRODUCT, Order
from pipeline.model.page_style import REPORT_SCRIPT, STYLE

FOLDER = Path(__file__).parent
_DECLARATION = {"product": PRODUCT, "orders": ORDERS, **Order.model_json_schema()}
PARTS = {
    "style": STYLE,
    "script": (FOLDER / "page.js").read_text(encoding="utf-8"),
    "key form": (FOLDER / "key_form.html").read_text(encoding="utf-8"),
    # Within a script element, nothing but JSON's own escapes is read.
    "order": json.dumps(_DECLARATION).replace("<", "\\u003c"),
}

router = APIRouter(include_in_schema=False)


def _whole(name: str) -> bytes:
    """Return a page with its parts, but without the nonce."""
    page = (FOLDER / name).read_text(encoding="utf-8")
    for part, content in PARTS.items():
        page = page.replace(f"{{{{ {part} }}}}", content)
    return page.encode()


WEB_PAGE = _whole("web_page.html")
HISTORY_PAGE = _whole("history_page.html")


@router.get("/")
async def web_page() -> Response:
    """Answer the page with the estimate."""
    return _answer(WEB_PAGE)


@router.get("/history")
async def history_page() -> Response:
    """Answer the page with the models by week."""
    return _answer(HISTORY_PAGE)


def _answer(page: bytes) -> Response:
    """Answer a page; its policy lets it run its own script, and talk to this service only.

    Its styles have a nonce, and it gives that to those of a report, which it opens as a blob where
    a key is needed: a blob inherits this policy, and the report may be older than this code. Of a
    report's scripts, it allows the one that this code knows.
    """
    nonce = token_urlsafe(16)
    headers = page_headers(
        f"script-src {_scripts_of(page)}",
        f"style-src 'nonce-{nonce}'",
        "connect-src 'self'",
        "img-src data:",
    )
    content = page.replace(b"{{ nonce }}", nonce.encode(), 1)
    return Response(
        content, media_type="text/html", headers={**headers, "Cache-Control": "no-cache"}
    )


@cache
def _scripts_of(page: bytes) -> str:
    """Return what a page may run: its own script, and that of a report that it opens."""
    return f"{own_sources(page, b'script')} {hash_source(REPORT_SCRIPT.encode())}"
