"""A library of 10 000 post sets is paged by one query; what is deleted for ever takes only files nothing else uses."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.arrangement import arrange
from studio.domain.posts import PostRequest, PostSet
from studio.domain.scores import weak_scores
from studio.domain.takes import FixRequest, FixTake, VaryRequest, VaryTake
from studio.domain.values import FileKey
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue
from studio.library.index import Search, count_things, every_thing, find_things, tags_of
from studio.library.records import FileRecord, IndexRecord, JobFilesRecord, JobRecord, MarkRecord, SceneRecord
from studio.library.store import Store
from studio.library.trash import disk_use, empty_trash, sweep
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.post_cards import arrange_shown, read_arrangement, show_set
from studio.ui.parts.set_actions import act_on_post, redraw_weak
from studio.ui.parts.thing_grid import Opened, Wanted, show_things
from studio.ui.parts.tour import close_tour, tour_html
from tests.library import PERSONA, SHOT, keep_cafe, keep_persona, keep_posts, make_posts, picture
from tests.stored import place_in
from tests.studio.domain.values import make_post
from tests.studio.jobs.local_kind import add_kind

POSTS = Search("me", "posts")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def _mark(studio: Studio, thing: str, **facts: Any) -> None:
    studio.records.keep(MarkRecord(id=thing, owner="me", facts=facts))


def test_ten_thousand_sets_are_one_query_and_no_file(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"2026-11-{i % 28 + 1:02d} lin cafe red dress{' unicorn' * (i % 1000 == 7)}" for i in range(10_000)]
    facts = {"name": "Lin", "scene": "cafe", "count": 9, "picture": "a" * 64}
    with studio.records.transaction() as session:
        session.add_all(
            IndexRecord(id=f"posts:{i:05d}", owner="me", kind="posts", words=text, facts=facts)
            for i, text in enumerate(words)
        )
    opened: list[str] = []
    monkeypatch.setattr(Store, "get", lambda self, key: opened.append(key))
    ui = Ui(studio, Queue(studio), Texts("en"))
    began = time.perf_counter()
    first, _ = show_things(ui, "me", Wanted("posts"), Opened())
    ends = tuple(thing.cursor for thing in every_thing(studio.records, POSTS))[59::60]
    last, there = show_things(ui, "me", Wanted("posts"), Opened(ends))
    rare, _ = show_things(ui, "me", Wanted("posts", "unicorn red"), Opened())
    seconds = (time.perf_counter() - began) / 3
    assert "10000 found, page 1 of 167" in first
    assert "10000 found, page 167 of 167" in last
    assert ["next-page" in first, "previous-page" in first] == [True, False]
    assert ["next-page" in last, "previous-page" in last] == [False, True]
    assert there == Opened(ends)
    assert first.count("st-card") == 60
    assert last.count("st-card") == 40
    assert "10 found" in rare
    assert opened == []
    assert seconds < 0.5


def test_words_dates_and_tags_find_things_in_both_languages(studio: Studio) -> None:
    scene = keep_cafe(studio)
    keep_posts(studio, 1, scene)
    keep_posts(studio, 2, scene, owner="wang")
    ui = Ui(studio, Queue(studio), Texts("zh"))
    _mark(studio, "posts:set00001", tags=" summer sale ", favourite=True)
    today = find_things(studio.records, POSTS).things[0].created.strftime("%Y-%m-%d")
    for search in ("连衣裙 红", "dress", "Lin", "SUMMER", today, "咖啡馆", "prompt"):
        assert "共 1 项" in show_things(ui, "me", Wanted("posts", search), Opened())[0], search
    for search in ("蓝", "100%", "_"):
        assert "st-empty" in show_things(ui, "me", Wanted("posts", search), Opened())[0], search
    assert tags_of(studio.records, "me") == ["sale", "summer"]
    assert tags_of(studio.records, "wang") == []
    assert count_things(studio.records, replace(POSTS, tag="sale")) == 1
    assert count_things(studio.records, replace(POSTS, tag="sal")) == 0


def _fails(studio: Studio, request: FixRequest, run: Any, progress: Any) -> FixTake:
    raise BadInput("painted_whole_picture")


def _store(studio: Studio, words: str) -> FileKey:
    return studio.store.put(b"\x89PNG" + words.encode())


def test_deleted_for_ever_takes_only_what_nothing_else_uses(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three owners' sets through the real engine; one picture is in two sets, the scene in all."""
    add_kind(monkeypatch, _fails, "fix")
    store, library = studio.store, studio.library
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        scene, others = keep_cafe(studio), keep_cafe(studio, "wang")
        jobs: dict[str, str] = {}
        sets: dict[str, PostSet] = {}
        for name, owner, pictures in (("a", "me", "xy"), ("b", "me", "yz"), ("c", "wang", "xw")):

            def draw(studio: Studio, asked: PostRequest, run: Any, _: Any, name: str = name, of: str = pictures) -> Any:
                posts = tuple(make_post(i, name, picture=_store(studio, p)) for i, p in enumerate(of))
                return PostSet(id=name, request=asked, posts=posts, batches=())

            add_kind(monkeypatch, draw, "posts")
            keep_persona(studio, owner)
            asked = PostRequest(persona=PERSONA, scene=scene, shots=(SHOT,) * 2, seed=len(jobs), owner=owner)
            jobs[name] = queue.put(asked)
            _wait(queue, jobs[name], owner)
            sets[name] = next(s for s in queue.results(PostSet, owner) if s.id == name)
        takes = {}
        for name in "ab":

            def vary(studio: Studio, asked: VaryRequest, run: Any, _: Any, name: str = name) -> Any:
                post = make_post(0, f"take-{name}", picture=_store(studio, f" take of {name}"))
                return VaryTake(id=f"take-{name}", post_set=name, number=0, posts=(post,), batches=())

            add_kind(monkeypatch, vary, "vary")
            take = queue.put(VaryRequest(post_set=sets[name], number=0, seed=1))
            _wait(queue, take, "me")
            takes[name] = _store(studio, f" take of {name}")
        broken = queue.put(FixRequest(post_set=sets["a"], number=0, seed=1, mask=sets["a"].posts[1].picture))
        _wait(queue, broken, "me", "failed")
        stored = {p: _store(studio, p) for p in "wxyz"}
        _mark(studio, "posts:a", trashed=True)
        assert count_things(studio.records, Search("me", trashed=True)) == 1
        freed = empty_trash(library, "me", queue.forget, young_s=0)
        assert freed.things == 1
        assert freed.files >= 3  # the results' own JSON, and the take
        assert [place_in(store, takes[name]).exists() for name in "ab"] == [False, True]
        assert queue.find(broken, "me") is None
        assert all(place_in(store, k).exists() for k in stored.values())  # x is wang's, y is in b
        assert studio.records.get(FileRecord, stored["x"], "me") is None
        assert studio.records.get(FileRecord, stored["y"], "me") is not None
        assert studio.records.get(FileRecord, stored["x"], "wang") is not None

        _mark(studio, "posts:b", trashed=True)
        empty_trash(library, "me", queue.forget, young_s=0)
        assert [p for p in "wxyz" if place_in(store, stored[p]).exists()] == ["w", "x"]
        assert place_in(store, scene.photo).exists()
        assert queue.results(PostSet, "wang")[0].id == "c"
        assert queue.results(PostSet, "me") == []

        _mark(studio, f"scene:{scene.id}", trashed=True)
        empty_trash(library, "me", queue.forget, young_s=0)
        assert place_in(store, others.photo).exists()  # the same photo is wang's, too
        assert studio.records.find(SceneRecord, "me") == []
        queue.put(sets["a"].request.changed(scene=keep_cafe(studio)))
        again = queue.jobs("me", 1)[0]
        _wait(queue, again.id, "me")  # the engine has forgotten it, too, and does it anew


def test_one_click_draws_the_weak_posts_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five: one good, one that shows something else, one that shows somebody else, one left out, one waiting."""
    add_kind(monkeypatch, _new_take, "vary")
    scores: list[dict[str, float | None]] = [
        {"identity": 0.9, "prompt": p, "goods": None} for p in (1.0, 2 / 3, 1.0, 0.0, 1 / 3)
    ]
    scores[2]["identity"] = 0.1
    posts = make_posts(studio, 1, 5)
    scored = tuple(post.model_copy(update={"scores": score}) for post, score in zip(posts, scores, strict=True))
    keep_persona(studio)
    post_set = keep_posts(studio, 1, keep_cafe(studio), pictures=5, posts=scored)
    _mark(studio, "posts:set00001", left_out=[3])
    assert weak_scores(scores[1], 0.5) == {"prompt"}
    assert weak_scores(scores[2], 0.5) == {"identity"}
    unmeasured = Studio(Settings(data=studio.settings.data, face_pack=studio.settings.data))
    assert Ui(unmeasured, Queue(unmeasured), Texts("en")).least_identity == -1
    assert weak_scores({"identity": 0.5, "prompt": 1.0, "scene": 0.5, "goods": None, "pose": None}, 0.5) == frozenset()
    assert weak_scores({"scene": 0.25, "goods": 0.5, "pose": 0.0, "held": 0.0}, 0.5) == {
        "scene",
        "goods",
        "pose",
        "held",
    }
    with Engine(studio, None):
        ui = Ui(studio, Queue(Studio(studio.settings)), Texts("zh"))

        def page() -> str:
            return show_set(ui, "me", ui.results("me", PostSet)[0])

        assert "重画不合格的（3 张" in page()
        assert page().count("st-bad") == 4
        drawn = arrange(post_set, read_arrangement(ui, "me", post_set), {})
        act_on_post(ui, "me", post_set, drawn.slots[4], {"do": "redraw"})
        for job in ui.queue.jobs("me", kind="vary"):
            _wait(ui.queue, job.id, "me")
        assert "重画不合格的（2 张" in page()
        redraw_weak(ui, "me", post_set)
        takes = ui.queue.jobs("me", kind="vary")
        assert len(takes) == 3
        for take in takes:
            _wait(ui.queue, take.id, "me")
        assert "重画不合格的" not in page()
        arranged = arrange_shown(ui, "me", ui.results("me", PostSet)[0])
        assert [bool(slot.take) for slot in arranged.slots] == [False, True, True, False, True]


def _new_take(studio: Studio, request: VaryRequest, run: Any, progress: Any) -> VaryTake:
    """A good one, whatever was asked."""
    key, number = studio.store.put_picture(picture(request.number)), request.number
    scores = {"identity": 0.9, "prompt": 1.0}
    post = make_post(0, f"take{number}", picture=key, shot=request.asked.shots[0], scores=scores)
    return VaryTake(id=f"take{number}", post_set=request.post_set.id, number=number, posts=(post,), batches=())


def test_nothing_is_swept_while_a_job_waits_and_nothing_young(studio: Studio) -> None:
    lost = studio.store.put(b"\x89PNG lost")
    with pytest.raises(BadInput, match="records_empty"):
        sweep(studio.library, 0)
    keep_persona(studio)
    assert sweep(studio.library) == (0, 0)
    row = JobRecord(id="j", owner="wang", kind="posts", state="queued", error=None, facts={})
    studio.records.keep(row, JobFilesRecord(id="j", owner="wang", keys=[], made=[]))
    with pytest.raises(BadInput, match="busy"):
        sweep(studio.library, 0)
    row.state = "done"
    studio.records.keep(row)
    assert sweep(studio.library, 0) == (1, 9)
    assert not place_in(studio.store, lost).exists()


def test_disk_use_says_what_takes_it(studio: Studio) -> None:
    keep_persona(studio)
    keep_cafe(studio)
    used = disk_use(studio.library)
    assert used["pictures"] > 1000
    assert used["notes"] > 100
    assert used["records"] > 1000
    assert used["loras"] == 0


def _wait(queue: Queue, job: str, owner: str, state: str = "done") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = queue.find(job, owner)
        assert row is not None
        if row.state == state:
            return
        assert row.state != "failed", row.error
        time.sleep(0.05)
    pytest.fail("the job is not done")


def test_the_tour_follows_what_exists_until_it_is_closed(studio: Studio) -> None:
    ui = Ui(studio, Queue(studio), Texts("en"))
    first = tour_html(ui, "me")
    assert first.index('aria-current="step"') < first.index("Train")
    for kind, facts in (("design", "/en/select"), ("consolidate", "/en/posts")):
        studio.records.keep(JobRecord(id=kind, owner="me", kind=kind, state="done", error=None, facts={}))
        assert f'aria-current="step"><a href="{facts}"' in tour_html(ui, "me")
    studio.records.keep(JobRecord(id="export", owner="me", kind="export", state="done", error=None, facts={}))
    assert "aria-current" not in tour_html(ui, "me")
    close_tour(ui, "me")
    assert tour_html(ui, "me") == ""
    assert tour_html(ui, "wang") == first
