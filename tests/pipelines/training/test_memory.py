"""Memory of a training: gradient checkpointing where a step needs it, words before the first where none fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import Flux2Transformer2DModel, FluxTransformer2DModel

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.errors import NotEnoughMemory
from pipelines.lora import LoraLayer
from pipelines.models.hardware import training_bytes
from pipelines.training.lora import train_lora
from pipelines.training.memory import check_room, needs_checkpointing
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.pipelines.training.test_lora import CONFIG, examples, same
from tests.tiny import write_flux
from tests.tiny_flux2 import write_klein
from tests.tiny_z_image import write_z_image

TINY = {"modules": ("transformer_blocks.0.attn.to_q",), "rank": 3, "batch_size": 2, "pixels": 96 * 64}


def with_room(backbone: Backbone, room: float) -> Backbone:
    return replace(backbone, plan=replace(backbone.plan, room_bytes=room))


def needed(backbone: Backbone, checkpointing: bool) -> float:
    """4 blocks; 6 tokens of a picture and 24 of its text, twice."""
    return training_bytes(32, 4, 2 * (6 + 24), backbone.dtype.itemsize, 3 * (32 + 32), checkpointing)


def test_it_is_switched_on_only_where_a_step_needs_it(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    plain, least = needed(backbone, False), needed(backbone, True)
    assert not needs_checkpointing(backbone, **TINY)  # type: ignore[arg-type]
    assert not needs_checkpointing(with_room(backbone, plain), **TINY)  # type: ignore[arg-type]
    assert needs_checkpointing(with_room(backbone, plain - 1), **TINY)  # type: ignore[arg-type]
    assert needs_checkpointing(with_room(backbone, least), **TINY)  # type: ignore[arg-type]
    with pytest.raises(NotEnoughMemory, match="no_memory_to_train") as refused:
        needs_checkpointing(with_room(backbone, least - 1), **TINY)  # type: ignore[arg-type]
    for language in LANGUAGES:
        assert all(say_error(refused.value, Texts(language)))


@pytest.mark.parametrize("write", [write_flux, write_klein, write_z_image])
def test_headers_tell_what_a_loaded_model_tells(write: Callable[[Path], Path], tmp_path: Path) -> None:
    """On the safe side: layers that are not trained, modulation's, are counted as well."""
    backbone = load_backbone(resolve_backbone(write(tmp_path / "model")), "cpu", torch.float32)
    spec, config = backbone.spec, dict(backbone.transformer.config)

    layers = backbone.model.lora_modules("all")
    sizes = [backbone.transformer.get_submodule(name) for name in layers]
    trained = 4 * sum(layer.in_features + layer.out_features for layer in sizes)
    blocks = sum(len(p) for p in backbone.transformer.children() if isinstance(p, torch.nn.ModuleList))
    tokens = 2 * (96 * 64 // backbone.model.token_px**2 + spec.max_sequence_length)
    least = training_bytes(backbone.model.width, blocks, tokens, 4, trained, checkpointing=True)
    with pytest.raises(NotEnoughMemory, match="no_memory_to_train"):
        check_room(spec, least - 1, 4, 2, 4, config)
    check_room(spec, least + 3 * 16 * trained, 4, 2, 4, config)


def test_a_training_with_little_room_checkpoints_and_learns_the_same(
    tiny_backbone_float32: Backbone, tmp_path: Path
) -> None:
    backbone, seen = tiny_backbone_float32, set[bool]()
    config = CONFIG.model_copy(update={"steps": 2})
    expected = train_lora(backbone, examples(), config, tmp_path / "a")

    def look(steps: int, layers: tuple[LoraLayer, ...]) -> None:
        seen.add(backbone.transformer.is_gradient_checkpointing)

    layers = [backbone.transformer.get_submodule(name) for name in backbone.model.lora_modules("all")]
    trained = 3 * sum(layer.in_features + layer.out_features for layer in layers)
    small = with_room(backbone, training_bytes(32, 4, 2 * (6 + 24), 4, trained, checkpointing=False) - 1)
    assert same(train_lora(small, examples(), config, tmp_path / "b", at_checkpoint=look), expected)
    assert seen == {True}
    assert not backbone.transformer.is_gradient_checkpointing


def test_one_that_fits_nowhere_is_refused_before_its_first_step(
    tiny_backbone_float32: Backbone, tmp_path: Path
) -> None:
    with pytest.raises(NotEnoughMemory, match="no_memory_to_train"):
        train_lora(with_room(tiny_backbone_float32, 0.5e9), examples(), CONFIG, tmp_path / "work")
    assert not (tmp_path / "work").exists()
    assert not hasattr(tiny_backbone_float32.transformer, "peft_config")


@contextmanager
def _saved(bytes_of: dict[int, int]) -> Iterator[None]:
    """Count what autograd keeps, each storage once."""

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            bytes_of[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


def _flux1() -> tuple[Any, dict[str, Any]]:
    model = FluxTransformer2DModel(
        in_channels=64, num_layers=2, num_single_layers=4, attention_head_dim=32, num_attention_heads=8,
        joint_attention_dim=32, pooled_projection_dim=16, axes_dims_rope=(8, 12, 12), guidance_embeds=False,
    )  # fmt: skip
    return model, {
        "hidden_states": torch.randn(1, 448, 64), "encoder_hidden_states": torch.randn(1, 64, 32),
        "pooled_projections": torch.randn(1, 16), "timestep": torch.ones(1), "img_ids": torch.zeros(448, 3),
        "txt_ids": torch.zeros(64, 3),
    }  # fmt: skip


def _flux2() -> tuple[Any, dict[str, Any]]:
    model = Flux2Transformer2DModel(
        in_channels=64, num_layers=2, num_single_layers=4, attention_head_dim=32, num_attention_heads=8,
        joint_attention_dim=32, axes_dims_rope=(8, 8, 8, 8),
    )  # fmt: skip
    return model, {
        "hidden_states": torch.randn(1, 448, 64), "encoder_hidden_states": torch.randn(1, 64, 32),
        "timestep": torch.ones(1), "guidance": torch.ones(1), "img_ids": torch.zeros(1, 448, 4),
        "txt_ids": torch.zeros(1, 64, 4),
    }  # fmt: skip


@pytest.mark.parametrize("build", [_flux1, _flux2])
def test_the_estimate_is_on_the_safe_side_of_what_autograd_keeps(build: Any) -> None:
    """Of blocks 256 wide, 512 tokens: what is trained is a LoRA on every linear layer, so inputs are kept, too."""
    model, given = build()
    model.requires_grad_(False)
    for name, module in model.named_modules():
        if "blocks." in name and isinstance(module, torch.nn.Linear):
            module.weight.requires_grad_(True)  # keeps the layer's input, as a LoRA's `down` does
    kept: dict[int, int] = {}
    with _saved(kept):
        model(**given, return_dict=False)
    estimate = training_bytes(256, 6, 512, 4, 0, checkpointing=False) - 0.5e9
    assert 0.6 * estimate < sum(kept.values()) < estimate
