"""A small face of a finished post is drawn once more where that makes it no less the person; all else stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from personas.looks import find_category
from personas.measures.face import mean_embedding
from personas.shots import Shot
from pipelines.lora import Lora, read_lora
from pipelines.sampling.draw import draw
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.domain.design import UsedDonor
from studio.domain.finishing import touches_up
from studio.domain.persona import Persona
from studio.domain.posts import Post, PostRequest, PostSet
from studio.library.scenes import add_scene
from studio.settings import ASSETS, Settings
from studio.workflows import run_directly
from studio.workflows.post import draw_posts
from studio.workflows.redrawing import redraw_bundle
from studio.workflows.touch_up import FacePatch, lay_face
from tests.exports import export_set
from tests.studio.domain.values import RECIPE

FULL, CLOSE = Shot(framing="full-body", outfit="dress"), Shot(framing="close-up")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("touch"), threads=1, batch_size=2))


@pytest.fixture(scope="module")
def asked(studio: Studio) -> PostRequest:
    """A bundled donor as the persona, small in one shot and large in the other."""
    donor = next(d for d in studio.donors("ceo") if studio.fits(d))
    subject, lora = find_category("ceo").subject, (Lora(read_lora(donor.lora_path).layers),)
    close = replace(CLOSE, view="front").prompt(subject, donor.trigger)
    requests = [identity_request(studio.backbone.spec, close, seed, loras=lora) for seed in range(4)]
    faces = [studio.faces.read(picture) for _, picture in draw(studio.backbone, requests)]
    enrolment = mean_embedding(np.array([face.embedding for face in faces if face is not None]))
    persona = Persona(
        id="p1", name=donor.name, version=1, trigger=donor.trigger, subject=subject,
        lora=studio.store.put(donor.lora_path.read_bytes()), enrolment=tuple(map(float, enrolment)), recipe=RECIPE,
        donors=tuple(UsedDonor(id=d, name=d, licence="Apache-2.0", consent="invented") for d in RECIPE.donors),
    )  # fmt: skip
    scene = add_scene(studio.library, ASSETS / "scenes" / "park.png", None, "park")
    return PostRequest.make(persona=persona, scene=scene, shots=(FULL, CLOSE), seeds=(3, 4), scale=0.0)


@pytest.fixture(scope="module")
def drawn(studio: Studio, asked: PostRequest) -> tuple[PostSet, PostSet]:
    """With touching up as it is by itself, and without."""
    return draw_posts(studio, asked, run_directly), draw_posts(studio, asked.changed(touch_up=False), run_directly)


def patch_of(studio: Studio, post: Post) -> FacePatch:
    assert post.finished is not None
    assert post.finished.face is not None
    assert post.finished.face_picture is not None
    return FacePatch(post.finished.face, studio.store.get_picture(post.finished.face_picture))


def test_only_the_small_face_is_drawn_once_more(
    studio: Studio, asked: PostRequest, drawn: tuple[PostSet, PostSet]
) -> None:
    touched, plain = drawn
    assert PostSet.model_validate_json(touched.model_dump_json()) == touched
    assert [p.picture for p in touched.posts] == [p.picture for p in plain.posts]  # the drawings are what they were
    assert [p.scores for p in touched.posts] == [p.scores for p in plain.posts]
    for post in plain.posts:
        assert post.finished is not None
        assert "face" not in post.finished.model_dump(mode="json")  # off leaves no trace
    assert touched.posts[1].finished == plain.posts[1].finished
    patch = patch_of(studio, touched.posts[0])
    large, before = (studio.store.get_picture(s.posts[0].large) for s in drawn)
    changed = np.flatnonzero((large != before).any(axis=(0, 2)))
    left, top, right, bottom = patch.told.box
    middle = (left + right) / 2 * large.shape[1]
    reach = max(right - left, (bottom - top) * large.shape[0] / large.shape[1]) * large.shape[1]
    assert len(changed) > 30
    assert np.abs(changed - middle).max() < reach
    small, one = (studio.faces.read(picture) for picture in (before, large))
    assert small is not None
    assert one is not None
    enrolment = np.asarray(asked.persona.enrolment)
    assert float(one.embedding @ enrolment) > float(small.embedding @ enrolment) - 0.02
    assert touched.posts[0].finished is not None
    assert touched.posts[0].finished.face_picture in touched.file_keys()  # or a sweep would take it


def test_other_sizes_have_the_same_face_and_it_is_drawn_again_alike(
    studio: Studio, drawn: tuple[PostSet, PostSet], tmp_path: Path
) -> None:
    path = tmp_path / "set.zip"
    manifest = export_set(studio, drawn[0], path, platform="instagram-story")
    told = manifest.posts[0].finishing
    assert told is not None
    assert (told.height, told.face) != (1440, None)
    assert told.face == patch_of(studio, drawn[0].posts[0]).told
    assert manifest.posts[1].finishing is not None
    assert manifest.posts[1].finishing.face is None
    assert redraw_bundle(studio, path, run_directly) == ()
    without = export_set(studio, drawn[1], tmp_path / "plain.zip", platform="instagram-story")
    assert without.posts[0].finishing is not None
    assert without.posts[0].finishing.pixels_sha256 != told.pixels_sha256


def test_a_face_that_is_less_the_person_is_not_taken(
    studio: Studio, asked: PostRequest, drawn: tuple[PostSet, PostSet]
) -> None:
    """Towards somebody's opposite every new face that is more the person is less."""
    other = asked.persona.model_copy(update={"enrolment": tuple(-v for v in asked.persona.enrolment)})
    post_set = draw_posts(studio, asked.changed(persona=other), run_directly)
    assert [p.finished and p.finished.face for p in post_set.posts] == [None, None]
    assert [p.large for p in post_set.posts] == [p.large for p in drawn[1].posts]


def test_laid_in_at_any_size_nothing_but_the_face_changes(studio: Studio, drawn: tuple[PostSet, PostSet]) -> None:
    assert studio.finisher is not None
    patch = patch_of(studio, drawn[0].posts[0])
    for height, width in ((256, 192), (700, 525), (1920, 1440)):
        grey = np.full((height, width, 3), 90, np.uint8)
        laid = lay_face(studio.finisher, grey, patch)
        there = (laid != grey).any(axis=2)
        box = np.array(patch.told.box) * (width, height, width, height)
        assert 0.3 < there.sum() / ((box[2] - box[0]) * (box[3] - box[1])) < 1.6
        assert not there[: int(box[1] - (box[3] - box[1]))].any()


def test_who_is_touched_up_by_itself() -> None:
    assert touches_up(None, 256, 192)
    assert not touches_up(None, 1024, 768)
    assert touches_up(True, 1024, 768)
    assert not touches_up(False, 256, 192)
