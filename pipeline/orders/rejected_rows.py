"""The bad rows of a week: counted, judged, and kept for people under `rejected/`."""

from collections import Counter

import pandas as pd

from pipeline.orders.file_kinds import REMEDY
from pipeline.orders.order_rows import NONE_REJECTED, concat_rejected
from pipeline.orders.row_rules import DECIMAL_COMMA, REASON
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import DatasetError, ObjectExists
from pipeline.stages.logs import LOG
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of

REJECTED = "rejected"
"""Rows that could not be used, as CSV, with the reason for each."""
MAX_KEPT_ROWS = 1_000_000
"""Bad rows beyond so many are only counted: they are no news to anybody, and fill memory."""


class RejectedRows:
    """The bad rows of a week; its length is their number.

    Attributes:
        reasons: how many rows have each fault.
    """

    def __init__(self, *chunks: pd.DataFrame) -> None:
        """Begin with the rows of chunks, see `OrderRows`."""
        self.reasons: Counter[str] = Counter()
        self._kept: list[pd.DataFrame] = []
        self._room = MAX_KEPT_ROWS
        for rows in chunks:
            self.add(rows)

    def __len__(self) -> int:
        """Return how many rows are bad, kept or not."""
        return self._count

    _count = 0

    def add(self, rows: pd.DataFrame) -> None:
        """Count the bad rows of a chunk, and keep them while there is room."""
        if rows.empty:
            return
        self._count += len(rows)
        self.reasons.update(fault for reason in rows[REASON] for fault in reason.split("; "))
        self._keep(rows)

    def merge(self, later: "RejectedRows") -> None:
        """Take the bad rows of later parts."""
        self._count += len(later)
        self.reasons.update(later.reasons)
        for rows in later._kept:
            self._keep(rows)

    def _keep(self, rows: pd.DataFrame) -> None:
        kept = rows.head(self._room)
        self._room -= len(kept)
        self._kept.append(kept)

    @property
    def rows(self) -> pd.DataFrame:
        """The first million of them: columns as text, and a column `reason`."""
        return concat_rejected(self._kept or [NONE_REJECTED])


def judge_rejected(
    rejected: RejectedRows,
    valid_rows: int,
    max_rejected_share: float,
    key: str,
    place: str,
    bad_rows_at: str | None,
) -> None:
    """Refuse a dataset with too many bad rows, and warn of fewer.

    Args:
        rejected: its bad rows.
        valid_rows: how many others it has.
        max_rejected_share: the largest share of bad rows that is allowed.
        key: of the dataset.
        place: where people find the dataset.
        bad_rows_at: where they find its bad rows, if those are kept.

    Raises:
        DatasetError: too many rows are bad.
    """
    if not len(rejected):
        return
    total = valid_rows + len(rejected)
    share = len(rejected) / total
    faults = ", ".join(f"{fault} ({count:,})" for fault, count in rejected.reasons.most_common())
    bad_rows = f"{len(rejected):,} of {total:,} rows ({share:.2%}) of {name_of(key)} are bad"
    if share > max_rejected_share:
        raise DatasetError(
            f"Refused: {bad_rows}, more than the limit of {max_rejected_share:.3g}.",
            f"Reasons: {faults}.",
            *([REMEDY] if DECIMAL_COMMA in faults else []),
            f"A larger {option_of('max_rejected_share')} sets them aside and trains on the others.",
            links={"Dataset": place} | ({"Bad rows": bad_rows_at} if bad_rows_at else {}),
            facts={
                "dataset": key,
                "rejected_share": share,
                "max_rejected_share": max_rejected_share,
            },
        )
    LOG.warning(
        f"{bad_rows} and are set aside{f' in {bad_rows_at}' if bad_rows_at else ''}: {faults}."
    )


def keep_rejected(store: ObjectStore, key: str, sha256: str, rejected: RejectedRows) -> str:
    """Write the bad rows, unless an earlier run on the same dataset did; return their key.

    A corrected dataset may come under the same name: then its own hash tells the two apart.

    Args:
        store: gets `rejected/<dataset name>.csv`.
        key: of the dataset.
        sha256: of the dataset.
        rejected: its bad rows.

    Raises:
        StoreError: the store cannot be written.
    """
    rows = rejected.rows
    if len(rows) < len(rejected):
        LOG.warning(f"Of {len(rejected):,} bad rows the first {len(rows):,} are kept.")
    content = rows.to_csv(index=False).encode()
    rejected_key = f"{REJECTED}/{name_of(key)}.csv"
    try:
        store.write_new(rejected_key, content)
    except ObjectExists:
        if store.read(rejected_key) == content:
            return rejected_key
        rejected_key = f"{REJECTED}/{name_of(key)}_{sha256[:16]}.csv"
        if rejected_key not in store.list_keys(REJECTED):
            store.write_new(rejected_key, content)
    return rejected_key
