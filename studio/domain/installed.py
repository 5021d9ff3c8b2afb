"""Backbones that can be chosen on this machine, and published ones that could be fetched; told without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import ModelMissing, StudioError
from pipelines.families.catalogue import FAMILIES, is_loaded
from pipelines.families.sources import find_source
from pipelines.models.catalogue import MODELS, KnownModel, find_model
from pipelines.models.sources import FETCHED, MINIATURE, fetched_folder
from studio.domain.capabilities import BackboneFacts, read_backbone
from studio.domain.choice import BackboneChoice
from studio.settings import Settings

__all__ = ["InstalledBackbone", "list_installed", "list_published"]

_FILES = (".safetensors", ".gguf")


@dataclass(frozen=True)
class InstalledBackbone:
    """`facts` are None where it cannot be loaded, and `error` says why. `chosen`: the studio draws with it."""

    choice: BackboneChoice
    facts: BackboneFacts | None
    error: StudioError | None
    chosen: bool

    @property
    def name(self) -> str:
        """Return what it is called."""
        if self.facts is not None:
            return self.facts.id
        place = Path(self.choice.backbone)  # a folder's name may hold a dot, as FLUX.1-dev does
        return place.stem if place.suffix.lower() in _FILES else place.name


def list_installed(
    settings: Settings, now: BackboneChoice, places: Iterable[BackboneChoice] = ()
) -> tuple[InstalledBackbone, ...]:
    """Return the miniature, the one that is drawn with, those in the folder of models, and `places`, each once."""
    found: dict[str, InstalledBackbone] = {}
    for choice in (now, BackboneChoice(), *_in_models(settings.models), *places):
        try:
            source = find_source(choice.backbone, choice.base, settings.models)
            key = str(source.path)
        except StudioError:
            key = choice.backbone
        if key not in found:
            found[key] = _examine(settings, choice, choice == now)
    return tuple(sorted(found.values(), key=lambda row: (row.choice.backbone != MINIATURE, row.name.casefold())))


def list_published(settings: Settings) -> tuple[KnownModel, ...]:
    """Return the published backbones that can be loaded and are not here yet."""
    return tuple(
        model
        for model in MODELS.values()
        if model.role == "backbone" and model.hub and is_loaded(model.family) and not _is_fetched(model, settings)
    )


def _is_fetched(model: KnownModel, settings: Settings) -> bool:
    try:
        return fetched_folder(model.hub, settings.models).is_dir()
    except ModelMissing:
        return False


def _examine(settings: Settings, choice: BackboneChoice, chosen: bool) -> InstalledBackbone:
    try:
        facts = read_backbone(settings.model_copy(update=choice.model_dump()))
    except StudioError as error:
        return InstalledBackbone(choice, None, error, chosen)
    return InstalledBackbone(choice, facts, None, chosen)


def _in_models(folder: Path) -> Iterator[BackboneChoice]:
    """Return what was fetched, and folders and files that somebody put there; no companions of other models."""
    for fetched in sorted(folder.glob(f"*/*/{FETCHED}")):
        hub = "/".join(fetched.parent.parts[-2:])
        known = find_model(hub)
        if (known is None or known.role == "backbone") and not _is_companion(fetched.parent):
            yield BackboneChoice(backbone=hub if known is None else known.id)
    for index in sorted(folder.glob("*/model_index.json")):
        if not _is_companion(index.parent):
            yield BackboneChoice(backbone=str(index.parent.resolve()))
    for file in sorted(folder.glob("*") if folder.is_dir() else ()):
        if file.suffix.lower() in _FILES and file.is_file():
            yield BackboneChoice(backbone=str(file.resolve()))


def _is_companion(folder: Path) -> bool:
    try:
        kind = str(json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("_class_name", ""))
    except (OSError, ValueError, AttributeError):
        return False
    if any(kind in family.pipelines for family in FAMILIES):
        return False
    starts = [companion.pipeline for family in FAMILIES for companion in family.companions if companion.pipeline]
    return kind.startswith(tuple(starts))
