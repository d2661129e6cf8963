"""The counts of all workers of a service, which each of them tells the others.

Each place of a worker has a file without a name, which is gone with the service, however that ends.
A worker that takes the place of another goes on with the counts of that, so that no counter falls.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pydantic import TypeAdapter

from pipeline.api.counts import ServiceCounts

COUNTS = TypeAdapter(ServiceCounts)
NUMBER_BYTES = 8
SLOT_BYTES = 2**26
"""More than counts ever take; what is not written takes no room."""


class SharedCounts:
    """The files of all workers, as one of them sees them.

    A file begins with the number of times that something was told in it. What was told last is in
    one of two slots, and what is being told goes into the other, so that nobody sees half of it.
    """

    def __init__(self, files: Sequence[BinaryIO], place: int) -> None:
        """Take the place of a worker; nothing is read or written yet.

        Args:
            files: of all places, from `files_for`.
            place: of this worker; no other one has it at the same time.
        """
        self._own = files[place].fileno()
        self._others = [file.fileno() for file in files if file is not files[place]]

    def inherited(self) -> ServiceCounts:
        """Return what the last worker in this place had counted, none of it in progress."""
        counts = _read(self._own) or ServiceCounts()
        counts.in_progress = 0
        return counts

    def tell(self, counts: ServiceCounts) -> None:
        """Tell the others what this worker has counted."""
        content = COUNTS.dump_json(counts)
        number = _number(self._own) + 1
        os.pwrite(self._own, _as_bytes(len(content)) + content, _slot(number))
        os.pwrite(self._own, _as_bytes(number), 0)

    def of_others(self) -> Iterator[ServiceCounts]:
        """Yield what each of the other workers has told last."""
        for file in self._others:
            counts = _read(file)
            if counts is not None:
                yield counts


def files_for(workers: int) -> list[BinaryIO]:
    """Return a file for each place of a worker; they are open for all that are forked later.

    Raises:
        OSError: there is no folder for temporary files.
    """
    return [tempfile.TemporaryFile(buffering=0) for _ in range(workers)]


def _read(file: int) -> ServiceCounts | None:
    """Return what was told last in a file, or None if nothing was."""
    while number := _number(file):
        length = int.from_bytes(os.pread(file, NUMBER_BYTES, _slot(number)))
        content = os.pread(file, length, _slot(number) + NUMBER_BYTES)
        if _number(file) == number:  # or this slot may be written again meanwhile
            return COUNTS.validate_json(content)
    return None


def _number(file: int) -> int:
    return int.from_bytes(os.pread(file, NUMBER_BYTES, 0))


def _slot(number: int) -> int:
    """Return where in a file stands what was told at the n-th time."""
    return SLOT_BYTES * (1 + number % 2)


def _as_bytes(number: int) -> bytes:
    return number.to_bytes(NUMBER_BYTES)
