"""Equal in meaning, other in spelling, shape or number type: the same ΔW; and what means something else is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.errors import BadLora
from pipelines.lora import LoraLayer, read_lora
from tests.loras import MODULES, make_layers, plain_tensors, same_delta, tiny_transformer

FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
FIRST = MODULES[0]


def layers_and_tensors(alpha: float | None = None) -> tuple[tuple[LoraLayer, ...], dict[str, Tensor]]:
    layers = make_layers(tiny_transformer(), 1, alpha=alpha)
    return layers, plain_tensors(layers, "transformer.{}", "lora_A", "lora_B")


def check_same(path: Path, tensors: dict[str, Tensor], layers: tuple[LoraLayer, ...], tolerance: float = 1e-12) -> None:
    # safetensors stores no memory twice
    save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, path / "a.safetensors")
    same_delta(layers, read_lora(path / "a.safetensors").layers, tolerance)


@pytest.mark.parametrize(
    "rename",
    [
        lambda m: "lora_unet_" + m.replace(".", "_") + "_",
        lambda m: "lora_unet__" + m.replace(".", "_"),
        lambda m: "lora_unet_" + m.replace(".", "__"),
        lambda m: "LORA_UNET_" + m.replace(".", "_").upper(),
        lambda m: "lora_transformer_" + m.replace(".", "_") + "__",
        lambda m: "lycoris_" + m.replace(".", "_"),
        lambda m: "base_model.model.transformer." + m,
        lambda m: "transformer.base_model.model." + m,
        lambda m: "base_model.model.base_model.model." + m,
        lambda m: "model.diffusion_model." + m,
        lambda m: "diffusion_model.transformer." + m + ".",
        lambda m: "module._orig_mod." + m,
        lambda m: "default." + m,
        lambda m: "transformer." + m.replace("attn.", "attn.default."),
        lambda m: "pipe.dit." + m,
        lambda m: "Transformer." + m,
    ],
)  # fmt: skip
def test_joining_signs_prefixes_and_case_make_no_other_layer(tmp_path: Path, rename: Callable[[str], str]) -> None:
    layers, _ = layers_and_tensors()
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        tensors |= {
            f"{rename(layer.module)}.lora_down.weight": layer.down,
            f"{rename(layer.module)}.lora_up.weight": layer.up,
        }
    check_same(tmp_path, tensors, layers)


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ("lora_A.face.weight", "lora_B.face.weight"),
        ("lora_A.default_0.weight", "lora_B.default_0.weight"),
        ("lora_A", "lora_B"),
        ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight"),
        ("lora.down.default.weight", "lora.up.default.weight"),
    ],
)
def test_endings_of_all_tools(tmp_path: Path, down: str, up: str) -> None:
    layers, _ = layers_and_tensors()
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        tensors |= {f"transformer.{layer.module}.{down}": layer.down, f"transformer.{layer.module}.{up}": layer.up}
    check_same(tmp_path, tensors, layers)


@pytest.mark.parametrize("sides", [("down",), ("up",), ("down", "up")])
@pytest.mark.parametrize("tail", [(1, 1), (1,), (1, 1, 1)])
def test_convolutions_of_one_pixel_are_matrices(tmp_path: Path, sides: tuple[str, ...], tail: tuple[int, ...]) -> None:
    layers, tensors = layers_and_tensors()
    for key, tensor in tensors.items():
        if ("down" if "lora_A" in key else "up") in sides:
            tensors[key] = tensor.reshape(*tensor.shape, *tail)
    check_same(tmp_path, tensors, layers)


@pytest.mark.parametrize("down", [*FLOAT8, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("up", [*FLOAT8, torch.float16, torch.float32])
def test_any_two_types_of_floats_go_together(tmp_path: Path, down: torch.dtype, up: torch.dtype) -> None:
    layers, tensors = layers_and_tensors()
    stored = {k: t.to(down if "lora_A" in k else up) for k, t in tensors.items()}
    expected = tuple(LoraLayer(x.module, x.down.to(down).float(), x.up.to(up).float(), x.alpha) for x in layers)
    check_same(tmp_path, stored, expected)


@pytest.mark.parametrize("name", ["scale_weight", "weight_scale", "weight.scale_weight"])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_scales_of_quantised_matrices_are_multiplied_in(
    tmp_path: Path, name: str, rows: bool, dtype: torch.dtype
) -> None:
    layers, _ = layers_and_tensors()
    stored: dict[str, Tensor] = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}
    expected = []
    for layer in layers:
        matrices = {}
        for part, matrix in (("lora_A", layer.down), ("lora_B", layer.up)):
            scale = matrix.abs().amax(dim=1, keepdim=True) / 100 if rows else matrix.abs().max() / 100
            small = (matrix / scale).to(dtype)
            key = f"transformer.{layer.module}.{part}"
            stored |= {f"{key}.weight": small, f"{key}.{name}": scale.clone(), f"{key}.input_scale": torch.ones(())}
            matrices[part] = small.float() * scale
        expected.append(LoraLayer(layer.module, matrices["lora_A"], matrices["lora_B"], layer.alpha))
    check_same(tmp_path, stored, tuple(expected), 1e-6)
    key = f"transformer.{FIRST}.lora_A.{name}"
    save_file(stored | {key: torch.ones(3)}, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_odd_numbers"):  # neither one nor one a row
        read_lora(tmp_path / "a.safetensors")


def test_whole_numbers_without_a_scale_are_no_weights(tmp_path: Path) -> None:
    _, tensors = layers_and_tensors()
    save_file({k: t.to(torch.int8) for k, t in tensors.items()}, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_odd_numbers"):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "alpha",
    [
        torch.tensor(2.0, dtype=torch.bfloat16),
        torch.tensor([2.0], dtype=torch.float16),
        torch.tensor([[2.0]]),
        torch.tensor(2, dtype=torch.int64),
        torch.tensor([2], dtype=torch.int32),
        torch.tensor(2.0, dtype=torch.float64),
        torch.tensor(2.0).to(torch.float8_e4m3fn),
    ],
)
def test_alphas_of_any_shape_and_type(tmp_path: Path, alpha: Tensor) -> None:
    layers, tensors = layers_and_tensors(alpha=2.0)
    check_same(tmp_path, tensors | {f"transformer.{x.module}.alpha": alpha.clone() for x in layers}, layers)


def test_the_same_layer_under_two_names_is_one(tmp_path: Path) -> None:
    layers, tensors = layers_and_tensors()
    again = plain_tensors(layers, "diffusion_model.{}", "lora_down", "lora_up")
    check_same(tmp_path, tensors | again, layers)
    halves = {key: tensor.bfloat16().float() for key, tensor in tensors.items()}
    check_same(tmp_path, halves | {key: t.bfloat16() for key, t in again.items()}, layers, 1e-2)
    key = f"diffusion_model.{FIRST}.lora_up.weight"
    other = {k: t.clone() for k, t in (tensors | again | {key: again[key] + 0.1}).items()}
    save_file(other, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_layer_twice"):
        read_lora(tmp_path / "a.safetensors")


def test_a_fused_layer_beside_its_parts(tmp_path: Path) -> None:
    """Three LoRAs as one and as three again are one; others would be added twice or left out: refused."""
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 32, generator=generator), torch.randn(96, 2, generator=generator)
    parts = [f"transformer_blocks.18.attn.to_{x}" for x in "qkv"]
    whole = {"double_blocks.18.img_attn.qkv.lora_down.weight": down, "double_blocks.18.img_attn.qkv.lora_up.weight": up}
    single: dict[str, Tensor] = {}
    for name, rows in zip(parts, up.chunk(3), strict=True):
        single |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": rows}
    layers = tuple(LoraLayer(name, down, rows, 2.0) for name, rows in zip(parts, up.chunk(3), strict=True))
    check_same(tmp_path, whole | single, layers)
    other = {k: t.clone() + (k.endswith("to_q.lora_B.weight")) for k, t in (whole | single).items()}
    save_file(other, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_layer_twice"):
        read_lora(tmp_path / "a.safetensors")


def test_three_loras_side_by_side_in_a_fused_layer_are_three(tmp_path: Path) -> None:
    """sd-scripts' split_qkv: rank 3r, alpha three times, each LoRA in its own ranks and rows."""
    generator = torch.Generator().manual_seed(0)
    downs = [torch.randn(4, 32, generator=generator) for _ in range(3)]
    ups = [torch.randn(32, 4, generator=generator) for _ in range(3)]
    key = "lora_unet_double_blocks_18_img_attn_qkv"
    tensors = {
        f"{key}.lora_down.weight": torch.cat(downs),
        f"{key}.lora_up.weight": torch.block_diag(*ups),  # type: ignore[no-untyped-call]
        f"{key}.alpha": torch.tensor(6.0),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors")
    names = [f"transformer_blocks.18.attn.to_{x}" for x in "qkv"]
    expected = tuple(LoraLayer(n, d, u, 2.0) for n, d, u in zip(names, downs, ups, strict=True))
    same_delta(expected, file.layers, 1e-12)
    assert {(layer.rank, layer.alpha) for layer in file.layers} == {(4, 2.0)}


def test_rows_that_are_the_first_of_a_layer_are_those(tmp_path: Path) -> None:
    """A single block's `linear1` with q, k and v alone: attention was trained, the MLP behind it was not."""
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 32, generator=generator), torch.randn(96, 2, generator=generator)
    key = "lora_unet_single_blocks_37_linear1"
    save_file({f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}, tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors", "flux1")
    names = [f"single_transformer_blocks.37.attn.to_{x}" for x in "qkv"]
    expected = tuple(LoraLayer(n, down, rows, 2.0) for n, rows in zip(names, up.chunk(3), strict=True))
    same_delta(expected, file.layers, 1e-12)
    save_file({f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": torch.ones(64, 2)}, tmp_path / "b.safetensors")
    with pytest.raises(BadLora, match="lora_odd_shapes"):
        read_lora(tmp_path / "b.safetensors", "flux1")


def test_tensors_that_mean_nothing_are_left_out(tmp_path: Path) -> None:
    layers, tensors = layers_and_tensors()
    nothing = {
        "global_step": torch.tensor(900),
        "ztsnr": torch.zeros(0),
        "__index__": torch.zeros(0, 3),
        "edm_vpred.sigma_max": torch.tensor(80.0),
        "transformer.transformer_blocks.0.attn.to_k.alpha": torch.tensor(4.0),  # a layer that was not trained
        f"transformer.{FIRST}.scalar": torch.tensor(1.0),
        "lora_te9_text_model_mlp.lora_down.weight": torch.ones(4, 8),  # one that starts at zero and was not trained
        "lora_te9_text_model_mlp.lora_up.weight": torch.zeros(8, 4),
        "lora_te9_text_model_mlp.alpha": torch.tensor(4.0),
        "lora_te9_text_model_mlp2.alpha": torch.tensor(4.0),
    }
    check_same(tmp_path, tensors | nothing, layers)


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        (f"transformer.{FIRST}.scalar", torch.tensor(0.5)),  # a factor that would be lost
        ("emb_params", torch.ones(4, 32)),  # a trained word
        ("transformer.transformer_blocks.0.attn.to_z.lora_A.weight", torch.ones(4, 32)),
        ("transformer.transformer_blocks.0.attn.to_z.lora_B.weight", torch.ones(32, 4)),
        ("bias", torch.ones(32)),
    ],
)  # fmt: skip
def test_tensors_that_mean_something_are_not(tmp_path: Path, key: str, tensor: Tensor) -> None:
    _, tensors = layers_and_tensors()
    save_file(tensors | {key: tensor}, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_unknown_layer"):
        read_lora(tmp_path / "a.safetensors")
