"""The measures against pictures whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from personas.measures.body import BODY_RATIOS, body_proportions, body_similarity
from personas.measures.face import mean_embedding, pairwise_mean
from personas.measures.hair import hair_similarity, read_hair
from personas.measures.prompt import attributes_obeyed
from personas.measures.quality import read_quality
from personas.measures.regions import ATTRIBUTES, KEYPOINTS, LABELS, Regions
from personas.measures.scene import scene_similarity, to_lab
from personas.shots import Shot

H, W = 256, 192


def _regions(**points: tuple[float, float]) -> Regions:
    labels = np.zeros((H, W), np.uint8)
    labels[20:60, 70:120] = LABELS.index("hair")
    labels[80:200, 60:130] = LABELS.index("clothes")
    keypoints = np.zeros((len(KEYPOINTS), 3), np.float32)
    for name, (x, y) in points.items():
        keypoints[KEYPOINTS.index(name)] = x, y, 1
    words = {name: table[0] for name, table in ATTRIBUTES.items()}
    return Regions(labels, keypoints, words, dict.fromkeys(words, 1.0), np.eye(32, dtype=np.float32)[0])


FULL = {
    "head_top": (96, 20), "chin": (96, 60), "shoulder_left": (66, 75), "shoulder_right": (126, 75),
    "elbow_left": (60, 105), "hip_left": (76, 140), "hip_right": (116, 140), "foot_left": (80, 230),
    "foot_right": (112, 230),
}  # fmt: skip


def test_body_ratios_are_in_head_heights() -> None:
    ratios = dict(zip(BODY_RATIOS, body_proportions(_regions(**FULL)), strict=True))
    assert ratios["shoulders"] == pytest.approx(60 / 40)
    assert ratios["hips"] == pytest.approx(1.0)
    assert ratios["torso"] == pytest.approx(np.hypot(10, 65) / 40, rel=1e-3)
    assert ratios["silhouette"] == pytest.approx(70 / 40, rel=0.05)


def test_unseen_parts_are_nan_and_do_not_count() -> None:
    close = body_proportions(
        _regions(head_top=(96, 20), chin=(96, 60), shoulder_left=(66, 75), shoulder_right=(126, 75))
    )
    assert np.isnan(close[BODY_RATIOS.index("legs")])
    assert np.isfinite(close[0])
    full = body_proportions(_regions(**FULL))
    assert body_similarity(close, full) == pytest.approx(1.0, abs=0.02)
    broad = full.copy()
    broad[0] += 0.7
    similar = body_similarity(full, broad)
    assert similar is not None
    assert similar < 0.8
    assert body_similarity(np.full(6, np.nan, np.float32), full) is None


def test_hair_colour_and_absence() -> None:
    image = np.zeros((H, W, 3), np.uint8)
    image[20:60, 70:120] = (255, 0, 0)
    hair = read_hair(image, _regions(**FULL))
    assert hair is not None
    np.testing.assert_allclose(hair.lab, [53.24, 80.09, 67.20], atol=0.1)
    assert hair.length == pytest.approx(39 / 40)
    assert hair_similarity(hair, hair) == pytest.approx(1)
    bald = _regions(**FULL)
    bald.labels[:] = 0
    assert read_hair(image, bald) is None


def test_lab_of_known_colours() -> None:
    known = {(255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0), (0, 0, 255): (32.30, 79.19, -107.86)}
    for rgb, lab in known.items():
        np.testing.assert_allclose(to_lab(np.array([rgb], np.uint8))[0], lab, atol=0.05)


def _place(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 255, (8, 6, 3)), np.ones((32, 32, 1))).astype(np.uint8)


def test_scene_score_tells_places_apart_and_ignores_the_person() -> None:
    person = np.zeros((H, W), bool)
    person[60:256, 60:130] = True
    same, other = _place(1), _place(2)
    with_person = same.copy()
    with_person[person] = (10, 200, 30)
    score = scene_similarity(with_person, person, same)
    assert score == pytest.approx(1.0, abs=1e-6)
    against = scene_similarity(with_person, person, other)
    assert against is not None
    assert against < 0.5
    moved = np.roll(same, 8, axis=1)
    near = scene_similarity(moved, person, same)
    assert near is not None
    assert against < near < 1
    assert scene_similarity(same, np.ones((H, W), bool), same) is None


def test_sharpness_falls_with_blur() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    blurred = ((sharp.astype(int) + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, 2, 0)) // 4).astype(
        np.uint8
    )
    assert read_quality(sharp).sharpness > 3 * read_quality(blurred).sharpness
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, 32:] = sharp[:, 32:]
    assert read_quality(half, (0, 0, 30, 64)).sharpness == 0
    assert read_quality(half, (32, 0, 64, 64)).sharpness > 1


def test_prompt_score_counts_what_agrees() -> None:
    regions = _regions()
    agreed = {name: table[0] for name, table in ATTRIBUTES.items()}
    assert attributes_obeyed(Shot(**agreed), regions.attributes) == 1
    wrong = Shot(**(agreed | {"outfit": ATTRIBUTES["outfit"][1]}))
    assert attributes_obeyed(wrong, regions.attributes) == pytest.approx(2 / 3)
    # only what the reader can tell counts, for and against
    assert attributes_obeyed(wrong, {"framing": wrong.framing}) == 1
    holding = replace(Shot(**agreed), goods="cup")
    assert attributes_obeyed(holding, dict(regions.attributes) | {"goods": "cup"}) == 1
    assert attributes_obeyed(holding, dict(regions.attributes) | {"goods": "nothing"}) == pytest.approx(3 / 4)
    assert (
        attributes_obeyed(Shot(**agreed), dict(regions.attributes) | {"goods": "cup"}) == 1
    )  # a product's photo stands there
    assert attributes_obeyed(wrong, {"outfit": agreed["outfit"]}) == 0
    assert attributes_obeyed(wrong, {}) is None


def test_mean_and_pairs_of_embeddings() -> None:
    a, b = np.eye(4, dtype=np.float32)[:2]
    np.testing.assert_allclose(mean_embedding(np.stack([a, b])), [2**-0.5, 2**-0.5, 0, 0], atol=1e-6)
    assert pairwise_mean([a, a, a]) == pytest.approx(1)
    assert pairwise_mean([a, a, None]) == pytest.approx(1 / 3)  # two of three pairs miss a face
    assert pairwise_mean([a, b]) == 0
    assert pairwise_mean([None, None]) == 0
