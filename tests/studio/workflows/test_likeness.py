"""What looks like a face: found for posts, personas and designs when they are made, and later for those of before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.persona import Sample
from studio.domain.posts import PostSet, post_thing
from studio.domain.values import FileKey
from studio.library.faces import count_unread, kept_face
from studio.library.marks import mark_thing
from studio.library.records import FaceRecord
from studio.library.trash import empty_trash
from studio.settings import ASSETS, Settings
from studio.workflows.likeness import find_like_photo, find_like_thing, read_faces, read_unread
from tests.library import PERSONA, SHOT, keep_cafe, keep_posts, keep_result, picture
from tests.studio.domain.values import make_design, make_post

WALK = ASSETS / "walk"
WHO = ("00", "02", "05")  # three strangers


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def another_photo(who: str, folder: Path) -> Path:
    """The same person again: turned round, darker, nearer."""
    with Image.open(WALK / f"{who}.jpg") as image:
        width, height = image.size
        near = image.crop((width // 12, 0, width - width // 12, height - height // 8))
        told = ImageEnhance.Brightness(near.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).enhance(0.85)
        told.save(folder / f"{who}.png")
    return folder / f"{who}.png"


def store(studio: Studio, path: Path) -> FileKey:
    return FileKey(studio.store.put_picture(np.asarray(Image.open(path).convert("RGB"))))


def keep_people(studio: Studio, owner: str = "me") -> PostSet:
    """A set of three posts, each of another person, and one of noise."""
    told: dict[str, Any] = {"prompt": "", "shot": SHOT, "caption": "", "scores": {}}
    keys = [*(store(studio, WALK / f"{who}.jpg") for who in WHO), FileKey(studio.store.put_picture(picture(3)))]
    posts = tuple(make_post(i, "set00001", picture=key, **told) for i, key in enumerate(keys))
    return keep_posts(studio, 1, keep_cafe(studio, owner), owner, pictures=4, posts=posts)


def test_a_face_is_found_by_another_photo_of_it_and_by_a_thing(studio: Studio, tmp_path: Path) -> None:
    post_set = keep_people(studio)
    read_faces(studio, "me", post_set)
    things = [post_thing(post_set.id, i) for i in range(4)]
    for number, who in enumerate(WHO):
        found = find_like_photo(studio, "me", another_photo(who, tmp_path), 9)
        assert found[0].thing.id == things[number]
        assert found[0].cosine > studio.least_identity > found[1].cosine
        assert {one.thing.id for one in found} == set(things[:3])  # nobody is seen in noise
    assert things[0] not in {one.thing.id for one in find_like_thing(studio, "me", things[0], 9)}
    assert count_unread(studio.records, "me", studio.face_pack_sha256) == 0


def test_nobodys_face_and_anothers_things_are_refused(studio: Studio, tmp_path: Path) -> None:
    post_set = keep_people(studio, "mei")
    read_faces(studio, "mei", post_set)
    thing, noise = post_thing(post_set.id, 0), tmp_path / "noise.png"
    Image.fromarray(picture(4)).save(noise)
    for owner, asked, code in (
        ("me", thing, "not_found"),
        ("mei", f"posts:{post_set.id}", "not_found"),
        ("mei", post_thing(post_set.id, 3), "picture_without_face"),
    ):
        with pytest.raises(BadInput) as refused:
            find_like_thing(studio, owner, asked, 9)
        assert refused.value.code == code
    with pytest.raises(BadInput, match="picture_without_face"):
        find_like_photo(studio, "me", noise, 9)
    assert find_like_photo(studio, "me", another_photo(WHO[0], tmp_path), 9) == []


def test_what_an_older_studio_made_is_read_later_and_personas_and_designs_are_found(
    studio: Studio, tmp_path: Path
) -> None:
    post_set = keep_people(studio)
    shown = tuple(store(studio, WALK / f"{who}.jpg") for who in (WHO[1], WHO[1]))
    persona = PERSONA.model_copy(update={"samples": (Sample(step=9, pictures=shown, identity=0.9),)})
    keep_result(studio, "me", persona)
    keep_result(studio, "me", make_design().model_copy(update={"pictures": (shown[0],) * 3}))
    pack = studio.face_pack_sha256
    assert count_unread(studio.records, "me", pack) == 6
    assert read_unread(studio, 4) == 4
    assert read_unread(studio, 4) == 2
    assert read_unread(studio, 4) == count_unread(studio.records, "me", pack) == 0
    found = find_like_photo(studio, "me", another_photo(WHO[1], tmp_path), 3)
    assert {one.thing.kind for one in found} == {"post", "consolidate", "design"}
    assert all(one.cosine > studio.least_identity for one in found)
    assert post_set.posts[1].picture in {one.thing.facts["picture"] for one in found}


def test_another_recogniser_reads_all_anew(studio: Studio, tmp_path: Path) -> None:
    post_set = keep_people(studio)
    read_faces(studio, "me", post_set)
    thing = post_thing(post_set.id, 0)
    other = Studio(Settings(data=tmp_path / "data", face_pack=ASSETS / "faces_second"))
    assert count_unread(other.records, "me", other.face_pack_sha256) == 4
    assert find_like_photo(other, "me", another_photo(WHO[0], tmp_path), 9) == []
    assert find_like_thing(other, "me", thing, 9) == []  # reads this one
    assert kept_face(studio.records, "me", studio.face_pack_sha256, thing) is None
    assert read_unread(other, 99) == 3
    assert find_like_photo(other, "me", another_photo(WHO[0], tmp_path), 9)[0].thing.id == thing


def test_with_a_thing_its_face_goes(studio: Studio, tmp_path: Path) -> None:
    post_set = keep_people(studio)
    read_faces(studio, "me", post_set)
    mark_thing(studio.records, "me", f"posts:{post_set.id}", trashed=True)
    assert find_like_photo(studio, "me", another_photo(WHO[0], tmp_path), 9) == []
    empty_trash(studio.library, "me", lambda jobs, owner: None, young_s=0.0)
    assert studio.records.find(FaceRecord, "me") == []


def test_a_picture_that_cannot_be_read_fails_no_job(studio: Studio) -> None:
    post_set = keep_people(studio)
    broken = post_set.posts[0].model_copy(update={"picture": FileKey(studio.store.put(b"no picture"))})
    read_faces(studio, "me", post_set.model_copy(update={"posts": (broken, *post_set.posts[1:])}))
    assert count_unread(studio.records, "me", studio.face_pack_sha256) == 4
