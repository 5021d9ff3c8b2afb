"""Kept cells are given back where a look at the picture under way finds somebody before them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.references.landmark import Landmark, encode_kept
from pipelines.references.layers import KeptLayers, Seen
from pipelines.sampling.draw import draw
from pipelines.sampling.inpaint import LOOKS_AT, look_steps
from pipelines.sampling.request import DrawRequest, request_from

SIZE = (96, 64)
RNG = np.random.default_rng(7)
PHOTO = RNG.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
MARKED = np.zeros(SIZE, np.bool_)
MARKED[16:80, 16:48] = True
UPPER = np.zeros(SIZE, np.bool_)
UPPER[:48] = True
NOBODY = np.zeros(SIZE, np.bool_)


def asked(backbone: Backbone, landmark: Landmark) -> DrawRequest:
    return request_from(backbone.spec, "a woman", 3, height=96, width=64, references=(landmark,))


def test_looks_come_early_and_never_after_the_end() -> None:
    sigmas = torch.linspace(1, 0, 17)
    steps = look_steps(sigmas)
    assert len(steps) == len(LOOKS_AT)
    assert all(float(sigmas[i + 1]) <= max(LOOKS_AT) for i in steps)
    assert min(steps) == 0
    assert look_steps(torch.tensor([1.0, 0.9, 0.75, 0.5, 0.0])) == {0, 1, 2}
    assert look_steps(torch.tensor([1.0, 0.0])) == {0}


def test_what_somebody_hides_is_drawn_and_the_rest_is_kept(tiny_backbone: Backbone) -> None:
    seen: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []

    def look(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Seen:
        seen.append(picture)
        return Seen(UPPER, NOBODY, NOBODY)

    layered = KeptLayers(PHOTO, MARKED, look=look, photo=PHOTO, marked=MARKED)
    ((_, picture),) = draw(tiny_backbone, [asked(tiny_backbone, layered)])
    assert 2 <= len(seen) <= len(LOOKS_AT) + 1  # while it is drawn, and at the end
    assert all(one.shape == (*SIZE, 3) and one.dtype == np.uint8 for one in seen)
    lower = MARKED & ~UPPER
    lower[48:52] = False  # the outline is soft
    assert np.array_equal(picture[lower], PHOTO[lower])
    upper = MARKED & UPPER
    upper[44:48] = False
    assert np.abs(picture[upper].astype(int) - PHOTO[upper]).mean() > 10


def test_nobody_before_it_keeps_all_of_it(tiny_backbone: Backbone) -> None:
    layered = KeptLayers(PHOTO, MARKED, look=lambda p: Seen(NOBODY, NOBODY, NOBODY), photo=PHOTO, marked=MARKED)
    ((_, picture),) = draw(tiny_backbone, [asked(tiny_backbone, layered)])
    assert np.array_equal(picture[MARKED], PHOTO[MARKED])


def test_a_plain_landmark_beside_a_layered_one_is_drawn_as_alone(tiny_backbone: Backbone) -> None:
    """Looking at one picture of a batch changes nothing for its neighbours."""
    plain = asked(tiny_backbone, Landmark(PHOTO, MARKED))
    layered = asked(
        tiny_backbone,
        KeptLayers(PHOTO, MARKED, look=lambda p: Seen(UPPER, NOBODY, NOBODY), photo=PHOTO, marked=MARKED),
    )
    (_, alone), (_, _) = draw(tiny_backbone, [plain, plain], batch_size=2)
    (_, beside), (_, _) = draw(tiny_backbone, [plain, layered], batch_size=2)
    assert np.array_equal(alone, beside)


@pytest.mark.parametrize("hidden", [UPPER, NOBODY])
def test_only_what_may_be_hidden_is_asked(
    tiny_backbone: Backbone, hidden: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> None:
    kept = encode_kept(tiny_backbone, Landmark(PHOTO, MARKED))
    assert kept.hidden == ()
    layered = KeptLayers(PHOTO, MARKED, look=lambda p: Seen(hidden, NOBODY, NOBODY), photo=PHOTO, marked=MARKED)
    assert layered.hidden(PHOTO).any() == hidden.any()
