"""The pictures of web page, report and history in docs/images: `make screenshots`.

They show a store of the sample weeks, with one that is refused, in a real Chromium.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
from playwright.sync_api import ViewportSize, sync_playwright

from pipeline.model.order import HOURS
from pipeline.train_model import main as train_model
from tests.support.helpers import running_service
from tools.live_reference import ROOT, SAMPLE_WEEKS

IMAGES = ROOT / "docs" / "images"
PICTURES = {"page": "/", "report": "/report", "history": "/history"}
"""The path of the service that each picture shows."""
SCREEN = ViewportSize(width=1000, height=760)
LARGEST = 150_000
"""Bytes of a picture, so that a clone stays small."""


def main() -> int:
    """Take all pictures, and return 0.

    Raises:
        SystemExit: A sample week was refused, or a picture is too large.
    """
    with tempfile.TemporaryDirectory() as store:
        _train_on_the_sample_weeks(Path(store))
        with running_service(store) as url:
            _take_pictures(url)
    return 0


def _train_on_the_sample_weeks(store: Path) -> None:
    """Train on one week after the other; the hours of the last are days at first."""
    (store / "datasets").mkdir()
    for week in SAMPLE_WEEKS:
        delivered = store / "datasets" / week.name
        if week == SAMPLE_WEEKS[-1]:
            orders = pd.read_csv(week)
            orders.assign(**{HOURS: orders[HOURS] / 24}).to_csv(delivered, index=False)
            train_model([str(store), "--log-level", "ERROR"])
        shutil.copy2(week, delivered)
        if train_model([str(store), "--log-level", "ERROR"]) != 0:
            raise SystemExit(f"{week.name} was refused; the line above says why.")


def _take_pictures(url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport=SCREEN, color_scheme="light")
        for name, path in PICTURES.items():
            page.goto(url + path, wait_until="networkidle")
            picture = page.screenshot()
            if len(picture) > LARGEST:
                raise SystemExit(f"The picture of {name} has {len(picture):,} bytes: show less.")
            (IMAGES / f"{name}.png").write_bytes(picture)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
