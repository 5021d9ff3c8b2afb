"""Where the files lie that the project ships: weights, scenes, fonts and tables."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ASSETS"]

_ROOT = Path(__file__).resolve().parents[1]
# `assets` in a checkout; in an installed wheel the name of a package, which nobody else has
ASSETS = next(
    (folder for folder in (_ROOT / "assets", _ROOT / "persona_studio_assets") if (folder / "miniature").is_dir()),
    _ROOT / "assets",
)
