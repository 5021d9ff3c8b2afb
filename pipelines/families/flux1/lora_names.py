"""How LoRA files spell the layers of FLUX.1's transformer and text encoders.

Spellings seen in the wild: diffusers and peft (`transformer.transformer_blocks.0.attn.to_q.lora_A.weight`),
kohya (`lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight`), OneTrainer (`lora_transformer_…` with
diffusers' names joined by underscores), ai-toolkit and ComfyUI
(`diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight`), fal (`base_model.model.double_blocks.…`) and
XLabs (`double_blocks.0.processor.qkv_lora1.down.weight`). Text encoders' layers, which many files carry beside the
transformer's, keep diffusers' names for the two encoders: `text_encoder.…` (CLIP) and `text_encoder_2.…` (T5).

diffusers 0.42 has converters of its own (loaders/lora_conversion_utils.py); this table replaces them because
they drop the layers outside the blocks without a word, are fixed to 19 + 38 blocks 3072 wide, and leave
ai-toolkit's keys without the prefix that the loader then asks for.
"""

from __future__ import annotations

import re

from pipelines.families.spellings import LoraWords, Spellings, Target, own_names

__all__ = ["LORA_WORDS", "SPELLINGS"]

_QKV = (Target("attn.to_q", 0), Target("attn.to_k", 1), Target("attn.to_v", 2))
_ADDED_QKV = (Target("attn.add_q_proj", 0), Target("attn.add_k_proj", 1), Target("attn.add_v_proj", 2))
_BFL_DOUBLE: dict[str, tuple[Target, ...]] = {
    "img_attn.qkv": _QKV,
    "txt_attn.qkv": _ADDED_QKV,
    "img_attn.proj": (Target("attn.to_out.0"),),
    "txt_attn.proj": (Target("attn.to_add_out"),),
    "img_mlp.0": (Target("ff.net.0.proj"),),
    "img_mlp.2": (Target("ff.net.2"),),
    "txt_mlp.0": (Target("ff_context.net.0.proj"),),
    "txt_mlp.2": (Target("ff_context.net.2"),),
    "img_mod.lin": (Target("norm1.linear"),),
    "txt_mod.lin": (Target("norm1_context.linear"),),
    # XLabs hangs its LoRAs on the attention processor
    "processor.qkv_lora1": _QKV,
    "processor.qkv_lora2": _ADDED_QKV,
    "processor.proj_lora1": (Target("attn.to_out.0"),),
    "processor.proj_lora2": (Target("attn.to_add_out"),),
}
_BFL_SINGLE: dict[str, tuple[Target, ...]] = {
    "linear1": (*_QKV, Target("proj_mlp", -1)),
    "linear2": (Target("proj_out"),),
    "modulation.lin": (Target("norm.linear"),),
    "processor.qkv_lora": _QKV,
}
_BFL_TOP: dict[str, tuple[Target, ...]] = {
    "img_in": (Target("x_embedder"),),
    "txt_in": (Target("context_embedder"),),
    "time_in.in_layer": (Target("time_text_embed.timestep_embedder.linear_1"),),
    "time_in.out_layer": (Target("time_text_embed.timestep_embedder.linear_2"),),
    "vector_in.in_layer": (Target("time_text_embed.text_embedder.linear_1"),),
    "vector_in.out_layer": (Target("time_text_embed.text_embedder.linear_2"),),
    "guidance_in.in_layer": (Target("time_text_embed.guidance_embedder.linear_1"),),
    "guidance_in.out_layer": (Target("time_text_embed.guidance_embedder.linear_2"),),
    "final_layer.linear": (Target("proj_out"),),
    # black-forest-labs store (shift, scale), diffusers' AdaLayerNormContinuous (scale, shift)
    "final_layer.adaLN_modulation.1": (Target("norm_out.linear", swapped=True),),
}


SPELLINGS = Spellings(
    blocks={
        "single_transformer_blocks": ("single_transformer_blocks", own_names(_BFL_SINGLE)),
        "transformer_blocks": ("transformer_blocks", own_names(_BFL_DOUBLE)),
        "double_blocks": ("transformer_blocks", _BFL_DOUBLE),
        "single_blocks": ("single_transformer_blocks", _BFL_SINGLE),
    },
    top=_BFL_TOP | own_names(_BFL_TOP),
    original_format="black-forest-labs",
    # kohya numbers CLIP 1 and T5 3 (sd-scripts, networks/lora_flux.py), OneTrainer T5 2; ComfyUI has names
    text_prefixes={
        "text_encoder.": "text_encoder",
        "text_encoder_2.": "text_encoder_2",
        "text_encoders.clip_l.transformer.": "text_encoder",
        "text_encoders.t5xxl.transformer.": "text_encoder_2",
        "lora_te_": "text_encoder",
        "lora_te1_": "text_encoder",
        "lora_te2_": "text_encoder_2",
        "lora_te3_": "text_encoder_2",
        "text_model.": "text_encoder",
    },
    text_layers={
        "text_encoder": (
            re.compile(
                r"(?:text_model[._])?encoder[._]layers[._](\d+)[._](self_attn|mlp)[._]([qkv]_proj|out_proj|fc[12])$"
            ),
            "encoder.layers.{}.{}.{}",
        ),
        "text_encoder_2": (
            re.compile(
                r"encoder[._]block[._](\d+)[._]layer[._]([01])[._](SelfAttention|DenseReluDense)[._]"
                r"([qkvo]|w[io](?:_[01])?)$"
            ),
            "encoder.block.{}.layer.{}.{}.{}",
        ),
    },
    # CLIP's layers as all tools know them
    written={"text_encoder.": "text_encoder.text_model.", "text_encoder_2.": "text_encoder_2."},
    optional=("guidance_embedder",),  # schnell and the miniature have none
    kinds={
        "attn": "attention",
        "ff": "feed-forward",
        "ff_context": "feed-forward",
        "proj_mlp": "feed-forward",
        "proj_out": "projection",
        "norm": "modulation",
        "norm1": "modulation",
        "norm1_context": "modulation",
    },
)
LORA_WORDS = LoraWords(
    # kohya "flux1", its modelspec "flux-1-dev", ai-toolkit "flux1", musubi "flux_kontext" and "Flux.1-Kontext-dev";
    # the bare "flux" is kohya's network module
    read=("flux1", "fluxkontext", "fluxdev", "fluxschnell", "flux$"),
    network_module="networks.lora_flux",
    models={3072: ("flux1", "flux-1-dev/lora")},
    other_width=("flux1", "flux-1-width-{}/lora"),
    width_modules=re.compile(r"\.attn\.to_(?!out)"),
)
