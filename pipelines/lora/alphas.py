"""Alphas of a LoRA file that stand in its header or beside it, instead of in `.alpha` tensors."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import regex

from pipelines.errors import BadLora
from pipelines.families.protocol import Family

__all__ = ["StatedAlphas"]

_PATTERN_SECONDS = 5.0  # for all patterns of a file: a pattern can be made that would take years
_ENCODER_PREFIXES = ("", "text_model.", "model.")  # CLIP's and Qwen3's level that our names leave out


class StatedAlphas:
    """What diffusers' `lora_adapter_metadata` or peft's adapter_config.json say; alpha = rank where both are silent."""

    def __init__(self, path: Path, metadata: Mapping[str, str], family: Family, layers: Collection[str]) -> None:
        """`layers` are all of the file's, as `group_tensors` names them. Raise BadLora where the settings say that the
        file is a DoRA. Damaged ones matter only to layers that need them.
        """
        self._file = path.name
        self._spellings = family.lora_spellings
        self._encoders = frozenset(part.name for part in family.parts if part.is_text_encoder)
        self._layers = sorted(layers)
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
        self._patterns = cache(self._read_patterns)

    def of(self, layer: str, module: str, rank: int) -> float:
        """Return the alpha of a layer whose matrices have this rank, for one of the model's modules that it stands for.

        Raises BadLora for damaged settings, and where a pattern of theirs is of no layer of the file: another one that
        was meant would have the wrong strength.
        """
        settings = self._settings_of(layer)
        alpha = self._stated(layer, module, "lora_alpha")
        alpha = float(rank) if alpha is None else alpha
        return alpha * math.sqrt(rank) if settings.get("use_rslora") else alpha  # rsLoRA: alpha / sqrt(r)

    def scale_of_product(self, layer: str, module: str, rank: int) -> float:
        """Return alpha / rank of a LoHa's or a LoKr's layer, 1 where nothing is stated. A `rank` of 0: the matrices do
        not tell it. Raises as `of` does.
        """
        alpha = self._stated(layer, module, "alpha")
        if alpha is None:
            return 1.0
        ranks = self._patterns(self._part_of(layer), "rank_pattern")
        stated = _first(ranks, layer, module)
        divided = rank or self._number(self._settings_of(layer).get("r") if stated is None else stated)
        if not divided > 0:
            raise BadLora("lora_metadata_damaged", file=self._file)
        return alpha / divided

    def _stated(self, layer: str, module: str, name: str) -> float | None:
        if self._is_damaged:
            raise BadLora("lora_metadata_damaged", file=self._file)
        exact = _first(self._patterns(self._part_of(layer), "alpha_pattern"), layer, module)
        stated = self._settings_of(layer).get(name) if exact is None else exact
        return None if stated is None else self._number(stated)

    def _number(self, value: object) -> float:
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError) as error:
            raise BadLora("lora_metadata_damaged", file=self._file) from error

    def _part_of(self, layer: str) -> str:
        encoder = layer.partition(".")[0]
        return encoder if encoder in self._encoders else "transformer"

    def _settings_of(self, layer: str) -> Mapping[str, Any]:
        return self._settings.get(self._part_of(layer), {})

    def _read_patterns(self, part: str, setting: str) -> Mapping[str, tuple[int, Any]]:
        """{layer or module: (place in the list, value)} of one part's patterns.

        peft (`get_pattern_key`) takes the first that matches a module's whole name, or its end behind a dot. The names
        are the file's own, or, where a pattern is of none of these, diffusers'.
        """
        patterns = self._settings.get(part, {}).get(setting)
        if patterns is None:
            return {}
        if not isinstance(patterns, dict):
            raise BadLora("lora_metadata_damaged", file=self._file)
        layers = [layer for layer in self._layers if self._part_of(layer) == part]
        own = {name: layer for layer in layers for name in self._own_names(layer)}
        modules = {t.module: t.module for layer in layers for t in self._spellings.targets(layer)}
        found: dict[str, tuple[int, Any]] = {}
        until = time.monotonic() + _PATTERN_SECONDS
        for place, (pattern, value) in enumerate(patterns.items()):
            matched = next(filter(None, (self._matches(str(pattern), names, until) for names in (own, modules))), ())
            if not matched:
                raise BadLora("lora_pattern_of_no_layer", file=self._file, pattern=str(pattern)[:60])
            for name in matched:
                found.setdefault(name, (place, value))
        return found

    def _own_names(self, layer: str) -> Sequence[str]:
        encoder, _, name = layer.partition(".")
        return [f"{prefix}{name}" for prefix in _ENCODER_PREFIXES] if encoder in self._encoders else [layer]

    def _matches(self, pattern: str, names: Mapping[str, str], until: float) -> list[str]:
        """What the names that a pattern matches stand for."""
        try:
            whole = regex.compile(rf"(.*\.)?({pattern})$")
            return [
                stands_for
                for name, stands_for in names.items()
                if whole.match(name, timeout=max(until - time.monotonic(), 1e-3))
            ]
        except (regex.error, TimeoutError, RecursionError, OverflowError) as error:
            raise BadLora("lora_metadata_damaged", file=self._file) from error

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            settings = json.loads(text)
        except (ValueError, RecursionError):
            settings = text
        self._is_damaged = not isinstance(settings, dict) and settings is not None
        return settings if isinstance(settings, dict) else {}


def _first(patterns: Mapping[str, tuple[int, Any]], layer: str, module: str) -> Any:
    """The value of the first pattern that is of a layer, by its name in the file or in diffusers; None for none."""
    found = [patterns[name] for name in dict.fromkeys((layer, module)) if name in patterns]
    return min(found, key=lambda each: each[0])[1] if found else None
