"""A measure is one row: cards, API and command line list it, and what could not be measured is never a number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from personas.gates import Gates
from personas.measures.catalogue import MEASURES, POST_MEASURES
from personas.measures.measure import Measure
from personas.measures.subject import NEEDS
from personas.selection import Selection, Verdict
from personas.shots import Shot
from studio.domain.scores import say_scores, weak_scores
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.pages.select import Chosen, _candidate
from studio.ui.parts.post_cards import show_scores
from studio.workflows.judgement import Judgement
from tests.studio.domain.values import make_design
from tests.tables.surfaces import api_schema, api_tables, command_help, make_ui, texts

# what is known at the three moments at which candidates are measured
CANDIDATE_MOMENTS = ({"picture", "faces", "regions"}, {"attributes", "shot"}, {"candidate", "group"})
POST_NEEDS = {"picture", "faces", "regions", "attributes", "shot", "enrolment", "scene", "goods", "kept"}
every_row = pytest.mark.parametrize("row", MEASURES, ids=lambda row: row.name)


@every_row
def test_it_is_whole(row: Measure) -> None:
    assert sum(other.name == row.name for other in MEASURES) == 1
    assert row.needs
    assert row.needs <= NEEDS
    assert row.on_candidates or row.on_posts
    assert row.high is None or row.low < row.high
    if row.on_candidates:
        assert any(row.needs <= moment for moment in CANDIDATE_MOMENTS)
    if row.on_posts:
        assert row.needs <= POST_NEEDS
    assert row.weak_below is None or row.on_posts
    assert row.weak_below is None or row.higher_is_better
    assert row.weak_above is None or (row.on_posts and not row.higher_is_better)


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_words(row: Measure, language: Language) -> None:
    assert row.words[language].strip()


@every_row
def test_api(row: Measure) -> None:
    said = {told["name"]: told for told in api_tables()["measures"]}[row.name]
    assert (said["low"], said["high"], said["on_posts"]) == (row.low, row.high, row.on_posts)
    assert said["words"] == row.words
    assert row.name in api_schema()["MeasureRow"]["properties"]["name"]["enum"]


@every_row
def test_command_line(row: Measure) -> None:
    for shown, command, heading in (
        (row.on_posts, "posts", "Every post is scored:"), (row.on_candidates, "design", "Every candidate is measured:")
    ):  # fmt: skip
        assert not shown or row.words["en"] in command_help(command).split(heading)[1]


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_page(row: Measure, language: Language) -> None:
    ui, word = make_ui(language), row.words[language]
    not_measured = texts()["scores.not_measured"][language].format(names=word)
    if row.on_posts:
        assert f"{word} 0.37" in show_scores(ui, {row.name: 0.37})
        assert show_scores(ui, {row.name: None}) == not_measured
    if row.on_candidates:
        assert f"{word} 0.37" in _card(ui, {row.name: 0.37})
        unknown = _card(ui, {row.name: None})
        assert not_measured in unknown
        assert "0.00" not in unknown


def _card(ui: Ui, numbers: dict[str, float | None]) -> str:
    verdict = Verdict(0, True, (), numbers)
    gates = Gates(min_face_similarity=0.5, novelty_ceiling=0.7)
    selection = Selection((verdict,), np.zeros(4, np.float32), (1,), {}, gates)
    return _candidate(ui, make_design(), Judgement(selection, (0,), (), ()), 0, Chosen())


def test_what_could_not_be_measured_is_never_a_number() -> None:
    scores: dict[str, float | None] = {"identity": 0.5, "scene": None, "goods": math.nan}
    said = say_scores(Texts("en"), scores, POST_MEASURES)
    assert said == {"identity": "person 0.50", "": "not measured: place, goods"}
    raincoat = say_scores(Texts("en"), {"prompt": 1.0}, POST_MEASURES, Shot(outfit="raincoat", goods="an umbrella"))
    assert raincoat == {"prompt": "as asked 1.00", "": "not measured: raincoat, an umbrella"}


@pytest.mark.parametrize("row", POST_MEASURES, ids=lambda row: row.name)
def test_a_post_is_weak_where_the_row_says_so(row: Measure) -> None:
    limit = 0.4 if row.weak_below == "strangers" else row.weak_below
    assert weak_scores({row.name: None}, 0.4) == frozenset()
    if row.weak_above is not None:
        assert weak_scores({row.name: row.weak_above + 0.01}, 0.4) == {row.name}
        assert weak_scores({row.name: row.weak_above}, 0.4) == frozenset()
    if limit is None:
        assert weak_scores({row.name: row.low}, 0.4) == frozenset()
    else:
        assert weak_scores({row.name: limit - 0.01}, 0.4) == {row.name}
        assert weak_scores({row.name: limit}, 0.4) == frozenset()
