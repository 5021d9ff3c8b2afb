"""A face pack of one's own is calibrated on one's own photos."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from miniature.world import World, look_identities, render, sample_scenes
from personas.measures.calibration import face_statistics
from personas.measures.face import read_calibration
from personas.shots import vary_shots
from pipelines.errors import BadInput, ModelMissing, NotEnough
from studio.settings import ASSETS
from studio.workflows.calibrate import calibrate_folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    people = look_identities("sweet", 4, torch.Generator().manual_seed(1))
    for number, person in enumerate(people):
        shots = vary_shots(4, number, framings=("close-up", "half-body"))
        scenes = sample_scenes([s.setting for s in shots], [number * 9 + i for i in range(4)])
        (folder / f"who-{number}").mkdir()
        for k, image in enumerate(render(World(person.expand(4, -1), shots, scenes, number)).images.numpy()):
            Image.fromarray(image).save(folder / f"who-{number}" / f"{k}.png")
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(folder / "who-0" / "wall.png")
    return folder


def test_thresholds_part_the_people(photos: Path, tmp_path: Path) -> None:
    pack = shutil.copytree(ASSETS / "faces", tmp_path / "pack")
    found = calibrate_folder(pack, photos)
    assert found.without_face == ("who-0/wall.png",)
    written = read_calibration(pack)
    assert written == found.statistics.calibration
    assert (written.people, written.shots) == (4, 4)
    assert written.auc > 0.9
    assert found.gates["novelty_ceiling"] == written.novelty_ceiling
    (rate, threshold, accepted), *_ = found.statistics.roc
    assert rate == 0.1
    assert -1 < threshold < 1
    assert accepted > 0.7
    other = shutil.copytree(pack, tmp_path / "other")
    shutil.copy(ASSETS / "faces_second/recognition.onnx", other / "recognition.onnx")
    with pytest.raises(ModelMissing, match="calibration_of_other_models"):
        read_calibration(other)
    recall = [r for _, r in found.statistics.match_rate]
    assert recall == sorted(recall, reverse=True)
    assert recall[0] > 0.9


def test_statistics_of_known_vectors() -> None:
    x = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
    found = face_statistics(x, np.array([0, 0, 1, 1, 2, 2]), "0" * 64)
    assert found.calibration.auc == 1
    assert found.calibration.novelty_ceiling == pytest.approx(1)
    assert found.calibration.different_people == pytest.approx(0)
    assert found.match_rate[-1] == (0.9, 1.0)
    assert [rate for rate, _, _ in found.roc] == [0.1]  # 12 pairs of strangers show no rarer event


def test_too_little_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pack_is_calibrated"):
        calibrate_folder(ASSETS / "faces", photos)
    pack = shutil.copytree(ASSETS / "faces", tmp_path / "pack")
    with pytest.raises(BadInput, match="no_people"):
        calibrate_folder(pack, tmp_path / "nowhere")
    few = shutil.copytree(photos, tmp_path / "few", ignore=shutil.ignore_patterns("who-2", "who-3"))
    with pytest.raises(NotEnough, match=r"calibration_people_too_few.*people=2"):
        calibrate_folder(pack, few)
