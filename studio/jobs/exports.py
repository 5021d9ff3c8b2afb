"""Bundles at a place of somebody's choice, whoever does this folder's jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.file_names import keep_beside
from studio.domain.bundle import Bundle, ExportRequest
from studio.jobs.open_studio import OpenStudio

if TYPE_CHECKING:
    from studio.jobs.engine import Engine

__all__ = ["keep_exported"]


def keep_exported(engine: Engine | OpenStudio, asked: ExportRequest, wanted: Path) -> Path:
    """Write the zip at `wanted`, or beside it where another file has that name, and return its place.

    An open studio exports it as a job, as its own pages ask for it. Raises what `export_bundle` raises.
    """
    if isinstance(engine, OpenStudio):
        made = engine.run(asked, Bundle)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        return keep_beside(wanted, engine.studio.store.get(made.bundle))
    from studio.workflows.bundling import keep_bundle  # takes seconds: a refusal does not

    return keep_bundle(engine.studio, asked, wanted)
