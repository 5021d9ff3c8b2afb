"""Tables of choices, for programs: the rows of the studio's tables with their words in both languages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from personas.gates import GATES
from personas.measures.catalogue import MEASURES
from pipelines.families.catalogue import FAMILIES
from pipelines.references.catalogue import REFERENCES
from studio.domain.platforms import load_platforms
from studio.jobs.kinds import KINDS
from studio.texts.texts import LANGUAGES, Texts

__all__ = ["Tables", "list_tables"]

_Words = dict[str, str]  # by language


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasureRow(_Row):
    """`low` and `high` are the ends of its range, null where it is open; a post under `weak_below`, or over
    `weak_above`, is weak."""

    name: Annotated[str, WithJsonSchema({"type": "string", "enum": [row.name for row in MEASURES]})]
    words: _Words
    low: float
    high: float | None
    higher_is_better: bool
    on_candidates: bool
    on_posts: bool
    weak_below: float | str | None
    weak_above: float | None


class GateRow(_Row):
    """`words` say why a candidate was dropped; `threshold` is a field of a design's `gates`, "" for none."""

    name: Annotated[str, WithJsonSchema({"type": "string", "enum": [row.name for row in GATES]})]
    words: _Words
    measure: str
    threshold: str
    default: float | None


class PlatformRow(_Row):
    """`width` and `height` in pixels, 0 for as drawn; `shape` what they are drawn for. A picture that `embeds_recipe`
    tells all that it was made from. `label` is seen, read by machines only, or none. Limits of texts are in the
    platform's own units, 0 for not known."""

    id: Annotated[str, WithJsonSchema({"type": "string", "enum": [row.id for row in load_platforms()]})]
    words: _Words
    width: int
    height: int
    shape: str | None
    min_pictures: int
    max_pictures: int
    max_bytes: int
    embeds_recipe: bool
    label: str
    language: str
    max_title: int
    max_body: int
    max_tags: int
    source: str
    date: str


class KindRow(_Row):
    """A kind of job."""

    name: Annotated[str, WithJsonSchema({"type": "string", "enum": list(KINDS)})]
    words: _Words


class FamilyRow(_Row):
    """A family of models whose backbones and LoRAs the studio loads; `name` is its own in every language."""

    id: Annotated[str, WithJsonSchema({"type": "string", "enum": [row.id for row in FAMILIES]})]
    name: str


class ReferenceRow(_Row):
    """A way to show a picture to the model, or to keep a part of one; `needs` are abilities and companions, of which
    the backbone must have one (none: all can do it)."""

    id: Annotated[str, WithJsonSchema({"type": "string", "enum": [row.id for row in REFERENCES]})]
    words: _Words
    use: str
    needs: list[str]


class Tables(_Row):
    """One list a table."""

    kinds: list[KindRow]
    gates: list[GateRow]
    measures: list[MeasureRow]
    platforms: list[PlatformRow]
    families: list[FamilyRow]
    references: list[ReferenceRow]


def list_tables() -> Tables:
    """Return all rows."""
    return Tables(
        kinds=[KindRow(name=row.name, words=dict(row.words)) for row in KINDS.values()],
        gates=[
            GateRow(
                name=g.name, words=_said(f"word.{g.name}"), measure=g.measure, threshold=g.threshold, default=g.default
            )
            for g in GATES
        ],
        measures=[
            MeasureRow(
                name=m.name, words=dict(m.words), low=m.low, high=m.high, weak_below=m.weak_below,
                weak_above=m.weak_above,
                higher_is_better=m.higher_is_better, on_candidates=m.on_candidates, on_posts=m.on_posts,
            )
            for m in MEASURES
        ],
        platforms=[
            PlatformRow(words=p.words, **{n: getattr(p, n) for n in PlatformRow.model_fields if n != "words"})
            for p in load_platforms()
        ],
        families=[FamilyRow(id=f.id, name=f.name) for f in FAMILIES],
        references=[
            ReferenceRow(id=r.id, words={k: w.name for k, w in r.words.items()}, use=r.use, needs=list(r.needs))
            for r in REFERENCES
        ],
    )  # fmt: skip


def _said(key: str) -> _Words:
    return {language: Texts(language)(key) for language in LANGUAGES}
