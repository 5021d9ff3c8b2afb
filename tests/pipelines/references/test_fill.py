"""Fill: the landmark's pixels exact, and what goes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.companions import drawing_spec
from pipelines.references.fill import FillReference
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences
from pipelines.references.redux import ReduxReference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import DrawRequest, plan_batches, request_from

Rgb = npt.NDArray[np.uint8]


def noise(seed: int) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (96, 64, 3), dtype=np.uint8)


def tower() -> npt.NDArray[np.bool_]:
    """Its outline lies on no latent's edge."""
    mask = np.zeros((96, 64), np.bool_)
    mask[5:70, 3:30] = True
    return mask


def kept(seed: int = 0, **changes: Any) -> FillReference:
    return FillReference(replace(Landmark(noise(seed), tower()), **changes))


def filling(backbone: Backbone, seed: int = 1, **changes: Any) -> DrawRequest:
    spec = drawing_spec(backbone.spec, "fill")
    given = {"references": (kept(),), "num_inference_steps": 3} | changes
    return request_from(spec, "a young woman", seed, **given)


def test_the_landmarks_pixels_stay_exactly(tiny_family_backbone: Backbone) -> None:
    request = filling(tiny_family_backbone)
    drawn = draw_batch(tiny_family_backbone, [request, replace(request, seed=2)])
    for picture in drawn:
        np.testing.assert_array_equal(picture[tower()], noise(0)[tower()])
    assert np.abs(drawn[0].astype(int) - drawn[1])[~tower()].mean() > 5
    again = draw_batch(tiny_family_backbone, [request, replace(request, seed=2)])
    assert np.array_equal(drawn[0], again[0])


def test_what_is_kept_reaches_what_is_drawn(tiny_family_backbone: Backbone) -> None:
    marks = [kept(seed, exact=False) for seed in (0, 1)]
    first, second = (
        draw_batch(tiny_family_backbone, [filling(tiny_family_backbone, references=(m,))])[0] for m in marks
    )
    assert np.abs(first.astype(int) - second)[~tower()].mean() > 0.5
    # what lies under the part that is drawn does not
    elsewhere = np.where(tower()[..., None], noise(0), noise(5))
    third = draw_batch(
        tiny_family_backbone, [filling(tiny_family_backbone, references=(kept(image=elsewhere, exact=False),))]
    )[0]
    assert np.array_equal(first, third)


@pytest.mark.parametrize(
    "changes",
    [
        {"references": (ReduxReference(noise(3)), kept())},
        {"cfg_scale": 2.0, "negative_prompt": "at night"},
        {"detail": 1.0},
        {"renoise": 0.5},
    ],
    ids=["redux", "negative", "detail", "renoise"],
)
def test_other_ways_go_with_it(tiny_family_backbone: Backbone, changes: dict[str, Any]) -> None:
    plain = draw_batch(tiny_family_backbone, [filling(tiny_family_backbone)])[0]
    other = draw_batch(tiny_family_backbone, [filling(tiny_family_backbone, **changes)])[0]
    assert not np.array_equal(plain, other)
    np.testing.assert_array_equal(other[tower()], noise(0)[tower()])


def test_the_backbone_is_as_it_was(tiny_family_backbone: Backbone) -> None:
    plain = request_from(tiny_family_backbone.spec, "a young woman", 1)
    before = draw_batch(tiny_family_backbone, [plain])[0]
    draw_batch(tiny_family_backbone, [filling(tiny_family_backbone)])
    assert np.array_equal(before, draw_batch(tiny_family_backbone, [plain])[0])
    fill = tiny_family_backbone.drawn_by("fill")
    assert fill.model.vae is tiny_family_backbone.model.vae
    assert not fill.transformer._forward_pre_hooks
    inpainted = filling(tiny_family_backbone, references=(kept().landmark,))
    assert plan_batches([inpainted, filling(tiny_family_backbone)]) == ((0,), (1,))


def test_what_fill_cannot_do_is_said(tiny_family_backbone: Backbone) -> None:
    good = filling(tiny_family_backbone)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"references": (kept(), NativeReferences.show(noise(1), 1.0))}, "fill_and_kontext"),
        ({"references": (NativeReferences.show(noise(1), 1.0), kept())}, "fill_and_kontext"),
        ({"references": (kept(), kept().landmark)}, "two_kept_parts"),
        ({"references": (kept(), kept())}, "two_kept_parts"),
        ({"strength": 0.5}, "strength_out_of_range"),
    ]
    for change, words in changes:
        with pytest.raises(BadInput, match=words):
            replace(good, **change)
