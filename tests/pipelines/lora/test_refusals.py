"""LoRA files that are refused: damaged, unsafe, of another architecture, of another width, or changing nothing.

And what looks like it but is not: biases of zero."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import BadLora
from pipelines.lora import LoraLayer, LoraMetadata, check_fits, read_lora, write_lora
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.loras import MODULES, Parts, make_layers, plain_tensors, same_delta, tiny_transformer

TITLE = LoraMetadata(title="test")


def test_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    for name, data in (
        ("a.safetensors", pickle.dumps(Bomb())),
        ("b.pt", b"anything"),
        ("c.safetensors", b"PK\x03\x04 a zip, as torch.save writes"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadLora, match="lora_is_pickle"):
            read_lora(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    write_lora(tmp_path / "a.safetensors", make_layers(tiny_transformer(), 1), TITLE)
    data = (tmp_path / "a.safetensors").read_bytes()
    lengths = [*range(0, 64), *range(64, len(data), 997), len(data) - 1]
    for length in lengths:
        (tmp_path / "cut.safetensors").write_bytes(data[:length])
        with pytest.raises(BadLora):
            read_lora(tmp_path / "cut.safetensors")


def test_missing_file_is_a_bad_lora(tmp_path: Path) -> None:
    with pytest.raises(BadLora, match="lora_file_not_opened"):
        read_lora(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", "Stable Diffusion 1.5"),  # kohya
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "Stable Diffusion 1.5"),  # diffusers
        ("lora_unet_input_blocks_7_1_transformer_blocks_9_attn2_to_k", "Stable Diffusion XL"),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv", "Stable Diffusion 3"),
        ("diffusion_model.blocks.0.self_attn.q", "Wan"),
        ("transformer.transformer_blocks.0.attn2.to_q", "another architecture"),  # in none that the studio knows
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, name: str, whose: str) -> None:
    tensors = {f"{name}.lora_down.weight": torch.randn(4, 320), f"{name}.lora_up.weight": torch.randn(320, 4)}
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(BadLora) as caught:
        read_lora(tmp_path / "a.safetensors")
    for language in LANGUAGES:
        message, advice = say_error(caught.value, Texts(language))
        assert whose in message or (language == "zh" and whose == "another architecture")
        assert "FLUX.1" in advice


def test_file_with_text_encoder_layers_only_changes_nothing(tmp_path: Path) -> None:
    name = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    tensors = {f"{name}.lora_down.weight": torch.randn(2, 8), f"{name}.lora_up.weight": torch.randn(8, 2)}
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_of_text_encoders_only"):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("part", "kind"),
    [("dora_scale", "DoRA"), ("lokr_t2", "LoKr"), ("hada_t1", "LoHa"), ("lora_B.bias", "lora_B.bias")],
)
def test_what_is_no_plain_lora_is_refused(tmp_path: Path, part: str, kind: str) -> None:
    tensors = plain_tensors(make_layers(tiny_transformer(), 1), "transformer.{}", "lora_A", "lora_B")
    tensors[f"transformer.{MODULES[0]}.{part}"] = torch.ones(32)
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match=f"lora_not_plain.*kind={kind}"):
        read_lora(tmp_path / "a.safetensors")


def test_zero_biases_beside_a_lora_are_harmless(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(), 1)
    tensors = plain_tensors(layers, "transformer.{}", "lora_A", "lora_B")
    tensors[f"transformer.{MODULES[0]}.diff_b"] = torch.zeros(32)
    save_file(tensors, tmp_path / "a.safetensors")
    same_delta(layers, read_lora(tmp_path / "a.safetensors").layers, 1e-12)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["lora_A.weight", "lora_B.weight", "alpha"])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float, part: str) -> None:
    tensors = plain_tensors(make_layers(tiny_transformer(), 1), "transformer.{}", "lora_A", "lora_B")
    key = f"transformer.{MODULES[0]}.{part}"
    if part == "alpha":
        tensors[key] = torch.tensor(value)
    else:
        tensors[key][1, 1] = value
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_not_finite"):
        read_lora(tmp_path / "a.safetensors")


def test_all_zero_lora_changes_nothing(tmp_path: Path) -> None:
    layers = [LoraLayer(layer.module, layer.down, layer.up * 0, 4.0) for layer in make_layers(tiny_transformer(), 1)]
    tensors = plain_tensors(tuple(layers), "transformer.{}", "lora_A", "lora_B")
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_all_zero"):
        read_lora(tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="lora_all_zero"):
        write_lora(tmp_path / "b.safetensors", layers, TITLE)


def test_half_a_layer_and_wrong_ranks_are_refused(tmp_path: Path) -> None:
    tensors = plain_tensors(make_layers(tiny_transformer(), 1), "transformer.{}", "lora_A", "lora_B")
    key = f"transformer.{MODULES[0]}.lora_B.weight"
    for change in (None, torch.randn(32, 7), torch.randn(32, 4, 3, 3), torch.ones(32, 4, dtype=torch.int32)):
        changed = {name: value for name, value in tensors.items() if name != key}
        if change is not None:
            changed[key] = change
        save_file(changed, tmp_path / "a.safetensors")
        with pytest.raises(BadLora):
            read_lora(tmp_path / "a.safetensors")


def test_lora_of_another_width_does_not_fit(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(heads=4), 1)
    write_lora(tmp_path / "a.safetensors", layers, TITLE)
    with pytest.raises(BadLora, match=r"lora_width_other.*width=64.*here=32"):
        check_fits(read_lora(tmp_path / "a.safetensors").layers, Parts(tiny_transformer()), "a.safetensors")
    other = LoraLayer("transformer_blocks.7.attn.to_q", torch.ones(1, 32), torch.ones(32, 1), 1.0)
    with pytest.raises(BadLora, match=r"lora_layer_not_here.*transformer_blocks\.7"):
        check_fits([other], Parts(tiny_transformer()))


def test_fit_report_names_the_guidance_layers_that_are_missing() -> None:
    transformer = tiny_transformer()
    layers = make_layers(transformer, 1)
    guidance = "time_text_embed.guidance_embedder.linear_1"
    extra = LoraLayer(guidance, torch.ones(1, 8), torch.ones(32, 1), 1.0)
    report = check_fits((*layers, extra), Parts(transformer))
    assert report.left_out == (guidance,)
    assert set(report.changed) == set(MODULES)
    with pytest.raises(BadLora, match="lora_changes_nothing_here"):
        check_fits((extra,), Parts(transformer))
