"""Is the worker beside this process alive, and does it get on? What it says through a pipe, and what follows from that.

A pipe, because a full disk takes no files; what all processes may know of all workers is in the records
(`studio.jobs.workers`). Heartbeats alone would miss a job that hangs in a living process, progress alone a process that
is frozen (the engine itself takes no job away from a worker of its own).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass

__all__ = ["HEARTBEAT_VARIABLE", "Patience", "Heartbeat", "read_heartbeats", "send_heartbeats", "why_restart"]

HEARTBEAT_VARIABLE = "PERSONA_STUDIO_HEARTBEAT_FD"
_EVERY_S = 1.0


@dataclass(frozen=True)
class Heartbeat:
    """The running `job`'s id, "" without one, and for how many seconds nothing has moved."""

    job: str
    still_s: float


@dataclass(frozen=True)
class Patience:
    """Seconds without a heartbeat, without progress of a job (loading a large model shows none), and of idleness while
    jobs wait."""

    silent_s: float = 300.0
    stalled_s: float = 1800.0
    idle_s: float = 30.0


def why_restart(beat: Heartbeat, silent_s: float, waiting: Callable[[], Collection[str]], patience: Patience) -> str:
    """The reason to end this worker and start another, or "". `waiting` are jobs that nobody has taken up in all the
    time that a worker may be idle, asked only at need.
    """
    if silent_s > patience.silent_s:
        return f"it has not been heard of for {silent_s:.0f} s"
    if beat.job and beat.still_s > patience.stalled_s:
        return f"{beat.job} has not moved for {beat.still_s:.0f} s"
    if not beat.job and beat.still_s > patience.idle_s and (jobs := sorted(waiting())):
        return (
            f"it does nothing while {jobs[0]} waits"  # as after a full disk: the engine forgot it, the records did not
        )
    return ""


def send_heartbeats(descriptor: int, now: Callable[[], Heartbeat]) -> None:
    """Tell the other end of the pipe from now on, in a thread, until it is closed."""

    def beat() -> None:
        try:
            while True:
                os.write(descriptor, json.dumps(asdict(now())).encode() + b"\n")
                time.sleep(_EVERY_S)
        except OSError:
            return

    threading.Thread(target=beat, daemon=True).start()


def read_heartbeats(descriptor: int, heard: Callable[[Heartbeat], None]) -> None:
    """Call `heard` with every heartbeat, in a thread, until the worker is gone; closes the descriptor."""

    def listen() -> None:
        with os.fdopen(descriptor, encoding="utf-8") as lines:
            for line in lines:
                heard(Heartbeat(**json.loads(line)))

    threading.Thread(target=listen, daemon=True).start()
