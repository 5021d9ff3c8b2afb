"""Design: donors, a mix of them by dice and by hand, previews of several mixes, and the button that makes a person."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from html import escape
from threading import Lock
from typing import Any

import gradio as gr

from personas.donors import with_consent
from personas.looks import LOOK_CATEGORIES, find_category
from personas.recipes import Recipe
from pipelines.errors import StudioError
from studio.domain.design import DesignRequest, Preview, PreviewRequest
from studio.domain.mix import Mix, mix_as_json, mix_from_json, move_weight, mute, recipe_of_mix, roll
from studio.ui.context import EACH, HIDDEN, LATEST, Ui, actions, guarded, in_turn, owner_of
from studio.ui.parts.html import button, card, gauge, grid, link, picture
from studio.ui.parts.page_head import open_page

__all__ = ["build"]

_CANDIDATES = {"normal": 48, "quick": 18}
_HISTORY, _FAVOURITES, _PREVIEWS = 50, 8, 4
_KEPT = "text:desk"
_KEEPING = Lock()


@dataclass(frozen=True)
class Desk:
    """What lies on the table: the mix, earlier ones, favourites, whether a hand touched it, and the previews' job."""

    mix: Mix
    history: tuple[Mix, ...] = ()
    favourites: tuple[Mix, ...] = ()
    by_hand: bool = False
    preview: str = ""

    def with_mix(self, mix: Mix, by_hand: bool = True) -> Desk:
        if mix == self.mix:
            return self
        return replace(self, mix=mix, history=(*self.history, self.mix)[-_HISTORY:], by_hand=by_hand)


def build(ui: Ui) -> None:
    t = ui.t
    open_page(ui, "design")
    first = Desk(_first_mix(ui))
    desk = gr.State(first)
    category = gr.Radio(
        [(look.name_zh if t.language == "zh" else look.name_en, look.id) for look in LOOK_CATEGORIES],
        value="sweet", label=t("design.category"), elem_id="category",
    )  # fmt: skip
    table = actions(_desk(ui, first), "desk")
    with gr.Row():
        effort = gr.Radio(
            [(t("effort.quick"), "quick"), (t("effort.normal"), "normal")],
            value=ui.studio.settings.effort, label=t("effort"), elem_id="effort",
        )  # fmt: skip
        go = gr.Button(t("design.go"), variant="primary", elem_id="go")
    progress = actions("", "progress")
    shown = gr.State("")
    timer = gr.Timer(1.0)

    def load(request: gr.Request) -> Any:
        now = _kept_desk(ui, owner_of(request), first)
        return now, _desk(ui, now), now.mix.category

    def tick(now: Desk, before: str, request: gr.Request) -> Any:
        html = _progress(ui, owner_of(request), now)
        return (gr.skip(), before) if html == before else (html, html)

    def choose(look: str, now: Desk, request: gr.Request) -> Any:
        fresh = replace(Desk(roll(ui.donors(look), look, 1, ui.ceiling)), favourites=now.favourites)
        _keep_mix(ui, owner_of(request), fresh.mix)
        return fresh, _desk(ui, fresh)

    def act(now: Desk, event: gr.EventData, request: gr.Request) -> Any:
        owner = owner_of(request)
        fresh = _act(ui, now, dict(event._data or {}), owner)
        if fresh.mix != now.mix:
            _keep_mix(ui, owner, fresh.mix)
        return fresh, _desk(ui, fresh), _progress(ui, owner, fresh), fresh.mix.category

    def start(now: Desk, how: str, request: gr.Request) -> Any:
        owner = owner_of(request)
        recipe = recipe_of_mix(now.mix, ui.donors(now.mix.category)) if now.by_hand else None
        wish = DesignRequest.make(
            category=now.mix.category, seed=now.mix.seed if recipe is None else 1, owner=owner,
            candidates=_CANDIDATES[how], recipe=recipe,
        )  # fmt: skip
        ui.queue.put(wish)
        return _progress(ui, owner, now)

    gr.on(None, guarded(ui, load), None, [desk, table, category], **HIDDEN)
    timer.tick(guarded(ui, tick), [desk, shown], [progress, shown], **HIDDEN)
    category.input(guarded(ui, choose), [category, desk], [desk, table], **(LATEST | in_turn("desk")))
    acting = guarded(ui, act)
    for part in (table, progress):
        part.click(acting, [desk], [desk, table, progress, category], **(EACH | in_turn("desk")))
    go.click(guarded(ui, start), [desk, effort], [progress], **(HIDDEN | in_turn("desk")))


def _first_mix(ui: Ui) -> Mix:
    """A drawn mix; an empty one where too few donors fit this backbone, which the dice then say."""
    try:
        return roll(ui.donors("sweet"), "sweet", 1, ui.ceiling)
    except StudioError:
        return Mix("sweet", (), (), 1)


def _act(ui: Ui, now: Desk, data: dict[str, Any], owner: str) -> Desk:
    do, donor, mix = data.get("do"), str(data.get("donor", "")), now.mix
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
        return _adopt(ui, now, owner, str(data.get("recipe")))
    return now


def _kept_desk(ui: Ui, owner: str, first: Desk) -> Desk:
    """As it was left, in whichever tab; `first` where nothing was, or where one of the mix's donors is gone."""
    said, known = ui.said(owner, _KEPT), {d.id for d in ui.donors()}
    mix, favourites = mix_from_json(said.get("mix", {}), known), _favourites(said, known)
    if mix is None:
        return replace(first, favourites=favourites)
    return Desk(
        mix, favourites=favourites, by_hand=True
    )  # the same seed could be another mix, since donors come and go


def _favourites(said: dict[str, Any], known: Collection[str]) -> tuple[Mix, ...]:
    found = [mix_from_json(saved, known) for saved in said.get("favourites", ())]
    return tuple(mix for mix in found if mix is not None)


def _keep_mix(ui: Ui, owner: str, mix: Mix) -> None:
    with _KEEPING:
        ui.mark(owner, _KEPT, mix=mix_as_json(mix))


def _toggle_favourite(ui: Ui, owner: str, mix: Mix) -> tuple[Mix, ...]:
    """Those that are kept now, which another tab may have changed."""
    with _KEEPING:
        kept = _favourites(ui.said(owner, _KEPT), {d.id for d in ui.donors()})
        others = tuple(m for m in kept if m.drawn != mix.drawn)
        now = others if len(others) < len(kept) else (*kept, mix)[-_FAVOURITES:]
        ui.mark(owner, _KEPT, favourites=[mix_as_json(m) for m in now])
    return now


def _preview(ui: Ui, now: Desk, owner: str) -> str:
    """This mix, its look's favourites, and rolls where these are few: all with one seed, so only the person differs."""
    donors, look = ui.donors(now.mix.category), now.mix.category
    agreed = {d.id for d in with_consent(donors, datetime.date.today())}
    mixes = [now.mix]
    for other in now.favourites:
        if other.category == look and other.drawn != now.mix.drawn and agreed.issuperset(d for d, _ in other.drawn):
            mixes.append(other)
    mixes += [roll(donors, look, now.mix.seed + n + 1, ui.ceiling) for n in range(_PREVIEWS - len(mixes))]
    recipes = tuple(recipe_of_mix(mix, donors) for mix in mixes)
    return ui.queue.put(PreviewRequest.make(recipes=recipes, seeds=(11,), owner=owner))


def _adopt(ui: Ui, now: Desk, owner: str, recipe: str) -> Desk:
    for result in ui.queue.results(Preview, owner):
        for row in result.recipes:
            r = row.recipe
            if r.id == recipe:
                return now.with_mix(Mix(r.category, r.donors, r.mix_weights, r.seed))
    return now


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _desk(ui: Ui, now: Desk) -> str:
    t, mix = ui.t, now.mix
    donors = {d.id: d for d in ui.donors(mix.category)}
    norm = math.hypot(*mix.weights) or 1.0
    cards = []
    for donor, weight in zip(mix.donors, mix.weights, strict=True):
        if donor not in donors:
            continue
        name, muted, locked = donors[donor].name, donor in mix.muted, donor in mix.locked
        label = escape(t("design.weight", name=name))
        off = " disabled" if muted or locked else ""
        cards.append(_donor(ui, donors[donor], [
            f'<label><span class="st-soft">{label}: {100 * weight:.0f}%</span><input type="range" min="0" max="100" '
            f'value="{100 * weight:.0f}" data-do="weight" data-donor="{donor}" data-key="w-{donor}"{off}></label>',
            gauge(weight / norm, ui.ceiling, t("design.near", name=name)),
            '<div class="st-row">'
            + button(t("design.lock"), "lock", pressed=locked, donor=donor)
            + button(t("design.mute"), "mute", pressed=muted, donor=donor)
            + "</div>",
        ], "muted" if muted else ""))  # fmt: skip
    for other in donors.values():
        if other.id not in mix.donors:
            cards.append(_donor(ui, other, [button(t("design.add"), "add", donor=other.id)], "dropped"))
    stars = "".join(
        button(f"★ {n + 1}", "recall", pressed=other.drawn == mix.drawn, number=n)
        for n, other in enumerate(now.favourites)
        if other.category == mix.category
    )
    starred = any(other.drawn == mix.drawn for other in now.favourites)
    star = button("☆ " + t("design.favourite"), "favourite", pressed=starred)
    bar = (
        f'<div class="st-row">{button("⚄ " + t("design.dice"), "dice")}{button("↶ " + t("undo"), "undo")}'
        f"{star}{stars}{button(t('design.preview'), 'preview')}</div>"
    )
    return f'{bar}<p class="st-soft">{escape(t("design.gauge"))}</p>{grid(cards)}'


def _donor(ui: Ui, donor: Any, more: list[str], classes: str) -> str:
    t = ui.t
    expires = donor.consent.expires
    until = t("design.until", date=expires.isoformat()) if expires else t("design.no_end")
    consent = t("design.revoked") if donor.consent.revoked else t("design.consent", who=donor.consent.who, until=until)
    image = f'<img src="/donors/{donor.id}" alt="{escape(donor.name)}" loading="lazy">'
    facts = (
        f'<strong>{escape(donor.name)}</strong><span class="st-soft">{escape(donor.licence)} · {escape(consent)}</span>'
    )
    return card(image, [facts, *more], classes)


def _called(ui: Ui, now: Desk, recipe: Recipe) -> str:
    """Which of the mixes on the table a preview is of."""
    drawn = tuple(zip(recipe.donors, recipe.mix_weights, strict=True))
    stars = [f"★ {n + 1}" for n, mix in enumerate(now.favourites) if mix.drawn == drawn]
    mine = [ui.t("design.this_mix")] if now.mix.drawn == drawn else []
    return " ".join(mine + stars) or ui.t("design.other_mix")


def _progress(ui: Ui, owner: str, now: Desk) -> str:
    t = ui.t
    parts = []
    job = ui.queue.find(now.preview, owner) or ui.newest(owner, "preview")
    if job is not None and job.state == "done":
        result = ui.queue.result(job, Preview)
        look = find_category(result.recipes[0].recipe.category)
        names = {d.id: d.name for d in ui.donors(look.id)}
        cards = []
        for row in result.recipes:
            near = [
                f'<span class="st-soft">{escape(names.get(d, d))}</span>'
                + gauge(s or 0.0, result.ceiling, names.get(d, d))
                for d, s in row.similarity.items()
            ]
            name = f"<strong>{escape(_called(ui, now, row.recipe))}</strong>"
            use = button(t("design.adopt"), "adopt", recipe=row.recipe.id)
            cards.append(card(picture(row.pictures[0], t("design.previewed")), [name, *near, use]))
        parts.append(f"<h2>{escape(t('design.previews'))}</h2>{grid(cards)}")
    elif job is not None:
        parts.append(ui.job_panel(owner, job))
    then = link(t("design.then"), ui.url("select"), name="next")
    parts.append(ui.job_panel(owner, ui.newest(owner, "design"), then))
    return "".join(parts)
