"""How LoRA files spell the layers of Z-Image's transformer and text encoder.

Spellings seen in the wild: diffusers (`transformer.layers.0.attention.to_q.lora_A.weight`), ai-toolkit and ComfyUI
(`diffusion_model.layers.0.…`), musubi-tuner and kohya (`lora_unet_layers_0_attention_to_q.lora_down.weight`, also
`lora_unet__layers_…`), and the original's own names, which ComfyUI and sd-scripts keep: `attention.qkv`, one matrix for
three, and `attention.out`. A file of musubi's that was made for ComfyUI has three LoRAs in one `qkv`, side by side,
with alpha times three.
"""

from __future__ import annotations

import re

from pipelines.families.qwen3_layers import TEXT_LAYERS, TEXT_PREFIXES
from pipelines.families.spellings import LoraWords, Spellings, Target, own_names

__all__ = ["LORA_WORDS", "SPELLINGS"]

_BLOCK: dict[str, tuple[Target, ...]] = {
    "attention.qkv": (Target("attention.to_q", 0), Target("attention.to_k", 1), Target("attention.to_v", 2)),
    "attention.out": (Target("attention.to_out.0"),),
    "attention.to_out": (Target("attention.to_out.0"),),
    "feed_forward.w1": (Target("feed_forward.w1"),),
    "feed_forward.w2": (Target("feed_forward.w2"),),
    "feed_forward.w3": (Target("feed_forward.w3"),),
    "adaLN_modulation.0": (Target("adaLN_modulation.0"),),
}
# the transformer has one entrance and one exit for each size of patch; all published ones have "2-1" alone
_TOP: dict[str, tuple[Target, ...]] = {
    "x_embedder": (Target("all_x_embedder.2-1"),),
    "final_layer.linear": (Target("all_final_layer.2-1.linear"),),
    "final_layer.adaLN_modulation.1": (Target("all_final_layer.2-1.adaLN_modulation.1"),),
    "cap_embedder.1": (Target("cap_embedder.1"),),
    "t_embedder.mlp.0": (Target("t_embedder.mlp.0"),),
    "t_embedder.mlp.2": (Target("t_embedder.mlp.2"),),
}
_ALL = _BLOCK | own_names(_BLOCK)

SPELLINGS = Spellings(
    blocks={blocks: (blocks, _ALL) for blocks in ("layers", "noise_refiner", "context_refiner")},
    top=_TOP | own_names(_TOP),
    original_format="comfyui",
    text_prefixes=TEXT_PREFIXES,
    text_layers=TEXT_LAYERS,
    written={"text_encoder.": "text_encoder."},
    kinds={"attention": "attention", "feed_forward": "feed-forward", "adaLN_modulation": "modulation"},
)
LORA_WORDS = LoraWords(
    # ai-toolkit "zimage" and "zimage_turbo", musubi "z_image", kohya's network module "networks.lora_zimage"
    read=("zimage",),
    network_module="networks.lora_zimage",
    models={3840: ("zimage", "Z-Image/lora")},
    other_width=("zimage", "Z-Image-width-{}/lora"),
    width_modules=re.compile(r"\.attention\.to_(?:[qkv]|out\.0)$|\.feed_forward\.w[13]$"),
)
