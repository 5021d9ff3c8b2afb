"""An owner's faces: found exactly, none of another's or of another recogniser, and none that is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.library.faces import FaceIndex, count_unread, keep_faces, kept_face, things_unread
from studio.library.marks import mark_thing
from studio.library.records import FaceRecord, IndexRecord, Records

PACK, OTHER = "a" * 64, "b" * 64


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    place: Any = tmp_path / "studio.sqlite"
    if request.param == "postgresql":
        place = request.getfixturevalue("postgres").new_database()
    records = Records(place)
    yield records
    records.engine.dispose()


def unit(number: int, width: int = 16) -> np.ndarray[Any, np.dtype[np.float64]]:
    face = np.random.default_rng(number).standard_normal(width)
    return face / np.linalg.norm(face)


def keep(records: Records, *numbers: int, owner: str = "me", pack: str = PACK) -> None:
    records.keep(*(IndexRecord(id=f"post:{n}", owner=owner, kind="post", words="", facts={}) for n in numbers))
    keep_faces(records, owner, pack, {f"post:{n}": unit(n) for n in numbers})


def found(shelf: FaceIndex, number: int, count: int = 3, owner: str = "me", pack: str = PACK) -> list[str]:
    return [one.thing.id for one in shelf.nearest(owner, pack, unit(number), count)]


def test_what_is_added_is_found_and_what_is_deleted_is_not(records: Records) -> None:
    shelf = FaceIndex(records, threads=1)
    assert found(shelf, 1) == []
    keep(records, *range(40))
    nearest = shelf.nearest("me", PACK, unit(7), 1)[0]
    assert (nearest.thing.id, round(nearest.cosine, 2)) == ("post:7", 1.0)
    assert found(shelf, 50, 1) != ["post:50"]
    keep(records, 50)
    assert found(shelf, 50, 1) == ["post:50"]
    records.remove(FaceRecord, "post:50", "me")
    records.remove(IndexRecord, "post:50", "me")
    assert len(found(shelf, 50, 60)) == 40
    assert "post:50" not in found(shelf, 50, 60)


def test_what_lies_in_the_trash_does_not_count_and_others_take_its_place(records: Records) -> None:
    shelf = FaceIndex(records, threads=1)
    keep(records, *range(12))
    before = found(shelf, 3, 12)
    for thing in before[:5]:
        mark_thing(records, "me", thing, trashed=True)
    assert found(shelf, 3, 4) == before[5:9]
    mark_thing(records, "me", before[0], trashed=False)
    assert found(shelf, 3, 1) == before[:1]


def test_faces_of_others_and_of_other_recognisers_are_never_compared(records: Records) -> None:
    shelf = FaceIndex(records, threads=1)
    keep(records, 1, 2)
    keep(records, 3, owner="mei")
    keep(records, 4, pack=OTHER)
    assert set(found(shelf, 3, 9)) == {"post:1", "post:2"}
    assert found(shelf, 1, 9, owner="mei") == ["post:3"]
    assert found(shelf, 1, 9, pack=OTHER) == ["post:4"]
    assert kept_face(records, "me", OTHER, "post:1") is None
    assert things_unread(records, PACK, 9) == [("me", "post:4")]
    keep_faces(records, "me", OTHER, {"post:1": unit(1)})
    assert found(FaceIndex(records, threads=1), 3, 9) == ["post:2"]
    assert (count_unread(records, "me", PACK), count_unread(records, "mei", PACK)) == (2, 0)


def test_a_face_that_is_read_anew_takes_the_place_of_the_old_one(records: Records) -> None:
    shelf = FaceIndex(records, threads=1)
    keep(records, 1, 2)
    assert found(shelf, 9, 1) != ["post:9"]
    keep_faces(records, "me", PACK, {"post:1": unit(9)})
    assert shelf.nearest("me", PACK, unit(9), 1)[0].cosine == pytest.approx(1, abs=1e-3)
    keep_faces(records, "me", PACK, {"post:1": None})
    assert found(shelf, 9, 9) == ["post:2"]
    assert things_unread(records, PACK, 9) == []


def test_a_face_whose_thing_is_not_shown_yet_waits(records: Records) -> None:
    shelf = FaceIndex(records, threads=1)
    keep_faces(records, "me", PACK, {"post:1": unit(1)})
    assert found(shelf, 1) == []
    keep(records, 1)
    assert found(shelf, 1) == ["post:1"]
