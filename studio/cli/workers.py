"""`persona-studio worker`: one more worker on the studio's database."""

from __future__ import annotations

import os
import signal
import sys

import typer

from pipelines.errors import BadInput
from studio.cli.options import Data, settings_of, tell
from studio.logs import set_up_logs
from studio.settings import make_data_folder

__all__ = ["working"]

working = typer.Typer()


@working.command()
def worker(data: Data = None) -> None:
    """Draw for the studio whose database PERSONA_STUDIO_DATABASE names, until Ctrl-C; one job at a time.

    Start it on as many machines as you like, and once for each GPU.
    """
    settings = settings_of(data, None)
    if not settings.database.get_secret_value():
        raise BadInput("worker_needs_database")
    set_up_logs(settings, "keeper")
    os.umask(0o077)
    make_data_folder(settings)
    from studio.jobs.supervisor import Supervisor

    with Supervisor(settings, lock=None) as supervisor:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: supervisor.stop())
        print(tell("cli.working"), file=sys.stderr, flush=True)
        supervisor.wait()
