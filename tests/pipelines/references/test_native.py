"""References that a model reads itself, on FLUX.1-Kontext, which reads one: it matters, and what goes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.companions import drawing_spec
from pipelines.models.variants import Capabilities
from pipelines.pictures import fit_to_canvas
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences, ReferencePicture
from pipelines.references.protocol import Reference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.panels import join_panels, split_panels
from pipelines.sampling.request import DrawRequest, plan_batches, request_from

Rgb = npt.NDArray[np.uint8]


def noise(seed: int, height: int = 96, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def request(backbone: Backbone, context: Rgb, *others: Reference, **changes: Any) -> DrawRequest:
    spec = drawing_spec(backbone.spec, "kontext")
    given = {"references": (NativeReferences.show(context, 1.0), *others), "num_inference_steps": 3} | changes
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
        join_panels([one, replace(one, references=(NativeReferences.show(noise(0), 1.0),))])


def test_a_picture_is_cropped_to_whole_tokens(tiny_family_backbone: Backbone) -> None:
    odd = request(tiny_family_backbone, noise(0, 100, 70))
    cropped = fit_to_canvas(noise(0, 100, 70), 96, 64)
    first, second = (draw_batch(tiny_family_backbone, [r])[0] for r in (odd, request(tiny_family_backbone, cropped)))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(BadInput, match="picture_not_rgb"):
        NativeReferences.show(np.zeros((32, 32), np.uint8), 1.0)


def test_it_reads_one_reference(tiny_family_backbone: Backbone) -> None:
    with pytest.raises(BadInput, match="references_listed_twice"):
        request(tiny_family_backbone, noise(0), NativeReferences.show(noise(1), 1.0))
    two = NativeReferences((ReferencePicture("person", noise(0)), ReferencePicture("scene", noise(1))))
    with pytest.raises(BadInput, match=r"references_too_many.*FLUX\.1-Kontext-dev, count=2, most=1"):
        draw_batch(tiny_family_backbone, [replace(request(tiny_family_backbone, noise(0)), references=(two,))])


def test_what_draws_is_answered_for_a_backbone(tiny_family_backbone: Backbone) -> None:
    spec, shown = tiny_family_backbone.spec, NativeReferences.show(noise(0), 1.0)
    assert shown.drawn_by(spec) == "kontext"
    assert shown.drawn_by(replace(spec, can=Capabilities(references_max=4, reference_px=512))) == ""
    with pytest.raises(BadInput, match="reference_not_for_family"):
        shown.drawn_by(replace(spec, can=Capabilities()))
    assert drawing_spec(spec, "kontext").can.references_max == 1


def test_one_that_is_off_is_none(tiny_family_backbone: Backbone) -> None:
    plain = request_from(tiny_family_backbone.spec, "a young woman", 1)
    off = replace(plain, references=(NativeReferences.show(noise(0), 0.0),))
    assert off.drawn_by(tiny_family_backbone.spec) == ""
    assert plan_batches([plain, off]) == ((0, 1),)
    first, second = draw_batch(tiny_family_backbone, [plain, off])
    np.testing.assert_array_equal(first, second)


def test_they_are_ordered_by_their_roles() -> None:
    one, other, who, tin = (noise(seed) for seed in range(4))
    listed = [ReferencePicture("goods", tin), ReferencePicture("scene", one), ReferencePicture("person", who)]
    ordered = NativeReferences((*listed, ReferencePicture("scene", other))).ordered
    assert [p.role for p in ordered] == ["scene", "scene", "person", "goods"]
    assert [p.image is image for p, image in zip(ordered, (one, other, who, tin), strict=True)] == [True] * 4
