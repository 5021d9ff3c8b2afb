"""A kind of reference is one file and one row: its words, the API, the command line and the page's cards know it."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.families.catalogue import FAMILIES
from pipelines.pictures import check_rgb
from pipelines.references.catalogue import REFERENCES, ReferenceKind, find_kind
from pipelines.references.protocol import Reference
from studio.domain.capabilities import abilities
from studio.domain.character import Character
from studio.domain.posts import PostRequest
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language
from studio.ui.pages import posts
from studio.ui.parts.reference_cards import Ways, show_ways
from tests.studio.domain.values import make_post_set
from tests.tables.surfaces import api_bodies, api_schema, api_tables, command_help, make_ui, page_words

every_row = pytest.mark.parametrize("row", REFERENCES, ids=lambda row: row.id)
FIELDS = {"show": "inject", "keep": "keep"}  # of PostRequest, by their row's id; a person is a field of its own


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_words(row: ReferenceKind, language: Language) -> None:
    words = row.words[language]
    assert words.name.strip()
    assert words.what.strip()
    assert bool(words.model) == bool(row.needs)


@every_row
def test_api(row: ReferenceKind) -> None:
    (told,) = (r for r in api_tables()["references"] if r["id"] == row.id)
    assert told["words"] == {language: words.name for language, words in row.words.items()}
    assert row.id in api_schema()["ReferenceRow"]["properties"]["id"]["enum"]
    fields = api_bodies()["posts"]["properties"]
    assert row.id in (fields if row.use == "person" else fields[FIELDS[row.use]]["enum"])


@every_row
def test_command_line(row: ReferenceKind) -> None:
    if row.use == "person":
        assert f"--{row.id}" in command_help("posts")
        return
    heading = {"show": "How the place is shown to the model:", "keep": "How pixels are kept:"}[row.use]
    assert row.id in command_help("posts").split(heading)[1].split(".")[0]


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_page(row: ReferenceKind, language: Language) -> None:
    page, words = page_words(posts.build, language), row.words[language]
    if row.use == "person":  # said by the command line and the API so far
        assert words.name not in page
        return
    if row.use == "keep":
        assert (words.name in page) if row.id in abilities(Settings()) or not row.needs else (words.model in page)
        return
    assert words.name in page
    t = make_ui(language).t
    able, lacking = (show_ways(t, Ways(), ways) for ways in ({row.id}, ()))
    assert words.name in able
    assert words.what in able
    assert not words.model or t("way.lacking", model=words.model) in lacking


@every_row
def test_a_request_takes_it(row: ReferenceKind) -> None:
    if row.use == "person":
        shown = {"photos": ({"picture": "a" * 64},)}
        asked = make_post_set().request.changed(**{row.id: Character.model_validate_json(json.dumps(shown))})
        assert getattr(PostRequest.model_validate_json(asked.model_dump_json()), row.id) == asked.character
        return
    asked = make_post_set().request.changed(**{FIELDS[row.use]: row.id})
    assert getattr(PostRequest.model_validate_json(asked.model_dump_json()), FIELDS[row.use]) == row.id
    with pytest.raises(BadInput):
        asked.changed(**{FIELDS[row.use]: "telepathy"})


@every_row
def test_rows_are_whole(row: ReferenceKind) -> None:
    assert find_kind(row.id) is row
    assert row.most_scale >= 0
    classes = row.load()
    for cls in classes:
        assert cls.kind == row.id
        assert set(cls.families) <= {family.id for family in FAMILIES}
        for method in ("key", "encode", "extend"):
            assert getattr(cls, method) is not getattr(Reference, method), method
        assert list(inspect.signature(cls.extend).parameters) == ["conditions", "references", "encoded"]
    if row.use == "show" and row.id != "ip-adapter":  # that one wants a scale for each block
        assert classes[0].show(np.zeros((32, 32, 3), np.uint8), 0.5).kind == row.id


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadInput, match="unknown_reference_kind"):
        find_kind("telepathy")


def test_pictures_are_checked_in_one_place() -> None:
    check_rgb(np.zeros((2, 3, 3), np.uint8))
    for wrong in (np.zeros((2, 3), np.uint8), np.zeros((2, 0, 3), np.uint8), np.zeros((2, 3, 3), np.float32)):
        with pytest.raises(BadInput, match="picture_not_rgb"):
            check_rgb(wrong)  # type: ignore[arg-type]
