"""Identity guidance: the negative side is the model without the LoRA, in every pipeline that draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.lora import Lora
from pipelines.references.landmark import Landmark
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import identity_request, plan_batches, request_from
from tests.loras import make_layers


@contextmanager
def passes(backbone: Backbone) -> Iterator[list[tuple[dict[str, Any], torch.Tensor]]]:
    """What goes into every pass of the transformer and comes out."""
    seen: list[tuple[dict[str, Any], torch.Tensor]] = []
    handle = backbone.transformer.register_forward_hook(
        lambda _, __, kwargs, out: seen.append((dict(kwargs), out[0].clone())), with_kwargs=True
    )
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.parametrize("is_kept", [False, True])
def test_only_the_negative_side_is_without_the_lora(tiny_backbone_float32: Backbone, is_kept: bool) -> None:
    backbone = tiny_backbone_float32
    stack = backbone.lora_stack
    mark = Landmark(np.full((96, 64, 3), 90, np.uint8), np.eye(96, 64, dtype=np.bool_)) if is_kept else None
    lora = Lora(make_layers(backbone.transformer, 3))
    kept = () if mark is None else (mark,)
    request = request_from(backbone.spec, "a woman", 1, references=kept, loras=(lora,), identity_guidance=True)
    with passes(backbone) as seen:
        guided, plain = (draw_batch(backbone, [r])[0] for r in (request, replace(request, identity_guidance=False)))
    stack.set([(lora.layers, 1.0)])
    try:
        with torch.no_grad():
            fused = [backbone.transformer(**kwargs)[0] for kwargs, _ in seen[:6]]
    finally:
        stack.clear()
    with torch.no_grad():
        bare = [backbone.transformer(**kwargs)[0] for kwargs, _ in seen[:6]]
    assert len(seen) == 12  # three steps, two sides, two pictures
    for i, (_, out) in enumerate(seen[:6]):
        like, unlike = (fused, bare) if i % 2 == 0 else (bare, fused)
        assert torch.equal(out, like[i])
        assert not torch.allclose(out, unlike[i])
    assert not np.array_equal(guided, plain)


def test_without_a_lora_nothing_changes(tiny_backbone: Backbone) -> None:
    request = request_from(tiny_backbone.spec, "a woman", 1)
    drawn = [draw_batch(tiny_backbone, [replace(request, identity_guidance=on)])[0] for on in (False, True)]
    assert np.array_equal(drawn[0], drawn[1])


def test_a_lora_that_stays_is_on_both_sides(tiny_backbone: Backbone) -> None:
    """Alone it is guided as words are; beside a person's it is no part of what guidance leads to."""
    spec, layers = tiny_backbone.spec, make_layers(tiny_backbone.transformer, 4)
    look, person = Lora(layers, 1.0, stays=True), Lora(make_layers(tiny_backbone.transformer, 3))
    request = request_from(spec, "a woman", 1, loras=(look,), cfg_scale=3.0)
    plain, guided = (draw_batch(tiny_backbone, [replace(request, identity_guidance=on)])[0] for on in (False, True))
    assert np.array_equal(plain, guided)
    drawn = [
        draw_batch(tiny_backbone, [replace(request, loras=(person, one), identity_guidance=True)])[0]
        for one in (look, Lora(layers))
    ]
    assert not np.array_equal(drawn[0], drawn[1])
    assert not tiny_backbone.lora_stack.changed


def test_looks_share_a_batch_only_where_they_are_the_same(tiny_backbone: Backbone) -> None:
    layers = make_layers(tiny_backbone.transformer, 4)
    look = request_from(tiny_backbone.spec, "a woman", 1, loras=(Lora(layers, stays=True),), mixed=True)
    others = [replace(look, loras=(Lora(layers, 0.5, stays=True),)), replace(look, loras=(Lora(layers),)), look]
    assert plan_batches([look, *others]) == ((0, 3), (1,), (2,))


def test_a_draw_that_fails_leaves_the_lora_on(tiny_backbone: Backbone) -> None:
    stack, lora = tiny_backbone.lora_stack, Lora(make_layers(tiny_backbone.transformer, 3))
    stack.set([(lora.layers, 1.0)])
    on = {name: value.clone() for name, value in tiny_backbone.transformer.state_dict().items()}
    request = request_from(tiny_backbone.spec, "a woman", 1, loras=(lora,), identity_guidance=True)
    handle = tiny_backbone.transformer.register_forward_pre_hook(_Fails(on_call=2))
    try:
        with pytest.raises(RuntimeError, match="in the negative pass"):
            draw_batch(tiny_backbone, [request])
        assert all(torch.equal(on[name], value) for name, value in tiny_backbone.transformer.state_dict().items())
    finally:
        handle.remove()
        stack.clear()


class _Fails:
    def __init__(self, on_call: int) -> None:
        self.left = on_call

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if not self.left:
            raise RuntimeError("in the negative pass")


def test_a_lora_that_says_who_is_shown_guides_where_the_backbone_has_a_scale(tiny_backbone: Backbone) -> None:
    spec = tiny_backbone.spec
    plain = identity_request(spec, "a woman", 1)
    assert asdict(plain) == asdict(request_from(spec, "a woman", 1))  # as FLUX.1-dev: one pass a step
    guided = identity_request(replace(spec, identity_guidance_scale=3.0), "a woman", 1, num_inference_steps=2)
    assert (guided.cfg_scale, guided.identity_guidance, guided.num_inference_steps) == (3.0, True, 2)
    alike = [guided, replace(guided, identity_guidance=False), guided]
    assert plan_batches(alike) == ((0, 2), (1,))
