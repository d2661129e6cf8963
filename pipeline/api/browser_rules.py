"""What browsers may do with answers, as the answers' headers tell them.

No answer may be taken for something else than it says (nosniff). A page may run the scripts and use
the styles that it was made with, may load nothing that it was not made for, and stands in no frame:
https://www.w3.org/TR/CSP3/.
"""

from base64 import b64encode
from hashlib import sha256

NO_SNIFFING = (b"x-content-type-options", b"nosniff")
"""Of every answer, as ASGI has it."""


def page_headers(*rules: str) -> dict[str, str]:
    """Return the headers of a page, which may do nothing but what these rules of a policy say."""
    always = ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")
    policy = "; ".join(["default-src 'none'", *rules, *always])
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}


def hash_source(content: bytes) -> str:
    """Return what a policy calls a script or a style with this content."""
    return f"'sha256-{b64encode(sha256(content).digest()).decode()}'"


def own_sources(page: bytes, element: bytes) -> str:
    """Return what a policy calls all that stands in the elements `style` or `script` of a page.

    It takes time in proportion to the page, whatever is in it.
    """
    parts = page.split(b"<" + element)[1:]
    contents = {part.partition(b">")[2].partition(b"</" + element)[0] for part in parts}
    return " ".join(sorted(map(hash_source, contents)))
