"""Design: donors, a mix of them by dice and by hand, previews of several mixes, and the button that makes a person."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from html import escape
from threading import Lock
from typing import Any

import gradio as gr

from personas.donors import Donor, with_consent
from personas.looks import LOOK_CATEGORIES, find_category
from personas.recipes import Recipe
from pipelines.errors import StudioError
from studio.domain.design import DesignRequest, Preview, PreviewedRecipe, PreviewRequest
from studio.domain.mix import Mix, mix_as_json, mix_from_json, move_weight, mute, recipe_of_mix, roll
from studio.ui.context import (
    EACH,
    HIDDEN,
    LATEST,
    Facts,
    Pressed,
    Ui,
    actions,
    guarded,
    in_turn,
    owner_of,
    pressed,
)
from studio.ui.parts.html import button, card, gauge, grid, link, panel, picture
from studio.ui.parts.misfits import donor_reasons
from studio.ui.parts.page_head import open_page

__all__ = ["build"]

_CANDIDATES = {"normal": 48, "quick": 18}
_HISTORY, _FAVOURITES, _PREVIEWS = 50, 8, 4
_KEPT = "text:desk"
_KEEPING = Lock()


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


def build(ui: Ui) -> None:
    t = ui.t
    open_page(ui, "design")
    first = DesignState(_first_mix(ui, "sweet"))
    desk = gr.State(first)
    category = gr.Radio(
        [(look.name_zh if t.language == "zh" else look.name_en, look.id) for look in LOOK_CATEGORIES],
        value="sweet", label=t("design.category"), elem_id="category",
    )  # fmt: skip
    table = actions(_mixer(ui, first), "desk")
    with gr.Row():
        effort = gr.Radio(
            [(t("effort.quick"), "quick"), (t("effort.normal"), "normal")],
            value=ui.studio.settings.effort, label=t("effort"), elem_id="effort",
        )  # fmt: skip
        go = gr.Button(t("design.go"), variant="primary", elem_id="go", interactive=bool(first.mix.donors))
    progress = actions("", "progress")
    shown = gr.State("")
    timer = gr.Timer(1.0)

    def load(request: gr.Request) -> Any:
        now = _kept_state(ui, owner_of(request), first)
        return now, _mixer(ui, now), now.mix.category, _able(now)

    def tick(now: DesignState, before: str, request: gr.Request) -> Any:
        html = _progress(ui, owner_of(request), now)
        return (gr.skip(), before) if html == before else (html, html)

    def choose(look: str, now: DesignState, request: gr.Request) -> Any:
        fresh = DesignState(_first_mix(ui, look), favourites=now.favourites)
        _keep_mix(ui, owner_of(request), fresh.mix)
        return fresh, _mixer(ui, fresh), _able(fresh)

    def act(now: DesignState, event: gr.EventData, request: gr.Request) -> Any:
        owner = owner_of(request)
        fresh = _act(ui, now, pressed(event), owner)
        if fresh.mix != now.mix:
            _keep_mix(ui, owner, fresh.mix)
        return fresh, _mixer(ui, fresh), _progress(ui, owner, fresh), fresh.mix.category, _able(fresh)

    def start(now: DesignState, how: str, request: gr.Request) -> Any:
        owner = owner_of(request)
        ui.queue.put(_request(ui, now, how, owner))
        return _progress(ui, owner, now)

    gr.on(None, guarded(ui, load), None, [desk, table, category, go], **HIDDEN)
    timer.tick(guarded(ui, tick), [desk, shown], [progress, shown], **HIDDEN)
    category.input(guarded(ui, choose), [category, desk], [desk, table, go], **(LATEST | in_turn("desk")))
    acting = guarded(ui, act)
    for part in (table, progress):
        part.click(acting, [desk], [desk, table, progress, category, go], **(EACH | in_turn("desk")))
    go.click(guarded(ui, start), [desk, effort], [progress], **(HIDDEN | in_turn("desk")))


def _able(now: DesignState) -> gr.Button:
    """The button that makes a person, which cannot be pressed where there is nobody to mix."""
    return gr.Button(interactive=bool(now.mix.donors))


def _first_mix(ui: Ui, look: str) -> Mix:
    """A drawn mix; an empty one where too few donors can be mixed, of which the desk then says what to do."""
    try:
        return roll(ui.donors(look), look, 1, ui.ceiling)
    except StudioError:
        return Mix(look, (), (), 1)


def _why_empty(ui: Ui, mix: Mix) -> str:
    """Why no mix of a look can be drawn, and the way to where donors are added; "" where one can."""
    try:
        roll(ui.donors(mix.category), mix.category, 1, ui.ceiling)
    except StudioError as error:
        add = link(ui.t("design.add_donors"), ui.url("library"))
        other = link(ui.t("misfits.choose"), ui.url("settings"), big=False)  # donors of another model may be here
        return panel(f"<p>{escape(ui.t.error(error))}</p><div class='st-row'>{add}{other}</div>", "failed")
    return ""


def _request(ui: Ui, now: DesignState, effort: str, owner: str) -> DesignRequest:
    """A mix that a hand touched is the only one tried; else its seed finds it, and others where it is not new."""
    recipe = recipe_of_mix(now.mix, ui.donors(now.mix.category)) if now.by_hand else None
    seed = now.mix.seed if recipe is None else 1
    return DesignRequest.make(
        owner=owner, category=now.mix.category, seed=seed, candidates=_CANDIDATES[effort], recipe=recipe
    )


def _act(ui: Ui, now: DesignState, data: Pressed, owner: str) -> DesignState:
    do, donor, mix = data.get("do"), data.get("donor", ""), now.mix
    if ui.act(owner, data):
        return now
    if do == "dice":
        held = mix if mix.locked else None
        return now.with_mix(roll(ui.donors(mix.category), mix.category, random.randrange(1, 2**31), ui.ceiling, held))
    if do == "weight":
        return now.with_mix(move_weight(mix, donor, _number(data.get("value")) / 100))
    if do == "lock":
        return now.with_mix(replace(mix, locked=mix.locked ^ {donor}))
    if do == "mute":
        return now.with_mix(mute(mix, donor))
    if do == "add":
        ours = replace(mix, donors=(*mix.donors, donor), weights=(*mix.weights, 0.0), muted=mix.muted | {donor})
        return now.with_mix(mute(ours, donor)) if donor not in mix.donors else now
    if do == "undo" and now.history:
        return replace(now, mix=now.history[-1], history=now.history[:-1])
    if do == "favourite":
        return replace(now, favourites=_toggle_favourite(ui, owner, mix))
    if do == "recall" and 0 <= int(_number(data.get("number"))) < len(now.favourites):
        return now.with_mix(now.favourites[int(_number(data["number"]))])
    if do == "preview":
        return replace(now, preview=_preview(ui, now, owner))
    if do == "adopt":
        return _adopt(ui, now, owner, data.get("recipe", ""))
    return now


def _kept_state(ui: Ui, owner: str, first: DesignState) -> DesignState:
    """As it was left, in whichever tab; `first` where nothing was, or where one of the mix's donors is gone."""
    said, known = ui.said(owner, _KEPT), {d.id for d in ui.donors()}
    mix, favourites = mix_from_json(said.get("mix", {}), known), _favourites(said, known)
    if mix is None or not mix.donors:
        usable = first.mix.donors and known.issuperset(first.mix.donors)  # since: donors added, another backbone chosen
        mix = first.mix if usable else _first_mix(ui, first.mix.category)
        return replace(first, mix=mix, favourites=favourites)
    return DesignState(
        mix, favourites=favourites, by_hand=True
    )  # the same seed could be another mix, since donors come and go


def _favourites(said: Facts, known: Collection[str]) -> tuple[Mix, ...]:
    found = [mix_from_json(saved, known) for saved in said.get("favourites", ())]
    return tuple(mix for mix in found if mix is not None)


def _keep_mix(ui: Ui, owner: str, mix: Mix) -> None:
    with _KEEPING:
        ui.mark(owner, _KEPT, mix=mix_as_json(mix))


def _toggle_favourite(ui: Ui, owner: str, mix: Mix) -> tuple[Mix, ...]:
    """Return the favourites that are kept now, which another tab may have changed."""
    with _KEEPING:
        kept = _favourites(ui.said(owner, _KEPT), {d.id for d in ui.donors()})
        others = tuple(m for m in kept if m.drawn != mix.drawn)
        now = others if len(others) < len(kept) else (*kept, mix)[-_FAVOURITES:]
        ui.mark(owner, _KEPT, favourites=[mix_as_json(m) for m in now])
    return now


def _preview(ui: Ui, now: DesignState, owner: str) -> str:
    """This mix, its look's favourites, and rolls where these are few: all with one seed, so only the person differs."""
    donors, look = ui.donors(now.mix.category), now.mix.category
    agreed = {d.id for d in with_consent(donors, datetime.date.today())}
    mixes = [now.mix]
    for other in now.favourites:
        if other.category == look and other.drawn != now.mix.drawn and agreed.issuperset(d for d, _ in other.drawn):
            mixes.append(other)
    mixes += [roll(donors, look, now.mix.seed + n + 1, ui.ceiling) for n in range(_PREVIEWS - len(mixes))]
    return ui.queue.put(PreviewRequest.make(owner=owner, recipes=tuple(recipe_of_mix(mix, donors) for mix in mixes)))


def _adopt(ui: Ui, now: DesignState, owner: str, recipe: str) -> DesignState:
    for preview in ui.queue.results(Preview, owner):
        for r in (row.recipe for row in preview.recipes):
            if r.id == recipe:
                return now.with_mix(Mix(r.category, r.donors, r.mix_weights, r.seed))
    return now


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _mixer(ui: Ui, now: DesignState) -> str:
    t, mix = ui.t, now.mix
    donors = {d.id: d for d in ui.donors(mix.category)}
    norm = math.hypot(*mix.weights) or 1.0
    cards = [
        _mixed(ui, donors[donor], now, weight, weight / norm)
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
    why = "" if mix.donors else _why_empty(ui, mix)
    said = why or f'{_bar(ui, now)}<p class="st-soft">{escape(t("design.gauge"))}</p>'
    return said + grid(cards)


def _mixed(ui: Ui, donor: Donor, now: DesignState, weight: float, nearness: float) -> str:
    """A donor of the mix; `nearness` is how like them the mix will be, at most 1."""
    t, muted, locked = ui.t, donor.id in now.mix.muted, donor.id in now.mix.locked
    label = escape(t("design.weight", name=donor.name))
    off = " disabled" if muted or locked else ""
    dials = [
        f'<label><span class="st-soft">{label}: {100 * weight:.0f}%</span><input type="range" min="0" max="100" '
        f'value="{100 * weight:.0f}" data-do="weight" data-donor="{donor.id}" data-key="w-{donor.id}"{off}></label>',
        gauge(nearness, ui.ceiling, t("design.near", name=donor.name)),
        '<div class="st-row">'
        + button(t("design.lock"), "lock", pressed=locked, donor=donor.id)
        + button(t("design.mute"), "mute", pressed=muted, donor=donor.id)
        + "</div>",
    ]
    return _donor(ui, donor, dials, "muted" if muted else "")


def _bar(ui: Ui, now: DesignState) -> str:
    t, mix = ui.t, now.mix
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
    expires = donor.consent.expires
    until = t("design.until", date=expires.isoformat()) if expires else t("design.no_end")
    consent = t("design.revoked") if donor.consent.revoked else t("design.consent", who=donor.consent.who, until=until)
    image = f'<img src="/donors/{donor.id}" alt="{escape(donor.name)}" loading="lazy">'
    facts = (
        f'<strong>{escape(donor.name)}</strong><span class="st-soft">{escape(donor.licence)} · {escape(consent)}</span>'
    )
    return card(image, [facts, *more], classes)


def _called(ui: Ui, now: DesignState, recipe: Recipe) -> str:
    """Which of the mixes on the table a preview is of."""
    drawn = tuple(zip(recipe.donors, recipe.mix_weights, strict=True))
    stars = [f"★ {n + 1}" for n, mix in enumerate(now.favourites) if mix.drawn == drawn]
    mine = [ui.t("design.this_mix")] if now.mix.drawn == drawn else []
    return " ".join(mine + stars) or ui.t("design.other_mix")


def _progress(ui: Ui, owner: str, now: DesignState) -> str:
    t = ui.t
    parts = []
    job = ui.queue.find(now.preview, owner) or ui.newest(owner, "preview")
    if job is not None and job.state == "done":
        preview = ui.queue.result(job, Preview)
        names = {d.id: d.name for d in ui.donors(find_category(preview.recipes[0].recipe.category).id)}
        cards = [_previewed(ui, now, row, preview.ceiling, names) for row in preview.recipes]
        parts.append(f"<h2>{escape(t('design.previews'))}</h2>{grid(cards)}")
    elif job is not None:
        parts.append(ui.job_panel(owner, job))
    then = link(t("design.then"), ui.url("select"), name="next")
    parts.append(ui.job_panel(owner, ui.newest(owner, "design"), then))
    return "".join(parts)


def _previewed(ui: Ui, now: DesignState, row: PreviewedRecipe, ceiling: float, names: Mapping[str, str]) -> str:
    near = [
        f'<span class="st-soft">{escape(names.get(d, d))}</span>' + gauge(s or 0.0, ceiling, names.get(d, d))
        for d, s in row.similarity.items()
    ]
    name = f"<strong>{escape(_called(ui, now, row.recipe))}</strong>"
    use = button(ui.t("design.adopt"), "adopt", recipe=row.recipe.id)
    return card(picture(row.pictures[0], ui.t("design.previewed")), [name, *near, use])
