"""What a LoRA file is, in a few words and numbers, without a backbone and without running anything in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipelines.lora.files import LoraFile, read_lora

__all__ = ["LoraReport", "inspect_lora"]

_KINDS = {
    "attn": "attention",
    "ff": "feed-forward",
    "ff_context": "feed-forward",
    "proj_mlp": "feed-forward",
    "proj_out": "projection",
    "norm": "modulation",
    "norm1": "modulation",
    "norm1_context": "modulation",
}


@dataclass(frozen=True)
class LoraReport:
    """`ranks` and `alphas` ascending, each once; `layers` counts by kind; `autov2` is Civitai's short hash.

    `base_model`, `trigger_words` and `licence` are what the file says of itself, empty where it is silent; `width` is
    the transformer's hidden width that it was made for (3072 for FLUX.1), 0 if it cannot be told.
    """

    name: str
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


def inspect_lora(path: Path | str) -> LoraReport:
    """Read and describe a LoRA file. Raises BadLora with the reason where it could not be applied completely."""
    file = read_lora(path)
    said = file.metadata
    widths = Counter(x.down.shape[1] for x in file.layers if x.module.endswith(("attn.to_q", "attn.to_k", "attn.to_v")))
    return LoraReport(
        name=file.path.name,
        format=file.format,
        ranks=tuple(sorted({x.rank for x in file.layers})),
        alphas=tuple(sorted({x.alpha for x in file.layers})),
        width=widths.most_common(1)[0][0] if widths else 0,
        base_model=said.get("modelspec.architecture") or said.get("ss_base_model_version") or "",
        trigger_words=_trigger_words(file),
        licence=said.get("modelspec.license", ""),
        layers=dict(sorted(Counter(_kind(x.module) for x in file.layers).items())),
        sha256=file.sha256,
        autov2=file.sha256[:10].upper(),
    )


def _trigger_words(file: LoraFile) -> tuple[str, ...]:
    phrase = file.metadata.get("modelspec.trigger_phrase", "")
    return tuple(word.strip() for word in phrase.split(",") if word.strip())


def _kind(module: str) -> str:
    if module.startswith(("text_encoder.", "text_encoder_2.")):
        return "text encoder"
    family, _, rest = module.partition(".")
    if family in ("transformer_blocks", "single_transformer_blocks"):
        return _KINDS[rest.split(".")[1]]
    return "embedding and output"
