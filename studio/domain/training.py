"""Whether LoRAs can be trained for the settings' backbone, as far as its files alone tell; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, StudioError
from pipelines.families.catalogue import Detected, detect_source
from pipelines.families.companions import find_companions
from pipelines.families.folders import read_json
from pipelines.families.siblings import TRAINING, find_sibling, find_trained
from pipelines.families.sources import find_source
from pipelines.models.sources import Source
from pipelines.models.weights import Mark, mark_weights
from studio.settings import Settings

__all__ = ["training_marks", "training_refusal"]


def training_refusal(settings: Settings) -> StudioError | None:
    """Return why a training would be refused before it began; None where it would begin, or where nothing is loaded.

    A distilled backbone is trained on its sibling, which must be here; a file that is quantised is drawn with only.
    """
    if (known := _find_training(settings)) is None:
        return None
    source, name = known.source, known.name
    try:
        if known.train_on or known.place is not None:
            find_trained(name, known.found.family.id, known.train_on, known.place, source.base)
        elif source.kind == "gguf":
            return BadInput("backbone_draws_only", backbone=name, precision="gguf")
    except StudioError as error:
        return error
    return None


def training_marks(settings: Settings) -> tuple[Mark, Mark]:
    """Return by what the weights that draw and those of a sibling that is trained are known, without reading them.

    () for what is not there: the job says so.
    """
    if (known := _find_training(settings)) is None:
        return (), ()
    return mark_weights(known.source.path), () if known.place is None else mark_weights(known.place)


@dataclass(frozen=True)
class _Training:
    """`place` is the sibling's folder or file, None where the backbone itself is trained or nobody knows it."""

    source: Source
    found: Detected
    name: str
    train_on: str
    place: Path | None


def _find_training(settings: Settings) -> _Training | None:
    """None for what is no backbone."""
    try:
        source = find_source(settings.backbone, settings.base, settings.models)
        found = detect_source(source)
        file = source.base / "studio.json"
        given: dict[str, Any] = read_json(file) if file.is_file() else {}
    except (StudioError, OSError, ValueError):
        return None
    own = given if source.kind == "folder" else {}
    name, train_on = str(own.get("id", source.name)), str(given.get("train_on", found.variant.train_on))
    sibling = {} if f"{TRAINING}_folder" in given else find_sibling(train_on, source, settings.models)
    place = (sibling | find_companions(found.family, source.base, given) | settings.companions).get(TRAINING)
    return _Training(source, found, name, train_on, place)
