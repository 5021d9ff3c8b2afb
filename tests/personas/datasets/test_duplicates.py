"""Copies are found however they were saved; other pictures of the same person in the same place are none."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from personas.datasets.duplicates import find_duplicates
from personas.datasets.facts import PictureFacts, measure_picture
from personas.datasets.limits import Limits
from personas.measures.face import FaceReader
from pipelines.pictures import load_scene
from tests.data import FOLDER, need

Picture = npt.NDArray[np.uint8]
PORTRAITS = sorted((FOLDER / "faces/xverse_human").glob("*.jpg"))
PLACES = sorted((FOLDER / "scenes").glob("*.jpg"))


def facts(picture: Picture) -> PictureFacts:
    return measure_picture(picture, (), None)


@pytest.fixture(scope="module")
def photos() -> list[Picture]:
    need("faces/xverse_human")
    return [load_scene(path).image for path in (*PORTRAITS, *PLACES)]


def compressed(picture: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file).convert("RGB"))


def enlarged(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((width * 3 // 2, height * 3 // 2)))


def cut(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return picture[height // 50 :, : width - width // 40]


WAYS: dict[str, Callable[[Picture], Picture]] = {
    "renamed": lambda picture: picture,
    "compressed": compressed,
    "enlarged": enlarged,
    "cut": cut,
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "brightened": lambda picture: np.clip(picture * 1.1, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_found_and_nothing_else(photos: list[Picture], way: str) -> None:
    whole = [facts(photo) for photo in photos]
    copies = [facts(WAYS[way](photo)) for photo in photos]
    piles = find_duplicates([*whole, *copies], Limits())
    assert sorted(map(sorted, piles)) == [[i, i + len(photos)] for i in range(len(photos))]


def test_the_best_of_a_pile_comes_first(photos: list[Picture]) -> None:
    photo = photos[4]  # 737 pixels
    small = np.asarray(Image.fromarray(photo).resize((photo.shape[1] // 2, photo.shape[0] // 2)))
    rows = [facts(one) for one in (enlarged(small), compressed(photo), photo, small)]
    ((best, *_),) = find_duplicates(rows, Limits())
    assert best == 2


def test_a_part_that_was_cut_out_is_found_by_its_face(photos: list[Picture]) -> None:
    reader = FaceReader(need("face_models"))
    photo = photos[4]
    height, width = photo.shape[:2]
    wide = np.full((2 * height, 3 * width, 3), 200, np.uint8)
    wide[height // 2 : height // 2 + height, width : 2 * width] = photo
    part = wide[height // 5 : 9 * height // 5, 4 * width // 5 : 11 * width // 5]
    rows = [measure_picture(one, reader.faces(one), None, own_look=False) for one in (wide, part, photos[0])]
    assert [sorted(pile) for pile in find_duplicates(rows, Limits())] == [[0, 1]]


def test_no_pictures_have_no_copies() -> None:
    assert find_duplicates([], Limits()) == ()
