"""The library of one data folder: records of what was made from what, and the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.library.records import Records
from studio.library.store import Store

__all__ = ["Library"]


@dataclass(frozen=True)
class Library:
    """`data` is the folder that both lie in; `cutter` the file of a network that finds products in photos, None: by
    colour.
    """

    records: Records
    store: Store
    data: Path
    cutter: Path | None = None

    @property
    def donors_folder(self) -> Path:
        """Donors that users added."""
        return self.data / "donors"

    @property
    def faces(self) -> Path:
        """Mean faces of donors, measured once."""
        return self.data / "faces"

    @property
    def work(self) -> Path:
        """Checkpoints of running trainings."""
        return self.data / "work"
