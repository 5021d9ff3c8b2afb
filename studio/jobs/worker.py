"""The worker: `python -m studio.jobs.worker` does the queue's work until its standard input closes, or SIGINT, SIGTERM.

The page's process, or `persona-studio worker`, starts it and starts it again when it dies; its jobs then go on behind
their last finished step. Being told to end is no crash: the jobs are given back, and it is not counted.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from pipelines.errors import StudioError
from pipelines.quiet import quiet_third_parties
from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.heartbeat import HEARTBEAT_VARIABLE, send_heartbeats
from studio.logs import set_up_logs
from studio.settings import Settings
from studio.texts.texts import Texts

__all__ = ["main"]

_NICE = 10  # pages answer first


class _Ended(BaseException):
    """The worker was told to end."""


def main() -> int:
    quiet_third_parties()
    os.nice(_NICE)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C reaches the page's process and this one alike
        signal.signal(number, _end)
    try:
        settings = Settings()
        set_up_logs(settings, "worker")
        engine = Engine(Studio(settings), None)
        if descriptor := os.environ.pop(HEARTBEAT_VARIABLE, ""):
            send_heartbeats(int(descriptor), engine.heartbeat)
        with engine, suppress(_Ended):
            engine.load_ahead()
            while sys.stdin.buffer.read(4096):
                pass
            _ignore_signals()
    except StudioError as error:
        logging.getLogger("studio.jobs.worker").error("%s", Texts("en").error(error))
        return 1
    except _Ended:  # before it began
        pass
    # a job may be in the middle of a step: it goes on there the next time
    os._exit(0)


def _end(number: int, frame: FrameType | None) -> None:
    _ignore_signals()  # asked twice, it still gives its jobs back
    raise _Ended


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
