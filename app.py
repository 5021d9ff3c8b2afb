"""Opens the studio: `python app.py` serves the pages and keeps the worker alive that does their work."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from pipelines.errors import BadInput
from pipelines.quiet import quiet_third_parties
from studio.jobs.supervisor import Supervisor
from studio.library.records_place import open_records
from studio.library.users import Users, check_open
from studio.logs import set_up_logs
from studio.settings import Settings, make_data_folder, read_settings
from studio.texts.terminal import in_words, terminal_texts


def main() -> int:
    """Serve until Ctrl-C; to this machine only unless told otherwise."""
    quiet_third_parties()
    os.umask(0o077)  # whatever the pages and the worker write is this account's alone
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="where the studio keeps its files (default: data)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at; 0.0.0.0: all (needs users)")
    parser.add_argument("--name", action="append", default=[], help="a name that browsers know this machine by")
    parser.add_argument(
        "--no-worker", action="store_true", help="only the pages; workers are started elsewhere (persona-studio worker)"
    )
    given = parser.parse_args()
    with ExitStack() as stack:
        with in_words():
            settings = read_settings() if given.data is None else read_settings(data=given.data)
            set_up_logs(settings, "pages")
            make_data_folder(settings)
            _say_certificate(settings)
            local = check_open(Users(open_records(settings)), given.host, given.name)
            if given.no_worker and not settings.database.get_secret_value():
                raise BadInput("worker_needs_database")
            if not given.no_worker:
                stack.enter_context(Supervisor(settings))
        _leave_on_interrupt(stack)
        from studio.web.app import make_app  # takes seconds: a refusal does not
        from studio.web.serving import serve

        said = f"Persona Studio: http://{given.host}:{given.port}"
        logging.getLogger("studio").info(said) if settings.log == "json" else print(said, flush=True)
        site = make_app(settings, given.name, local)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        serve(site, given.host, given.port, as_json=settings.log == "json")
    return 0


def _say_certificate(settings: Settings) -> None:
    """Say on standard error what is wrong with the certificate of the settings; all but exports works without it."""
    if settings.c2pa_certificate is None and settings.c2pa_key is None:
        return
    from studio.export.content_credentials import open_credentials

    try:
        open_credentials(settings)
    except BadInput as error:
        texts = terminal_texts()
        print(f"! {texts('start.certificate', why=texts.error(error))}", file=sys.stderr, flush=True)


def _leave_on_interrupt(stack: ExitStack) -> None:
    """End on Ctrl-C while the pages are loaded: raised inside of an import, it may be swallowed there, and is lost."""

    def leave(number: int, frame: FrameType | None) -> None:
        stack.close()
        os._exit(0)

    signal.signal(signal.SIGINT, leave)


if __name__ == "__main__":
    sys.exit(main())
