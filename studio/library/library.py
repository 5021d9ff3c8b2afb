"""The library of one data folder: records of what was made from what, and the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.library.records import Records
from studio.library.shared import Shared
from studio.library.store import Store

__all__ = ["Library"]


@dataclass(frozen=True)
class Library:
    """`data` is the data folder, `shared` what all machines share beside records and stored files; `cutter` the file of
    a network that finds products in photos, None: by colour.
    """

    records: Records
    store: Store
    data: Path
    shared: Shared
    cutter: Path | None = None

    @property
    def donors_folder(self) -> Path:
        """Donors that users added, on whatever machine."""
        return self.shared.sync("donors")

    @property
    def faces(self) -> Path:
        """Mean faces of donors, measured once on this machine."""
        return self.data / "faces"

    @property
    def captions(self) -> Path:
        """What vision models said of pictures, on this machine, so that nobody is asked twice."""
        return self.data / "captions"

    @property
    def work(self) -> Path:
        """Checkpoints of running trainings, and scratch, on this machine."""
        return self.data / "work"
