"""What a persona was made on, for those too that were made before it was noted: their LoRA file tells."""

from __future__ import annotations

from functools import lru_cache

from pipelines.errors import BadInput
from pipelines.families.catalogue import judge_lora
from pipelines.models.headers import read_header
from studio.domain.fit import MadeOn
from studio.domain.persona import Persona
from studio.domain.values import FileKey
from studio.library.store import Store

__all__ = ["made_on_persona"]


def made_on_persona(store: Store, persona: Persona) -> MadeOn:
    """Return what a persona's LoRA was made for."""
    recipe = persona.recipe
    width = recipe.width or (0 if persona.lora is None else _lora_width(store, persona.lora, recipe.family))
    return MadeOn(recipe.family, width, persona.backbone)


@lru_cache(maxsize=1000)
def _lora_width(store: Store, lora: FileKey, family: str) -> int:
    """Return the hidden width that a stored LoRA's header tells of, 0 where it does not; what is stored never
    changes."""
    try:
        header = read_header(store.fetch(lora))
    except BadInput:
        return 0
    return judge_lora(header.shapes, header.metadata, family).width
