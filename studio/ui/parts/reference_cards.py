"""How the place is shown, as cards with a drawing of each way; what the backbone cannot do says why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from html import escape

from pipelines.references.catalogue import find_kind, first_way, kinds_that
from studio.domain.capabilities import BackboneFacts
from studio.texts.texts import Texts
from studio.ui.parts.html import card

__all__ = ["PANELS", "Ways", "choose_way", "first_ways", "most_strength", "show_ways"]

PANELS = (2, 3, 4, 6, 9)
_ONE_OF = kinds_that("show")
_WALL, _TABLE, _WINDOW, _PERSON = "#f5deb8", "#8a5a2b", "#9cc9ea", "#0f766e"


@dataclass(frozen=True)
class Ways:
    """Choices of the cards: `inject` as in PostRequest, the landmark's pixels kept, several shots in one drawing."""

    inject: str = "redux"
    exact: bool = True
    panels: bool = False


def first_ways(able: Collection[str]) -> Ways:
    """Return what is chosen before anybody chose: the first way that the backbone has."""
    return Ways(first_way(able) or Ways().inject)


def choose_way(ways: Ways, way: str, able: Collection[str]) -> Ways:
    """After a card was pressed; a way that the backbone lacks changes nothing."""
    if way in _ONE_OF and way in able:
        return replace(ways, inject=way)
    if way == "exact":
        return replace(ways, exact=not ways.exact)
    return replace(ways, panels=not ways.panels) if way == "panels" else ways


def most_strength(ways: Ways) -> float:
    """The slider's end; 0 where there is none: the model is shown the place or not, there is no more or less."""
    return find_kind(ways.inject).most_scale


def show_ways(t: Texts, ways: Ways, able: Collection[str], facts: BackboneFacts | None = None) -> str:
    """The cards as HTML; `facts` are the backbone's, where it is known."""
    cards = []
    for way in (*_ONE_OF, "exact", "panels"):
        lacking = way in _ONE_OF and way not in able
        on = ways.inject == way and not lacking if way in _ONE_OF else bool(getattr(ways, way))
        words = find_kind(way).words[t.language] if way in _ONE_OF else None
        name = escape(t(f"way.{way}") if words is None else words.name)
        press = f'data-do="way" data-way="{way}" data-key="way-{way}" aria-pressed="{str(on).lower()}"'
        what = t(f"way.{way}_what") if words is None else words.what
        hint = ""
        if words is not None and lacking:
            what = t("way.lacking")
            hint = f' title="{escape(t("way.lacking_model", model=words.model))}"'
            if facts is not None and not find_kind(way).is_able(facts.can.native | {*facts.can.companions}):
                what, hint = t("way.not_family", family=facts.family_name), ""  # no file that is fetched would help
        body = [
            f'<button type="button" class="st-btn" {"disabled" if lacking else press}>{name}</button>',
            f'<span class="st-soft"{hint}>{escape(what)}</span>',
        ]
        cards.append(card(_drawing(way), body, "way kept" if on else "way"))
    return f'<div class="st-grid">{"".join(cards)}</div>'


def _drawing(way: str) -> str:
    """A small photo on the left, what becomes of it on the right."""
    photo = _room(4, 24, 56)
    if way == "panels":
        parts = [_room(x, y, 44) + _person(x + 30, y + 20, 0.55) for x in (84, 130) for y in (5, 47)]
        return _svg(f"{photo}{_arrow()}{''.join(parts)}")
    mirrored = way in ("redux", "ip-adapter")
    right = _room(84, 10, 92, mirrored=mirrored, faint=way == "ip-adapter")
    person = _person(122 if mirrored else 150, 46, 1.0)
    marks = ""
    if way == "exact":
        box = 'fill="none" stroke="#be185d" stroke-width="2.5" stroke-dasharray="4 2"'
        marks = f'<rect x="8" y="46" width="24" height="17" {box}/><rect x="90" y="46" width="38" height="29" {box}/>'
    return _svg(photo + _arrow() + right + person + marks)


def _room(x: float, y: float, width: float, *, mirrored: bool = False, faint: bool = False) -> str:
    """A wall with a window and a table, 4:3."""
    k, flip = width / 92, f"translate({x + width} {y}) scale(-1 1)" if mirrored else f"translate({x} {y})"
    window = f'<rect x="{58 * k}" y="{10 * k}" width="{24 * k}" height="{24 * k}" fill="{_WINDOW}"/>'
    table = f'<path d="M{8 * k} {44 * k}h{34 * k}v{5 * k}h{-34 * k}z M{12 * k} {49 * k}v{15 * k}h{4 * k}v{-15 * k}z '
    table += f'M{34 * k} {49 * k}v{15 * k}h{4 * k}v{-15 * k}z" fill="{_TABLE}"/>'
    inside = "" if faint else window
    return (
        f'<g transform="{flip}"><rect width="{width}" height="{0.75 * width}" rx="3" fill="{_WALL}" stroke="#64748b"/>'
        f"{inside}{table}</g>"
    )


def _person(x: float, y: float, scale: float) -> str:
    return (
        f'<g transform="translate({x} {y}) scale({scale})" fill="{_PERSON}"><circle cx="0" cy="-8" r="8"/>'
        '<path d="M-13 33v-18c0-20 26-20 26 0v18z"/></g>'
    )


def _arrow() -> str:
    return '<path d="M64 45h13m-5-5 5 5-5 5" fill="none" stroke="#334155" stroke-width="2"/>'


def _svg(inside: str) -> str:
    return f'<svg viewBox="0 0 180 92" aria-hidden="true" class="st-way">{inside}</svg>'
