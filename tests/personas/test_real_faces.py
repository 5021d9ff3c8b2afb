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


def test_a_batch_reads_as_one_by_one(reader: FaceReader) -> None:
    images = [np.asarray(Image.open(str(p)).convert("RGB")) for p in (*PORTRAITS[:3], PLACES[0], PORTRAITS[3])]
    together = reader.read_many(images)
    assert together[3] is None
    for image, face in zip(images, together, strict=True):
        alone = reader.read(image)
        if alone is None:
            assert face is None
        else:
            assert face is not None
            assert face.box == alone.box
            np.testing.assert_allclose(face.embedding, alone.embedding, atol=1e-5)


def test_the_person_is_chosen_not_the_larger_poster(reader: FaceReader) -> None:
    """A sharp face in the middle against a larger, cut and blurred one at the lower edge."""
    who, poster = (np.asarray(Image.open(str(p)).convert("RGB")) for p in (PORTRAITS[0], PORTRAITS[5]))
    canvas = np.full((1024, 768, 3), 128, np.uint8)
    canvas[230:530, 234:534] = np.asarray(Image.fromarray(who).resize((300, 300)))
    blurred = Image.fromarray(poster).resize((28, 28)).resize((420, 420), Image.Resampling.BICUBIC)
    canvas[660:1024, 0:420] = np.asarray(blurred)[:364]
    assert len(reader.faces(canvas)) == 2
    chosen, alone = reader.read(canvas), reader.read(who)
    assert chosen is not None
    assert alone is not None
    assert float(chosen.embedding @ alone.embedding) > 0.6


def test_the_test_data_is_whole() -> None:
    need("faces/xverse_human")
    assert (len(PORTRAITS), len(PLACES)) == (16, 4)
