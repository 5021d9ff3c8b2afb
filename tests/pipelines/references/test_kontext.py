"""Kontext: the reference matters, and what goes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.companions import drawing_spec
from pipelines.references.kontext import ContextReference
from pipelines.references.landmark import Landmark
from pipelines.references.protocol import Reference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.panels import join_panels, split_panels
from pipelines.sampling.request import DrawRequest, plan_batches, request_from

Rgb = npt.NDArray[np.uint8]


def noise(seed: int, height: int = 96, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def request(backbone: Backbone, context: Rgb, *others: Reference, **changes: Any) -> DrawRequest:
    spec = drawing_spec(backbone.spec, "kontext")
    given = {"references": (ContextReference(context), *others), "num_inference_steps": 3} | changes
    return request_from(spec, "a young woman", 1, **given)


def test_the_reference_matters(tiny_family_backbone: Backbone) -> None:
    asked = [request(tiny_family_backbone, noise(seed)) for seed in (0, 1)]
    first, second = draw_batch(tiny_family_backbone, asked)
    without = draw_batch(tiny_family_backbone, [replace(asked[0], references=())])[0]
    assert np.abs(first.astype(int) - second).mean() > 0.5
    assert not np.array_equal(first, without)
    assert np.array_equal(first, draw_batch(tiny_family_backbone, asked)[0])
    assert plan_batches([*asked, request(tiny_family_backbone, noise(0, 32, 32))]) == ((0, 1), (2,))
    detailed = draw_batch(tiny_family_backbone, [replace(asked[0], detail=1.0)])[0]
    assert not np.array_equal(first, detailed)


def test_a_landmark_is_kept_by_inpainting_beside_it(tiny_family_backbone: Backbone) -> None:
    mask = np.zeros((96, 64), np.bool_)
    mask[5:70, 3:30] = True
    asked = [request(tiny_family_backbone, noise(s), Landmark(noise(7), mask)) for s in (0, 1)]
    first, second = draw_batch(tiny_family_backbone, asked)
    np.testing.assert_array_equal(first[mask], noise(7)[mask])
    assert np.abs(first.astype(int) - second)[~mask].mean() > 0.5


def test_panels_share_one_context(tiny_family_backbone: Backbone) -> None:
    one = request(tiny_family_backbone, noise(0))
    members = [one, replace(one, prompt="a man", seed=2)]
    panels = split_panels(draw_batch(tiny_family_backbone, [join_panels(members)])[0], members)
    assert [panel.shape for panel in panels] == [(96, 64, 3)] * 2
    with pytest.raises(BadInput, match="panels_differ"):
        join_panels([one, replace(one, references=(ContextReference(noise(0)),))])


def test_pictures_that_cannot_be_read(tiny_family_backbone: Backbone) -> None:
    with pytest.raises(BadInput, match=r"size_not_readable.*unit=32"):
        draw_batch(tiny_family_backbone, [request(tiny_family_backbone, noise(0, 100, 64))])
    with pytest.raises(BadInput, match="picture_not_rgb"):
        ContextReference(np.zeros((32, 32), np.uint8))


def test_it_reads_one_reference(tiny_family_backbone: Backbone) -> None:
    with pytest.raises(BadInput, match="two_kontext_references"):
        request(tiny_family_backbone, noise(0), ContextReference(noise(1)))
