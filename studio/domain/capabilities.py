"""Abilities of the settings' backbone, told from its files alone: a page asks, and never loads torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import StudioError
from pipelines.families.catalogue import Detected, detect_source
from pipelines.families.companions import find_companions
from pipelines.families.sources import find_source
from pipelines.models.variants import Capabilities
from pipelines.references.catalogue import REFERENCES
from studio.settings import Settings

__all__ = ["BackboneFacts", "abilities", "backbone_facts"]


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
        found = detect_source(source)
        return BackboneFacts(found.family.id, found.width, found.variant.can, _companions(settings, found, source.base))
    except (StudioError, OSError, ValueError):
        return None


def abilities(settings: Settings) -> frozenset[str]:
    """Return the ways to show or keep a place that can be used, inpainting aside; none where there is no backbone."""
    facts = backbone_facts(settings)
    if facts is None:
        return frozenset()
    always = [kind.id for kind in REFERENCES if kind.use == "show" and not kind.needs]
    return frozenset([*always, *(kind.id for kind in REFERENCES if kind.needs in facts.companions)])


def _companions(settings: Settings, found: Detected, folder: Path) -> frozenset[str]:
    """Return the companions that the model can use and whose folder is there, beside the backbone or named."""
    file = folder / "studio.json"
    given: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    folders = find_companions(found.family, folder, given) | settings.companions
    there = frozenset(role.replace("_", "-") for role, place in folders.items() if place.exists())
    return there & found.variant.can.companions
