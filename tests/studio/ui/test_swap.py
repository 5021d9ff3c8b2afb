"""The swap's cards: before beside after, what is weak and why, what was left out, undone and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import BadInput, BadPicture
from studio.application import Studio
from studio.domain.persona import Swap, SwappedPicture
from studio.domain.values import FileKey, LeftOutPicture
from studio.jobs.queue import Queue
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.swap_cards import UNREAD, act_on_swap, show_swaps
from tests.library import keep_result, picture


@pytest.fixture
def ui(tmp_path: Path) -> Ui:
    studio = Studio(Settings(data=tmp_path))
    return Ui(studio, Queue(studio), Texts("en"))


def keep_swap(studio: Studio) -> Swap:
    keys = [FileKey(studio.store.put_picture(picture(number))) for number in range(4)]
    told = {"before": keys[0], "seed": 1, "identity_before": 0.1, "moved": 0.1}
    good = SwappedPicture.make(name="a.png", picture=keys[1], identity=0.8, old_face=0.1, faults=(), **told)
    # as an earlier version kept it
    old = SwappedPicture.make(name="<b>.png", picture=keys[2], identity=0.1, **told | {"before": keys[3], "seed": 2})
    why = BadInput("picture_without_face", name="c.png").as_json()
    made = Swap(id="s1", persona="p1", pictures=(good, old), left_out=(LeftOutPicture(name="c.png", raised=why),))
    row = keep_result(studio, "me", made)
    row.facts = row.facts | {UNREAD: [BadPicture("picture_not_readable", name="d.txt").as_json()]}
    studio.records.keep(row)
    return made


def test_before_stands_beside_after_and_what_is_weak_or_left_out_is_said(ui: Ui) -> None:
    made = keep_swap(ui.studio)
    html = show_swaps(ui, "me")
    for row in made.pictures:
        assert html.count(row.picture) >= 1
        assert html.count(row.before) >= 2  # beside it, and behind it
    assert html.count(ui.t("swap.worked")) == 1
    assert html.count(ui.t("swap.fault.identity")) == 1
    assert "c.png" in html
    assert "d.txt" in html
    assert "<b>.png" not in html
    assert show_swaps(ui, "another") == ""


def test_undo_takes_the_new_picture_away_and_redo_brings_it_back(ui: Ui) -> None:
    made = keep_swap(ui.studio)
    first = made.pictures[0]
    before = show_swaps(ui, "me")
    act_on_swap(ui, "me", {"do": "undo", "swap": made.id, "seed": str(first.seed)})
    undone = show_swaps(ui, "me")
    assert first.picture not in undone
    assert first.before in undone
    assert made.pictures[1].picture in undone
    assert ui.studio.store.get_picture(first.picture).shape == (256, 192, 3)
    act_on_swap(ui, "me", {"do": "redo", "swap": made.id, "seed": str(first.seed)})
    assert show_swaps(ui, "me") == before
