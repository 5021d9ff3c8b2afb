"""Whether LoRAs can be trained for the settings' backbone, as far as its files alone tell; no torch."""

from __future__ import annotations

import json
from typing import Any

from pipelines.errors import BadInput, StudioError
from pipelines.families.catalogue import detect_source
from pipelines.families.companions import find_companions
from pipelines.families.siblings import TRAINING, find_sibling, find_trained
from pipelines.families.sources import find_source
from studio.settings import Settings

__all__ = ["training_refusal"]


def training_refusal(settings: Settings) -> StudioError | None:
    """Return why a training would be refused before it began; None where it would begin, or where nothing is loaded.

    A distilled backbone is trained on its sibling, which must be here; a file that is quantised is drawn with only.
    """
    try:
        source = find_source(settings.backbone, settings.base, settings.models)
        found = detect_source(source)
        file = source.base / "studio.json"
        given: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (StudioError, OSError, ValueError):
        return None
    own = given if source.kind == "folder" else {}
    name, train_on = str(own.get("id", source.name)), str(given.get("train_on", found.variant.train_on))
    sibling = {} if f"{TRAINING}_folder" in given else find_sibling(train_on, source, settings.models)
    place = (sibling | find_companions(found.family, source.base, given) | settings.companions).get(TRAINING)
    try:
        if train_on or place is not None:
            find_trained(name, found.family.id, train_on, place, source.base)
        elif source.kind == "gguf":
            return BadInput("backbone_draws_only", backbone=name, precision="gguf")
    except StudioError as error:
        return error
    return None
