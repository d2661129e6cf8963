"""What a training run found, as one page of HTML that product managers can read.

The page needs nothing but itself: figures are inline, and its own security policy keeps it from
the network, and from scripts but its own. All numbers come from the metadata of the model, so that
page and artifact cannot disagree; the rows are only drawn.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pipeline.model.metadata import ModelMetadata
from pipeline.model.page_style import REPORT_SCRIPT, STYLE
from pipeline.model.reader import DispatchModel
from pipeline.orders.row_rules import COLUMNS, REASON
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.release.champion import champion_on_grid, ratios_to
from pipeline.report.changes import changes_in_words
from pipeline.report.formatting import (
    change,
    count,
    fine_hours,
    hours,
    listed,
    number,
    percent,
    short,
)
from pipeline.report.panels import (
    MAX_CROSSES_OF_PRODUCT,
    MAX_DOTS_OF_PRODUCT,
    error_figures,
    errors_of_products,
    product_panels,
    typical_reach,
)
from pipeline.report.product_table import as_data, list_products
from pipeline.report.several_weeks import several_weeks_in_words
from pipeline.report.words import WORDS
from pipeline.training.fitting import TrainedModel

TEMPLATE = "template.html.j2"
MAX_TABLE_ROWS = 20
MAX_REJECTED_COLUMNS = 8
FILTERS = (
    as_data,
    change,
    changes_in_words,
    count,
    fine_hours,
    hours,
    listed,
    number,
    percent,
    several_weeks_in_words,
    short,
)


def render_report(
    version: str,
    metadata: ModelMetadata,
    dataset: WeeklyDataset,
    model: TrainedModel,
    champion: DispatchModel | None,
) -> str:
    """Return the report as HTML, the same for the same facts.

    Args:
        version: name of the model, such as `time_to_dispatch_2026-…_<hash>`.
        metadata: of the model, with the verdict on it.
        dataset: what the model was trained on.
        model: the model.
        champion: the model that was in production then, or None without one to compare with.
    """
    champion_hours = ratios = None
    if champion:
        champion_hours = champion_on_grid(champion, model.grid)
        ratios = ratios_to(champion_hours, champion, model.grid)
    errors = errors_of_products(model.test)
    return _template().render(
        version=version,
        metadata=metadata,
        max_rows=MAX_TABLE_ROWS,
        max_dots=MAX_DOTS_OF_PRODUCT,
        max_crosses=MAX_CROSSES_OF_PRODUCT,
        page_style=STYLE,
        script=REPORT_SCRIPT,
        words=WORDS,
        products=list_products(metadata, errors, model.grid, ratios),
        has_champion=champion is not None,
        typical_reach=typical_reach(metadata, model.test),
        panels=product_panels(metadata, dataset.orders, model, errors, champion_hours),
        figures=error_figures(model.test),
        **_rejected_table(dataset.rejected.rows),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {word.__name__: word for word in (*FILTERS, sha256_source)}
    return environment.get_template(TEMPLATE)


def _rejected_table(rejected: pd.DataFrame) -> dict[str, Any]:
    """Return the first bad rows as the page shows them: the reason, our columns, some others."""
    others = [name for name in rejected.columns if name not in (*COLUMNS, REASON)]
    columns = [REASON, *COLUMNS, *others][:MAX_REJECTED_COLUMNS]
    shown = rejected.head(MAX_TABLE_ROWS).reindex(columns=columns)
    return {
        "rejected_columns": columns,
        "rejected_rows": shown.to_numpy(dtype=object).tolist(),
        "hidden_columns": len(rejected.columns) - len(columns),
    }


def sha256_source(style: str) -> str:
    """Return what the page's policy calls its style or script, without quotes."""
    return f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}"
