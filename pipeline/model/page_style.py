"""How pages look, of the service and of a training alike: one style, in `page.css` beside this."""

from pathlib import Path

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
