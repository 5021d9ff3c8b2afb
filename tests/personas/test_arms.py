"""Poses and held things as they are read: from renders, whose truth is known, and scored only where they are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.measures.arms import read_pose
from personas.measures.catalogue import POST_MEASURES, measure_subject
from personas.measures.regions import KEYPOINTS, LABELS, RegionReader
from personas.measures.subject import Subject
from personas.shots import GOODS, Shot, vary_shots
from studio.domain.scores import weak_scores
from studio.settings import ASSETS

SEED = 990_001


def test_renders_are_read_as_they_are_and_a_score_says_so() -> None:
    shots = vary_shots(24, SEED, framings=("half-body", "full-body", "close-up"), goods=("nothing", *GOODS[1:]))
    identity, _ = people(24, SEED)
    scenes = sample_scenes([s.setting for s in shots], list(range(SEED, SEED + 24)))
    reader, told = RegionReader(ASSETS / "reader"), 0
    for i in range(0, 24, 4):
        rows = list(range(i, i + 4))
        drawn = render(World(identity[rows], tuple(shots[r] for r in rows), scenes.take(rows), SEED + i))
        for row, regions in zip(rows, reader.read(list(drawn.images.numpy())), strict=True):
            shot, seen = shots[row], regions.told
            assert ("pose" in seen) <= (shot.framing != "close-up")
            assert seen.get("pose", shot.pose) == shot.pose
            told += "pose" in seen
            for asked, right in ((shot, 1.0), (replace(shot, pose=_other(shot.pose)), 0.0)):
                scores = measure_subject(Subject(attributes=seen, shot=asked), POST_MEASURES)
                assert scores["pose"] == (right if "pose" in seen else None)
                assert ("pose" in weak_scores(scores, 0.4)) == (scores["pose"] == 0)
                assert scores.get("held", 1.0) == 1.0
    assert told >= 14


def _other(pose: str) -> str:
    return {"waving": "relaxed", "relaxed": "hand on hip", "hand on hip": "waving"}[pose]


def test_own_words_are_not_measured_but_for_a_hand_that_is_empty() -> None:
    shot = Shot(pose="drinking coffee", outfit="qipao", goods="lipstick")
    seen = {"pose": "waving", "outfit": "dress", "outfit_colour": "red", "framing": "half-body", "goods": "bottle"}
    scores = measure_subject(Subject(attributes=seen, shot=shot), POST_MEASURES)
    assert scores == {"prompt": 1.0, "pose": None, "held": None}
    empty = measure_subject(Subject(attributes=seen | {"goods": "nothing"}, shot=shot), POST_MEASURES)
    assert (empty["held"], empty["prompt"]) == (0.0, 0.5)
    assert weak_scores(empty, 0.4) == {"held", "prompt"}
    assert "held" not in measure_subject(Subject(attributes=seen, shot=replace(shot, goods="nothing")), POST_MEASURES)


def test_arms_that_are_not_seen_or_between_two_poses_tell_nothing() -> None:
    points = np.zeros((len(KEYPOINTS), 3), np.float32)
    where = {
        "head_top": (96, 20), "chin": (96, 60), "shoulder_left": (66, 75), "shoulder_right": (126, 75),
        "elbow_left": (60, 105), "elbow_right": (132, 105), "hand_left": (62, 135), "hand_right": (130, 135),
    }  # fmt: skip
    for name, place in where.items():
        points[KEYPOINTS.index(name)] = *place, 1
    assert read_pose(points) == {"pose": "relaxed"}
    for name, place, pose in (
        ("hand_right", (150, 60), "waving"), ("hand_right", (150, 74), None),
        ("elbow_right", (160, 105), "hand on hip"), ("elbow_right", (141, 105), None),
    ):  # fmt: skip
        moved = points.copy()
        moved[KEYPOINTS.index(name), :2] = place
        assert read_pose(moved).get("pose") == pose
    points[KEYPOINTS.index("hand_left"), 2] = 0.1
    assert read_pose(points) == {}


def test_goods_of_which_words_and_regions_disagree_are_not_told() -> None:
    (regions,) = RegionReader(ASSETS / "reader").read([np.full((256, 192, 3), 200, np.uint8)])
    held = replace(regions, attributes=dict(regions.attributes) | {"goods": "nothing"}, labels=regions.labels.copy())
    held.labels[:] = 0
    assert held.told["goods"] == "nothing"
    held.labels[100:120, 50:70] = LABELS.index("goods")
    assert "goods" not in held.told
