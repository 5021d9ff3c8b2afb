"""How LoRA files spell the layers of Qwen3, the text encoder of FLUX.2-klein and of Z-Image.

Both name them `text_encoder.layers.N.…` here: Qwen3ForCausalLM has a level `model` around them, Qwen3Model has none.
"""

from __future__ import annotations

import re

__all__ = ["TEXT_LAYERS", "TEXT_PREFIXES"]

TEXT_PREFIXES = {
    "text_encoder.": "text_encoder",
    "text_encoders.qwen3_4b.transformer.": "text_encoder",
    "text_encoders.qwen3_8b.transformer.": "text_encoder",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
}
TEXT_LAYERS = {
    "text_encoder": (
        re.compile(r"(?:model[._])*layers[._](\d+)[._](self_attn|mlp)[._]([qkvo]_proj|(?:gate|up|down)_proj)$"),
        "layers.{}.{}.{}",
    ),
}
