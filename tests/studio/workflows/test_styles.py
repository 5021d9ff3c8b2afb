"""A style is trained on a folder of photographs: its card says how, what is refused is refused before it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadInput, NotEnough
from pipelines.lora import read_lora
from pipelines.progress import TrainingStep
from studio.application import Studio
from studio.domain.report import LeftOut
from studio.workflows.styles import MIN_PHOTOS, train_folder_style
from tests.studio.workflows.test_training_folder import _consent, _Told, studio

__all__ = ["studio"]


def _photos(folder: Path, count: int = MIN_PHOTOS) -> Path:
    rng = np.random.default_rng(1)
    folder.mkdir()
    for k in range(count):
        Image.fromarray(rng.integers(0, 256, (96, 64, 3), np.uint8)).save(folder / f"{k:02d}.png")
    (folder / "00.txt").write_text("a woman in a cafe")
    return folder


def test_a_style_says_on_its_card_how_it_was_learnt_and_is_found_again(studio: Studio, tmp_path: Path) -> None:
    photos, out, told = _photos(tmp_path / "photos"), tmp_path / "style.safetensors", _Told()
    (photos / "notes.pdf").write_bytes(b"%PDF")
    made = train_folder_style(studio, photos, _consent(tmp_path), out, "window light", steps=2, progress=told)
    assert [error.code for error in made.left_out] == ["picture_not_readable"]
    assert any(isinstance(event, LeftOut) for event in told.events)
    file = read_lora(made.path)
    card = file.metadata["modelspec.description"]
    for said in ("20 photographs", "sigma is between 0.25 and 0.85", "single_transformer_blocks", "fusion"):
        assert said in card
    assert ("measured on this model" in card) == json.loads(file.metadata["ss_style_recipe"])["measured"]
    who = json.loads(_consent(tmp_path).read_text(encoding="utf-8"))["who"]
    assert who not in json.dumps(dict(file.metadata), ensure_ascii=False)  # the file travels, people's names do not
    again = _Told()
    train_folder_style(studio, photos, _consent(tmp_path), out, "window light", steps=2, progress=again)
    assert not any(isinstance(event, TrainingStep) for event in again.events)


def test_what_cannot_work_is_refused_before_any_work(studio: Studio, tmp_path: Path) -> None:
    out = tmp_path / "style.safetensors"
    with pytest.raises(NotEnough):
        train_folder_style(studio, _photos(tmp_path / "few", 3), _consent(tmp_path), out)
    over = _consent(tmp_path, expires="2001-02-03")
    with pytest.raises(BadInput, match="consent_over"):
        train_folder_style(studio, _photos(tmp_path / "photos"), over, out)
    assert not out.exists()
    assert not list(studio.library.work.glob("style-*"))
