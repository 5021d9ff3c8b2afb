"""The taste page and the library by taste: what is chosen again counts, and nothing is left out of an order."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from studio.application import Studio
from studio.domain.taste import EVERYWHERE, Scope, join_tastes
from studio.jobs.queue import Queue
from studio.settings import Settings
from studio.taste.keeping import comment, count_votes, taste_of, vote
from studio.taste.walk import walk_of
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.context import Ui
from studio.ui.pages.taste import _act, _foot
from studio.ui.parts import thing_grid
from studio.ui.parts.taste_cards import show_read, show_taste
from studio.ui.parts.thing_grid import Opened, Wanted, show_things
from tests.library import keep_cafe, keep_posts, make_posts


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.fixture
def ui(studio: Studio) -> Ui:
    return Ui(studio, Queue(studio), Texts("en"))


def test_what_was_removed_counts_when_it_is_chosen_again_or_brought_back(ui: Ui) -> None:
    records = ui.studio.records

    def weights() -> dict[str, float]:
        return dict(join_tastes([taste_of(records, "me")]))

    comment(records, "me", "I love the beach")
    _act(ui, "me", EVERYWHERE, {"do": "remove", "attribute": "setting.beach"})
    assert weights() == {}
    _act(ui, "me", EVERYWHERE, {"do": "chip", "attribute": "setting.beach", "weight": "1"})
    assert weights() == {"setting.beach": 1.0}
    _act(ui, "me", EVERYWHERE, {"do": "remove", "attribute": "setting.beach"})
    kept = comment(records, "me", "我喜欢海边")
    told = show_read(ui, kept.said, kept.question, removed=["setting.beach"])
    assert 'data-do="forget"' in told
    assert "does not count" in told
    assert 'data-do="forget"' not in show_read(ui, kept.said, kept.question)
    _act(ui, "me", EVERYWHERE, {"do": "forget", "attribute": "setting.beach"})
    assert weights()["setting.beach"] > 0


def test_taps_alone_are_said_to_order_pictures(studio: Studio) -> None:
    picture = walk_of(studio.records, studio.store, "me", []).picture
    vote(studio.records, studio.store, "me", picture, 1)
    taste = taste_of(studio.records, "me")
    for language in LANGUAGES:
        t = Texts(language)
        told = show_taste(Ui(studio, Queue(studio), t), taste, *count_votes(studio.records, "me", taste))
        assert t("taste.votes", up=1, down=0) in told
        assert t("taste.none_yet") not in told


@pytest.mark.parametrize("name", ["A&B", "A+B", "A#B", "林 小姐"])
def test_the_export_is_of_the_taste_that_is_shown(ui: Ui, name: str) -> None:
    (href,) = re.findall(r'href="([^"]+)"', _foot(ui, True, Scope(kind="persona", name=name)))
    split = urlsplit(unescape(href))
    assert parse_qs(split.query) == {"scope": ["persona"], "name": [name]}
    assert split.fragment == ""


def test_the_library_by_taste_leaves_nothing_out(ui: Ui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thing_grid, "_PAGE", 2)  # eight by taste, then two a page
    cafe = keep_cafe(ui.studio)
    for number in range(1, 11):
        keep_posts(ui.studio, number, cafe)
    keep_posts(ui.studio, 11, cafe, posts=make_posts(ui.studio, 10), id="set00010b")  # the picture of another one
    wanted = Wanted("post", by_taste=True)
    for said in ("", "I love red clothes"):
        if said:
            comment(ui.studio.records, "me", said)
        opened, seen, bars = Opened(), list[str](), list[str]()
        for _ in range(3):
            html, opened = show_things(ui, "me", wanted, opened)
            seen += dict.fromkeys(re.findall(r'data-thing="(post:[^"]+)"', html))
            bars += re.findall(r"\d+ found, page \d+ of \d+", html)
            opened = opened.turned("next-page")
        assert bars == [f"11 found, page {n} of 3" for n in (1, 2, 3)]
        assert len(seen) == len(set(seen)) == 11
