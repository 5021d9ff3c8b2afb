"""Weak posts of a set are drawn again; the better take of each shot stays, and bundles are drawn again to the pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.progress import Event
from studio.application import Studio
from studio.domain.arrangement import Arrangement, compose
from studio.domain.posts import PostRequest
from studio.domain.report import Report
from studio.domain.takes import VaryRequest
from studio.workflows import Run, run_directly
from studio.workflows.post import draw_posts
from studio.workflows.redrawing import redraw_bundle
from studio.workflows.takes import vary_post
from tests.exports import export_set
from tests.studio.workflows.test_ways import asked, studio  # noqa: F401


class Told:
    """A progress that remembers the report."""

    def __init__(self) -> None:
        self.report = Report()

    def tell(self, event: Event) -> None:
        self.report = self.report.after(event, 0.0)

    def check_cancelled(self) -> None:
        pass


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Say how much of what was asked for is in one picture after the other, in the order that they are scored."""

    monkeypatch.setattr("studio.workflows.post.sees_people", lambda settings: True)

    def say(prompts: list[float]) -> None:
        left = iter(prompts)
        monkeypatch.setattr("studio.workflows.post.score_post", lambda *args: {"prompt": next(left), "scene": 0.5})

    return say


def steps_of(names: list[str]) -> Run:
    def run(name: str, step: Callable[[], Any]) -> Any:
        assert name not in names  # a step's name is what its result is remembered by
        names.append(name)
        return step()

    return run


@pytest.mark.parametrize("panels", [1, 2])
def test_what_came_out_weak_is_drawn_again_until_it_is_not(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    tmp_path: Path,
    scored: Callable[[list[float]], None],
    panels: int,
) -> None:
    wish = asked.changed(shots=asked.shots + asked.shots[:1], captions=(None, "own", None), panels=panels)
    if panels > 1:
        wish = wish.changed(goods=None)
    scored([0.5, 1.0, 0.25])
    plain = draw_posts(studio, wish, run_directly)
    assert plain.drawings == ()

    # of the first turn's takes one is better but weak, one is worse; in the second both come out well
    scored([0.5, 1.0, 0.25, 0.75, 0.1, 1.0, 1.0])
    told, names = Told(), list[str]()
    post_set = draw_posts(studio, wish.changed(retakes=3), steps_of(names), told)
    assert [post.scores["prompt"] for post in post_set.posts] == [1.0, 1.0, 1.0]
    assert post_set.posts[1].picture == plain.posts[1].picture
    assert post_set.posts[1].caption == "own"
    assert [drawing.id == post_set.id for drawing in post_set.drawings] == [True, False]
    assert [post.picture for post in post_set.all_drawings[0].posts] == [post.picture for post in plain.posts]
    second = post_set.drawings[1].id
    assert [post.origin for post in post_set.posts] == [(second, 0), (post_set.id, 1), (second, 1)]
    assert len({post.seed for drawing in post_set.drawings for post in drawing.posts}) == 5
    assert [post.picture for post in told.report.posts] == [post.picture for post in post_set.posts]
    assert not any(name.startswith("retake-3") for name in names)
    # takes that are rejected are nowhere shown
    assert set(told.report.pictures) <= {post.picture for post in plain.posts}

    export_set(studio, compose(post_set, Arrangement(order=(2, 0, 1)), {}), tmp_path / "a.zip")
    assert redraw_bundle(studio, tmp_path / "a.zip", run_directly) == ()


def test_a_reader_that_does_not_know_the_pictures_has_nothing_drawn_again(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    scored: Callable[[list[float]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored([0.5, 0.5, 0.5, 0.5, 1.0, 1.0])
    plain = draw_posts(studio, asked, run_directly)
    again = draw_posts(studio, asked.changed(retakes=1), run_directly)
    assert again.id != plain.id  # of the same first drawing, and another set
    scored([0.5, 0.5])
    monkeypatch.setattr("studio.workflows.post.sees_people", lambda settings: False)
    assert draw_posts(studio, asked.changed(retakes=1), run_directly).id == plain.id


def test_the_first_take_stays_where_no_other_is_better(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    scored: Callable[[list[float]], None],
) -> None:
    scored([0.5, 0.5, 0.25, 0.5])
    post_set = draw_posts(studio, asked.changed(retakes=1), run_directly)
    assert post_set.drawings == ()
    assert [post.origin for post in post_set.posts] == [(post_set.id, 0), (post_set.id, 1)]


def test_variants_are_never_drawn_again_by_themselves(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    scored: Callable[[list[float]], None],
) -> None:
    scored([0.5, 1.0, 1.0, 0.25, 0.25])
    post_set = draw_posts(studio, asked.changed(retakes=1), run_directly)
    varied = vary_post(studio, VaryRequest.make(post_set=post_set, number=0, seed=5, count=2), run_directly)
    assert [post.scores["prompt"] for post in varied.posts] == [0.25, 0.25]


def test_a_seed_that_a_person_said_stays(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    scored: Callable[[list[float]], None],
) -> None:
    scored([0.5, 0.5, 1.0])
    post_set = draw_posts(studio, asked.changed(retakes=3, seeds=(77, None)), run_directly)
    assert [post.scores["prompt"] for post in post_set.posts] == [0.5, 1.0]
    assert post_set.posts[0].seed == 77


def test_a_job_that_stopped_in_its_retakes_gives_no_take_to_another_shot(
    studio: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    scored: Callable[[list[float]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another face pack, chosen before the job is tried again, finds others weak."""
    known: dict[str, Any] = {}

    def run(name: str, step: Callable[[], Any]) -> Any:
        if name not in known:
            known[name] = step()
            if name.startswith("retake-1-score"):
                raise KeyboardInterrupt
        return known[name]

    wish = asked.changed(retakes=1)
    scored([0.5, 1.0, 1.0])
    with pytest.raises(KeyboardInterrupt):
        draw_posts(studio, wish, run)
    monkeypatch.setattr("studio.workflows.post.weak_scores", lambda scores, least: scores["prompt"] == 1.0)
    monkeypatch.setattr("studio.workflows.post.is_weaker", lambda old, new, least: True)
    post_set = draw_posts(studio, wish, run)
    assert [post.scores["prompt"] for post in post_set.posts] == [1.0, 1.0]
    assert post_set.posts[0].origin[0] != post_set.id
    assert post_set.posts[1].origin == (post_set.id, 1)
