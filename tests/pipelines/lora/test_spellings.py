"""Every spelling of FLUX.2's and Z-Image's LoRA files gives the ΔW that is computed by hand, and files saved here are
read again by diffusers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipelines.errors import BadLora
from pipelines.lora import LoraLayer, LoraMetadata, LoraStack, check_fits, read_lora, write_lora
from studio.library.donor_files import inspect_header
from tests.lora_spellings import (
    FLUX2_SPELLINGS,
    Z_IMAGE_SPELLINGS,
    Factors,
    Made,
    flux2_transformer,
    z_image_transformer,
)
from tests.loras import Parts

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline, ZImagePipeline
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

MAKERS: dict[str, Callable[[], nn.Module]] = {"flux2": flux2_transformer, "z-image": z_image_transformer}
CASES = [
    *(("flux2", name, make) for name, make in FLUX2_SPELLINGS.items()),
    *(("z-image", name, make) for name, make in Z_IMAGE_SPELLINGS.items()),
]
QWEN3 = Qwen3Config(
    vocab_size=9, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, head_dim=8,
)  # fmt: skip


@pytest.mark.parametrize(("family", "name", "make"), CASES, ids=[f"{f}-{n}" for f, n, _ in CASES])
def test_a_spelling_gives_the_difference_computed_by_hand(
    family: str, name: str, make: Callable[[], Made], tmp_path: Path
) -> None:
    made, path = make(), tmp_path / "a.safetensors"
    save_file({key: tensor.clone() for key, tensor in made.tensors.items()}, path, made.metadata or None)
    file = read_lora(path)
    assert file.family == family
    assert inspect_header(path).family == family
    transformer = MAKERS[family]()
    before = {key: weight.detach().clone() for key, weight in transformer.named_parameters()}
    stack = LoraStack(Parts(transformer, family=family))
    stack.set([(file.layers, 1.0)])
    after = dict(transformer.named_parameters())
    assert stack.changed == made.expected.keys()
    for key, weight in after.items():
        delta = weight.detach().double() - before[key].double()
        module = key.removesuffix(".weight")
        if module in made.expected:
            want = made.expected[module]
            assert float((delta - want).norm() / want.norm()) <= 1e-5, (name, module)
        else:
            assert not delta.any(), key
    stack.clear()
    assert all(torch.equal(weight, before[key]) for key, weight in transformer.named_parameters())


@pytest.mark.parametrize("family", ["flux2", "z-image"])
@pytest.mark.parametrize("alpha", [4.0, 7.0])
def test_diffusers_reads_what_is_written(family: str, alpha: float, tmp_path: Path) -> None:
    """Every layer that the family's table has, the same matrices to the bit, at the strength of one."""
    transformer: Any = MAKERS[family]()
    made = (FLUX2_SPELLINGS if family == "flux2" else Z_IMAGE_SPELLINGS)["bare names"]()
    layers = tuple(
        LoraLayer(m, made.tensors[f"{m}.lora_A.weight"], made.tensors[f"{m}.lora_B.weight"], alpha)
        for m in made.expected
    )
    write_lora(tmp_path / "a.safetensors", layers, LoraMetadata(title="t", family=family))
    again = read_lora(tmp_path / "a.safetensors")
    assert (again.family, again.format, len(again.layers)) == (family, "diffusers", len(layers))
    make: Any = Flux2KleinPipeline if family == "flux2" else ZImagePipeline
    scheduler: Any = FlowMatchEulerDiscreteScheduler
    pipeline = make(scheduler=scheduler(), vae=None, text_encoder=None, tokenizer=None, transformer=transformer)
    pipeline.load_lora_weights(str(tmp_path), weight_name="a.safetensors", adapter_name="ours")
    for layer in again.layers:
        theirs = transformer.get_submodule(layer.module)
        assert torch.equal(theirs.lora_A["ours"].weight, layer.down)
        assert torch.equal(theirs.lora_B["ours"].weight, layer.up)
        assert theirs.scaling["ours"] == layer.scale == 1.0
    wrapped = {name for name, module in transformer.named_modules() if hasattr(module, "lora_A")}
    assert wrapped == {layer.module for layer in layers}


@pytest.mark.parametrize("family", ["flux2", "z-image"])
@pytest.mark.parametrize(
    "spelling",
    [
        "text_encoder.model.layers.0.{}",
        "text_encoder.layers.0.{}",
        "text_encoders.qwen3_4b.transformer.model.layers.0.{}",
        "lora_te_model_layers_0_{}",
        "lora_te1_layers_0_{}_",
    ],
)
def test_layers_of_the_text_encoder_are_applied_too(family: str, spelling: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder: Any = Qwen3ForCausalLM(QWEN3) if family == "flux2" else Qwen3Model(QWEN3)
    inner = encoder.model if family == "flux2" else encoder
    made = (FLUX2_SPELLINGS if family == "flux2" else Z_IMAGE_SPELLINGS)["one layer"]()
    factors, expected = Factors(3), {}
    for leaf, out, into in (("self_attn.q_proj", 16, 16), ("self_attn.v_proj", 8, 16), ("mlp.down_proj", 16, 24)):
        name = spelling.format(leaf.replace(".", "_") if spelling.startswith("lora_te") else leaf)
        down, up = factors.pair(out, into, 2)
        made.tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        expected[leaf] = up @ down
    save_file(made.tensors, tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors")
    before = {leaf: inner.layers[0].get_submodule(leaf).weight.detach().clone() for leaf in expected}
    model = Parts(MAKERS[family](), {"text_encoder": encoder}, family)
    stack = LoraStack(model)
    stack.set([(file.layers, 1.0)])
    for leaf, delta in expected.items():
        torch.testing.assert_close(inner.layers[0].get_submodule(leaf).weight, before[leaf] + delta)
    stack.clear()
    write_lora(tmp_path / "b.safetensors", file.layers, LoraMetadata(title="t", family=family))
    assert {x.module for x in read_lora(tmp_path / "b.safetensors").layers} == {x.module for x in file.layers}
    with pytest.raises(BadLora, match="lora_layer_not_here"):  # without its encoder it would be applied in part only
        check_fits(file.layers, Parts(MAKERS[family](), family=family))


def test_first_rows_of_a_fused_layer_are_padded(tmp_path: Path) -> None:
    """FLUX.2 keeps q, k, v and the MLP of a single block in one matrix: a file with q, k and v alone changes those."""
    down, up = Factors().pair(96, 32, 4)
    key = "diffusion_model.single_blocks.1.linear1"
    save_file({f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}, tmp_path / "a.safetensors")
    (layer,) = read_lora(tmp_path / "a.safetensors", "flux2").layers
    assert layer.module == "single_transformer_blocks.1.attn.to_qkv_mlp_proj"
    assert torch.equal(layer.up[:96], up)
    assert layer.up.shape == (288, 4)
    assert not layer.up[96:].any()


REFUSED = (
    ("lycoris_{}", {"lokr_w1": (4, 4), "lokr_t2": (2, 2, 1, 1), "lokr_w2_a": (2, 8), "lokr_w2_b": (2, 8)}, "LoKr"),
    ("lora_unet_{}", {"hada_w1_a": (2, 32), "hada_w1_b": (2, 32), "hada_t1": (2, 2, 1, 1)}, "LoHa"),
    ("lora_unet_{}", {"oft_blocks": (4, 8, 8), "alpha": ()}, "OFT"),
    ("{}", {"oft_R.default.weight": (4, 28)}, "OFT"),
    ("transformer.{}", {"lora_A.weight": (2, 32), "lora_B.weight": (32, 2), "dora_scale": (32, 1)}, "DoRA"),
    (
        "base_model.model.{}",
        {"lora_A.weight": (2, 32), "lora_B.weight": (32, 2), "lora_magnitude_vector.default.weight": (32,)},
        "DoRA",
    ),
)


@pytest.mark.parametrize("family", ["flux2", "z-image"])
@pytest.mark.parametrize(("spelling", "parts", "kind"), REFUSED)
def test_other_kinds_of_adapters_are_refused_by_the_familys_name(
    family: str, spelling: str, parts: dict[str, tuple[int, ...]], kind: str, tmp_path: Path
) -> None:
    known = {"flux2": "single_transformer_blocks.1.attn.to_out", "z-image": "layers.1.attention.to_q"}[family]
    layer = known.replace(".", "_") if spelling.startswith(("lycoris_", "lora_unet_")) else known
    tensors = {f"{spelling.format(layer)}.{part}": torch.ones(shape) for part, shape in parts.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    for read in (read_lora, inspect_header):  # the page says it before anything is kept
        with pytest.raises(BadLora, match=f"lora_not_plain.*kind={kind}") as refused:
            read(tmp_path / "a.safetensors")
        assert refused.value.fields["family"] == {"flux2": "FLUX.2", "z-image": "Z-Image"}[family]
