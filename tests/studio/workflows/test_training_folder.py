"""A folder is trained on: what changed is another training, what is refused is refused before it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks.cases_studio import train_folder
from benchmarks.learning_pictures import person_folder
from pipelines.errors import BadInput
from pipelines.lora import read_lora
from pipelines.progress import Event, TrainingStep
from studio.application import Studio
from studio.cli import app
from studio.domain.dataset import LEAST_PICTURES, DataSet
from studio.library.records import JobRecord
from studio.settings import Settings
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
    given = (studio, pictures, _consent(tmp_path))
    first = train_folder(*given, "nora", steps=1)
    (pictures / "01.txt").write_bytes((case / "01.txt").read_bytes())
    second = train_folder(*given, "nora2", steps=1)
    assert second.id != first.id
    assert len(list(studio.library.work.glob("donor-*"))) == 2
    told = _Told()
    train_folder(*given, "nora3", told, steps=1)
    assert not any(isinstance(event, TrainingStep) for event in told.events)  # unchanged: found in its checkpoints
    assert len(list(studio.library.work.glob("donor-*"))) == 2


def _command(studio: Studio, *words: str) -> Any:
    """End `donors train … --json` on the studio's data: its exit code, and what it said."""
    settings = studio.settings
    environment = {
        "PERSONA_STUDIO_BACKBONE": str(settings.backbone),
        "PERSONA_STUDIO_BUNDLED_DONORS": str(settings.bundled_donors),
    }
    words = ("donors", "train", *words, "--category", "sweet", "--data", str(settings.data), "--json")
    ended = CliRunner().invoke(app, words, env=environment)
    return ended


def test_what_is_refused_is_refused_before_anything_is_brought(studio: Studio, tmp_path: Path) -> None:
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
        ended = _command(studio, str(pictures), "--consent", str(_consent(tmp_path, **more)), "--name", name)
        assert isinstance(ended.exception, BadInput)
        assert ended.exception.code == code
    assert studio.records.find(JobRecord, studio.settings.owner) == []
    assert not list(studio.settings.data.rglob("*.png"))


def test_a_folder_is_looked_through_and_what_takes_no_part_is_named(tmp_path: Path) -> None:
    """By the command, on the miniature: faults, a copy, a file that is none, and words that say who it is."""
    studio = Studio(Settings(data=tmp_path / "data"))
    folder = tmp_path / "Mei Li"
    folder.mkdir()
    for i, one in enumerate(person_folder(3, LEAST_PICTURES, 1, 2)):
        Image.fromarray(one.picture).save(folder / f"{i:02}.png")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    (folder / "00.txt").write_text("ohwx young woman with long black hair, smiling")
    words = (str(folder), "--consent", str(_consent(tmp_path)), "--steps", "1")
    ended = _command(studio, *words)
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.code == "captions_tell_identity"
    ended = _command(studio, *words, "--identity", "strip")
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert (told["name"], told["pictures"]) == ("Mei Li", LEAST_PICTURES)
    assert told["identity_loss"] > 0
    assert {row["name"] for row in told["left_out"]} == {"notes.pdf", "04.png", "05.png", "06.png"}
    assert all(row["error"] for row in told["left_out"])
    donor = next(one for one in Studio(studio.settings).donors() if one.id == told["id"])
    assert (donor.consent.who, donor.trigger) == ("Li Lei", "ohwx")
    card = read_lora(donor.lora_path).metadata
    assert card["ss_num_train_images"] == str(LEAST_PICTURES)
    dataset = studio.result_of(DataSet, told["dataset"])  # on the page, to be judged again
    assert [one.name for one in dataset.request.pictures] == [f"{i:02}.png" for i in range(7)]
    assert len(list(folder.iterdir())) == 9  # nothing was moved or deleted
