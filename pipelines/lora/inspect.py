"""Inspection of a LoRA file, in a few words and numbers, without a backbone and without running anything in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipelines.families.catalogue import find_family
from pipelines.lora.files import LoraFile, read_lora

__all__ = ["LoraReport", "inspect_lora"]


@dataclass(frozen=True)
class LoraReport:
    """`ranks` and `alphas` ascending, each once; `layers` counts by kind; `autov2` is Civitai's short hash.

    `base_model`, `trigger_words` and `licence` are what the file says of itself, empty where it is silent; `width` is
    the transformer's hidden width that it was made for (3072 for FLUX.1), 0 if it cannot be told; `family` is the id
    of the model family that it is for.
    """

    name: str
    family: str
    format: str
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    width: int
    base_model: str
    trigger_words: tuple[str, ...]
    licence: str
    layers: dict[str, int]
    sha256: str
    autov2: str


def inspect_lora(path: Path | str, family: str = "") -> LoraReport:
    """Read and describe a LoRA file; `family` as in `read_lora`.

    Raises BadLora with the reason where it could not be applied completely.
    """
    file = read_lora(path, family)
    facts = find_family(file.family)
    said = file.metadata
    return LoraReport(
        name=file.path.name,
        family=file.family,
        format=file.format,
        ranks=tuple(sorted({x.rank for x in file.layers})),
        alphas=tuple(sorted({x.alpha for x in file.layers})),
        width=file.width,
        base_model=said.get("modelspec.architecture") or said.get("ss_base_model_version") or "",
        trigger_words=_trigger_words(file),
        licence=said.get("modelspec.license", ""),
        layers=dict(sorted(Counter(facts.lora_spellings.kind_of(x.module) for x in file.layers).items())),
        sha256=file.sha256,
        autov2=file.sha256[:10].upper(),
    )


def _trigger_words(file: LoraFile) -> tuple[str, ...]:
    phrase = file.metadata.get("modelspec.trigger_phrase", "")
    return tuple(word.strip() for word in phrase.split(",") if word.strip())
