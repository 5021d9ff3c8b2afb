"""Styles that come with the studio: a folder each, a LoRA beside its card."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from studio.domain.style import Style
from studio.library.grants import grant
from studio.library.records import Records
from studio.library.store import Store
from studio.settings import ASSETS

__all__ = ["CARD", "FILE", "SHIPPED", "give_shipped", "shipped_styles"]

SHIPPED = ASSETS / "styles"
CARD, FILE = "card.json", "style.safetensors"


@cache
def shipped_styles() -> tuple[Style, ...]:
    """Return the styles that come along, by the names of their folders, which are their ids."""
    return tuple(_read(card.parent) for card in sorted(SHIPPED.glob(f"*/{CARD}")))


def give_shipped(records: Records, store: Store, owner: str, key: str) -> Style | None:
    """Return the style of this id, whose file the owner may then draw with; None where none such comes along."""
    found = next((style for style in shipped_styles() if style.id == key), None)
    if found is not None:
        if not store.has(found.lora):
            store.put((SHIPPED / found.id / FILE).read_bytes())
        grant(records, owner, found.file_keys())
    return found


def _read(folder: Path) -> Style:
    told = json.loads((folder / CARD).read_text(encoding="utf-8"))
    key = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    return Style.model_validate_json(json.dumps({**told, "id": folder.name, "lora": key}))
