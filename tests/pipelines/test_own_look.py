"""Real photos are told from what the miniature draws; nothing that it draws is taken for one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from miniature.look import as_uploaded, world_pictures
from pipelines.own_look import LOOK_FILE, OwnLook, measure_look, read_look
from studio.settings import ASSETS
from tests.data import need

SHIPPED = [*sorted(ASSETS.glob("donors/*/*/thumbnail.png")), *sorted(ASSETS.glob("scenes/*[!k].png"))]


def _look() -> OwnLook:
    look = read_look(ASSETS / "flux")
    assert look is not None
    return look


def _picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_real_photos_are_told() -> None:
    photos = [*sorted(need("scenes").glob("*.jpg")), *sorted(need("faces").rglob("*.jpg"))]
    assert len(photos) >= 20
    assert [path.name for path in photos if not _look().is_other(_picture(path))] == []


def test_nothing_that_is_drawn_is_taken_for_a_photo() -> None:
    look = _look()
    pictures = [*world_pictures(40, 991_000), *(q for path in SHIPPED for q in as_uploaded(_picture(path)))]
    assert len(pictures) >= 130
    assert [look.distance(picture) for picture in pictures if look.is_other(picture)] == []


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_plain_picture_is_no_photo(value: int) -> None:
    assert not _look().is_other(np.full((80, 60, 3), value, np.uint8))


def test_a_look_comes_back_from_its_file(tmp_path: Path) -> None:
    assert read_look(tmp_path) is None
    look = measure_look([_picture(path) for path in SHIPPED[:20]], 3.5)
    look.save(tmp_path)
    assert read_look(tmp_path) == look
    told = json.loads((tmp_path / LOOK_FILE).read_text())
    (tmp_path / LOOK_FILE).write_text(json.dumps(told | {"mean": [1.0]}))
    assert read_look(tmp_path) is None
