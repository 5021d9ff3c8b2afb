"""Whether a LoRA file is for FLUX.1, told from the names and shapes of its layers.

FLUX.2 has the same names for attention in its double blocks, and klein-4B the same width of 3072. It differs in the
MLPs (gated: 6 and 3 times the width instead of 4 and 4), in the single blocks (linear1 9 times instead of 7, linear2
4 instead of 5), in the text's width, and in modulation, which FLUX.1 has in every block. Numbers are those of
diffusers' configurations (FluxTransformer2DModel, Flux2Transformer2DModel). Qwen-Image and Stable Diffusion 3 have
diffusers' names of the double blocks, too, and no single blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.families.flux1.lora_names import LORA_WORDS, SPELLINGS
from pipelines.families.protocol import Shapes, Verdict

__all__ = ["judge_lora"]

_DOUBLE, _SINGLE = 19, 38  # blocks of FLUX.1
_KLEIN_DOUBLE, _KLEIN_SINGLE = 5, 20  # blocks of FLUX.2-klein-4B
_FLUX2_WIDTHS = (4096, 6144)  # of klein-9B and dev, which no FLUX.1 has
_SD3_WIDTHS = (1536, 2432)
_FLUX2_TEXT = (7680, 12288, 15360)
_FLUX1_TEXT = 4096
# leaf in either spelling: how many times wider the layer's one side is than its other, in FLUX.1 and in FLUX.2
_RATIOS: Mapping[str, tuple[float, float]] = {
    "img_mlp.0": (4, 6),
    "txt_mlp.0": (4, 6),
    "img_mlp.2": (4, 3),
    "txt_mlp.2": (4, 3),
    "linear1": (7, 9),
    "linear2": (5, 4),
}
# leaves that FLUX.2 and Qwen-Image spell otherwise or do not have
_OWN = (
    "processor.", "img_mod.", "txt_mod.", "modulation.", "ff.net.", "ff_context.net.", "norm1.", "norm1_context.",
    "norm.", "proj_mlp", "proj_out",
)  # fmt: skip
_OWN_TOP = ("vector_in.", "time_text_embed.")
_TEXT_IN = ("txt_in", "context_embedder")


@dataclass
class _Seen:
    """Facts that a file's layers tell: how many are FLUX.1's by name, proofs for either family, and the last blocks.

    `diffusers` says that no block has black-forest-labs' name.
    """

    layers: int = 0
    flux1: bool = False
    flux2: bool = False
    double: int = -1
    single: int = -1
    diffusers: bool = True
    widths: Counter[int] = field(default_factory=Counter)


def judge_lora(shapes: Shapes, width: int = 0) -> Verdict:
    """Judge by names and shapes alone; `width` 0 accepts any hidden width."""
    seen = _look(shapes)
    if not seen.layers:
        return Verdict("unknown")
    found = seen.widths.most_common(1)[0][0] if seen.widths else 0
    if seen.flux2:
        return Verdict("other family", "flux2", found)
    if not seen.flux1:
        if seen.double >= _DOUBLE and seen.single < 0:
            return Verdict("other family", "sd3" if found in _SD3_WIDTHS else "qwen-image", found)
        if seen.double >= _DOUBLE or seen.single >= _SINGLE or found in _FLUX2_WIDTHS:
            return Verdict("other family", "flux2", found)
        if seen.double < _KLEIN_DOUBLE and seen.single < _KLEIN_SINGLE:
            qwen = ("qwen-image",) if seen.diffusers and seen.single < 0 else ()
            return Verdict("ambiguous", "", found, ("flux1", "flux2", *qwen))
    return Verdict("other width" if width and found and found != width else "yes", "flux1", found)


def _look(shapes: Shapes) -> _Seen:
    seen = _Seen()
    sides: dict[str, dict[str, int]] = {}
    for key, shape in shapes.items():
        name = SPELLINGS.parse(key)
        targets = SPELLINGS.targets(name.layer) if name else ()
        if name is None or not targets or name.layer.startswith("text_encoder"):
            continue
        seen.layers += 1
        blocks, index, leaf = SPELLINGS.split(name.layer)
        side = sides.setdefault(name.layer, {})
        if len(shape) == 2 and name.part in ("down", "up"):
            side[name.part] = shape[1] if name.part == "down" else shape[0]
        if "single" in blocks:
            seen.single = max(seen.single, int(index))
            # FLUX.2's single blocks hold q, k and v in one matrix in diffusers' names
            seen.flux1 |= "transformer" in blocks
        elif blocks:
            seen.double = max(seen.double, int(index))
        if blocks:
            seen.diffusers &= "transformer" in blocks
            seen.flux1 |= leaf.startswith(_OWN)
        else:
            seen.flux1 |= name.layer.startswith(_OWN_TOP)
        if name.part == "down" and "down" in side and LORA_WORDS.width_modules.search(targets[0].module):
            seen.widths[side["down"]] += 1
    for layer, side in sides.items():
        _weigh(seen, layer, side)
    return seen


def _weigh(seen: _Seen, layer: str, side: Mapping[str, int]) -> None:
    """Note what a layer's own sides prove; `side` are its inputs ("down") and outputs ("up")."""
    _, _, leaf = SPELLINGS.split(layer)
    if layer in _TEXT_IN and "down" in side:
        seen.flux1 |= side["down"] == _FLUX1_TEXT
        seen.flux2 |= side["down"] in _FLUX2_TEXT
    if leaf in _RATIOS and len(side) == 2:
        ours, theirs = _RATIOS[leaf]
        ratio = max(side.values()) / max(min(side.values()), 1)
        seen.flux1 |= ratio == ours
        seen.flux2 |= ratio == theirs
