"""What is wrong with a CSV of orders as a whole: its header, its columns, its delimiter."""

import re

from pipeline.orders.csv_lines import CsvRow, csv_rows
from pipeline.orders.row_rules import COLUMNS, REQUIRED_COLUMNS
from pipeline.stages.errors import DatasetError


def names_of(header: CsvRow) -> list[str]:
    """Return the names of the columns, without the blanks around them."""
    return [name.strip() for name in header.fields]


def check_layout(content: bytes) -> None:
    """Raise a `DatasetError` with everything that is wrong with the file as a whole."""
    rows = csv_rows(content)
    header = next(rows, None)
    if header is None:
        raise DatasetError("it is empty")
    names = names_of(header)
    faults = [f"the column {name} is missing" for name in REQUIRED_COLUMNS if name not in names]
    if faults:
        faults.append(f"the header reads {','.join(names)[:200]!r}")
        if len(names) == 1 and re.search(r"[;|\t]", names[0]):
            faults.append("the delimiter should be a comma")
    faults += [f"the column {name} is there twice" for name in COLUMNS if names.count(name) > 1]
    if len(header.lines) > 1:
        faults.append("a quote in the header is not closed")
    if next(rows, None) is None:
        faults.append("there are no rows below the header")
    if faults:
        raise DatasetError(*faults)
