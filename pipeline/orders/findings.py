"""What was found in the parts of a week that are read so far, here or elsewhere."""

from dataclasses import dataclass, field

from pipeline.orders.rejected_rows import RejectedRows


@dataclass
class Findings:
    """What is known of some parts.

    Attributes:
        valid_rows: how many rows are good.
        rejected: the bad rows.
        hashes: SHA-256 of each part, unpacked, by its name.
        with_rows: the name of each part that has rows, by its SHA-256.
        unused: columns that are not used.
    """

    valid_rows: int = 0
    rejected: RejectedRows = field(default_factory=RejectedRows)
    hashes: dict[str, str] = field(default_factory=dict)
    with_rows: dict[str, str] = field(default_factory=dict)
    unused: set[str] = field(default_factory=set)

    @property
    def rows(self) -> int:
        """Number of all rows."""
        return self.valid_rows + len(self.rejected)

    def merge(self, later: "Findings") -> None:
        """Take what was found in later parts."""
        self.valid_rows += later.valid_rows
        self.rejected.merge(later.rejected)
        self.hashes |= later.hashes
        self.with_rows |= later.with_rows
        self.unused |= later.unused
