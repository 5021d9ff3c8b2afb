"""Opens the studio: `python app.py` serves the pages and keeps the worker alive that does their work."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from studio.settings import Settings
from studio.supervisor import Supervisor
from studio.ui.server import make_app


def main() -> None:
    """Serve until Ctrl-C. Only this machine may come in unless another host is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="where the studio keeps its files (default: data)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    given = parser.parse_args()
    settings = Settings() if given.data is None else Settings(data=given.data)
    settings.data.mkdir(parents=True, exist_ok=True)
    with Supervisor(settings):
        print(f"Persona Studio: http://{given.host}:{given.port}", flush=True)
        uvicorn.run(make_app(settings), host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
