"""A delivered week -> its valid rows, the parts of a folder read by workers if there are some."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.orders.deliveries import Delivery
from pipeline.orders.findings import Findings
from pipeline.orders.parts import Part
from pipeline.orders.scanned_rows import ScannedRows
from pipeline.orders.scratch import ScratchFolder
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.week_rows import MAX_SAMPLE_ROWS, WeekRows, gather_rows
from pipeline.stages.logs import LOG
from pipeline.stages.progress import counted
from pipeline.stages.workers import HERE, Workers
from pipeline.stores.base import open_store


class PartsJob(NamedTuple):
    """What there is to know for reading parts of a week.

    Attributes:
        store: its URL.
        delivery: what the dataset is called.
        key: where it is in the store.
        folder: for the files of the rows.
        max_sample_rows: see `RowSample`.
    """

    store: str
    delivery: Delivery
    key: str
    folder: Path
    max_sample_rows: int


class PartJob(NamedTuple):
    """A part to read.

    Attributes:
        part: which.
        halvings: how often the sample of the parts before it was halved, which saves rows of its
            own sample that would be left out in the end.
    """

    part: Part
    halvings: int


def read_rows(
    reader: WeekReader, workers: Workers = HERE, max_sample_rows: int = MAX_SAMPLE_ROWS
) -> WeekRows:
    """Read all rows of a week; what `reader` says of it afterwards is the same in every way.

    Args:
        reader: of the week.
        workers: read the parts of a folder.
        max_sample_rows: a week with more rows goes into files.

    Raises:
        DatasetError: see `WeekReader.chunks`.
        StoreError: the store cannot be read.
        WorkersError: the workers are lost.
    """
    parts = reader.parts()
    if len(parts) == 1 or not workers.are_apart:
        return gather_rows(reader.chunks(parts), workers.scratch, max_sample_rows)
    LOG.info(f"Reading {len(parts):,} parts {workers.place}.")
    return _read_apart(reader, parts, workers, max_sample_rows)


def _read_apart(
    reader: WeekReader, parts: Sequence[Part], workers: Workers, max_sample_rows: int
) -> WeekRows:
    folder, scanned = ScratchFolder(workers.scratch), ScannedRows(max_sample_rows)
    job = PartsJob(*reader.place, folder.path, max_sample_rows)

    def to_read() -> Iterator[PartJob]:
        for part in parts:
            yield PartJob(part, scanned.sample.halvings)

    read = counted(workers.map(partial(read_part, job), to_read()), len(parts), "parts")
    for part, (rows, found) in zip(parts, read):
        reader.take(part, found)
        scanned.merge(rows)
    reader.finish()
    return WeekRows.in_files(scanned, folder)


def read_part(job: PartsJob, one: PartJob) -> tuple[ScannedRows, Findings]:
    """Write the valid rows of a part into files, and return what else is known of it."""
    reader = WeekReader(open_store(job.store), job.delivery, job.key)
    scanned = ScannedRows(job.max_sample_rows, one.halvings)
    scanned.scan(reader.rows_of(one.part), job.folder)
    return scanned, reader.found
