"""What other tools call the layers of a FLUX transformer, and what diffusers calls them.

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
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Target", "TensorName", "parse_name", "targets_of"]


@dataclass(frozen=True)
class TensorName:
    """One tensor of a LoRA file: the layer it belongs to, in the file's own words, and its part in it.

    `part` is one of "down", "up", "alpha" or the unsupported kind's own name ("dora_scale", "lokr_w1", "diff_b", …).
    """

    layer: str
    part: str
    format: str


@dataclass(frozen=True)
class Target:
    """Where the rows of a layer's `up` matrix go: module, and how its rows are laid out there.

    `share` is the index among equal parts; -1 says "the rest behind three parts as wide as the input" (single
    blocks' `linear1` holds q, k, v and the MLP). `swapped` says that shift and scale change places.
    """

    module: str
    share: int = 0
    swapped: bool = False


_BFL_DOUBLE: dict[str, tuple[str, ...]] = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
    # XLabs hangs its LoRAs on the attention processor
    "processor.qkv_lora1": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "processor.qkv_lora2": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "processor.proj_lora1": ("attn.to_out.0",),
    "processor.proj_lora2": ("attn.to_add_out",),
}
_BFL_SINGLE: dict[str, tuple[str, ...]] = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
    "processor.qkv_lora": ("attn.to_q", "attn.to_k", "attn.to_v"),
}
_BFL_TOP: dict[str, str] = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}
_DOUBLE = frozenset(leaf for leaves in _BFL_DOUBLE.values() for leaf in leaves)
_SINGLE = frozenset(leaf for leaves in _BFL_SINGLE.values() for leaf in leaves)
_TOP = frozenset(_BFL_TOP.values())

_FAMILIES: Mapping[str, frozenset[str]] = {
    "single_transformer_blocks": _SINGLE,
    "transformer_blocks": _DOUBLE,
    "double_blocks": frozenset(_BFL_DOUBLE),
    "single_blocks": frozenset(_BFL_SINGLE),
}

_PREFIXES = (
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "lora_unet_",
    "lora_transformer_",
)
# kohya numbers CLIP 1 and T5 3 (sd-scripts, networks/lora_flux.py), OneTrainer T5 2; ComfyUI has names
_TEXT_PREFIXES: Mapping[str, str] = {
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "text_encoders.clip_l.transformer.": "text_encoder",
    "text_encoders.t5xxl.transformer.": "text_encoder_2",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "lora_te3_": "text_encoder_2",
    "text_model.": "text_encoder",
}
_TEXT_LAYERS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "text_encoder": (
        re.compile(
            r"(?:text_model[._])?encoder[._]layers[._](\d+)[._](self_attn|mlp)[._]([qkv]_proj|out_proj|fc[12])$"
        ),
        "encoder.layers.{}.{}.{}",
    ),
    "text_encoder_2": (
        re.compile(
            r"encoder[._]block[._](\d+)[._]layer[._]([01])[._](SelfAttention|DenseReluDense)[._]([qkvo]|w[io](?:_[01])?)$"
        ),
        "encoder.block.{}.layer.{}.{}.{}",
    ),
}

# the part of a key behind its layer: "….lora_A.weight", "….lora_A.default.weight", "….lora.down.weight",
# "….alpha"
_PART = re.compile(
    r"\.(?:"
    r"(?P<down>(?:lora_A|lora_down|lora\.down|lora_linear_layer\.down|down)(?:\.default(?:_\d+)?)?\.weight)"
    r"|(?P<up>(?:lora_B|lora_up|lora\.up|lora_linear_layer\.up|up)(?:\.default(?:_\d+)?)?\.weight)"
    r"|(?P<alpha>alpha)"
    r"|(?P<other>dora_scale|lora_magnitude_vector(?:\.\w+)*|lokr_\w+|hada_\w+|oft_\w+|diff_b|diff|lora_B\.bias"
    r"|lora_mid\.weight|w_norm|b_norm)"
    r")$"
)


def parse_name(key: str) -> TensorName | None:
    """Read one key of a LoRA file; None if its ending is none that any known LoRA tool writes."""
    match = _PART.search(key)
    if match is None:
        return None
    layer = key[: match.start()]
    part = next(name for name in ("down", "up", "alpha", "other") if match.group(name) is not None)
    if part == "other":
        part = match.group("other")
    if text := _text_layer(layer.removeprefix("base_model.model.")):
        return TensorName(text, part, "kohya" if layer.startswith("lora_te") else "diffusers")
    bare = layer
    while prefix := next((p for p in _PREFIXES if bare.startswith(p)), None):
        bare = bare[len(prefix) :]
    joined = layer.startswith(("lora_unet_", "lora_transformer_")) or _is_joined(bare)
    bare = _dotted(bare) if joined else bare
    return TensorName(bare, part, _format(layer, bare, joined))


def targets_of(layer: str) -> tuple[Target, ...]:
    """The modules of the transformer or of a text encoder that a layer (from `parse_name`) stands for; () if none."""
    if layer.startswith(("text_encoder.", "text_encoder_2.")):
        return (Target(layer),)
    family, index, leaf = _split(layer)
    if family == "transformer_blocks" and leaf in _DOUBLE:
        return (Target(layer),)
    if family == "single_transformer_blocks" and leaf in _SINGLE:
        return (Target(layer),)
    if family == "double_blocks" and leaf in _BFL_DOUBLE:
        return tuple(Target(f"transformer_blocks.{index}.{to}", i) for i, to in enumerate(_BFL_DOUBLE[leaf]))
    if family == "single_blocks" and leaf in _BFL_SINGLE:
        names = _BFL_SINGLE[leaf]
        shares = (0, 1, 2, -1) if len(names) == 4 else tuple(range(len(names)))
        places = zip(names, shares, strict=True)
        return tuple(Target(f"single_transformer_blocks.{index}.{to}", share) for to, share in places)
    if layer in _BFL_TOP:
        # black-forest-labs store (shift, scale), diffusers' AdaLayerNormContinuous (scale, shift)
        return (Target(_BFL_TOP[layer], swapped=layer == "final_layer.adaLN_modulation.1"),)
    if layer in _TOP:
        return (Target(layer),)
    return ()


def _text_layer(layer: str) -> str:
    """The name of a text encoder's layer, such as "text_encoder.encoder.layers.0.mlp.fc1"; "" if it is none."""
    for prefix, encoder in _TEXT_PREFIXES.items():
        pattern, name = _TEXT_LAYERS[encoder]
        if layer.startswith(prefix) and (match := pattern.match(layer.removeprefix(prefix))):
            return f"{encoder}.{name.format(*match.groups())}"
    return ""


def _split(layer: str) -> tuple[str, str, str]:
    """ "double_blocks.3.img_attn.qkv" → ("double_blocks", "3", "img_attn.qkv"); ("", "", layer) outside the
    blocks.
    """
    family, _, rest = layer.partition(".")
    index, _, leaf = rest.partition(".")
    return (family, index, leaf) if family in _FAMILIES and index.isdecimal() else ("", "", layer)


def _is_joined(name: str) -> bool:
    return any(re.match(rf"{family}_\d+_", name) for family in _FAMILIES)


def _dotted(name: str) -> str:
    """Undo kohya's replacement of "." by "_"; the name as it was if it is none of ours."""
    name = name.replace(".", "_")
    for family, leaves in _FAMILIES.items():
        if found := re.match(rf"{family}_(\d+)_(.+)$", name):
            leaf = next((leaf for leaf in leaves if leaf.replace(".", "_") == found.group(2)), found.group(2))
            return f"{family}.{found.group(1)}.{leaf}"
    return next((top for top in (*_BFL_TOP, *_TOP) if top.replace(".", "_") == name), name)


def _format(layer: str, bare: str, joined: bool) -> str:
    if joined:
        return "onetrainer" if "lora_transformer_" in layer else "kohya"
    if ".processor." in bare:
        return "xlabs"
    if layer.startswith("base_model."):
        return "peft"
    return "diffusers" if _split(bare)[0].endswith("transformer_blocks") or bare in _TOP else "black-forest-labs"
