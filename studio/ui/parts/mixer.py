"""The desk where a mix is made: source faces with their shares, how near it comes to each, and mixes to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from personas.donors import Donor
from personas.looks import find_category
from personas.recipes import Recipe
from pipelines.errors import StudioError
from studio.domain.capabilities import backbone_facts
from studio.domain.design import PreviewedRecipe
from studio.domain.mix import Mix, roll
from studio.texts.licences import say_answer
from studio.ui.context import Ui
from studio.ui.parts.html import button, card, gauge, grid, link, panel, picture
from studio.ui.parts.misfits import donor_reasons

__all__ = ["DesignState", "Near", "first_mix", "show_bar", "show_mixer", "show_previews"]

_HISTORY = 50
Near = Mapping[str, float | None]
"""The cosine of a mix's face to each donor's, by id; None where no face was found, empty before it is measured."""


@dataclass(frozen=True)
class DesignState:
    """State of the page: the mix, earlier ones, favourites, whether a hand touched it, and the previews' job."""

    mix: Mix
    history: tuple[Mix, ...] = ()
    favourites: tuple[Mix, ...] = ()
    by_hand: bool = False
    preview: str = ""

    def with_mix(self, mix: Mix, by_hand: bool = True) -> DesignState:
        if mix == self.mix:
            return self
        return replace(self, mix=mix, history=(*self.history, self.mix)[-_HISTORY:], by_hand=by_hand)


def first_mix(ui: Ui, look: str) -> Mix:
    """A drawn mix; an empty one where too few donors can be mixed, of which the desk then says what to do."""
    try:
        return roll(ui.donors(look), look, 1, ui.ceiling)
    except StudioError:
        return Mix(look, (), (), 1)


def _why_empty(ui: Ui, mix: Mix, misfits: int) -> str:
    """Why no mix of a look can be drawn, and the way to where donors are added; "" where one can.

    `misfits` are the look's donors of another model.
    """
    donors, facts = ui.donors(mix.category), backbone_facts(ui.studio.settings)
    try:
        roll(donors, mix.category, 1, ui.ceiling)
    except StudioError as error:
        why = ui.t.error(error)
        if misfits and not donors and facts is not None:
            why = ui.t("design.all_misfit", count=misfits, model=facts.id)
        add = link(ui.t("design.add_donors"), ui.url("library"))
        other = link(ui.t("misfits.choose"), ui.url("settings"), big=False)  # donors of another model may be here
        return panel(f"<p>{escape(why)}</p><div class='st-row'>{add}{other}</div>", "failed")
    return ""


def show_mixer(ui: Ui, now: DesignState, near: Near) -> str:
    """Return the cards of the source faces; `near` is what was measured of this very mix, else it is estimated."""
    t, mix = ui.t, now.mix
    donors = {d.id: d for d in ui.donors(mix.category)}
    norm = math.hypot(*mix.weights) or 1.0
    cards = [
        _mixed(ui, donors[donor], now, weight, near.get(donor), weight / norm)
        for donor, weight in zip(mix.donors, mix.weights, strict=True)
        if donor in donors
    ]
    for other in donors.values():
        if other.id not in mix.donors:
            cards.append(_donor(ui, other, [button(t("design.add"), "add", donor=other.id)], "dropped"))
    others = [donor for donor in ui.studio.donors(mix.category) if donor.id not in donors]
    reasons = donor_reasons(ui, others)
    for other in others:
        if other.id in reasons:
            cards.append(_donor(ui, other, [f"<span class='st-bad'>{escape(reasons[other.id])}</span>"], "dropped"))
    why = "" if mix.donors else _why_empty(ui, mix, len(reasons))
    words = t("design.gauge_measured") if near else t("design.gauge")
    return (why or f'<p class="st-soft">{escape(words)}</p>') + grid(cards)


def _mixed(ui: Ui, donor: Donor, now: DesignState, weight: float, measured: float | None, estimated: float) -> str:
    """A donor of the mix, and how like them it is, at most 1: as it was measured, else as its weight says."""
    t, muted, locked = ui.t, donor.id in now.mix.muted, donor.id in now.mix.locked
    label = escape(f"{t('design.weight', name=donor.name)}{t('colon')}{100 * weight:.0f}%")
    off = " disabled" if muted or locked else ""
    dials = [
        f'<label><span class="st-soft">{label}</span><input type="range" min="0" max="100" '
        f'value="{100 * weight:.0f}" data-do="weight" data-donor="{donor.id}" data-key="w-{donor.id}"{off}></label>',
        gauge(estimated if measured is None else measured, ui.early_ceiling, t("design.near", name=donor.name)),
        '<div class="st-row">'
        + button(t("design.lock"), "lock", pressed=locked, donor=donor.id)
        + button(t("design.mute"), "mute", pressed=muted, donor=donor.id)
        + "</div>",
    ]
    return _donor(ui, donor, dials, "muted" if muted else "")


def show_bar(ui: Ui, now: DesignState) -> str:
    """Return the buttons over the cards; "" where there is nobody to mix."""
    t, mix = ui.t, now.mix
    if not mix.donors:
        return ""
    stars = "".join(
        button(f"★ {n + 1}", "recall", pressed=other.drawn == mix.drawn, number=n)
        for n, other in enumerate(now.favourites)
        if other.category == mix.category
    )
    starred = any(other.drawn == mix.drawn for other in now.favourites)
    star = button("☆ " + t("design.favourite"), "favourite", pressed=starred)
    return (
        f'<div class="st-row">{button("⚄ " + t("design.dice"), "dice")}{button("↶ " + t("undo"), "undo")}'
        f"{star}{stars}{button(t('design.preview'), 'preview')}</div>"
    )


def _donor(ui: Ui, donor: Donor, more: list[str], classes: str) -> str:
    t = ui.t
    image = f'<img src="/donors/{donor.id}" alt="{escape(donor.name)}" loading="lazy">'
    said = f"{_consent(ui, donor)} · {say_answer(t, donor.licence, 'outputs')}"
    facts = (
        f"<strong>{escape(donor.name)}</strong>"
        f'<span class="st-soft" title="{escape(donor.licence)}">{escape(said)}</span>'
    )
    return card(image, [facts, *more], classes)


def _consent(ui: Ui, donor: Donor) -> str:
    """Return whose consent it is and until when; that nobody had to be asked, for those that come along."""
    t, consent = ui.t, donor.consent
    if consent.revoked:
        return t("design.revoked")
    if donor.lora_path.is_relative_to(ui.studio.settings.bundled_donors):
        return t("design.invented")
    until = t("design.until", date=consent.expires.isoformat()) if consent.expires else t("design.no_end")
    return t("design.consent", who=consent.who, until=until)


def _called(ui: Ui, now: DesignState, recipe: Recipe) -> str:
    """Which of the mixes on the table a preview is of."""
    drawn = tuple(zip(recipe.donors, recipe.mix_weights, strict=True))
    stars = [f"★ {n + 1}" for n, mix in enumerate(now.favourites) if mix.drawn == drawn]
    mine = [ui.t("design.this_mix")] if now.mix.drawn == drawn else []
    return " ".join(mine + stars) or ui.t("design.other_mix")


def show_previews(ui: Ui, now: DesignState, rows: Sequence[PreviewedRecipe]) -> str:
    """Return the mixes of a preview that are drawn, with what is measured of each so far; "" for none."""
    if not rows:
        return ""
    names = {d.id: d.name for d in ui.donors(find_category(rows[0].recipe.category).id)}
    cards = [_previewed(ui, now, row, names) for row in rows]
    return f"<h2>{escape(ui.t('design.previews'))}</h2>{grid(cards)}"


def _previewed(ui: Ui, now: DesignState, row: PreviewedRecipe, names: Mapping[str, str]) -> str:
    """One of them: the source face that it comes nearest to decides, as it does when the person is made."""
    t, near = ui.t, {donor: value for donor, value in row.similarity.items() if value is not None}
    body = [f"<strong>{escape(_called(ui, now, row.recipe))}</strong>"]
    if not row.similarity:
        body.append(f'<span class="st-soft">{escape(t("design.measuring"))}</span>')
    elif not near:
        body.append(f'<span class="st-bad">⚠ {escape(t("design.no_face"))}</span>')
    else:
        donor = max(near, key=lambda one: near[one])
        name, is_new = names.get(donor, donor), near[donor] < ui.early_ceiling
        verdict = t("design.is_new") if is_new else t("design.too_near", name=name)
        body.append(
            f'<span class="{"st-good" if is_new else "st-bad"}">{"✓" if is_new else "⚠"} {escape(verdict)}</span>'
        )
        for other, value in near.items():
            called = names.get(other, other)
            body.append(f'<span class="st-soft">{escape(called)}</span>' + gauge(value, ui.early_ceiling, called))
        if not is_new:
            body.append(button(t("design.less", name=name), "less", recipe=row.recipe.id))
    body.append(button(t("design.adopt"), "adopt", recipe=row.recipe.id))
    return card(picture(row.pictures[0], t("design.previewed")), body)
