"""What the backbone of these settings is and can do, told from its files alone: a page asks, and never loads torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import StudioError
from pipelines.families.catalogue import detect_source
from pipelines.families.flux1.companion_folders import find_beside, named_beside
from pipelines.families.protocol import Capabilities
from pipelines.models.sources import find_source
from pipelines.references.catalogue import REFERENCES
from studio.settings import Settings

__all__ = ["BackboneFacts", "abilities", "backbone_facts"]

_FOLDERS = {
    "redux": "redux_folder",
    "ip-adapter": "ip_adapter_folder",
    "kontext": "kontext_folder",
    "fill": "fill_folder",
}


@dataclass(frozen=True)
class BackboneFacts:
    """`family` is the id of its family, `width` its hidden width (0: not known), `can` what its family can do, and
    `companions` those of redux, ip-adapter, kontext and fill that it can and whose folder is there.
    """

    family: str
    width: int
    can: Capabilities
    companions: frozenset[str]


def backbone_facts(settings: Settings) -> BackboneFacts | None:
    """Return what the backbone is and can do; None where there is none that can be loaded."""
    try:
        source = find_source(settings.backbone, settings.base, settings.models)
        family, variant, width = detect_source(source)
        return BackboneFacts(family.id, width, variant.can, _companions(settings, source.base) & variant.can.companions)
    except (StudioError, OSError, ValueError):
        return None


def abilities(settings: Settings) -> frozenset[str]:
    """Return the ways to show or keep a place that can be used, inpainting aside; none where there is no backbone."""
    facts = backbone_facts(settings)
    if facts is None:
        return frozenset()
    always = [kind.id for kind in REFERENCES if kind.use == "show" and not kind.needs]
    return frozenset([*always, *(kind.id for kind in REFERENCES if kind.needs in facts.companions)])


def _companions(settings: Settings, folder: Path) -> frozenset[str]:
    """Those whose folder is there, beside the backbone or named."""
    file = folder / "studio.json"
    given: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    named = {field: getattr(settings, field, None) for field in _FOLDERS.values()}
    found = find_beside(folder) | named_beside(folder, given) | {k: v for k, v in named.items() if v is not None}
    return frozenset(way for way, field in _FOLDERS.items() if (place := found[field]) is not None and place.exists())
