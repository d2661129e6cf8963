"""The counts of all workers of a service, which each of them tells the others in a file.

A worker that takes the place of another goes on with the counts of that, so that no counter falls,
and there are never more files than places.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from pipeline.api.counts import ServiceCounts

COUNTS = TypeAdapter(ServiceCounts)


class SharedCounts:
    """The files of all workers, as one of them sees them."""

    def __init__(self, folder: Path, place: int) -> None:
        """Take the place of a worker; nothing is read or written yet.

        Args:
            folder: of the files, which is there for these workers only.
            place: a number that no other worker has at the same time.
        """
        self._folder = folder
        self._place = str(place)

    def inherited(self) -> ServiceCounts:
        """Return what the last worker in this place had counted, none of it in progress."""
        file = self._folder / self._place
        counts = _read(file) if file.exists() else ServiceCounts()
        counts.in_progress = 0
        return counts

    def tell(self, counts: ServiceCounts) -> None:
        """Tell the others what this worker has counted; they never see half of it."""
        half = self._folder / f"{self._place}.half"
        half.write_bytes(COUNTS.dump_json(counts))
        os.replace(half, self._folder / self._place)

    def of_others(self) -> Iterator[ServiceCounts]:
        """Yield what each of the other workers has told last."""
        for file in self._folder.iterdir():
            if file.name != self._place and not file.suffix:
                yield _read(file)


def _read(file: Path) -> ServiceCounts:
    return COUNTS.validate_json(file.read_bytes())
