"""The service's web page, for people who want to see an estimate and which model made it.

It is one file, into which the fields of an order are written, and asks the service's own API for
all else that it shows.
"""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Response

from pipeline.model.order import ORDERS, PRODUCT, Order

_DECLARATION = {"product": PRODUCT, "orders": ORDERS, **Order.model_json_schema()}
# Within a script element, nothing but JSON's own escapes is read.
_JSON = json.dumps(_DECLARATION).replace("<", "\\u003c").encode()
PAGE = Path(__file__).with_name("web_page.html").read_bytes().replace(b"{{ order }}", _JSON)

_SCRIPTS = re.findall(rb"<script>(.*?)</script>", PAGE, re.DOTALL)
_HASHES = " ".join(f"'sha256-{b64encode(sha256(text).digest()).decode()}'" for text in _SCRIPTS)
# Styles are not told by hash: where a key is needed, the page opens the report as a blob, which
# inherits this policy, and the report's figures are full of styles of their own.
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; connect-src 'self'; img-src data:; script-src {_HASHES}; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def web_page() -> Response:
    """Answer the page; its policy lets it run its own script, and talk to this service only."""
    return Response(PAGE, media_type="text/html", headers=HEADERS)
