"""How LoRA files spell the layers of FLUX.2's transformer and text encoder.

Spellings seen in the wild: diffusers and SimpleTuner (`transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj`),
DiffSynth (the same without a prefix), ai-toolkit, ComfyUI and Civitai
(`diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight`), fal (`base_model.model.double_blocks.…`), musubi-tuner
and kohya (`lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight`), LyCORIS (`lycoris_transformer_blocks_0_…`).

diffusers 0.42 has converters of its own (loaders/lora_conversion_utils.py); this table replaces them because they
ignore fal's prefix and kohya's modulation without a word, do not exchange shift and scale of the last layer, and fail
on files that change a part of the layers.
"""

from __future__ import annotations

import re

from pipelines.families.qwen3_layers import TEXT_LAYERS, TEXT_PREFIXES
from pipelines.families.spellings import LoraWords, Spellings, Target, own_names

__all__ = ["LORA_WORDS", "SPELLINGS"]

_BFL_DOUBLE: dict[str, tuple[Target, ...]] = {
    "img_attn.qkv": (Target("attn.to_q", 0), Target("attn.to_k", 1), Target("attn.to_v", 2)),
    "txt_attn.qkv": (Target("attn.add_q_proj", 0), Target("attn.add_k_proj", 1), Target("attn.add_v_proj", 2)),
    "img_attn.proj": (Target("attn.to_out.0"),),
    "txt_attn.proj": (Target("attn.to_add_out"),),
    "img_mlp.0": (Target("ff.linear_in"),),
    "img_mlp.2": (Target("ff.linear_out"),),
    "txt_mlp.0": (Target("ff_context.linear_in"),),
    "txt_mlp.2": (Target("ff_context.linear_out"),),
}
_BFL_SINGLE: dict[str, tuple[Target, ...]] = {
    # q, k, v and the gated MLP's two halves, three times the width each: one matrix in both spellings
    "linear1": (Target("attn.to_qkv_mlp_proj", times=9),),
    "linear2": (Target("attn.to_out"),),
}
_BFL_TOP: dict[str, tuple[Target, ...]] = {
    "img_in": (Target("x_embedder"),),
    "txt_in": (Target("context_embedder"),),
    "time_in.in_layer": (Target("time_guidance_embed.timestep_embedder.linear_1"),),
    "time_in.out_layer": (Target("time_guidance_embed.timestep_embedder.linear_2"),),
    "guidance_in.in_layer": (Target("time_guidance_embed.guidance_embedder.linear_1"),),
    "guidance_in.out_layer": (Target("time_guidance_embed.guidance_embedder.linear_2"),),
    "double_stream_modulation_img.lin": (Target("double_stream_modulation_img.linear"),),
    "double_stream_modulation_txt.lin": (Target("double_stream_modulation_txt.linear"),),
    "single_stream_modulation.lin": (Target("single_stream_modulation.linear"),),
    "final_layer.linear": (Target("proj_out"),),
    # black-forest-labs store (shift, scale), diffusers' AdaLayerNormContinuous (scale, shift)
    "final_layer.adaLN_modulation.1": (Target("norm_out.linear", swapped=True),),
}
_DOUBLE, _SINGLE = own_names(_BFL_DOUBLE), own_names(_BFL_SINGLE)

SPELLINGS = Spellings(
    blocks={
        "single_transformer_blocks": ("single_transformer_blocks", _SINGLE),
        "transformer_blocks": ("transformer_blocks", _DOUBLE),
        "double_blocks": ("transformer_blocks", _BFL_DOUBLE),
        "single_blocks": ("single_transformer_blocks", _BFL_SINGLE),
        # of exports that cut "transformer." off twice (diffusers, _convert_non_diffusers_flux2_lora_to_diffusers)
        "sformer_blocks": ("transformer_blocks", _DOUBLE),
    },
    top=_BFL_TOP | own_names(_BFL_TOP),
    original_format="black-forest-labs",
    text_prefixes=TEXT_PREFIXES,
    text_layers=TEXT_LAYERS,
    written={"text_encoder.": "text_encoder.model."},
    optional=("guidance_embedder",),  # dev alone has one
    kinds={"attn": "attention", "ff": "feed-forward", "ff_context": "feed-forward"},
)
LORA_WORDS = LoraWords(
    # ai-toolkit "flux2_klein_4b", "flux2_klein_9b" and "flux2", musubi "flux_2_klein_4b" and "Flux.2-klein-4b/lora",
    # kohya's network module "networks.lora_flux_2"
    read=("flux2",),
    network_module="networks.lora_flux_2",
    models={
        3072: ("flux2_klein_4b", "Flux.2-klein-4b/lora"),
        4096: ("flux2_klein_9b", "Flux.2-klein-9b/lora"),
        6144: ("flux2", "Flux.2-dev/lora"),
    },
    other_width=("flux2", "Flux.2-width-{}/lora"),
    width_modules=re.compile(
        r"\.attn\.(?:to_[qkv]|add_[qkv]_proj|to_qkv_mlp_proj|to_out\.0|to_add_out)$|\.ff(?:_context)?\.linear_in$|"
        r"_stream_modulation_?\w*\.linear$"
    ),
)
