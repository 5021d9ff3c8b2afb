"""LoRA files as other tools write them, and the ΔW that each must give: made from the published layouts alone.

Sources: black-forest-labs/flux2 (model.py), Tongyi-MAI/Z-Image, ai-toolkit, musubi-tuner (networks/lora_*.py and
convert_z_image_lora_to_comfy.py), diffusers (loaders/lora_conversion_utils.py). No table of ours takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import Flux2Transformer2DModel, ZImageTransformer2DModel

__all__ = ["FLUX2_SPELLINGS", "Z_IMAGE_SPELLINGS", "Factors", "Made", "flux2_transformer", "z_image_transformer"]

WIDTH = 32


@dataclass
class Made:
    """A file's tensors and metadata, and {module: ΔW float64} by hand."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    expected: dict[str, Tensor] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


class Factors:
    """Random matrices, one generator for a whole file."""

    def __init__(self, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def pair(self, out: int, into: int, rank: int) -> tuple[Tensor, Tensor]:
        """`down` [rank, into] and `up` [out, rank]."""
        down = torch.randn(rank, into, generator=self._generator)
        return down, torch.randn(out, rank, generator=self._generator)


def flux2_transformer(heads: int = 2) -> nn.Module:
    """One double and two single blocks, 16 * heads wide, with dev's embedding of guidance."""
    torch.manual_seed(0)
    make: Callable[..., nn.Module] = Flux2Transformer2DModel
    return make(
        in_channels=16, num_layers=1, num_single_layers=2, num_attention_heads=heads, attention_head_dim=16,
        joint_attention_dim=48, timestep_guidance_channels=32, mlp_ratio=3.0, axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=True,
    )  # fmt: skip


def z_image_transformer() -> nn.Module:
    """Two layers and a block of each refiner, 32 wide."""
    torch.manual_seed(0)
    make: Callable[..., nn.Module] = ZImageTransformer2DModel
    return make(
        in_channels=4, dim=WIDTH, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        axes_dims=[8, 4, 4], axes_lens=[128, 32, 32],
    )  # fmt: skip


# FLUX.2: a layer as black-forest-labs name it, its outputs and inputs, and the modules that its rows are in diffusers
_FLUX2: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "double_blocks.0.img_attn.qkv": (96, 32, tuple(f"transformer_blocks.0.attn.to_{x}" for x in "qkv")),
    "double_blocks.0.txt_attn.qkv": (96, 32, tuple(f"transformer_blocks.0.attn.add_{x}_proj" for x in "qkv")),
    "double_blocks.0.img_attn.proj": (32, 32, ("transformer_blocks.0.attn.to_out.0",)),
    "double_blocks.0.txt_attn.proj": (32, 32, ("transformer_blocks.0.attn.to_add_out",)),
    "double_blocks.0.img_mlp.0": (192, 32, ("transformer_blocks.0.ff.linear_in",)),
    "double_blocks.0.img_mlp.2": (32, 96, ("transformer_blocks.0.ff.linear_out",)),
    "double_blocks.0.txt_mlp.0": (192, 32, ("transformer_blocks.0.ff_context.linear_in",)),
    "double_blocks.0.txt_mlp.2": (32, 96, ("transformer_blocks.0.ff_context.linear_out",)),
    "single_blocks.1.linear1": (288, 32, ("single_transformer_blocks.1.attn.to_qkv_mlp_proj",)),
    "single_blocks.1.linear2": (32, 128, ("single_transformer_blocks.1.attn.to_out",)),
}
_FLUX2_TOP: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "img_in": (32, 16, ("x_embedder",)),
    "txt_in": (32, 48, ("context_embedder",)),
    "time_in.in_layer": (32, 32, ("time_guidance_embed.timestep_embedder.linear_1",)),
    "time_in.out_layer": (32, 32, ("time_guidance_embed.timestep_embedder.linear_2",)),
    "guidance_in.in_layer": (32, 32, ("time_guidance_embed.guidance_embedder.linear_1",)),
    "guidance_in.out_layer": (32, 32, ("time_guidance_embed.guidance_embedder.linear_2",)),
    "double_stream_modulation_img.lin": (192, 32, ("double_stream_modulation_img.linear",)),
    "double_stream_modulation_txt.lin": (192, 32, ("double_stream_modulation_txt.linear",)),
    "single_stream_modulation.lin": (96, 32, ("single_stream_modulation.linear",)),
    "final_layer.linear": (16, 32, ("proj_out",)),
    "final_layer.adaLN_modulation.1": (64, 32, ("norm_out.linear",)),
}
# Z-Image: likewise, in the names of its own repository
_BLOCKS = ("layers.0", "layers.1", "noise_refiner.0", "context_refiner.0")
_Z_IMAGE: dict[str, tuple[int, int, tuple[str, ...]]] = {}
for _block in _BLOCKS:
    _Z_IMAGE |= {
        f"{_block}.attention.qkv": (96, 32, tuple(f"{_block}.attention.to_{x}" for x in "qkv")),
        f"{_block}.attention.out": (32, 32, (f"{_block}.attention.to_out.0",)),
        f"{_block}.feed_forward.w1": (85, 32, (f"{_block}.feed_forward.w1",)),
        f"{_block}.feed_forward.w2": (32, 85, (f"{_block}.feed_forward.w2",)),
        f"{_block}.feed_forward.w3": (85, 32, (f"{_block}.feed_forward.w3",)),
    }
    if _block != "context_refiner.0":
        _Z_IMAGE[f"{_block}.adaLN_modulation.0"] = (128, 32, (f"{_block}.adaLN_modulation.0",))
_Z_IMAGE_TOP: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "x_embedder": (32, 16, ("all_x_embedder.2-1",)),
    "final_layer.linear": (16, 32, ("all_final_layer.2-1.linear",)),
    "final_layer.adaLN_modulation.1": (32, 32, ("all_final_layer.2-1.adaLN_modulation.1",)),
    "cap_embedder.1": (32, 16, ("cap_embedder.1",)),
    "t_embedder.mlp.0": (1024, 256, ("t_embedder.mlp.0",)),
    "t_embedder.mlp.2": (32, 1024, ("t_embedder.mlp.2",)),
}


def _original(
    layers: Mapping[str, tuple[int, int, tuple[str, ...]]],
    name: Callable[[str], str],
    ends: tuple[str, str] = ("lora_A.weight", "lora_B.weight"),
    alpha: float | None = None,
    rank: int = 4,
) -> Made:
    """A file in the names of the model's own repository: fused layers with one `down` for all of their rows."""
    made, factors = Made(), Factors()
    for layer, (out, into, modules) in layers.items():
        down, up = factors.pair(out, into, rank)
        made.tensors |= {f"{name(layer)}.{ends[0]}": down, f"{name(layer)}.{ends[1]}": up}
        if alpha is not None:
            made.tensors[f"{name(layer)}.alpha"] = torch.tensor(alpha)
        whole = (rank if alpha is None else alpha) / rank * up.double() @ down.double()
        if layer == "final_layer.adaLN_modulation.1" and modules == ("norm_out.linear",):
            whole = torch.cat([whole[WIDTH:], whole[:WIDTH]])  # (shift, scale) in their file, (scale, shift) here
        made.expected |= dict(zip(modules, whole.chunk(len(modules)), strict=True))
    return made


def _diffusers(
    layers: Mapping[str, tuple[int, int, tuple[str, ...]]],
    name: Callable[[str], str],
    ends: tuple[str, str] = ("lora_A.weight", "lora_B.weight"),
    alpha: float | None = None,
    rank: int = 4,
) -> Made:
    """A file in diffusers' names: each module a LoRA of its own."""
    made, factors = Made(), Factors()
    for out, into, modules in layers.values():
        for module in modules:
            down, up = factors.pair(out // len(modules), into, rank)
            made.tensors |= {f"{name(module)}.{ends[0]}": down, f"{name(module)}.{ends[1]}": up}
            if alpha is not None:
                made.tensors[f"{name(module)}.alpha"] = torch.tensor(alpha)
            made.expected[module] = (rank if alpha is None else alpha) / rank * up.double() @ down.double()
    return made


def _side_by_side(alpha: float = 2.0, rank: int = 4) -> Made:
    """musubi's file for ComfyUI: three LoRAs of rank r in one `qkv` of rank 3r, alpha three times."""
    made = _original({k: v for k, v in _Z_IMAGE.items() if len(v[2]) == 1}, _kohya, _KOHYA, alpha, rank)
    factors = Factors(1)
    for layer, (out, into, modules) in _Z_IMAGE.items():
        if len(modules) == 1:
            continue
        pairs = [factors.pair(out // 3, into, rank) for _ in modules]
        up = torch.zeros(out, 3 * rank)
        for number, (_, each) in enumerate(pairs):
            up[number * out // 3 : (number + 1) * out // 3, number * rank : (number + 1) * rank] = each
        made.tensors |= {
            f"{_kohya(layer)}.lora_down.weight": torch.cat([down for down, _ in pairs]),
            f"{_kohya(layer)}.lora_up.weight": up,
            f"{_kohya(layer)}.alpha": torch.tensor(3 * alpha),
        }
        made.expected |= {m: alpha / rank * u.double() @ d.double() for m, (d, u) in zip(modules, pairs, strict=True)}
    return made


def _doubled() -> Made:
    """Trainers that write `to.q`, and once more the fused `qkv` and `out` beside it."""
    made = _diffusers(_Z_IMAGE, lambda m: m.replace("to_", "to."), _DOTS)
    for layer, (_, _, modules) in _Z_IMAGE.items():
        if not layer.endswith(("qkv", "attention.out")):
            continue
        pairs = [[made.tensors[f"{m.replace('to_', 'to.')}.{end}"] for end in _DOTS] for m in modules]
        made.tensors[f"{layer}.{_DOTS[0]}"] = torch.cat([down for down, _ in pairs]).clone()
        made.tensors[f"{layer}.{_DOTS[1]}"] = torch.block_diag(*(up for _, up in pairs))  # type: ignore[no-untyped-call]
    return made


def _stated(alpha: float = 6.0) -> Made:
    """diffusers' own saver: the alpha stands in the header alone."""
    made = _diffusers(_Z_IMAGE | _Z_IMAGE_TOP, lambda m: f"transformer.{m}")
    made.metadata["lora_adapter_metadata"] = f'{{"transformer.lora_alpha": {alpha}, "transformer.r": 4}}'
    made.expected = {module: alpha / 4 * delta for module, delta in made.expected.items()}
    return made


def _kohya(layer: str) -> str:
    return "lora_unet_" + layer.replace(".", "_")


_KOHYA, _DOTS = ("lora_down.weight", "lora_up.weight"), ("lora.down.weight", "lora.up.weight")
_FLUX2_ALL, _Z_IMAGE_ALL = _FLUX2 | _FLUX2_TOP, _Z_IMAGE | _Z_IMAGE_TOP

FLUX2_SPELLINGS: dict[str, Callable[[], Made]] = {
    "ai-toolkit": lambda: _original(_FLUX2_ALL, lambda x: f"diffusion_model.{x}"),
    "ai-toolkit, older": lambda: _original(_FLUX2_ALL, lambda x: f"diffusion_model.{x}", _KOHYA),
    "fal": lambda: _original(_FLUX2_ALL, lambda x: f"base_model.model.{x}"),
    "musubi and kohya": lambda: _original(_FLUX2_ALL, _kohya, _KOHYA, alpha=1.0),
    "kohya with a sign too many": lambda: _original(_FLUX2_ALL, lambda x: _kohya(x) + "_", _KOHYA, alpha=1.0),
    "diffusers": lambda: _diffusers(_FLUX2_ALL, lambda m: f"transformer.{m}"),
    "DiffSynth": lambda: _diffusers(_FLUX2_ALL, lambda m: m, ("lora_A.default.weight", "lora_B.default.weight")),
    "bare names": lambda: _diffusers(_FLUX2_ALL, lambda m: m),
    "expanded names": lambda: _diffusers(_FLUX2, lambda m: f"diffusion_model.{m}"),
    "names cut twice": lambda: _diffusers(
        {k: v for k, v in _FLUX2.items() if "double" in k}, lambda m: "diffusion_model." + m.removeprefix("tran")
    ),
    "LyCORIS' plain LoRA": lambda: _diffusers(_FLUX2, lambda m: "lycoris_" + m.replace(".", "_"), _KOHYA, alpha=2.0),
    "one layer": lambda: _original({"single_blocks.1.linear1": _FLUX2["single_blocks.1.linear1"]}, _kohya, _KOHYA, 3.0),
}
Z_IMAGE_SPELLINGS: dict[str, Callable[[], Made]] = {
    "ai-toolkit": lambda: _diffusers(_Z_IMAGE_ALL, lambda m: f"diffusion_model.{m}"),
    "musubi": lambda: _diffusers(_Z_IMAGE_ALL, _kohya, _KOHYA, alpha=2.0),
    "musubi with a sign too many": lambda: _diffusers(
        _Z_IMAGE_ALL, lambda m: "lora_unet__" + m.replace(".", "_"), _KOHYA, alpha=2.0
    ),
    "ComfyUI, side by side": _side_by_side,
    "ComfyUI": lambda: _original(_Z_IMAGE_ALL, lambda x: f"diffusion_model.{x}"),
    "kohya": lambda: _original(_Z_IMAGE_ALL, _kohya, _KOHYA, alpha=1.0),
    "diffusers": lambda: _diffusers(_Z_IMAGE_ALL, lambda m: f"transformer.{m}"),
    "diffusers, alpha in the header": _stated,
    "diffusers with alphas": lambda: _diffusers(_Z_IMAGE, lambda m: f"transformer.{m}", _KOHYA, alpha=2.0),
    "dots and doubled qkv": _doubled,
    "default in the name": lambda: _diffusers(
        _Z_IMAGE, lambda m: f"diffusion_model.{m}", ("lora_A.default.weight", "lora_B.default.weight")
    ),
    "default before the name": lambda: _diffusers(_Z_IMAGE, lambda m: f"default.{m}"),
    "bare names": lambda: _diffusers(_Z_IMAGE_ALL, lambda m: m),
    "one layer": lambda: _diffusers({"layers.1.feed_forward.w2": _Z_IMAGE["layers.1.feed_forward.w2"]}, _kohya, _KOHYA),
}
