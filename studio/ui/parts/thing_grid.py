"""A page of the library's things as cards of one kind, of an album, or of the trash; by words, tags and groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape

from studio.domain.album import Album
from studio.domain.platforms import load_platforms
from studio.library.albums import album_group, find_album
from studio.library.index import Cursor, Page, Search, Thing, count_things, find_thing, find_things
from studio.taste.keeping import shot_of
from studio.texts.licences import say_answers
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.html import button, card, empty, grid, link, panel, undo_card
from studio.ui.parts.like_cards import show_like
from studio.ui.parts.misfits import donor_reasons
from studio.ui.parts.persona_card import show_persona
from studio.ui.parts.rights_card import show_descendants
from studio.ui.parts.taste_order import order_by_taste
from studio.ui.parts.thing_cards import Cards, thing_name

__all__ = ["FILTERED", "Opened", "Wanted", "show_things"]

FILTERED = ("posts", "post", "album")
"""Kinds that are filtered by person, place and platform."""
_MORE_DONORS = Cursor(
    False, datetime.min.replace(tzinfo=UTC), "donor"
)  # donors are a list in memory: its pages are counted
_PAGE = 60
_PAGES_BY_TASTE = 4  # of the newest posts, which are put in order together


@dataclass(frozen=True)
class Wanted:
    """Which things are looked for: `kind` as the index's, "donor" or "trash"; the others are "" for all."""

    kind: str = "consolidate"
    search: str = ""
    tag: str = ""
    person: str = ""
    place: str = ""
    platform: str = ""
    by_taste: bool = False


@dataclass(frozen=True)
class Opened:
    """Which page is shown: the ends of those before it, and its own where one follows; of which `album`, if of one;
    and which `persona`'s card stands over it ("": none). `face` is what all that is shown looks like, as `show_like`
    takes it ("": everything is shown).

    `gone` are things that were moved to the trash here: an undo stands in their place.
    """

    before: tuple[Cursor, ...] = ()
    next: Cursor | None = None
    album: str = ""
    persona: str = ""
    face: str = ""
    gone: tuple[str, ...] = ()

    def turned(self, do: str) -> Opened:
        """Return the page that a button asks for."""
        if do == "next-page" and self.next is not None:
            return replace(self, before=(*self.before, self.next), next=None, gone=())
        if do == "previous-page" and self.before:
            return replace(self, before=self.before[:-1], next=None, gone=())
        return self


def show_things(ui: Ui, owner: str, wanted: Wanted, opened: Opened) -> tuple[str, Opened]:
    """Return a page of a kind's things as HTML, and where it is; the page before where nothing is left on this one.

    Every word of the search must be found, in the page's language or in English.
    """
    t = ui.t
    if opened.face:
        return show_like(ui, owner, opened.face), opened
    if wanted.kind == "jobs":
        return "", opened
    if wanted.kind == "donor":
        every = _donors(ui, owner, wanted.search)
        first = len(opened.before) * _PAGE
        cards, count = every[first : first + _PAGE], len(every)
        more = _MORE_DONORS if first + _PAGE < count else None
    elif wanted.by_taste and wanted.kind == "post" and not opened.before:
        return _by_taste(ui, owner, wanted, opened)
    else:
        search = _search(ui, owner, wanted, opened)
        found = find_things(ui.studio.records, search, opened.before[-1] if opened.before else None, _PAGE)
        cards, more = _cards(ui, owner, found, opened), found.next
        count = count_things(ui.studio.records, search)
    if not cards and opened.before:
        return show_things(ui, owner, wanted, opened.turned("previous-page"))
    number = len(opened.before) + 1
    of_taste = _PAGE * (_PAGES_BY_TASTE - 1) if wanted.by_taste and wanted.kind == "post" else 0  # the first is longer
    pages = max(number + (more is not None), -(-(count - of_taste) // _PAGE))
    bar = escape(t("library.count", count=count, page=number, pages=pages)) if cards else ""
    bar += f" {button(t('trash.empty'), 'empty')}" if wanted.kind == "trash" and cards else ""
    bar += f" {button(t('library.previous'), 'previous-page')}" if opened.before else ""
    bar += f" {button(t('library.next'), 'next-page')}" if more is not None else ""
    shown = grid(cards) if cards else empty(t("library.empty"))
    return f'{_head(ui, owner, wanted, opened)}<p class="st-soft">{bar}</p>{shown}', replace(opened, next=more)


def _by_taste(ui: Ui, owner: str, wanted: Wanted, opened: Opened) -> tuple[str, Opened]:
    """Return the newest posts in the order of their owner's taste, on one page; the others follow as usual."""
    t, search = ui.t, _search(ui, owner, wanted, opened)
    found = find_things(ui.studio.records, search, None, _PAGE * _PAGES_BY_TASTE)
    pictures = dict.fromkeys(_picture_of(thing) for thing in found.things)
    fits = order_by_taste(ui, owner, [(key, shot_of(ui.studio.records, owner, key)) for key in pictures])
    none = "" if fits.known else panel(f"<p>{escape(t('taste.order_none'))}</p>{link(t('taste.nav'), ui.url('taste'))}")
    ordered = fits.sort(found.things, _picture_of)
    cards = Cards.of(ui, owner, ordered)
    made = [cards.show(thing, fits.say(ui, _picture_of(thing))) for thing in ordered]
    count = count_things(ui.studio.records, search)
    pages = 1 + -(-max(0, count - len(made)) // _PAGE)
    bar = escape(t("library.count", count=count, page=1, pages=pages)) if made else ""
    bar += f" {button(t('library.next'), 'next-page')}" if found.next is not None else ""
    shown = f"{grid(made)}{cards.names()}" if made else empty(t("library.empty"))
    html = f'{none}{_head(ui, owner, wanted, opened)}<p class="st-soft">{bar}</p>{shown}'
    return html, replace(opened, next=found.next)


def _picture_of(thing: Thing) -> str:
    return str(thing.facts["picture"])


def _search(ui: Ui, owner: str, wanted: Wanted, opened: Opened) -> Search:
    terms = tuple((word, ui.t.word_back(word)) for word in wanted.search.split()[:12])
    groups = {"person": wanted.person, "place": wanted.place, "platform": wanted.platform}
    chosen = [f"{kind}:{value}" for kind, value in groups.items() if value and wanted.kind in FILTERED]
    if opened.album:
        return Search(owner, "", False, terms, wanted.tag, (album_group(opened.album), *chosen))
    if wanted.kind == "trash":
        return Search(owner, "", True, terms, wanted.tag)
    return Search(owner, wanted.kind, False, terms, wanted.tag, () if wanted.kind == Album.kind else tuple(chosen))


def _cards(ui: Ui, owner: str, found: Page, opened: Opened) -> list[str]:
    """The page's cards, and an undo in the place of each that was moved to the trash here."""
    gone = [thing for key in opened.gone if (thing := find_thing(ui.studio.records, owner, key)) is not None]
    gone = [thing for thing in gone if thing.marks.get("trashed") and _is_between(thing, found, opened)]
    cards = Cards.of(ui, owner, found.things)
    rows = [(_place(thing.cursor), cards.show(thing)) for thing in found.things]
    rows += [(_place(thing.cursor), undo_card(ui.t, thing_name(ui.t, thing), thing=thing.id)) for thing in gone]
    shown = [html for _, html in sorted(rows)]
    return [*shown[:-1], shown[-1] + cards.names()] if shown else []


def _place(cursor: Cursor) -> tuple[bool, float, str]:
    return not cursor.favourite, -cursor.created.timestamp(), cursor.id


def _is_between(thing: Thing, found: Page, opened: Opened) -> bool:
    """Whether a thing would stand on this page."""
    place = _place(thing.cursor)
    if opened.before and place <= _place(opened.before[-1]):
        return False
    return found.next is None or place < _place(found.next)


def _head(ui: Ui, owner: str, wanted: Wanted, opened: Opened) -> str:
    """What stands over the cards: a persona's card, an album's name, a field for a new one."""
    t = ui.t
    if opened.persona:
        return show_persona(ui, owner, opened.persona)
    if opened.album:
        name = find_album(ui.studio.records, owner, opened.album).name
        back = button(t("album.all"), "close-album")
        head = f'<div class="st-row"><h2>{escape(t("album.title", name=name))}</h2>{back}</div>'
        return head + _export(t, opened.album)
    if wanted.kind != Album.kind:
        return ""
    label = escape(t("album.new"))
    return (
        f'<div class="st-row"><input class="st-name" type="text" maxlength="60" data-do="new-album" '
        f'data-key="new-album" placeholder="{label}" aria-label="{label}"></div>'
        f"<p class='st-soft'>{escape(t('album.what'))}</p>"
    )


def _export(t: Texts, album: str) -> str:
    """Buttons, folded up, that export all of an album for a platform."""
    rows = ""
    for platform in load_platforms():
        if platform.label == "visible":  # others need goods, or somebody's word, for which the posts page asks
            name = platform.words[t.language]
            title = t("album.export_what", platform=name)
            rows += button(name, "export-album", title=title, album=album, platform=platform.id)
    label = escape(t("album.export"))
    summary = f'<summary class="st-btn">{label}</summary>'
    return f'<details class="st-export">{summary}<div class="st-row">{rows}</div></details>'


def _donors(ui: Ui, owner: str, search: str) -> list[str]:
    t, wanted, known = ui.t, search.strip().casefold(), ui.studio.list_donors()
    found = [d for d in known.donors if wanted in f"{d.name} {d.category} {t.word(d.category)} {d.licence}".casefold()]
    reasons = donor_reasons(ui, known.donors)
    damaged = [
        card(
            "",
            [
                f"<strong>{escape(d.folder.name)}</strong> <span class='st-bad'>{escape(t('donor.damaged'))}</span>",
                f"<p class='st-soft'>{escape(t.error(d.error))}</p>",
            ],
        )
        for d in known.damaged
        if wanted in f"{d.folder.parent.name} {d.folder.name}".casefold()
    ]
    return damaged + [
        card(
            f'<img src="/donors/{d.id}" alt="{escape(d.name)}" loading="lazy">',
            [
                f"<strong>{escape(d.name)}</strong>",
                f"<span class='st-soft'>{escape(t.word(d.category))} · {escape(d.licence)}</span>",
                f"<span class='st-soft'>{escape(say_answers(t, d.licence))}</span>",
                f"<span class='st-bad'>{escape(reasons[d.id])}</span>" if d.id in reasons else "",
                show_descendants(ui, owner, d),
            ],
            "dropped" if d.id in reasons else "",
        )
        for d in found
    ]
