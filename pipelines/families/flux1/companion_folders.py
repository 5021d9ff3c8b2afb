"""What lies beside a backbone: the folders of Redux, Fill, Kontext and an IP-Adapter. Nothing is opened, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["BESIDE", "find_beside", "named_beside"]

BESIDE = {
    "redux_folder": ("model_index.json", ("redux", "FLUX.1-Redux-dev")),
    "fill_folder": ("transformer/config.json", ("fill", "FLUX.1-Fill-dev")),
    "kontext_folder": ("transformer/config.json", ("kontext", "FLUX.1-Kontext-dev")),
    "ip_adapter_folder": ("", ("ip_adapter", "flux-ip-adapter", "flux-ip-adapter-v2")),
}
"""A field of BackboneSpec to a file that the folder holds, and the names it may have."""


def find_beside(folder: Path) -> dict[str, Path | None]:
    """Each companion's folder, inside the backbone's `folder` or beside it; None where there is none."""
    found = {}
    for field, (holds, names) in BESIDE.items():
        places = (parent / name for name in names for parent in (folder, folder.parent))
        found[field] = next((place for place in places if (place / holds).exists()), None)
    return found


def named_beside(folder: Path, given: Mapping[str, Any]) -> dict[str, Path]:
    """The folders that a backbone's studio.json names; relative ones are relative to `folder`."""
    return {name: (folder / given[name]).resolve() for name in BESIDE if isinstance(given.get(name), str)}
