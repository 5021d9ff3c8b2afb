"""A platform is one row of assets/platforms.json."""

from __future__ import annotations

import pytest

from studio.domain.platforms import Platform, find_platform, load_platforms
from studio.texts.texts import LANGUAGES, Language
from studio.ui.pages import posts
from tests.tables.surfaces import api_schema, api_tables, command_help, page_words

every_row = pytest.mark.parametrize("row", load_platforms(), ids=lambda row: row.id)


@every_row
def test_words(row: Platform) -> None:
    assert find_platform(row.id) == row
    assert row.name_en
    assert row.name_zh


@every_row
def test_api(row: Platform) -> None:
    said = {told["id"]: told for told in api_tables()["platforms"]}[row.id]
    assert said["words"] == {"en": row.name_en, "zh": row.name_zh}
    assert row.id in api_schema()["PlatformRow"]["properties"]["id"]["enum"]


@every_row
def test_command_line(row: Platform) -> None:
    assert row.id in command_help("bundle")


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_page(row: Platform, language: Language) -> None:
    assert (row.name_zh if language == "zh" else row.name_en) in page_words(posts.build, language)
