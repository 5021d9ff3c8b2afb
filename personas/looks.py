"""Look categories: the four kinds of appearance that Chinese merchants ask for by name."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import UnknownCategory

__all__ = ["LOOK_CATEGORIES", "LookCategory", "UnknownCategory", "find_category"]


@dataclass(frozen=True)
class LookCategory:
    """`subject` is the noun phrase that prompts use for a person of this category ("a young woman")."""

    id: str
    name_en: str
    name_zh: str
    subject: str


LOOK_CATEGORIES: tuple[LookCategory, ...] = (
    LookCategory("sweet", "Sweet", "甜美系", "a young woman"),
    LookCategory("mature", "Mature", "御姐系", "an elegant woman"),
    LookCategory("ceo", "CEO", "霸总系", "a confident man"),
    LookCategory("boyish", "Boyish", "奶狗系", "a young man"),
)


def find_category(name: str) -> LookCategory:
    """The category of this id or name, in either language, upper or lower case. Raises UnknownCategory."""
    wanted = name.strip().casefold()
    for category in LOOK_CATEGORIES:
        if wanted in (category.id, category.name_en.casefold(), category.name_zh):
            return category
    known = ", ".join(f"{category.id} ({category.name_zh})" for category in LOOK_CATEGORIES)
    raise UnknownCategory("unknown_category", name=name, known=known)
