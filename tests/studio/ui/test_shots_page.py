"""Shots pasted as text, in both languages; product text against a platform's limits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from personas.shots import FREE, GOODS, Shot
from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.platforms import find_platform, load_platforms, overlong
from studio.domain.posts import plain_caption
from studio.jobs.queue import Queue
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.cautions import say_own_words
from studio.ui.parts.shots_form import default_captions, own_captions
from studio.ui.parts.shots_table import (
    CHOICES,
    COLUMNS,
    HEADERS,
    Table,
    describe_shot,
    fit_rows,
    make_shots,
    paste_shots,
    read_shots,
    write_shots,
)

RED = Shot(framing="half-body", expression="smiling", outfit="dress", outfit_colour="red")


@pytest.mark.parametrize(
    "line",
    [
        "half-body, smiling, red dress",
        "Smiling; a RED dress, half-body",
        "半身 微笑 红色 连衣裙",
        "半身，微笑、red dress",
    ],
)
def test_a_line_is_a_shot_in_any_order_and_language(line: str) -> None:
    assert paste_shots(f"\n{line}\n\n") == [RED]
    holding = replace(RED, goods="bottle")
    said = ("holding a bottle", "，拿着瓶子", " 手持一个瓶子", " bottle in her hand")
    assert paste_shots("\n".join(f"{line} {words}" for words in said)) == [holding] * 4


def test_goods_in_the_hand_are_a_template_and_are_said_where_there_are_some() -> None:
    shots = make_shots("goods", 8)
    assert Counter(s.goods for s in shots) == dict.fromkeys(GOODS[1:], 2)
    assert describe_shot(Texts("zh"), shots[0]).endswith(Texts("zh").word(shots[0].goods))
    assert "nothing" not in describe_shot(Texts("en"), RED)
    (said,) = default_captions(Texts("zh"), [replace(RED, goods="cup")])
    assert "红色连衣裙" in said
    assert "杯子" in said


def test_every_word_of_the_table_can_be_pasted_in_both_languages() -> None:
    for column, choices in CHOICES.items():
        for word in choices:
            for said in (word, *(Texts(language).word(word) for language in LANGUAGES)):
                assert getattr(paste_shots(said)[0], column) == word, said


@pytest.mark.parametrize("column", COLUMNS)
def test_a_cell_that_is_no_word_is_said_in_chinese(tmp_path: Path, column: str) -> None:
    studio = Studio(Settings(data=tmp_path))
    wrong = "x" * 81 if column in FREE else "xx"
    row = [wrong if name == column else "" for name in COLUMNS]
    with pytest.raises(BadInput) as failed:
        read_shots(Ui(studio, Queue(studio), Texts("zh")), [row])
    said = Texts("zh").error(failed.value).replace("x", "")
    assert "行" in said
    assert not any(part in said for part in column.split("_"))


def test_own_words_stay_in_the_cells_where_any_may_be_said(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts("zh"))
    row = ["半身", "正面", "眨眼", "旗袍", "红", "喝 咖啡", "Lipstick", "", ""]
    (shot,) = read_shots(ui, [row]).shots
    assert (shot.expression, shot.outfit, shot.outfit_colour) == ("眨眼", "旗袍", "red")
    assert (shot.pose, shot.goods) == ("喝 咖啡", "Lipstick")
    (again,) = read_shots(ui, write_shots(ui, [shot])).shots
    assert again == shot
    said = say_own_words(ui, [row], "马克杯")
    assert all(word in said for word in ("第 1 行", "旗袍", "Lipstick"))
    assert "马克杯" not in said  # a mug is in the model's own words
    assert say_own_words(ui, write_shots(ui, [RED])) == ""


def test_what_is_not_understood_is_named() -> None:
    with pytest.raises(BadInput, match=r"bad_shot_word.*line=2, said=42"):
        paste_shots("smiling\nred 42")
    for text in ("", "smiling\n" * 36):
        with pytest.raises(BadInput, match=r"bad_count.*most=35"):
            paste_shots(text)


def test_a_change_of_count_keeps_what_was_written(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts("zh"))
    mine = write_shots(ui, [RED])
    assert fit_rows(ui, mine, "mixed", 3) == mine + write_shots(ui, make_shots("mixed", 3))[1:]
    assert fit_rows(ui, mine * 5, "mixed", 2) == mine * 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_comes_back_with_its_seeds_and_captions(tmp_path: Path, language: Language) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts(language))
    shots, seeds = [RED, Shot(), RED], [7, None, 0]
    captions = ["Red, and only today", None, "只在今天"]
    rows = write_shots(ui, shots, seeds, captions)
    empty = [""] * len(rows[0])
    table = Table(tuple(shots), tuple(seeds), tuple(captions))
    assert read_shots(ui, [*rows[:1], empty, *rows[1:]]) == table
    cut = [row[: len(COLUMNS)] for row in rows]  # a page from before seeds and captions could be said
    assert read_shots(ui, cut) == Table(tuple(shots), (None,) * 3, (None,) * 3)
    seed, caption = HEADERS.index("seed"), HEADERS.index("caption")
    for at, wrong in [(seed, w) for w in ("x", "-1", "4294967296", "1.5", "9" * 30)] + [(caption, "好" * 301)]:
        changed = [list(row) for row in rows]
        changed[1][at] = wrong
        with pytest.raises(BadInput, match=r"(bad_seed|long_caption).*row=2") as error:
            read_shots(ui, changed)
        assert Texts("zh").error(error.value) != Texts("en").error(error.value)


def test_captions_that_nobody_wrote_are_not_taken_over() -> None:
    shots = [RED, Shot(), RED, RED]
    made = [default_captions(Texts("zh"), shots)[0], plain_caption("Mei", Shot()), "Mei's own", "Mei：红色连衣裙"]
    assert own_captions("Mei", shots, made) == ("", "", "Mei's own", "")
    assert own_captions("Lin", shots, made) == ("", *made[1:])
    for again in (1, 7, 40):
        assert own_captions("Mei", [RED], default_captions(Texts("en"), [RED], again)) == ("",)


def test_another_set_of_the_same_shots_says_something_else_of_each() -> None:
    for language in LANGUAGES:
        sets = [default_captions(Texts(language), [RED, Shot()], again) for again in range(10)]
        assert all(len(set(of_shot)) == 10 for of_shot in zip(*sets, strict=True))


def test_text_too_long_for_the_platform_is_named() -> None:
    note = find_platform("xiaohongshu")
    assert overlong(note, "好" * 20, "x" * 1000) == ()
    assert overlong(note, "好" * 21, "x" * 1001) == (("title", 21, 20), ("body", 1001, 1000))
    assert overlong(find_platform("archive"), "x" * 9999, "") == ()
    assert all(p.min_pictures <= p.usual_pictures <= p.max_pictures for p in load_platforms())
