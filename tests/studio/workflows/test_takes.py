"""New takes keep all that a set was asked for, change nothing that was drawn, and are drawn again to the pixel."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.references.layers import Seen
from studio.application import Studio
from studio.domain.arrangement import (
    Arranged,
    Arrangement,
    add_take,
    arrange,
    close_choices,
    compose,
    move,
    step_back,
)
from studio.domain.migration import read_marks
from studio.domain.posts import PostRequest
from studio.domain.takes import FixTake, VaryRequest, VaryTake
from studio.export.manifest import read_manifest
from studio.library.records import BundleRecord, ExportedRecord
from studio.library.scenes import put_mask
from studio.texts.texts import Texts
from studio.ui.parts.fixing import fix_request
from studio.ui.parts.shots_form import default_captions
from studio.workflows import run_directly
from studio.workflows.injections import Injections
from studio.workflows.post import draw_posts
from studio.workflows.redrawing import redraw_bundle
from studio.workflows.takes import fix_post, fix_region, vary_post
from tests.exports import export_set
from tests.studio.domain.values import make_post, make_post_set, make_take
from tests.studio.workflows.test_ways import asked, studio  # noqa: F401

Picture = npt.NDArray[np.uint8]
SET = make_post_set(key="s")
TAKE = make_take(name="t")


def pictures(arranged: Arranged) -> list[str]:
    return [slot.post.picture for slot in arranged.shown]


def test_an_untouched_set_is_as_it_was_drawn() -> None:
    drawn = [post.picture for post in SET.posts]
    assert pictures(arrange(SET, Arrangement(), {})) == drawn
    assert [p.picture for p in compose(SET, Arrangement(), {}).posts] == drawn


def test_order_captions_and_leaving_out() -> None:
    zero, one, two = (post.picture for post in SET.posts)
    said = move(SET, Arrangement(left_out=(1,), captions={"2": "mine"}), 2, 0)
    exported = compose(SET, said, {}).posts
    assert [(p.picture, p.caption) for p in exported] == [(two, "mine"), (zero, "c0")]
    assert move(SET, said, 2, 99).order == (0, 1, 2)
    assert move(SET, said, 0, -5).order == (0, 2, 1)
    assert pictures(arrange(SET, Arrangement(order=(7, 2, 2)), {})) == [two, zero, one]


def test_a_take_replaces_its_post_when_it_is_there_and_one_click_brings_the_old_one_back() -> None:
    zero, one, two = (post.picture for post in SET.posts)
    new = TAKE.posts[0].picture
    said = add_take(Arrangement(), 1, "job:0")
    for waiting in ({"job": None}, {}):  # drawn, or failed
        slot = arrange(SET, said, waiting).slots[1]
        assert slot.post.picture == one
        assert slot.waiting == (("job",) if waiting else ())
    jobs = {"job": TAKE}
    slot = arrange(SET, said, jobs).slots[1]
    assert (slot.post.picture, slot.can_undo, slot.can_redo) == (new, True, False)
    back = step_back(said, 1, jobs)
    slot = arrange(SET, back, jobs).slots[1]
    assert (slot.post.picture, slot.can_undo, slot.can_redo) == (one, False, True)
    assert pictures(arrange(SET, step_back(back, 1, jobs, forward=True), jobs)) == [zero, new, two]
    exported = compose(SET, said, jobs)
    assert [p.origin for p in exported.posts] == [("s", 0), ("t", 0), ("s", 2)]
    assert [drawing.id for drawing in exported.drawings] == ["s", "t"]


def scored(identity: float | None, prompt: float = 1.0) -> VaryTake:
    return TAKE.model_copy(
        update={"posts": (make_post(0, "t", scores={"identity": identity, "prompt": prompt, "goods": None}),)}
    )


@pytest.mark.parametrize(
    ("take", "better"),
    [
        (scored(0.95), True),
        (scored(0.9), True),
        (scored(0.85), False),
        (scored(None), False),
        (scored(0.99, 0.5), False),
    ],
)
def test_of_two_takes_the_better_stays_and_nothing_is_lost(take: VaryTake, better: bool) -> None:
    said, jobs = add_take(Arrangement(), 1, "job:0", compare=True), {"job": take}
    slot = arrange(SET, said, jobs, 0.5).slots[1]
    assert (slot.take, slot.can_undo) == (("job:0", True) if better else ("", False))
    assert slot.post == (take.posts[0] if better else SET.posts[1])
    assert slot.weaker == (None if better else ("job:0", take.posts[0]))
    assert compose(SET, said, jobs, 0.5).posts[1].picture == slot.post.picture
    chosen = add_take(said, 1, "job:0")  # a person takes the other one
    assert arrange(SET, chosen, jobs, 0.5).slots[1].post == take.posts[0]
    back = step_back(chosen, 1, jobs, shown="job:0")
    slot = arrange(SET, back, jobs, 0.5).slots[1]
    assert (slot.post, slot.can_redo) == (SET.posts[1], True)
    assert arrange(SET, step_back(back, 1, jobs, forward=True), jobs, 0.5).slots[1].post == take.posts[0]


def test_a_take_of_a_weak_post_is_kept_where_less_of_it_is_weak() -> None:
    weak = SET.model_copy(
        update={"posts": tuple(p.model_copy(update={"scores": {"identity": 0.3, "prompt": 1.0}}) for p in SET.posts)}
    )
    said, jobs = add_take(Arrangement(), 1, "job:0", compare=True), {"job": scored(0.6, 1.0)}
    assert arrange(weak, said, jobs, 0.5).slots[1].take == "job:0"
    assert read_marks(said.as_marks()) == said
    assert read_marks({"turns": 2}).compared == ()


def test_variants_are_offered_until_they_are_closed() -> None:
    said = Arrangement(choices={"0": "job"})
    slot = arrange(SET, said, {"job": TAKE}).slots[0]
    assert [take for take, _ in slot.choices] == ["job:0"]
    assert slot.post == SET.posts[0]
    assert arrange(SET, close_choices(said, 0), {"job": TAKE}).slots[0].choices == ()


def test_captions_are_the_askers_and_in_the_pages_language(studio: Studio, asked: PostRequest) -> None:  # noqa: F811
    shots = [Shot(outfit="dress", outfit_colour="red"), Shot()]
    for language, words in (("zh", ("红色连衣裙", "白色T恤")), ("en", ("red dress", "white t-shirt"))):
        said = default_captions(Texts(language), shots)  # type: ignore[arg-type]
        assert [word in one.casefold() or word in one for one, word in zip(said, words, strict=True)] == [True, True]
    post_set = draw_posts(studio, asked.changed(captions=(None, " 新品\n上架 ")), run_directly)
    first, second = (post.caption for post in post_set.posts)
    assert first.startswith("Mira: ")
    assert second == "新品 上架"
    unnamed = draw_posts(studio, asked, run_directly)  # the same pictures: a set of its own, with its own marks
    assert unnamed.id != post_set.id


@pytest.mark.parametrize("ways", [{"goods_box": (0.5, 0.5, 0.95, 1.0)}, {"panels": 2, "goods": None, "detail": 0.3}])
def test_an_arranged_set_is_bundled_and_drawn_again_to_the_pixel(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    tmp_path: Path,
    ways: dict[str, Any],
) -> None:
    post_set = draw_posts(studio, asked.changed(**ways), run_directly)
    first = post_set.posts[0]
    varied = vary_post(studio, VaryRequest.make(post_set=post_set, number=0, seed=5, count=3), run_directly)
    assert len({first.picture, *(p.picture for p in varied.posts)}) == 4
    said = add_take(Arrangement(order=(1, 0), captions={"0": "mine"}), 0, "v:1")
    slot = arrange(post_set, said, {"v": varied}).slots[1]

    before = studio.store.get_picture(slot.post.picture)
    painted = np.zeros(before.shape[:2], np.bool_)
    painted[:60, 30:] = True
    wish = fix_request(post_set, slot.number, slot.post, put_mask(studio.library, painted), 0.9)
    fixed = fix_post(studio, wish, run_directly)
    after = studio.store.get_picture(fixed.posts[0].picture)
    np.testing.assert_array_equal(after[~painted], before[~painted])
    assert (after[painted] != before[painted]).any()

    said = add_take(said, 0, "f:0")
    arranged = compose(post_set, said, {"v": varied, "f": fixed})
    claimed = arranged.model_copy(update={"request": arranged.request.changed(owner="wang")})
    export_set(studio, claimed, tmp_path / "a.zip", title="A title", body="Words\nof it")
    for table in (BundleRecord, ExportedRecord):  # whoever the set says it is: it is the asker's bundle
        assert {row.owner for row in studio.records.everyones(table)} == {"me"}
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        lines = bundle.read("captions.txt").decode().splitlines()
    assert lines[:4] == ["A title", "Words", "of it", ""]
    assert lines[5] == "02.jpg\tmine"
    manifest = read_manifest(tmp_path / "a.zip")
    assert [p.origin for p in manifest.posts] == [(0, 1), (1, 1)]
    assert [len(p.fixes) for p in manifest.posts] == [0, 1]
    assert redraw_bundle(studio, tmp_path / "a.zip", run_directly) == ()


def test_a_fix_before_a_landmark_leaves_it_exact_and_the_person_whole(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An arm lies before the landmark; it comes out larger, then it is gone."""
    nothing = np.zeros((96, 64), np.bool_)
    seen = {"person": nothing.copy()}
    seen["person"][20:30, 10:60] = True
    monkeypatch.setattr("studio.workflows.injections.sees_people", lambda settings: True)
    monkeypatch.setattr(
        "studio.workflows.injections.look_with", lambda reader: lambda picture: Seen(seen["person"], nothing, nothing)
    )
    post_set = draw_posts(studio, asked.changed(goods=None), run_directly)
    post, scene = post_set.posts[0], studio.store.get_picture(asked.scene.photo)
    before, landmark, painted = studio.store.get_picture(post.picture), nothing.copy(), nothing.copy()
    landmark[5:40, 3:20] = True
    painted[10:38, 5:40] = True
    wish = fix_request(post_set, 0, post, put_mask(studio.library, painted), 0.9)

    def fixed(person: tuple[slice, slice]) -> tuple[FixTake, Picture]:
        seen["person"] = nothing.copy()
        seen["person"][person] = True
        take = fix_post(studio, wish, run_directly)
        picture = studio.store.get_picture(take.posts[0].picture)
        np.testing.assert_array_equal(picture[~painted], before[~painted])
        away = painted & landmark & (ndimage.distance_transform_edt(~seen["person"]) > 3)
        assert away.any()
        np.testing.assert_array_equal(picture[away], scene[away])
        return take, picture

    _, larger = fixed(np.s_[14:34, 8:60])
    arm = landmark & painted & ndimage.binary_erosion(seen["person"], iterations=3)
    assert (larger != scene).any(axis=2)[arm].mean() > 0.95  # drawn, also where the landmark was seen before
    fixed(np.s_[80:95, 10:60])
    take, _ = fixed(np.s_[20:30, 10:60])
    (fix,) = take.posts[0].fixes
    assert fix.reader_sha256 == post.reader_sha256 != ""
    export_set(studio, compose(post_set, add_take(Arrangement(), 0, "f:0"), {"f": take}), tmp_path / "a.zip")
    assert redraw_bundle(studio, tmp_path / "a.zip", run_directly) == ()

    old = fix.model_copy(update={"reader_sha256": ""})
    flat = fix_region(studio, wish.asked, Injections(studio, wish.asked), before, post, old)
    as_it_was = landmark & (before == scene).all(axis=2)
    np.testing.assert_array_equal(flat[as_it_was], before[as_it_was])
    assert "reader_sha256" not in old.model_dump(mode="json")


def test_what_must_not_change_is_not_painted_over(studio: Studio, asked: PostRequest) -> None:  # noqa: F811
    post_set = draw_posts(studio, asked.changed(goods=None), run_directly)
    slot = arrange(post_set, Arrangement(), {}).slots[0]
    landmark, speck = np.zeros((96, 64), np.bool_), np.zeros((96, 64), np.bool_)
    landmark[8:36, 4:18] = True
    speck[60:62, 40:42] = True
    for mask in (landmark, speck):
        with pytest.raises(BadInput, match="painted_too_little"):
            fix_post(
                studio, fix_request(post_set, slot.number, slot.post, put_mask(studio.library, mask), 0.8), run_directly
            )
    bare = draw_posts(studio, asked.changed(goods=None, keep_landmark=False), run_directly)
    every = put_mask(studio.library, np.ones((96, 64), np.bool_))
    wish = fix_request(bare, 0, bare.posts[0], every, 0.8)
    with pytest.raises(BadInput, match="painted_whole_picture"):
        fix_post(studio, wish, run_directly)
