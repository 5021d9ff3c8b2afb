"""Opens the studio: `python app.py` serves the pages and keeps the worker alive that does their work."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from studio.settings import Settings
from studio.supervisor import Supervisor
from studio.ui.server import make_app

HOST = "127.0.0.1"  # there are no logins yet, so nobody else may come in


def main() -> None:
    """Serve until Ctrl-C, to this machine only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="where the studio keeps its files (default: data)")
    parser.add_argument("--port", type=int, default=7860)
    given = parser.parse_args()
    settings = Settings() if given.data is None else Settings(data=given.data)
    settings.data.mkdir(parents=True, exist_ok=True)
    with Supervisor(settings):
        print(f"Persona Studio: http://{HOST}:{given.port}", flush=True)
        uvicorn.run(make_app(settings), host=HOST, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
