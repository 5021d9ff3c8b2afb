"""Alphas of a LoRA file that stand in its header or beside it, instead of in `.alpha` tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import BadLora
from pipelines.families.protocol import Family

__all__ = ["StatedAlphas"]


class StatedAlphas:
    """What diffusers' `lora_adapter_metadata` or peft's adapter_config.json say; alpha = rank where both are silent."""

    def __init__(self, path: Path, metadata: Mapping[str, str], family: Family) -> None:
        """Raise BadLora where they say that the file is a DoRA. Damaged ones matter only to layers that need them."""
        self._file = path.name
        self._encoders = frozenset(part.name for part in family.parts if part.is_text_encoder)
        raw = metadata.get("lora_adapter_metadata", "")
        beside = path.parent / "adapter_config.json"
        self._is_damaged = False
        self._settings: dict[str, dict[str, Any]] = {"transformer": {}}
        if raw:
            # "transformer.lora_alpha", "text_encoder.lora_alpha"; a key without a part is the transformer's
            for key, value in self._parse(raw).items():
                part, _, name = str(key).rpartition(".")
                self._settings.setdefault(part or "transformer", {})[name] = value
        elif path.name.startswith("adapter_model") and beside.is_file():
            # what peft's save_pretrained writes: the alpha is in that second file only
            self._settings["transformer"] = self._parse(beside.read_text(encoding="utf-8-sig", errors="replace"))
        if any(settings.get("use_dora") for settings in self._settings.values()):
            raise BadLora("lora_not_plain", file=path.name, family=family.name, kind="DoRA")

    def of(self, module: str, rank: int) -> float:
        """Return the alpha of one of the model's modules whose matrices have this rank."""
        if self._is_damaged:
            raise BadLora("lora_metadata_damaged", file=self._file)
        encoder, _, name = module.partition(".")
        inside = encoder in self._encoders
        settings = self._settings.get(encoder, {}) if inside else self._settings["transformer"]
        patterns = settings.get("alpha_pattern")
        patterns = patterns if isinstance(patterns, dict) else {}
        exact = next((v for k, v in patterns.items() if _matches(str(k), name if inside else module)), None)
        stated = settings.get("lora_alpha") if exact is None else exact
        try:
            alpha = float(rank if stated is None else stated)
        except (TypeError, ValueError) as error:
            raise BadLora("lora_metadata_damaged", file=self._file) from error
        return alpha * math.sqrt(rank) if settings.get("use_rslora") else alpha  # rsLoRA: alpha / sqrt(r)

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            settings = json.loads(text)
        except (ValueError, RecursionError):
            settings = text
        self._is_damaged = not isinstance(settings, dict) and settings is not None
        return settings if isinstance(settings, dict) else {}


def _matches(pattern: str, module: str) -> bool:
    """peft's rule (`get_pattern_key`): the pattern is the module's name or its end; "^" pins the start."""
    bare = pattern.removeprefix("^")
    return module == bare or (not pattern.startswith("^") and module.endswith(f".{bare}"))
