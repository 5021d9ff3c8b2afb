"""Whether a LoRA file is for FLUX.1 or for FLUX.2, told from the names and shapes of its layers.

FLUX.2 has the same names for attention in its double blocks, and klein-4B the same width of 3072. It differs in the
MLPs (gated: 6 and 3 times the width instead of 4 and 4), in the single blocks (linear1 9 times instead of 7, linear2
4 instead of 5; one matrix each in diffusers' names, too), in the text's width, and in modulation, which FLUX.1 has in
every block. Numbers are those of diffusers' configurations (FluxTransformer2DModel, Flux2Transformer2DModel: klein-4B
has 5 double and 20 single blocks 3072 wide, klein-9B 8 and 24 of 4096, dev 8 and 48 of 6144). Qwen-Image and Stable
Diffusion 3 have diffusers' names of the double blocks, too, and no single blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipelines.families.flux1 import lora_names as flux1
from pipelines.families.flux2 import lora_names as flux2
from pipelines.families.lora_layers import LayerSides, hidden_width, layers_of
from pipelines.families.protocol import Shapes, Verdict

__all__ = ["judge_flux_lora"]

_DOUBLE, _SINGLE = 19, 38  # blocks of FLUX.1
_KLEIN_DOUBLE, _KLEIN_SINGLE = 5, 20
_FLUX2_WIDTHS = (4096, 6144)  # of klein-9B and dev, which no FLUX.1 has
_SD3_WIDTHS = (1536, 2432)
_FLUX2_TEXT = (7680, 12288, 15360)
_FLUX1_TEXT = 4096
_TEXT_IN = ("txt_in", "context_embedder")
# leaf in the spelling that both have: how many times wider the layer's one side is than its other, in FLUX.1 and FLUX.2
_RATIOS: Mapping[str, tuple[float, float]] = {
    "img_mlp.0": (4, 6),
    "txt_mlp.0": (4, 6),
    "img_mlp.2": (4, 3),
    "txt_mlp.2": (4, 3),
    "linear1": (7, 9),
    "linear2": (5, 4),
}


@dataclass(frozen=True)
class _Proofs:
    """What proves either family; `double` and `single` are the last blocks, -1 for none, and `diffusers` says that no
    block has black-forest-labs' name.
    """

    flux1: bool
    flux2: bool
    double: int
    single: int
    diffusers: bool


def judge_flux_lora(family: str, shapes: Shapes, width: int = 0) -> Verdict:
    """Judge for the family "flux1" or "flux2" by names and shapes alone; `width` 0 accepts any hidden width."""
    proofs, found = _look(tuple(shapes.items()))
    if proofs is None:
        return Verdict("unknown")
    whose = _decide(proofs, found)
    if not whose:
        qwen = ("qwen-image",) if proofs.diffusers and proofs.single < 0 else ()
        return Verdict("ambiguous", "", found, ("flux1", "flux2", *qwen))
    if whose != family:
        return Verdict("other family", whose, found)
    return Verdict("other width" if width and found and found != width else "yes", family, found)


@lru_cache(maxsize=2)  # a file is judged for both families
def _look(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> tuple[_Proofs | None, int]:
    """What a file's layers prove, None where it has none of either family's, and the hidden width."""
    first, second = layers_of(flux1.SPELLINGS, dict(shapes)), layers_of(flux2.SPELLINGS, dict(shapes))
    if not first and not second:
        return None, 0
    found = hidden_width(flux2.LORA_WORDS, second) or hidden_width(flux1.LORA_WORDS, first)
    return _prove(first, second), found


def _decide(proofs: _Proofs, width: int) -> str:
    """The family's id; "" where nothing in the file tells."""
    if proofs.flux2:
        return "flux2"
    if proofs.flux1:
        return "flux1"
    if proofs.double >= _DOUBLE and proofs.single < 0:
        return "sd3" if width in _SD3_WIDTHS else "qwen-image"
    if proofs.double >= _DOUBLE or proofs.single >= _SINGLE or width in _FLUX2_WIDTHS:
        return "flux2"
    return "" if proofs.double < _KLEIN_DOUBLE and proofs.single < _KLEIN_SINGLE else "flux1"


def _prove(first: Sequence[LayerSides], second: Sequence[LayerSides]) -> _Proofs:
    """Weigh the layers that FLUX.1's table knows and those that FLUX.2's knows; one that only one has proves it."""
    names1, names2 = {layer.name for layer in first}, {layer.name for layer in second}
    shared = [layer for layer in first if layer.name in names2]
    every = [*first, *(layer for layer in second if layer.name not in names1)]
    ratios = [(layer.ratio, _RATIOS[layer.leaf]) for layer in shared if layer.leaf in _RATIOS]
    texts = [layer.inputs for layer in shared if layer.name in _TEXT_IN]
    return _Proofs(
        flux1=bool(names1 - names2) or any(r == one for r, (one, _) in ratios) or _FLUX1_TEXT in texts,
        flux2=bool(names2 - names1) or any(r == two for r, (_, two) in ratios) or any(t in _FLUX2_TEXT for t in texts),
        double=max((layer.index for layer in every if layer.blocks and "single" not in layer.blocks), default=-1),
        single=max((layer.index for layer in every if "single" in layer.blocks), default=-1),
        diffusers=not any(layer.blocks and "transformer" not in layer.blocks for layer in every),
    )
