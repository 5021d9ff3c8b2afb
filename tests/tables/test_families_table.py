"""A model family is one folder and one line; its name is its own, and refusals list all that can be loaded."""

from __future__ import annotations

import pytest

from pipelines.errors import BadInput
from pipelines.families.catalogue import FAMILIES, find_family
from pipelines.families.protocol import Family
from studio.texts.texts import LANGUAGES, Language
from tests.tables.surfaces import api_schema, api_tables, command_help, make_ui

every_row = pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row.id)


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_words(row: Family, language: Language) -> None:
    assert row.name in make_ui(language).t.error(_refused())


@every_row
def test_api(row: Family) -> None:
    assert {"id": row.id, "name": row.name} in api_tables()["families"]
    assert row.id in api_schema()["FamilyRow"]["properties"]["id"]["enum"]


@every_row
def test_command_line(row: Family) -> None:
    assert row.name in command_help("backbones").split("Families that are loaded:")[1]


@every_row
def test_page(row: Family) -> None:
    # what a page shows of a failed job: the sentence that says which families there are
    assert row.name in make_ui().t.error(_refused())


def _refused() -> BadInput:
    with pytest.raises(BadInput) as caught:
        find_family("nobody's")
    return caught.value
