"""A real detector and recogniser on real portraits and places."""

import numpy as np
import pytest
from PIL import Image

from personas.measures.face import FaceReader
from tests.data import FOLDER, need

PORTRAITS = sorted((FOLDER / "faces/xverse_human").glob("*.jpg"))
PLACES = sorted((FOLDER / "scenes").glob("*.jpg"))


@pytest.fixture(scope="module")
def reader() -> FaceReader:
    return FaceReader(need("face_models"))


@pytest.mark.parametrize("portrait", PORTRAITS, ids=lambda p: p.stem)
def test_a_tight_portrait_is_one_face(reader: FaceReader, portrait: object) -> None:
    image = np.asarray(Image.open(str(portrait)).convert("RGB"))
    (face,) = reader.faces(image)
    assert face.height_share > 0.5
    np.testing.assert_allclose(np.linalg.norm(face.embedding), 1, atol=1e-5)
    # the same face a third of the size, off the middle of a large canvas: found there too, and still itself
    canvas = np.full((1024, 768, 3), 128, np.uint8)
    canvas[40:240, 300:500] = np.asarray(Image.fromarray(image).resize((200, 200)))
    (small,) = reader.faces(canvas)
    assert float(small.embedding @ face.embedding) > 0.6


@pytest.mark.parametrize("place", PLACES, ids=lambda p: p.stem)
def test_a_place_is_no_face(reader: FaceReader, place: object) -> None:
    assert reader.faces(np.asarray(Image.open(str(place)).convert("RGB"))) == []


def test_the_test_data_is_whole() -> None:
    need("faces/xverse_human")
    assert (len(PORTRAITS), len(PLACES)) == (16, 4)
