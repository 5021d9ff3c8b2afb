"""Which LoRA files of the world the studio applies: `python -m benchmarks.lora_formats --data DIR --out DIR`.

Each listing (JSON, {key: shape} of a real file) becomes a file of the same keys with random weights for a FLUX.1,
FLUX.2-klein-4B or Z-Image of one 64th of the width. Its ΔW, computed here from the published layouts alone
(black-forest-labs/flux, modules/layers.py; black-forest-labs/flux2, model.py; Tongyi-MAI/Z-Image; diffusers,
transformer_flux.py, transformer_flux2.py, transformer_z_image.py; kohya sd-scripts, networks/lora_flux.py), is compared
with what a backbone's weights became. Nothing of the studio's own tables is used for the comparison.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401
from pipelines.errors import BadLora
from pipelines.families.catalogue import family_name
from pipelines.lora import LoraStack, read_lora
from studio.texts.errors import say_error
from studio.texts.texts import Texts

# isort: split
from diffusers import Flux2Transformer2DModel, FluxTransformer2DModel, ZImageTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

_DIVISOR, _CLIP, _T5 = 64, 12, 64
_HIDDEN = {"flux1": 48, "flux2": 48, "z-image": 60}
_NOT_SCALED = (64, 128, 256)  # latents, head norms and the sinusoid keep their size
_PARTS = re.compile(r"\.(lora_A|lora_B|lora_down|lora_up|down|up)\.weight$|\.(alpha)$")


@dataclass(frozen=True)
class Row:
    """`verdict` is "applied" or "refused"; `delta_error` the largest relative error of a module's ΔW."""

    file: str
    family: str
    verdict: str
    layers: int
    dropped: int
    reason: str
    delta_error: float | None


def check_listing(path: Path, seed: int = 0) -> Row:
    """Make the file, apply it to a tiny backbone, compare."""
    tensors = make_tensors(json.loads(path.read_text()), seed)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{path.stem}.safetensors"
        save_file(tensors, file)
        try:
            lora = read_lora(file)
            model = _MODELS[lora.family](seed)
            before = _weights(model)
            LoraStack(model).set([(lora.layers, 1.0)])
        except BadLora as error:
            return Row(
                path.name, str(error.fields.get("family", "")), "refused", 0, 0, say_error(error, Texts("en"))[0], None
            )
    after = _weights(model)
    expected = hand_computed(tensors, lora.family)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    worst = max(
        float((after[name].double() - before[name].double() - want).norm() / want.norm())
        for name, want in expected.items()
    )
    missed = expected.keys() - changed
    return Row(
        path.name,
        family_name(lora.family),
        "applied",
        len(changed),
        len(missed) + len(changed - expected.keys()),
        "",
        worst,
    )


def make_tensors(listing: Mapping[str, list[int]], seed: int) -> dict[str, Tensor]:
    """Random weights under the listing's keys; all but ranks, alphas and small fixed sizes 64 times narrower."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for key, shape in listing.items():
        if key.endswith(".alpha"):
            tensors[key] = torch.tensor(2.0)
            continue
        rank_axis = 0 if re.search(r"(lora_A|lora_down|\.down)\.weight$", key) else 1
        small = [
            n if (len(shape) == 2 and axis == rank_axis) or n in _NOT_SCALED or n % _DIVISOR else n // _DIVISOR
            for axis, n in enumerate(shape)
        ]
        tensors[key] = torch.randn(small, generator=generator, dtype=torch.float64).float()
    return tensors


@dataclass(frozen=True, eq=False)
class TinyModel:
    """What a LoRA can change (`pipelines.families.model.Adaptable`)."""

    transformer: nn.Module
    text_encoders: Mapping[str, nn.Module]
    family: str = "flux1"


def tiny_backbone(seed: int) -> TinyModel:
    """A transformer with FLUX.1-dev's depth and 1/64 of its width, and text encoders with all its layers."""
    torch.manual_seed(seed)
    transformer: Any = FluxTransformer2DModel  # untyped
    transformer = transformer(
        in_channels=64, num_layers=19, num_single_layers=38, attention_head_dim=16, num_attention_heads=3,
        joint_attention_dim=_T5, pooled_projection_dim=_CLIP, guidance_embeds=True, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    clip = CLIPTextModel(CLIPTextConfig(
        vocab_size=8, hidden_size=_CLIP, intermediate_size=48, num_hidden_layers=12, num_attention_heads=2,
        bos_token_id=0, eos_token_id=1,
    ))  # fmt: skip
    t5 = T5EncoderModel(T5Config(
        vocab_size=8, d_model=_T5, d_kv=32, d_ff=160, num_layers=24, num_heads=2, feed_forward_proj="gated-gelu",
    ))  # fmt: skip
    return TinyModel(transformer, {"text_encoder": clip, "text_encoder_2": t5})


def tiny_klein(seed: int) -> TinyModel:
    """FLUX.2-klein-4B's depth and 1/64 of its width."""
    torch.manual_seed(seed)
    transformer: Any = Flux2Transformer2DModel  # untyped
    transformer = transformer(
        in_channels=128, num_layers=5, num_single_layers=20, attention_head_dim=16, num_attention_heads=3,
        joint_attention_dim=120, timestep_guidance_channels=256, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    return TinyModel(transformer, {}, "flux2")


def tiny_z_image(seed: int) -> TinyModel:
    """Z-Image's depth and 1/64 of its width; the modulation's inputs are 256, whatever the width."""
    torch.manual_seed(seed)
    transformer: Any = ZImageTransformer2DModel  # untyped
    transformer = transformer(
        in_channels=16, dim=60, n_heads=2, n_kv_heads=2, cap_feat_dim=40, axes_dims=[10, 10, 10],
        axes_lens=[32, 32, 32],
    )  # fmt: skip
    for block in (*transformer.layers, *transformer.noise_refiner):
        block.adaLN_modulation[0] = nn.Linear(256, 4 * 60)
    return TinyModel(transformer, {}, "z-image")


_MODELS = {"flux1": tiny_backbone, "flux2": tiny_klein, "z-image": tiny_z_image}


def _weights(model: TinyModel) -> dict[str, Tensor]:
    """{parameter: a copy}, encoders' behind their names; only matrices, which are all a LoRA may change."""
    parts = {"": model.transformer, **{f"{name}.": part for name, part in model.text_encoders.items()}}
    return {
        prefix + name.removesuffix(".weight").removeprefix("text_model."): p.detach().clone()
        for prefix, model in parts.items()
        for name, p in model.named_parameters()
        if p.ndim == 2
    }


_Table: TypeAlias = dict[str, list[tuple[str, int, int | None]]]
# (a layer in a file's words, dots for underscores too) -> (module, first row, last row) in units of the hidden width
_DOUBLE: _Table = {
    "img_attn.qkv": [("attn.to_q", 0, 1), ("attn.to_k", 1, 2), ("attn.to_v", 2, 3)],
    "txt_attn.qkv": [("attn.add_q_proj", 0, 1), ("attn.add_k_proj", 1, 2), ("attn.add_v_proj", 2, 3)],
    "processor.qkv_lora1": [("attn.to_q", 0, 1), ("attn.to_k", 1, 2), ("attn.to_v", 2, 3)],
    "processor.qkv_lora2": [("attn.add_q_proj", 0, 1), ("attn.add_k_proj", 1, 2), ("attn.add_v_proj", 2, 3)],
    "processor.proj_lora1": [("attn.to_out.0", 0, 1)],
    "processor.proj_lora2": [("attn.to_add_out", 0, 1)],
    "img_attn.proj": [("attn.to_out.0", 0, 1)],
    "txt_attn.proj": [("attn.to_add_out", 0, 1)],
    "img_mlp.0": [("ff.net.0.proj", 0, 4)],
    "img_mlp.2": [("ff.net.2", 0, 1)],
    "txt_mlp.0": [("ff_context.net.0.proj", 0, 4)],
    "txt_mlp.2": [("ff_context.net.2", 0, 1)],
    "img_mod.lin": [("norm1.linear", 0, 6)],
    "txt_mod.lin": [("norm1_context.linear", 0, 6)],
}
_SINGLE: _Table = {
    "linear1": [("attn.to_q", 0, 1), ("attn.to_k", 1, 2), ("attn.to_v", 2, 3), ("proj_mlp", 3, 7)],
    "linear2": [("proj_out", 0, 1)],
    "modulation.lin": [("norm.linear", 0, 3)],
}
# FLUX.2 has the attention of the double blocks alike, gated MLPs, and one matrix for a single block's q, k, v and MLP
_DOUBLE_2: _Table = _DOUBLE | {
    "img_mlp.0": [("ff.linear_in", 0, 6)],
    "img_mlp.2": [("ff.linear_out", 0, 1)],
    "txt_mlp.0": [("ff_context.linear_in", 0, 6)],
    "txt_mlp.2": [("ff_context.linear_out", 0, 1)],
}
_SINGLE_2: _Table = {"linear1": [("attn.to_qkv_mlp_proj", 0, 9)], "linear2": [("attn.to_out", 0, 1)]}
_LAYERS: _Table = {
    "attention.qkv": [("attention.to_q", 0, 1), ("attention.to_k", 1, 2), ("attention.to_v", 2, 3)],
    "attention.out": [("attention.to_out.0", 0, 1)],
    "adaLN_modulation.0": [("adaLN_modulation.0", 0, 4)],
    **{f"attention.to_{x}": [(f"attention.to_{x}", 0, 1)] for x in ("q", "k", "v", "out.0")},
    **{f"feed_forward.w{n}": [(f"feed_forward.w{n}", 0, None)] for n in (1, 2, 3)},
}
_BLOCKS: dict[str, list[tuple[str, _Table, str]]] = {
    "flux1": [
        ("double_blocks", _DOUBLE, "transformer_blocks"),
        ("single_blocks", _SINGLE, "single_transformer_blocks"),
    ],
    "flux2": [
        ("double_blocks", _DOUBLE_2, "transformer_blocks"),
        ("single_blocks", _SINGLE_2, "single_transformer_blocks"),
    ],
    "z-image": [(name, _LAYERS, name) for name in ("layers", "noise_refiner", "context_refiner")],
}


def hand_computed(tensors: Mapping[str, Tensor], family: str = "flux1") -> dict[str, Tensor]:
    """{module: ΔW float64}: alpha / rank · up · down, cut into the rows that are modules of their own in diffusers."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = _PARTS.search(key)
        assert match, key
        part = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up"}
        found = match.group(1) or match.group(2)
        groups.setdefault(key[: match.start()], {})[part.get(found, found)] = tensor.double()
    expected: dict[str, Tensor] = {}
    hidden = _HIDDEN[family]
    for layer, parts in groups.items():
        rank = parts["down"].shape[0]
        whole = float(parts.get("alpha", torch.tensor(float(rank)))) / rank * parts["up"] @ parts["down"]
        for module, first, last in _places(layer, family):
            expected[module] = whole if last is None else whole[first * hidden : last * hidden]
    return expected


def _places(layer: str, family: str) -> list[tuple[str, int, int | None]]:
    if match := re.match(r"lora_te1_text_model_encoder_layers_(\d+)_(self_attn|mlp)_(\w+)$", layer):
        return [(f"text_encoder.encoder.layers.{match[1]}.{match[2]}.{match[3]}", 0, None)]
    name = layer
    for prefix in ("base_model.model.", "diffusion_model.", "transformer.", "lora_unet_"):
        name = name.removeprefix(prefix)
    for blocks, table, target in _BLOCKS[family]:
        if match := re.match(rf"{blocks}[._](\d+)[._](.+)$", name):
            leaf = next(leaf for leaf in table if leaf.replace(".", "_") == match[2].replace(".", "_"))
            return [(f"{target}.{match[1]}.{module}", first, last) for module, first, last in table[leaf]]
    return [(name, 0, None)]  # diffusers' own words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of listings, or one that holds lora_keys/")
    parser.add_argument("--out", type=Path, default=Path("out"))
    args = parser.parse_args()
    folder = args.data / "lora_keys" if (args.data / "lora_keys").is_dir() else args.data
    rows = [
        check_listing(path) for path in sorted(folder.rglob("*.json"), key=lambda path: (path.parent != folder, path))
    ]
    if not rows:
        raise SystemExit(f"There are no listings (*.json) in {folder}.")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "lora-formats.json").write_text(json.dumps([asdict(r) for r in rows], indent=1) + "\n")
    lines = [
        "| listing | family | verdict | modules changed | left out | largest error of ΔW |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        numbers = f"{r.layers} | {r.dropped} | {r.delta_error:.1e}" if r.delta_error is not None else "| | "
        lines.append(
            f"| {r.file.removesuffix('.json')} | {r.family} | {r.verdict if not r.reason else r.reason} | {numbers} |"
        )
    (args.out / "lora-formats.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
