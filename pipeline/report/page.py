"""What a training run found, as one page of HTML that product managers can read.

The page needs nothing but itself: figures are inline, and its own security policy keeps it from
the network and from scripts. All numbers come from the metadata of the model, so that page and
artifact cannot disagree; the rows are only drawn.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.model.metadata import CandidateScore
from pipeline.orders.csv_rows import COLUMNS, REASON
from pipeline.report.facts import ReportFacts
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
    CROSSES_OF_A_PRODUCT,
    DOTS_OF_A_PRODUCT,
    error_figures,
    product_panels,
    typical_half_width,
)

__all__ = ["ReportFacts", "render_report"]

TEMPLATE = "template.html.j2"
MAX_TABLE_ROWS = 20
MAX_REJECTED_COLUMNS = 8
WORDS = (change, count, fine_hours, hours, listed, number, percent, short)


def render_report(facts: ReportFacts) -> str:
    """Return the report as HTML, the same for the same facts."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {word.__name__: word for word in WORDS}
    return environment.get_template(TEMPLATE).render(
        version=facts.version,
        metadata=facts.metadata,
        most_rows=MAX_TABLE_ROWS,
        most_dots=DOTS_OF_A_PRODUCT,
        most_crosses=CROSSES_OF_A_PRODUCT,
        has_champion=facts.champion_hours is not None,
        typical_half_width=typical_half_width(facts),
        best=min(facts.metadata.candidates, key=_error_of),
        panels=product_panels(facts),
        figures=error_figures(facts),
        **_rejected_table(facts.rejected),
    )


def _error_of(candidate: CandidateScore) -> float:
    return candidate.mean_absolute_error_hours


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
