"""LoHa and LoKr files: what they change, against numpy's own products of their matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.errors import BadLora
from pipelines.lora import LoraMetadata, delta, read_lora, write_lora
from pipelines.lora.stack import LoraStack, concatenate
from studio.library.donor_files import inspect_header
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.loras import Parts, tiny_transformer, weight_of

Array = npt.NDArray[np.float64]
KEY, ALONE = "double_blocks.0.img_attn.qkv", "single_blocks.0.linear2"  # [96, 32], [32, 160]


def some(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + seed)).to(dtype)


def loha(out: int, width: int, rank: int, seed: int = 0) -> tuple[dict[str, Tensor], Array]:
    shapes = {"a": (out, rank), "b": (rank, width)}
    parts = {
        f"hada_w{number}_{half}": some(*shape, seed=seed + number)
        for number in (1, 2)
        for half, shape in shapes.items()
    }
    one, two = (product(parts, f"hada_{w}") for w in ("w1", "w2"))
    return parts, one * two / rank  # an alpha of 1


def lokr(first: tuple[int, ...], second: tuple[int, ...], scale: float) -> tuple[dict[str, Tensor], Array]:
    """Each of (rows, columns), or (rows, columns, rank) for a product of two."""
    parts: dict[str, Tensor] = {}
    for name, shape in (("lokr_w1", first), ("lokr_w2", second)):
        if len(shape) == 2:
            parts[name] = some(*shape)
        else:
            parts |= {f"{name}_a": some(shape[0], shape[2]), f"{name}_b": some(shape[2], shape[1], seed=1)}
    one, two = (array(parts[w]) if w in parts else product(parts, w) for w in ("lokr_w1", "lokr_w2"))
    rows = [[one[i, j] * two for j in range(one.shape[1])] for i in range(one.shape[0])]
    return parts, np.block(rows) * scale


def array(tensor: Tensor) -> Array:
    return tensor.double().numpy()


def product(parts: dict[str, Tensor], name: str) -> Array:
    return np.asarray(array(parts[f"{name}_a"]) @ array(parts[f"{name}_b"]))


PRODUCTS = {
    "LoHa": loha(96, 32, 3),
    "LoKr of a whole and a low-rank matrix": lokr((4, 2), (24, 16, 3), 1 / 3),
    "LoKr, its first wider": lokr((2, 4), (48, 8, 2), 1 / 2),
    "LoKr of two low-rank ones": lokr((8, 4, 2), (12, 8, 5), 1 / 5),
    "LoKr, its first of low rank": lokr((8, 4, 2), (12, 8), 1 / 2),
    "LoKr of two whole ones": lokr((4, 2), (24, 16), 1.0),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("spelling", ["diffusion_model.{}.{}", "lycoris_{}.{}", "lora_unet_{}.{}"])
def test_its_change_is_the_product_itself(name: str, spelling: str, tmp_path: Path) -> None:
    parts, wanted = PRODUCTS[name]
    layer = KEY if spelling.startswith("diff") else KEY.replace(".", "_")
    tensors = {spelling.format(layer, part): tensor for part, tensor in (parts | {"alpha": torch.tensor(1.0)}).items()}
    save_file(tensors, tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors", "flux1")
    found = delta([file.layers], [1.0])
    for x, rows in zip("qkv", np.split(wanted, 3), strict=True):
        got = found[f"transformer_blocks.0.attn.to_{x}"].double().numpy()
        assert np.linalg.norm(got - rows) <= 1e-6 * np.linalg.norm(rows)
    assert inspect_header(tmp_path / "a.safetensors", "flux1").layers == 1


def test_it_is_put_on_mixed_and_written_as_a_plain_one(tmp_path: Path) -> None:
    """Beside a LoRA, in half precision, without alphas, and with peft's adapter's name in its keys."""
    hada, one = loha(32, 160, 2, seed=4)
    kron, two = lokr((4, 4), (8, 40, 2), 1.0)
    tensors = {f"transformer.single_transformer_blocks.0.proj_out.{part}.default": t for part, t in hada.items()}
    save_file(tensors, tmp_path / "hada.safetensors")
    save_file({f"diffusion_model.{ALONE}.{part}": t for part, t in kron.items()}, tmp_path / "kron.safetensors")
    module, files = "single_transformer_blocks.0.proj_out", [
        read_lora(tmp_path / f"{name}.safetensors", "flux1") for name in ("hada", "kron")
    ]  # fmt: skip
    transformer = tiny_transformer()
    before = weight_of(transformer, module).double().numpy()
    mixed = concatenate([file.layers for file in files], [0.5, -2.0])
    wanted = 0.5 * 2 * one - 2.0 * two  # without an alpha it is the rank
    LoraStack(Parts(transformer)).set([(mixed, 1.0)])
    change = weight_of(transformer, module).double().numpy() - before
    assert np.linalg.norm(change - wanted) <= 1e-5 * np.linalg.norm(wanted)
    write_lora(tmp_path / "mixed.safetensors", mixed, LoraMetadata(title="mixed"))
    again = delta([read_lora(tmp_path / "mixed.safetensors", "flux1").layers], [1.0])[module].double().numpy()
    assert np.linalg.norm(again - wanted) <= 1e-6 * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"hada_w1_b": None}, "lora_incomplete"),
        ({"hada_w2_a": some(96, 4)}, "lora_odd_shapes"),
        ({"hada_w2_b": some(3, 31)}, "lora_odd_shapes"),
        ({"hada_w2_b": torch.ones(3, 32, dtype=torch.int32)}, "lora_odd_numbers"),
        ({"alpha": torch.ones(2)}, "lora_alpha_invalid"),
        ({"hada_w1_a": torch.full((96, 3), float("nan"))}, "lora_not_finite"),
        ({"hada_w1_a": torch.zeros(96, 3)}, "lora_all_zero"),
        ({"dora_scale": torch.ones(96, 1)}, "lora_not_plain"),
    ],
)
def test_a_damaged_one_is_refused(changed: dict[str, Tensor | None], code: str, tmp_path: Path) -> None:
    parts = {part: t for part, t in (PRODUCTS["LoHa"][0] | changed).items() if t is not None}
    save_file({f"diffusion_model.{KEY}.{part}": tensor for part, tensor in parts.items()}, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match=code):
        read_lora(tmp_path / "a.safetensors", "flux1")


def test_one_of_full_rank_that_would_fill_the_memory_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small its own matrices are: all of a file's layers share the room."""
    parts = {"lokr_w1": torch.ones(16, 16), "lokr_w2": torch.ones(2048, 2048)}  # 32768 x 32768
    save_file({f"diffusion_model.{KEY}.{part}": tensor for part, tensor in parts.items()}, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_product_too_large") as refused:
        read_lora(tmp_path / "a.safetensors", "flux1")
    assert (refused.value.fields["layer"], refused.value.fields["rank"]) == (KEY, 32768)
    for language in LANGUAGES:
        message, _ = say_error(refused.value, Texts(language))
        assert "8 GB" in message
    layers = {"double_blocks.0.img_attn.qkv": loha(96, 32, 3)[0], "double_blocks.0.txt_attn.qkv": loha(96, 32, 3)[0]}
    tensors = {f"diffusion_model.{layer}.{part}": t for layer, own in layers.items() for part, t in own.items()}
    save_file(tensors, tmp_path / "two.safetensors")
    monkeypatch.setattr("pipelines.lora.contents.MOST_NUMBERS", 2000)  # each has 1728
    with pytest.raises(BadLora, match=r"lora_product_too_large.*txt_attn"):
        read_lora(tmp_path / "two.safetensors", "flux1")
