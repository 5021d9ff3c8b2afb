from __future__ import annotations

import pytest

from personas.looks import LOOK_CATEGORIES, UnknownCategory, find_category
from personas.shots import Shot
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts


@pytest.mark.parametrize("category", LOOK_CATEGORIES)
def test_category_is_found_by_every_name_it_has(category: object) -> None:
    for name in (category.id, category.id.upper(), category.name_en, category.name_zh):  # type: ignore[attr-defined]
        assert find_category(f" {name} ") is category


def test_four_categories_with_four_subjects() -> None:
    assert [category.name_zh for category in LOOK_CATEGORIES] == ["甜美系", "御姐系", "霸总系", "奶狗系"]
    assert len({category.subject for category in LOOK_CATEGORIES}) == 4
    assert "portrait of mira a young woman," in Shot(framing="close-up").prompt(find_category("sweet").subject, "mira")


def test_unknown_category_lists_the_known() -> None:
    with pytest.raises(UnknownCategory) as caught:
        find_category("gothic")
    for language in LANGUAGES:
        message, advice = say_error(caught.value, Texts(language))
        assert "gothic" in message
        assert all(category.id in advice for category in LOOK_CATEGORIES)
    assert caught.value.code == "unknown_category"
