"""The LoRAs of a request: on while it is drawn, untouched where they are on already, gone or back afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadLora
from pipelines.lora import Lora
from pipelines.lora.layers import LoraLayer
from pipelines.sampling.draw import draw, draw_batch
from pipelines.sampling.loras import loras_on
from pipelines.sampling.request import plan_batches, request_from
from tests.loras import make_layers


def weights(backbone: Backbone) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in backbone.transformer.state_dict().items()}


def test_two_are_the_same_if_their_layers_are(tiny_backbone: Backbone) -> None:
    layers = make_layers(tiny_backbone.transformer, 3)
    assert Lora(layers) == Lora(layers)
    assert hash(Lora(layers)) == hash(Lora(layers))
    assert Lora(layers) != Lora(layers, 0.5)
    assert Lora(layers) != Lora(make_layers(tiny_backbone.transformer, 3))  # equal numbers are not compared
    request = request_from(tiny_backbone.spec, "a woman", 1, loras=(Lora(layers),))
    alike = [request, replace(request, loras=(Lora(layers),)), replace(request, loras=(Lora(layers, 0.5),))]
    assert plan_batches(alike) == ((0, 1), (2,))


def test_what_was_on_before_is_on_again(tiny_backbone: Backbone) -> None:
    stack, pristine = tiny_backbone.lora_stack, weights(tiny_backbone)
    mine, other = (Lora(make_layers(tiny_backbone.transformer, seed)) for seed in (3, 4))
    stack.set([(mine.layers, 1.0)])
    on = weights(tiny_backbone)
    try:
        draw_batch(tiny_backbone, [request_from(tiny_backbone.spec, "a woman", 1, loras=(other,))])
        assert stack.loras == (mine,)
        assert all(torch.equal(value, on[name]) for name, value in weights(tiny_backbone).items())
    finally:
        stack.clear()
    assert all(torch.equal(value, pristine[name]) for name, value in weights(tiny_backbone).items())


def test_a_request_without_loras_is_drawn_without_whatever_is_on(tiny_backbone: Backbone) -> None:
    plain = request_from(tiny_backbone.spec, "a woman", 1)
    expected = draw_batch(tiny_backbone, [plain])[0]
    with loras_on(tiny_backbone, (Lora(make_layers(tiny_backbone.transformer, 3)),)):
        assert np.array_equal(draw_batch(tiny_backbone, [plain])[0], expected)


def test_nothing_is_written_where_they_are_on_already(tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    lora = Lora(make_layers(tiny_backbone.transformer, 3))
    requests = [request_from(tiny_backbone.spec, "a woman", seed, loras=(lora,)) for seed in range(3)]
    written: list[int] = []
    stack = tiny_backbone.lora_stack
    real = type(stack).put_on

    def spy(self: object, loras: tuple[Lora, ...]) -> None:
        written.append(len(loras))
        real(stack, loras)

    monkeypatch.setattr(type(stack), "put_on", spy)
    assert len(list(draw(tiny_backbone, requests, batch_size=1))) == 3
    assert written == [1, 0]  # on once for three batches, and off


def test_several_are_their_sum(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    one, two = (make_layers(backbone.transformer, seed) for seed in (3, 4))
    request = request_from(backbone.spec, "a woman", 1)
    both = draw_batch(backbone, [replace(request, loras=(Lora(one, 0.7), Lora(two, 0.2)))])[0]
    backbone.lora_stack.set([(one, 0.7), (two, 0.2)])
    with loras_on(backbone, backbone.lora_stack.loras):
        again = draw_batch(backbone, [replace(request, loras=backbone.lora_stack.loras)])[0]
    backbone.lora_stack.clear()
    assert np.array_equal(both, again)
    assert not np.array_equal(both, draw_batch(backbone, [replace(request, loras=(Lora(one, 0.7),))])[0])


def test_prompts_are_encoded_anew_where_a_lora_changes_the_reading(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    name, linear = next(
        (f"text_encoder.{name}", module)
        for name, module in backbone.text_encoders["text_encoder"].named_modules()
        if isinstance(module, torch.nn.Linear)
    )
    out, into = linear.weight.shape
    layer = LoraLayer(name, torch.ones(2, into), torch.ones(out, 2), 2.0)
    before = encode_prompt(backbone, "a woman")
    with loras_on(backbone, (Lora((layer,)),)):
        assert not torch.equal(encode_prompt(backbone, "a woman").pooled, before.pooled)
    assert torch.equal(encode_prompt(backbone, "a woman").pooled, before.pooled)


def test_one_that_does_not_fit_changes_nothing(tiny_backbone: Backbone) -> None:
    before = weights(tiny_backbone)
    misfit = Lora((LoraLayer("x_embedder", torch.ones(2, 5), torch.ones(7, 2), 2.0),))
    with pytest.raises(BadLora, match="x_embedder"):
        draw_batch(tiny_backbone, [request_from(tiny_backbone.spec, "a woman", 1, loras=(misfit,))])
    assert not tiny_backbone.lora_stack.loras
    assert all(torch.equal(value, before[name]) for name, value in weights(tiny_backbone).items())
