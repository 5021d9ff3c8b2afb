"""Where a backbone's files lie: a diffusers folder, or a single file and the folder that has its other parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.assets import ASSETS
from pipelines.errors import ModelMissing

__all__ = ["FETCHED", "MINIATURE", "MINIATURE_FOLDER", "Kind", "Source", "fetched_folder"]

MINIATURE = "miniature"
FETCHED = "fetched.json"  # `pipelines.models.hub` writes it when a fetch is whole
MINIATURE_FOLDER = ASSETS / "miniature" / "flux"

Kind = Literal["folder", "single file", "gguf"]


@dataclass(frozen=True)
class Source:
    """Where a backbone's parts lie: the transformer in `path`, all others in the diffusers folder `base`.

    They are the same folder where `kind` is "folder". `name` is the folder's or the file's, without its ending.
    """

    kind: Kind
    name: str
    path: Path
    base: Path


def fetched_folder(hub_id: str, models: Path | None) -> Path:
    """Where a hub id was fetched to; ModelMissing where it was not, or not wholly."""
    folder = None if models is None else (models / hub_id).resolve()
    if folder is None or not folder.is_dir():
        raise ModelMissing("model_not_fetched", model=hub_id)
    if not (folder / FETCHED).is_file():
        raise ModelMissing("model_fetched_in_part", model=hub_id)
    return folder
