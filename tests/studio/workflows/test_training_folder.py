"""A folder is trained on: what changed is another training, what is refused is refused before it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.errors import BadInput
from pipelines.progress import Event, TrainingStep
from studio.application import Studio
from studio.domain.report import LeftOut
from studio.settings import Settings
from studio.workflows.donors import train_folder_donor
from tests.data import need


class _Told:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def check_cancelled(self) -> None:
        return


@pytest.fixture
def studio(tiny_flux: Path, tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data", backbone=str(tiny_flux), bundled_donors=tmp_path / "none"))


def _consent(folder: Path, **more: Any) -> Path:
    path = folder / "consent.json"
    path.write_text(json.dumps({"who": "Li Lei", "scope": "fusion"} | more))
    return path


def test_other_captions_are_another_training_by_themselves(studio: Studio, tmp_path: Path) -> None:
    case = need("cases/dataset-edited-captions")
    pictures = tmp_path / "pictures"
    with zipfile.ZipFile(case / "pictures.zip") as packed:
        packed.extractall(pictures)
    given = (studio, pictures, "sweet", _consent(tmp_path))
    first = train_folder_donor(*given, "nora", steps=1).donor
    (pictures / "01.txt").write_bytes((case / "01.txt").read_bytes())
    second = train_folder_donor(*given, "nora2", steps=1).donor
    assert second.id != first.id
    assert len(list(studio.library.work.glob("donor-*"))) == 2
    told = _Told()
    train_folder_donor(*given, "nora3", steps=1, progress=told)
    assert not any(isinstance(event, TrainingStep) for event in told.events)  # unchanged: found in its checkpoints
    assert len(list(studio.library.work.glob("donor-*"))) == 2


def test_what_is_refused_is_refused_before_anything_is_loaded(studio: Studio, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        Image.new("RGB", (96, 80), (40 * number, 0, 0)).save(pictures / f"{number}.png")
    taken = studio.library.donors_folder / "sweet" / "nora"
    taken.mkdir(parents=True)
    (taken / "donor.json").write_text("{}")
    for name, more, code in (
        ("Nora", {}, "donor_exists"), ("a/b", {}, "donor_name_invalid"), ("CON", {}, "donor_name_invalid"),
        ("mei", {"expires": "2001-02-03"}, "consent_over"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=code):
            train_folder_donor(studio, pictures, "sweet", _consent(tmp_path, **more), name, steps=1)
    assert "backbone" not in vars(studio)
    assert "regions" not in vars(studio)


def test_what_is_left_out_is_told_before_the_training_and_after_it(studio: Studio, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(5):
        Image.new("RGB", (96, 80), (40 * number, 0, 0)).save(pictures / f"{number}.png")
    (pictures / "4.png").write_bytes((pictures / "4.png").read_bytes()[:60])
    told = _Told()
    made = train_folder_donor(studio, pictures, "sweet", _consent(tmp_path), "mei", steps=1, progress=told)
    assert [error.code for error in made.left_out] == ["picture_damaged"]
    assert told.events[0] == LeftOut(made.left_out)
