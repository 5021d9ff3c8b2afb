"""Eyes that are as eyes are, and eyes of two colours or without a pupil, told apart by the miniature's reader."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from miniature.world.faults import NO_PUPIL, WHOLE, no_faults
from personas.measures.catalogue import POST_MEASURES, measure_subject
from personas.measures.regions import RegionReader
from personas.measures.subject import Subject
from personas.measures.whole_eyes import EYES, NETWORK
from personas.shots import vary_shots
from studio.domain.scores import weak_scores
from studio.settings import ASSETS

COUNT = 12
SHOTS = tuple(replace(s, view="front") for s in vary_shots(COUNT, 4_321, framings=("close-up", "half-body")))


def values(reader: RegionReader, fault: str) -> list[float]:
    identity, _ = people(COUNT, 4_321)
    faults = no_faults(identity)
    if fault == "two colours":
        irises = torch.stack([torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.35, 0.2, 0.1])])
        faults = replace(faults, irises=irises.expand(COUNT, 2, 3).contiguous())
    if fault == "no pupil":
        faults = replace(faults, eyes=torch.tensor([[NO_PUPIL, WHOLE]]).expand(COUNT, 2).contiguous())
    scenes, found = sample_scenes([s.setting for s in SHOTS], list(range(COUNT))), list[float]()
    for i in range(0, COUNT, 4):
        rows = list(range(i, i + 4))
        some = type(faults)(
            *(getattr(faults, name)[rows] for name in ("irises", "eyes", "mouth", "mouthless", "fingers"))
        )
        world = World(identity[rows], tuple(SHOTS[r] for r in rows), scenes.take(rows), 9 + i, faults=some)
        for image, shot in zip(render(world).images.numpy(), (SHOTS[r] for r in rows), strict=True):
            (regions,) = reader.read([image])
            scores = measure_subject(Subject(regions=regions, shot=shot), POST_MEASURES)
            assert scores["eyes"] == regions.whole_eyes is not None
            found.append(regions.whole_eyes or 0.0)
    return found


def test_faults_are_told_and_whole_eyes_are_not_weak() -> None:
    reader = RegionReader(ASSETS / "reader")
    found = {name: np.array(values(reader, name)) for name in ("none", "two colours", "no pupil")}
    assert all(((v >= 0) & (v <= 1)).all() for v in found.values())
    least = float(EYES.weak_below or 0)
    assert (found["none"] >= least).mean() >= 0.8
    for name in ("two colours", "no pupil"):
        assert (found[name] < least).mean() >= 0.8, name


@pytest.mark.parametrize(("value", "weak"), [(0.59, {"eyes"}), (0.6, set()), (None, set())])
def test_a_post_with_weak_eyes_is_weak(value: float | None, weak: set[str]) -> None:
    assert weak_scores({"eyes": value}, -1.0) == weak


def test_who_looks_aside_and_a_reader_without_the_network_are_not_judged(tmp_path: Path) -> None:
    identity, _ = people(8, 4_321)
    world = World(identity[:1], SHOTS[:1], sample_scenes([SHOTS[0].setting], [0]), 9)
    (image,) = render(world).images.numpy()
    (regions,) = RegionReader(ASSETS / "reader").read([image])
    assert "eyes" not in measure_subject(Subject(regions=regions, shot=replace(SHOTS[0], view="left")), POST_MEASURES)
    shutil.copytree(ASSETS / "reader", tmp_path / "reader")
    (tmp_path / "reader" / NETWORK).unlink()
    (without,) = RegionReader(tmp_path / "reader").read([image])
    assert without.whole_eyes is None
    assert without.attributes == regions.attributes
