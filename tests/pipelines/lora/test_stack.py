"""Weighted sums of LoRAs against numpy's float64, and the stack's promise to leave no trace."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipelines.errors import BadInput, BadLora
from pipelines.lora import Lora, LoraLayer, LoraStack, concatenate, delta, inner_product, norms
from tests.loras import MODULES, Parts, float64_delta, make_layers, tiny_transformer, weight_of

SCALES = (0.4, 0.35, 0.25)


def three_loras() -> list[tuple[LoraLayer, ...]]:
    """Different ranks, alphas and sets of layers."""
    transformer = tiny_transformer()
    return [
        make_layers(transformer, 1, rank=4),
        make_layers(transformer, 2, rank=6, alpha=1.7),
        make_layers(transformer, 3, rank=3, alpha=7.0, modules=MODULES[:5]),
    ]


def float64_sum(loras: list[tuple[LoraLayer, ...]], scales: tuple[float, ...]) -> dict[str, np.ndarray]:
    total: dict[str, np.ndarray] = {}
    for layers, scale in zip(loras, scales, strict=True):
        for module, matrix in float64_delta(layers).items():
            total[module] = total.get(module, 0.0) + scale * matrix
    return total


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_concatenation_is_the_weighted_sum() -> None:
    loras = three_loras()
    expected = float64_sum(loras, SCALES)
    fused = float64_delta(concatenate(loras, SCALES))
    matrices = delta(loras, SCALES)
    assert fused.keys() == matrices.keys() == expected.keys()
    for module, matrix in expected.items():
        assert relative(fused[module], matrix) <= 1e-6
        assert relative(matrices[module].double().numpy(), matrix) <= 1e-6


def test_peft_linear_is_not_the_weighted_sum() -> None:
    """The trap that concatenation avoids: mixing A and B apart leaves cross terms."""
    one, two = make_layers(tiny_transformer(), 1)[0], make_layers(tiny_transformer(), 2)[0]
    mixed = replace(one, up=(one.up + two.up) / math.sqrt(2), down=(one.down + two.down) / math.sqrt(2))
    expected = float64_sum([(one,), (two,)], (0.5, 0.5))[one.module]
    assert relative(float64_delta([mixed])[one.module], expected) > 0.3


def test_zero_weight_gives_back_the_other_lora_bit_for_bit() -> None:
    one, two, _ = three_loras()
    fused = concatenate([one, two], [1.0, 0.0])
    by_module = {layer.module: layer for layer in one}
    assert len(fused) == len(one)
    for layer in fused:
        assert layer is by_module[layer.module]


def test_scales_that_are_no_numbers_and_loras_that_do_not_match() -> None:
    loras = three_loras()
    with pytest.raises(BadInput):
        concatenate(loras, (0.5, math.nan, 0.5))
    with pytest.raises(BadInput):
        concatenate(loras, (0.5, 0.5))
    with pytest.raises(BadLora, match="loras_of_different_models"):
        concatenate([loras[0], make_layers(tiny_transformer(heads=4), 1)], (0.5, 0.5))


def test_norm_and_inner_product_without_forming_the_matrices() -> None:
    loras = three_loras()
    one, two = float64_delta(loras[0]), float64_delta(loras[1])
    expected = math.sqrt(sum(float((matrix**2).sum()) for matrix in two.values()))
    assert norms(loras[1]) == pytest.approx(expected, rel=1e-9)
    product = sum(float((one[module] * two[module]).sum()) for module in one)
    assert inner_product(loras[0], loras[1]) == pytest.approx(product, rel=1e-6)


def test_fused_weights_are_the_float64_sum_within_1e6() -> None:
    transformer = tiny_transformer()
    before = {name: weight.double().numpy().copy() for name, weight in transformer.state_dict().items()}
    loras = three_loras()
    stack = LoraStack(Parts(transformer))
    stack.set(list(zip(loras, SCALES, strict=True)))
    expected = float64_sum(loras, SCALES)
    assert stack.changed == expected.keys()
    for name, weight in transformer.state_dict().items():
        module = name.removesuffix(".weight")
        found = weight.double().numpy()
        if module in expected:
            assert relative(found, before[name] + expected[module]) <= 1e-6
            assert relative(found, before[name]) > 1e-3  # it did change
        else:
            assert np.array_equal(found, before[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_stack_leaves_no_trace(dtype: torch.dtype) -> None:
    transformer = tiny_transformer().to(dtype)
    before = {name: weight.clone() for name, weight in transformer.state_dict().items()}
    one, two, three = three_loras()
    stack = LoraStack(Parts(transformer))
    stack.set([(one, 0.5), (two, 0.5)])
    stack.set([(three, 2.0)])
    stack.set([(three, -1.0), (one, 0.1)])
    stack.clear()
    assert not stack.changed
    for name, weight in transformer.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_what_was_set_before_does_not_matter() -> None:
    one, two, three = three_loras()
    first, second = tiny_transformer(), tiny_transformer()
    LoraStack(Parts(first)).set([(three, 0.7)])
    stack = LoraStack(Parts(second))
    for entries in ([(one, 1.0), (two, 3.0)], [], [(three, 0.7)]):
        stack.set(entries)
    for weight, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(weight, other)


def test_weights_one_and_zero_give_the_same_output_as_the_first_lora_alone() -> None:
    """Exactly, through a forward pass; the zero entry may even be a LoRA that does not fit."""
    one, two, _ = three_loras()
    inputs = {
        "hidden_states": torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(0)),
        "encoder_hidden_states": torch.randn(1, 3, 24, generator=torch.Generator().manual_seed(1)),
        "pooled_projections": torch.randn(1, 20, generator=torch.Generator().manual_seed(2)),
        "timestep": torch.tensor([0.5]),
        "img_ids": torch.zeros(6, 3),
        "txt_ids": torch.zeros(3, 3),
    }
    transformer = tiny_transformer().eval()
    stack = LoraStack(Parts(transformer))
    outputs = []
    alien = make_layers(tiny_transformer(heads=4), 9)
    for entries in (
        [(one, 1.0)],
        [(one, 1.0), (two, 0.0)],
        [(alien, 0.0), (one, 1.0)],
        [(concatenate([one, two], [1, 0]), 1.0)],
    ):
        stack.set(entries)
        with torch.no_grad():
            outputs.append(transformer(**inputs).sample)
    assert all(torch.equal(outputs[0], output) for output in outputs[1:])
    stack.clear()
    with torch.no_grad():
        assert not torch.allclose(transformer(**inputs).sample, outputs[0])


@pytest.mark.parametrize("kept", ["on the device", "elsewhere", "beside"])
def test_a_paused_stack_computes_without_the_loras(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the LoRA is on: in the weights (a copy of the old ones on the device, or in RAM), or beside them."""
    transformer = tiny_transformer().eval()
    layers = make_layers(transformer, 1)
    inputs = {
        "hidden_states": torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(0)),
        "encoder_hidden_states": torch.randn(1, 3, 24, generator=torch.Generator().manual_seed(1)),
        "pooled_projections": torch.randn(1, 20, generator=torch.Generator().manual_seed(2)),
        "timestep": torch.tensor([0.5]), "img_ids": torch.zeros(6, 3), "txt_ids": torch.zeros(3, 3),
    }  # fmt: skip

    @torch.no_grad()
    def out() -> torch.Tensor:
        found: torch.Tensor = transformer(**inputs).sample
        return found

    bare = out()
    stack = LoraStack(Parts(transformer))
    if kept == "beside":
        monkeypatch.setattr(stack, "_is_writable", lambda name: False)
    stack.set([(layers, 1.0)])
    own = dict(stack._pristine)
    if kept == "elsewhere":
        stack._pristine = {name: SimpleNamespace(device="elsewhere") for name in own}  # type: ignore[misc]
    fused = out()
    stack.pause()
    torch.testing.assert_close(out(), bare, rtol=0, atol=1e-5 if kept == "elsewhere" else 0)
    stack.resume()
    assert torch.equal(out(), fused)
    assert not torch.allclose(fused, bare)
    stack._pristine = own
    stack.pause()
    stack.clear()  # also while paused
    assert torch.equal(out(), bare)


@pytest.mark.parametrize("kept", ["on the device", "elsewhere", "beside"])
def test_a_lora_that_stays_is_on_while_the_others_are_paused(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    transformer = tiny_transformer()
    one, two = make_layers(transformer, 1), make_layers(transformer, 2, modules=MODULES[2:])
    person, look = Lora(one, 0.7), Lora(two, 0.5, stays=True)
    inputs = {name: torch.randn(5, weight_of(transformer, name).shape[1]) for name in MODULES}

    @torch.no_grad()
    def out() -> list[torch.Tensor]:
        return [transformer.get_submodule(name)(x) for name, x in inputs.items()]

    stack = LoraStack(Parts(transformer))
    if kept == "beside":
        monkeypatch.setattr(stack, "_is_writable", lambda name: False)
    stack.put_on([look])
    looked = out()
    stack.put_on([person, look])
    own, both = dict(stack._pristine), out()
    if kept == "elsewhere":
        stack._pristine = {name: SimpleNamespace(device="elsewhere") for name in own}  # type: ignore[misc]
    stack.pause()
    for name, found, wanted in zip(inputs, out(), looked, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 if kept == "elsewhere" else 0, msg=name)
    stack.resume()
    assert all(torch.equal(x, y) for x, y in zip(out(), both, strict=True))
    stack._pristine = own
    stack.put_on([person])
    stack.pause()  # what stayed before is forgotten
    paused = out()
    stack.clear()
    assert all(torch.equal(x, y) for x, y in zip(out(), paused, strict=True))
    assert not torch.allclose(looked[3], paused[3])


def test_stack_is_untouched_if_one_entry_does_not_fit() -> None:
    transformer = tiny_transformer()
    stack = LoraStack(Parts(transformer))
    one = make_layers(transformer, 1)
    stack.set([(one, 1.0)])
    before = {name: weight.clone() for name, weight in transformer.state_dict().items()}
    with pytest.raises(BadLora):
        stack.set([(one, 0.5), (make_layers(tiny_transformer(heads=4), 2), 0.5)])
    with pytest.raises(BadInput):
        stack.set([(one, math.inf)])
    for name, weight in transformer.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_bfloat16_weights_are_rounded_once() -> None:
    transformer = tiny_transformer().to(torch.bfloat16)
    name = MODULES[0]
    base = weight_of(transformer, name).double().numpy().copy()
    loras = three_loras()
    LoraStack(Parts(transformer)).set(list(zip(loras, SCALES, strict=True)))
    exact = torch.from_numpy(base + float64_sum(loras, SCALES)[name])
    found = weight_of(transformer, name).clone()
    # at most one unit in the last of bfloat16's 8 bits, and the correctly rounded value nearly everywhere
    assert float((found.double() - exact).abs().max() / exact.abs().max()) <= 2**-8
    assert float((found == exact.bfloat16()).float().mean()) > 0.99
