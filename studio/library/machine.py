"""What this machine has left: room on the disk of the data folder, and memory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["FULL_BYTES", "LOW_BYTES", "Machine", "look_at_machine"]

FULL_BYTES = 1_000_000_000  # what uploads leave free of the disk (`studio.library.uploads`)
LOW_BYTES = 3_000_000_000


@dataclass(frozen=True)
class Machine:
    """All in bytes: of the data folder's disk, of the machine's memory, and `process`, what this process has of it."""

    disk_free: int
    disk_total: int
    memory_free: int
    memory_total: int
    process: int

    @property
    def disk_is_low(self) -> bool:
        return self.disk_free < LOW_BYTES

    @property
    def disk_is_full(self) -> bool:
        """Whether nothing can be brought any more."""
        return self.disk_free < FULL_BYTES


def look_at_machine(data: Path) -> Machine:
    """Return what is left now. Raises OSError where there is no such folder."""
    disk, memory = shutil.disk_usage(data), psutil.virtual_memory()
    return Machine(disk.free, disk.total, memory.available, memory.total, psutil.Process().memory_info().rss)
