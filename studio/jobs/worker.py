"""The worker: `python -m studio.jobs.worker` does the queue's work until its standard input closes.

The page's process starts it and starts it again when it dies; its jobs then go on behind their last finished step.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module

from pipelines.errors import StudioError
from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.heartbeat import PULSE_VARIABLE, send_pulses
from studio.settings import Settings

__all__ = ["main"]

_NICE = 5  # pages answer first


def main() -> int:
    os.nice(_NICE)
    try:
        engine = Engine(Studio(Settings()), None)
        if descriptor := os.environ.pop(PULSE_VARIABLE, ""):
            send_pulses(int(descriptor), engine.pulse)
        with engine:
            threading.Thread(target=_load_ahead, daemon=True).start()
            while sys.stdin.buffer.read(4096):
                pass
    except StudioError as error:
        print(error, file=sys.stderr)
        return 1
    # a job may be in the middle of a step: it goes on there the next time
    os._exit(0)


def _load_ahead() -> None:
    """The slow imports, while a person still looks around."""
    for name in ("design", "post"):
        import_module(f"studio.workflows.{name}")


if __name__ == "__main__":
    sys.exit(main())
