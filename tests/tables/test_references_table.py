"""A kind of reference is one file and one row: its words, the API, the command line and the page's cards know it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.families.catalogue import FAMILIES
from pipelines.pictures import check_rgb
from pipelines.references.catalogue import REFERENCES, ReferenceKind, find_kind
from pipelines.references.protocol import Reference
from studio.texts.texts import LANGUAGES, Language
from studio.ui.parts.reference_cards import Ways, show_ways
from tests.tables.surfaces import api_schema, api_tables, command_help, make_ui

every_row = pytest.mark.parametrize("row", REFERENCES, ids=lambda row: row.id)
that_shows = pytest.mark.parametrize("row", [r for r in REFERENCES if r.use == "show"], ids=lambda row: row.id)


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


@that_shows
def test_command_line(row: ReferenceKind) -> None:
    assert row.id in command_help("posts").split("How the place is shown to the model:")[1]


@that_shows
def test_page(row: ReferenceKind) -> None:
    t = make_ui().t
    able, lacking = (show_ways(t, Ways(), ways) for ways in ({row.id}, ()))
    words = row.words["en"]
    assert words.name in able
    assert words.what in able
    assert not words.model or t("way.lacking", model=words.model) in lacking


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
