"""Where a table's rows must appear: the API's schema and answers, the command line's help, the pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
from typer.testing import CliRunner, Result

from studio.application import Studio
from studio.cli import app
from studio.jobs.queue import Queue
from studio.settings import Settings
from studio.texts.texts import Language, Texts
from studio.ui.context import Ui
from studio.web.app import make_site
from tests.site import TestClient

__all__ = [
    "api_bodies", "api_schema", "api_tables", "command_help", "command_output", "make_ui", "page_words", "texts",
]  # fmt: skip

TEXTS = Path(__file__).resolve().parents[2] / "studio" / "texts" / "texts.json"


def _studio() -> Studio:
    return Studio(Settings(data=Path(mkdtemp(prefix="tables-"))))


@cache
def _site() -> TestClient:
    return TestClient(make_site(_studio()))


@cache
def api_schema() -> dict[str, Any]:
    """Return the parts of /openapi.json by name."""
    return dict(_site().get("/openapi.json").json()["components"]["schemas"])


@cache
def api_bodies() -> dict[str, dict[str, Any]]:
    """Return by kind what POST /api/jobs takes, as /openapi.json describes it."""
    paths = _site().get("/openapi.json").json()["paths"]
    schema = paths["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    named = {kind: reference.rpartition("/")[2] for kind, reference in schema["discriminator"]["mapping"].items()}
    return {kind: api_schema()[name] for kind, name in named.items()}


@cache
def api_tables() -> dict[str, list[dict[str, Any]]]:
    """Return what /api/tables answers."""
    return dict(_site().get("/api/tables").json())


@cache
def command_output(*command: str) -> str:
    """Return what a command says on a wide terminal."""
    done: Result = CliRunner().invoke(app, command, env={"COLUMNS": "2000", "TERMINAL_WIDTH": "2000"})
    assert done.exit_code == 0, done.output
    return str(done.output)


def command_help(*command: str) -> str:
    """Return a command's help on a wide terminal."""
    return command_output(*command, "--help")


@cache
def texts() -> dict[str, dict[str, str]]:
    """Return texts.json."""
    return dict(json.loads(TEXTS.read_text(encoding="utf-8")))


@cache
def make_ui(language: Language = "en") -> Ui:
    """Return what a page of that language is built with."""
    studio = _studio()
    return Ui(studio, Queue(studio), Texts(language))


@cache
def page_words(build: Callable[[Ui], object], language: Language = "en") -> str:
    """Return as JSON all components of a page, with their labels, choices and values."""

    async def lay_out() -> str:
        with gr.Blocks() as blocks:
            build(make_ui(language))
        return json.dumps(blocks.get_config_file()["components"], ensure_ascii=False, default=str)

    return asyncio.run(lay_out())  # Gradio wants a running event loop, else it leaves one of its own open
