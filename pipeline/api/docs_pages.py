"""The page `/docs`, which shows the OpenAPI schema to people, and lets them try the API out.

FastAPI's own page loads what it needs from the networks of others; this has it beside it, in the
files of the package fastapi-offline, so that it works without the Internet and runs nothing that
was not pinned. Addresses in it are relative, since a proxy may put a prefix before all.
"""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse

from pipeline.api.browser_rules import own_sources, page_headers

TITLE = "Time to dispatch"
FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
"""What the page needs, by its media type."""


def _folder() -> Path:
    """Return where the files are, without importing the package, which changes FastAPI's page."""
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise ImportError("There is no fastapi-offline: install requirements_pipe.txt.")
    return Path(found.origin).parent / "static"


FOLDER = _folder()
PAGE = bytes(
    get_swagger_ui_html(
        openapi_url="openapi.json",
        title=TITLE,
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon.png",
    ).body
)
HEADERS = page_headers(
    f"script-src 'self' {own_sources(PAGE, b'script')}",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def get_docs() -> Response:
    """Answer the page."""
    return Response(PAGE, media_type="text/html", headers=HEADERS)


@router.get("/docs/{name}")
async def get_file(name: str) -> Response:
    """Answer a file that the page needs."""
    if name not in FILES:
        raise HTTPException(404, f"The page /docs has no file {name!r}.")
    return FileResponse(FOLDER / name, media_type=FILES[name])
