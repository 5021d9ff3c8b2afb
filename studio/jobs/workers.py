"""The workers of a database: what each is, which of them live, and what they do.

On SQLite there is one, beside the pages of its data folder. On PostgreSQL there are as many as were started, on
whatever machines: `persona-studio worker`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO
from uuid import uuid4

from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import BadInput
from studio.jobs.heartbeat import Heartbeat
from studio.jobs.locks import take_lock
from studio.library.database import seconds_now
from studio.library.machine import look_at_machine
from studio.library.records import Records, WorkerRecord

__all__ = [
    "ALIVE_S",
    "EVERY_S",
    "Place",
    "WorkerState",
    "device_in_use",
    "forget_worker",
    "list_workers",
    "take_place",
    "tell_alive",
]

EVERY_S = 2.0
ALIVE_S = 20.0  # without being heard of
_MOST = 64  # workers of one machine with one data folder
_NOBODY = ""
_MACHINE = Path("/etc/machine-id")


@dataclass(frozen=True)
class Place:
    """A worker's place: its stable `id`, and the lock that no other process has as long as it lives.

    `run` tells the processes apart that have the same place one after the other.
    """

    id: str
    lock: IO[str] = field(compare=False)
    run: str = field(default_factory=lambda: uuid4().hex[:8])

    @property
    def executor(self) -> str:
        """Return the engine's name of this process. The engine recovers jobs of its own name alone: here it finds none,
        since what was left is put back and counted by who holds what (`studio.jobs.watchdog`).
        """
        return f"{self.id}.{self.run}"


@dataclass(frozen=True)
class WorkerState:
    """A worker as the records know it. `silent_s` is since when it was not heard of, by the database's clock; `still_s`
    since when its `job` does not get on, by its own. `facts` are host, pid, version and device; `memory` is what it has
    and `disk_free` what its disk has left, in bytes, 0 where it did not say."""

    id: str
    silent_s: float
    beat: float
    job: str
    still_s: float
    facts: dict[str, str]
    memory: int = 0
    disk_free: int = 0

    @property
    def is_alive(self) -> bool:
        return self.silent_s <= ALIVE_S


def take_place(folder: Path, several: bool) -> Place:
    """Take the first free place of this machine in a data folder; there is one unless `several` may work in it.

    The id is made of machine, folder and place: a worker that was ended has the same when it comes back. Raises
    BadInput where all places are taken.
    """
    for number in range(_MOST if several else 1):
        lock = take_lock(folder / ("worker.lock" if number == 0 else f"worker-{number + 1}.lock"))
        if lock is not None:
            return Place(_place_id(folder, number), lock)
    raise BadInput("folder_in_use", folder=str(folder))


def _place_id(folder: Path, number: int) -> str:
    host = socket.gethostname()
    machine = _MACHINE.read_text().strip() if _MACHINE.is_file() else ""
    told = "\n".join((host, machine, str(folder.resolve()), str(number)))
    name = "".join(c for c in host if c.isalnum() or c == "-")[:24]
    return f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def what_i_am() -> dict[str, str]:
    """Return this process's facts for a `WorkerState`; what it computes on, once torch is loaded."""
    return {
        "host": socket.gethostname(),
        "pid": str(os.getpid()),
        "version": version("persona-studio"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def device_in_use() -> str:
    """Return what this process computes on; "" as long as torch was not needed."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda"):
        return ""
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "CPU"


def tell_alive(records: Records, place: Place, beat: Heartbeat, device: str, data: Path) -> None:
    """Write that this worker lives, what it does, and what it has left beside its `data` folder. Raises SQLAlchemyError
    where the records cannot be reached."""
    facts = what_i_am() | {"device": device, "run": place.run, "job": beat.job, "still_s": beat.still_s}
    with suppress(OSError):
        here = look_at_machine(data)
        facts |= {"memory": here.process, "disk_free": here.disk_free}
    with records.transaction() as session:
        now = session.scalar(select(seconds_now(records.engine)))
        session.merge(WorkerRecord(id=place.id, owner=_NOBODY, beat=now, facts=facts))


def forget_worker(records: Records, worker: str) -> None:
    """Of a worker that has ended as it should; nothing happens where the records cannot be reached."""
    with suppress(SQLAlchemyError), records.transaction() as session:
        session.execute(delete(WorkerRecord).where(WorkerRecord.id == worker, WorkerRecord.owner == _NOBODY))


def list_workers(records: Records) -> list[WorkerState]:
    """Return all workers that did not end as they should, those that live among them, by their ids."""
    with records.transaction() as session:
        rows = session.execute(select(WorkerRecord, seconds_now(records.engine)).order_by(WorkerRecord.id)).all()
    return [_state_of(row, now) for row, now in rows]


def _state_of(row: WorkerRecord, now: float) -> WorkerState:
    facts = {name: str(row.facts.get(name, "")) for name in ("host", "pid", "version", "system", "device", "run")}
    return WorkerState(
        id=row.id, silent_s=max(now - row.beat, 0.0), beat=row.beat, job=str(row.facts.get("job", "")),
        still_s=float(row.facts.get("still_s", 0.0)), facts=facts, memory=int(row.facts.get("memory", 0)),
        disk_free=int(row.facts.get("disk_free", 0)),
    )  # fmt: skip
