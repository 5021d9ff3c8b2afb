"""What the backbone of these settings can do, seen from its folders alone: a page asks, and never loads torch."""

from __future__ import annotations

import json

from pipelines.errors import StudioError
from pipelines.families.flux1.companion_folders import find_beside, named_beside
from pipelines.models.sources import find_source
from studio.settings import Settings

__all__ = ["abilities"]

_FOLDERS = {
    "redux": "redux_folder",
    "ip-adapter": "ip_adapter_folder",
    "kontext": "kontext_folder",
    "fill": "fill_folder",
}


def abilities(settings: Settings) -> frozenset[str]:
    """Those of redux, ip-adapter, kontext and fill whose folder is there; none where there is no backbone."""
    try:
        folder = find_source(settings.backbone, settings.base, settings.models).base
        file = folder / "studio.json"
        given = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (StudioError, OSError, ValueError):
        return frozenset()
    named = {field: getattr(settings, field, None) for field in _FOLDERS.values()}
    found = find_beside(folder) | named_beside(folder, given) | {k: v for k, v in named.items() if v is not None}
    return frozenset(way for way, field in _FOLDERS.items() if (place := found[field]) is not None and place.exists())
