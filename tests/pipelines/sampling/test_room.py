"""Drawing in the room that was planned: fewer pictures at once where not all fit, and the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.errors import NotEnoughMemory
from pipelines.lora import Lora
from pipelines.models.hardware import Hardware, decode_bytes, step_bytes
from pipelines.sampling.draw import draw, draw_batch, draw_fitting, draw_in_parts
from pipelines.sampling.request import DrawRequest, request_from
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.loras import make_layers
from tests.tiny import assert_same_picture

PIXELS = 96 * 64


def requests(backbone: Backbone, count: int = 4) -> list[DrawRequest]:
    return [request_from(backbone.spec, f"a woman {i}", i) for i in range(count)]


def with_room(backbone: Backbone, room: float) -> Backbone:
    return replace(backbone, plan=replace(backbone.plan, room_bytes=room))


class Decoded:
    """Counts the pictures of each call of the VAE."""

    def __init__(self, backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: list[int] = []
        decode = backbone.model.vae.decode

        def counted(z: torch.Tensor, *args: Any, **named: Any) -> Any:
            self.counts.append(len(z))
            return decode(z, *args, **named)

        monkeypatch.setattr(backbone.model.vae, "decode", counted)


def test_the_plan_says_what_is_left_for_the_work(tiny_flux: Path) -> None:
    spec = resolve_backbone(tiny_flux)
    roomy = load_backbone(spec, "cpu", torch.float32, Hardware("cuda", 1e11, 1e12))
    weights = sum(part.bytes for part in roomy.plan.parts.values())
    assert roomy.plan.room_bytes == pytest.approx(1e11 - weights)
    assert load_backbone(spec, "cpu", torch.float32).plan.room_bytes == float("inf")


@pytest.mark.parametrize(("at_once", "parts"), [(4, [4]), (3, [3, 1]), (2, [2, 2]), (1, [1, 1, 1, 1]), (0, [1] * 4)])
def test_as_many_are_drawn_at_once_as_fit(tiny_backbone_float32: Backbone, at_once: int, parts: Sequence[int]) -> None:
    backbone = tiny_backbone_float32
    asked = requests(backbone)
    small = with_room(backbone, step_bytes(backbone.model.width, at_once * PIXELS))
    left, sizes = list(asked), []
    while left:
        sizes.append(len(draw_fitting(small, left)))
        left = left[sizes[-1] :]
    assert sizes == parts
    expected = draw_batch(backbone, asked)
    for found in (draw_in_parts(small, asked), [picture for _, picture in draw(small, asked)]):
        for picture, whole in zip(found, expected, strict=True):
            assert_same_picture(picture, whole)


def test_they_are_decoded_one_by_one_where_all_do_not_fit(
    tiny_backbone_float32: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes less than decoding: a batch that fits is not made smaller for it."""
    backbone = tiny_backbone_float32
    expected, decoded = draw_batch(backbone, requests(backbone)), Decoded(backbone, monkeypatch)
    for at_once, counts in ((4, [4]), (3, [3, 1]), (1, [1] * 4)):
        decoded.counts.clear()
        found = draw_fitting(with_room(backbone, decode_bytes(at_once * PIXELS)), requests(backbone))
        assert decoded.counts == counts
        for picture, whole in zip(found, expected, strict=True):
            assert_same_picture(picture, whole)


def test_memory_that_runs_out_is_said(tiny_backbone_float32: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def runs_out(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(tiny_backbone_float32.model.vae, "decode", runs_out)
    with pytest.raises(NotEnoughMemory, match="no_memory_to_draw") as refused:
        draw_batch(tiny_backbone_float32, requests(tiny_backbone_float32))
    for language in LANGUAGES:
        assert "64×96" in say_error(refused.value, Texts(language))[0]


def test_cleared_weights_are_not_kept_twice(tiny_flux: Path) -> None:
    backbone = load_backbone(resolve_backbone(tiny_flux), "cpu", torch.float32)
    before = {name: value.clone() for name, value in backbone.transformer.state_dict().items()}
    stack = backbone.lora_stack
    for seed in (1, 2):
        stack.set([(Lora(make_layers(backbone.transformer, seed)).layers, 1.0)])
        assert stack._pristine
        stack.clear()
        assert not stack._pristine
        assert all(torch.equal(before[name], value) for name, value in backbone.transformer.state_dict().items())


def test_kept_prompts_are_bounded_by_their_bytes(tiny_flux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(resolve_backbone(tiny_flux), "cpu", torch.float32)
    draw_batch(backbone, requests(backbone, 1))
    each = sum(t.nbytes for t in vars(next(iter(backbone.prompts.values()))).values())
    monkeypatch.setattr("pipelines.backbones._PROMPT_BYTES_KEPT", 2.5 * each)
    pictures = draw_batch(backbone, requests(backbone))
    assert len(backbone.prompts) == 2
    assert np.array_equal(pictures[0], draw_batch(backbone, requests(backbone))[0])
