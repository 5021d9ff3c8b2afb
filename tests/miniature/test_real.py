"""The world's second look: the same truth, another photographer."""

from __future__ import annotations

import numpy as np
import torch

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from miniature.world.real import Treatment, render_real, sample_treatment, tone
from personas.measures.regions import KEYPOINTS, LABELS
from personas.shots import GOODS, vary_shots


def _world(count: int = 2) -> World:
    identity, _ = people(8, 3)
    shots = vary_shots(count, 3, goods=GOODS)
    return World(identity[:count], shots, sample_scenes([s.setting for s in shots], list(range(count))), 5)


def _still(treatment: Treatment) -> Treatment:
    """Nothing is moved."""
    zero = torch.zeros_like(treatment.roll)
    return Treatment(
        zero, zero, zero, zero, zero, treatment.light, treatment.edge, treatment.exposure, treatment.clutter,
        treatment.passer, treatment.patterns,
    )  # fmt: skip


def test_the_same_photographer_takes_the_same_pictures() -> None:
    first, again = (render_real(_world(), sample_treatment(2, 9)) for _ in range(2))
    assert torch.equal(first.images, again.images)
    other = render_real(_world(), sample_treatment(2, 10))
    assert not torch.equal(first.images, other.images)


def test_where_faces_are_is_where_labels_and_points_say() -> None:
    drawn = render_real(_world(), sample_treatment(2, 9))
    face = LABELS.index("face")
    for labels, points in zip(drawn.labels.numpy(), drawn.keypoints.numpy(), strict=True):
        x, y, seen = points[KEYPOINTS.index("nose")]
        assert seen
        assert labels[int(y), int(x)] == face


def test_tones_are_darker_duller_and_harder() -> None:
    plain, drawn = render(_world()), render_real(_world(), _still(sample_treatment(2, 9)))
    grey = [x.images.float().mean(dim=3) for x in (plain, drawn)]
    assert float(grey[1].std()) > float(grey[0].std())
    spread = [float((x.images.float().amax(3) - x.images.float().amin(3)).mean()) for x in (plain, drawn)]
    assert spread[1] < 0.8 * spread[0]


def test_the_split_tone_is_cold_below_and_warm_above() -> None:
    ramp = torch.linspace(0.05, 0.95, 16).expand(1, 3, 4, 16)
    toned = tone(ramp, torch.ones(1))
    assert float(toned[0, 2, 0, 1] - toned[0, 0, 0, 1]) > 0.02
    assert float(toned[0, 0, 0, -2] - toned[0, 2, 0, -2]) > 0.02
    assert bool((np.diff(toned.mean(dim=1)[0, 0].numpy()) > 0).all())
