"""The service's web page, for people who want to see an estimate and which model made it.

It is one file, into which the fields of an order are written, and asks the service's own API for
all else that it shows.
"""

import json
from pathlib import Path
from secrets import token_urlsafe

from fastapi import APIRouter, Response

from pipeline.api.browser_rules import own_sources, page_headers
from pipeline.model.order import ORDERS, PRODUCT, Order

_DECLARATION = {"product": PRODUCT, "orders": ORDERS, **Order.model_json_schema()}
# Within a script element, nothing but JSON's own escapes is read.
_JSON = json.dumps(_DECLARATION).replace("<", "\\u003c").encode()
PAGE = Path(__file__).with_name("web_page.html").read_bytes().replace(b"{{ order }}", _JSON)
SCRIPTS = own_sources(PAGE, b"script")

router = APIRouter(include_in_schema=False)


@router.get("/")
async def web_page() -> Response:
    """Answer the page; its policy lets it run its own script, and talk to this service only.

    Its styles have a nonce, and it gives that to those of the report, which it opens as a blob
    where a key is needed: a blob inherits this policy, and the report may be older than this code.
    """
    nonce = token_urlsafe(16)
    headers = page_headers(
        f"script-src {SCRIPTS}",
        f"style-src 'nonce-{nonce}'",
        "connect-src 'self'",
        "img-src data:",
    )
    page = PAGE.replace(b"{{ nonce }}", nonce.encode(), 1)
    return Response(page, media_type="text/html", headers={**headers, "Cache-Control": "no-cache"})
