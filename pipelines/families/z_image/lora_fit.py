"""Whether a LoRA file is for Z-Image, told from the names and shapes of its layers.

Lumina-Image 2.0, from which Z-Image comes, has the same names. It is 2304 wide, has fewer keys and values than queries,
and its modulation stands behind an activation (`adaLN_modulation.1`).
"""

from __future__ import annotations

from pipelines.families.lora_layers import hidden_width, layers_of
from pipelines.families.protocol import Shapes, Verdict
from pipelines.families.spellings import MAX_NAME
from pipelines.families.z_image.lora_names import LORA_WORDS, SPELLINGS

__all__ = ["judge_lora"]

_LUMINA_WIDTH = 2304


def judge_lora(shapes: Shapes, width: int = 0) -> Verdict:
    """Judge by names and shapes alone; `width` 0 accepts any hidden width."""
    layers = layers_of(SPELLINGS, shapes)
    found = hidden_width(LORA_WORDS, layers)
    # outside the blocks, most names are those of other families, too
    inside = [layer for layer in layers if layer.blocks]
    if not inside and not any(layer.name.startswith(("all_", "cap_embedder")) for layer in layers):
        return Verdict("unknown")
    fused = [layer for layer in inside if layer.leaf == "attention.qkv" and layer.outputs]
    names = [name.replace(".", "_") for name in shapes if len(name) <= MAX_NAME]
    if (
        found == _LUMINA_WIDTH
        or any(layer.outputs != 3 * layer.inputs for layer in fused)
        or any("layers_" in name and "_adaLN_modulation_1" in name for name in names)
    ):
        return Verdict("other family", "lumina2", found)
    return Verdict("other width" if width and found and found != width else "yes", "z-image", found)
