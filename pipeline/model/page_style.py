"""How pages look, and what reports do: `page.css` and `report.js` beside this.

Both stages need them. A report comes from the store, so the service lets it run this script alone.
"""

from pathlib import Path

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
REPORT_SCRIPT = Path(__file__).with_name("report.js").read_text(encoding="utf-8")
