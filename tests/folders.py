"""Backbone folders without weights: enough for all that is told from files, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["write_backbone_folder"]


def write_backbone_folder(folder: Path, licence: str = "", pipeline: str = "FluxPipeline", **transformer: Any) -> Path:
    """Write the JSON of a diffusers folder of this pipeline, with a card that names the licence, and return it."""
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}), encoding="utf-8")
    (folder / "transformer" / "config.json").write_text(json.dumps(transformer), encoding="utf-8")
    if licence:
        (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n", encoding="utf-8")
    return folder
