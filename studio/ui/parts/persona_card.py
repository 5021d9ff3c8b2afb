"""A persona's card: the face, whom it is mixed of, what these people agreed to, its versions and its posts."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from personas.donors import Donor
from studio.domain.persona import Persona
from studio.library.index import Search, find_things
from studio.library.results import versions_of
from studio.ui.context import Ui
from studio.ui.parts.checkpoint_cards import show_training
from studio.ui.parts.html import button, empty, link, panel, picture
from studio.ui.parts.misfits import persona_reason
from studio.ui.parts.opened_set import set_url
from studio.ui.parts.origin import show_origin
from studio.ui.parts.photo_persona_form import show_strip
from studio.ui.parts.rights_card import show_rights
from studio.ui.parts.thing_cards import thing_name

__all__ = ["choose_version", "show_persona"]

_FACES, _SETS = 6, 12


def choose_version(ui: Ui, owner: str, persona: str) -> None:
    """Let this version be the one that the posts page proposes."""
    with ui.turn:
        for key in [key for key, facts in ui.marks(owner).items() if facts.get("chosen")]:
            ui.mark(owner, key, chosen=False)
        ui.mark(owner, f"consolidate:{persona}", chosen=True)


def show_persona(ui: Ui, owner: str, key: str) -> str:
    """Return the card as HTML, or that there is no such persona."""
    t, persona = ui.t, ui.find(owner, Persona, key)
    if persona is None:
        return empty(t("card.gone"))
    name = f"{persona.name} · {t('version')} {persona.version}"
    why = persona_reason(ui, persona)
    parts = [
        f'<div class="st-row"><h2>{escape(name)}</h2>{button(t("card.close"), "close-persona")}</div>',
        f"<p class='st-bad'>{escape(why)}</p>" if why else "",
        f'<div class="st-strip" tabindex="0">{_faces(ui, persona)}</div>',
        _section(ui, "card.recipe", _recipe(ui, persona)),
        _section(ui, "card.rights", show_rights(ui, owner, persona) + show_origin(ui, owner, persona)),
        _section(ui, "card.versions", _versions(ui, owner, persona)),
        _section(ui, "card.training", show_training(ui, owner, persona) + _compare(ui, persona))
        if persona.character is None
        else _section(ui, "photos.of_photos", "".join(show_strip(ui, persona))),
        _section(ui, "card.posts", _posts(ui, owner, persona)),
    ]
    return panel("".join(parts), "st-persona")


def _section(ui: Ui, title: str, body: str) -> str:
    return f"<h3>{escape(ui.t(title))}</h3>{body}"


def _compare(ui: Ui, persona: Persona) -> str:
    url = f"{ui.url('lab')}?persona={quote(persona.id)}"
    return f'<div class="st-row">{link(ui.t("consolidate.compare"), url, big=False)}</div>'


def _faces(ui: Ui, persona: Persona) -> str:
    sheets = [made.contact_sheet for made in persona.rounds if made.contact_sheet is not None]
    keys = persona.pictures[:_FACES] or tuple(sheets[-1:])
    return "".join(picture(key, persona.name, 240) for key in keys)


def _donors(ui: Ui) -> dict[str, Donor]:
    return {donor.id: donor for donor in ui.studio.list_donors().donors}


def _recipe(ui: Ui, persona: Persona) -> str:
    """Each source face with its share, the largest first."""
    here, names = _donors(ui), {donor.id: donor.name for donor in persona.donors}
    shares = sorted(zip(persona.recipe.donors, persona.recipe.mix_weights, strict=True), key=lambda pair: -pair[1])
    rows = ""
    for donor, share in shares:
        name = escape(names.get(donor, donor))
        face = f'<img class="st-mini" src="/donors/{donor}" alt="" loading="lazy">' if donor in here else ""
        rows += (
            f"<li>{face or '<span class=st-mini></span>'}<span>{name}</span>"
            f'<span class="st-share"><i style="width:{100 * share:.0f}%"></i></span>'
            f"<span>{100 * share:.0f}%</span></li>"
        )
    return f'<ul class="st-mix">{rows}</ul>'


def _versions(ui: Ui, owner: str, persona: Persona) -> str:
    """Links to all versions of the name, and which of them the posts page proposes."""
    t, rows = ui.t, ""
    for key, version in versions_of(ui.studio.records, owner, persona.name):
        facts = ui.said(owner, f"consolidate:{key}")
        if facts.get("trashed"):
            continue
        label = f"{t('version')} {version}"
        here, there = f"<strong>{escape(label)}</strong>", f"{ui.url('library')}?persona={quote(key)}"
        use = button(t("consolidate.choose"), "choose", pressed=bool(facts.get("chosen")), persona=key)
        rows += f"<span>{here if key == persona.id else link(label, there, big=False)}{use}</span>"
    return f'<div class="st-row st-versions">{rows}</div>'


def _posts(ui: Ui, owner: str, persona: Persona) -> str:
    """Its newest sets, as links, and where all of its posts are."""
    t, group = ui.t, f"person:{persona.name}"
    sets = find_things(ui.studio.records, Search(owner, "posts", groups=(group,)), None, _SETS).things
    if not sets:
        return f"<p class='st-soft'>{escape(t('card.no_posts'))}</p>"
    shown = "".join(
        f'<a href="{escape(set_url(ui, thing.id.partition(":")[2]))}">'
        f"{picture(str(thing.facts['picture']), thing_name(t, thing), 160)}</a>"
        for thing in sets
    )
    every = link(t("card.all_posts"), f"{ui.url('library')}?kind=post&person={quote(persona.name)}", big=False)
    return f'<div class="st-strip" tabindex="0">{shown}</div><div class="st-row">{every}</div>'
