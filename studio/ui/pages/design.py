"""Design: donors, a mix of them by dice and by hand, previews of several mixes, and the button that makes a person."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Collection
from dataclasses import replace
from html import escape
from threading import Lock
from typing import Any

import gradio as gr

from personas.donors import with_consent
from personas.looks import LOOK_CATEGORIES
from personas.selection import NOT_NOVEL
from pipelines.errors import BadInput, StudioError, error_from_json
from studio.domain.design import Design, DesignRequest, Preview, PreviewedRecipe, PreviewRequest
from studio.domain.mix import Mix, less_of, mix_as_json, mix_from_json, move_weight, mute, recipe_of_mix, roll
from studio.domain.times import JobSize
from studio.library.records import JobRecord
from studio.taste.guiding import guide_candidates
from studio.taste.keeping import tastes_of
from studio.ui.context import (
    EACH,
    HIDDEN,
    LATEST,
    Facts,
    Pressed,
    Said,
    Ui,
    actions,
    guarded,
    in_turn,
    owner_of,
    pressed,
)
from studio.ui.parts.estimates import say_estimate
from studio.ui.parts.html import button, link, panel
from studio.ui.parts.mixer import DesignState, Near, first_mix, show_bar, show_mixer, show_previews
from studio.ui.parts.page_head import open_page
from studio.ui.parts.photo_persona_form import build_photo_persona

__all__ = ["build"]

_CANDIDATES = {"normal": 48, "quick": 18}
_FAVOURITES, _PREVIEWS = 8, 4
_BOLD = 0.5  # candidates stay more varied than posts: a persona is trained on them
_KEPT = "text:desk"
_KEEPING = Lock()
Shown = tuple[str, Near]
"""What the page shows that a running job changes: its progress as HTML, and what was measured of the mix."""
_NOTHING: Shown = ("", {})


def build(ui: Ui) -> None:
    t, pulse = ui.t, open_page(ui, "design")
    first = DesignState(first_mix(ui, "sweet"))
    desk = gr.State(first)
    category = gr.Radio(
        [(look.name_zh if t.language == "zh" else look.name_en, look.id) for look in LOOK_CATEGORIES],
        value="sweet", label=t("design.category"), elem_id="category",
    )  # fmt: skip
    with gr.Column(elem_id="desk"):
        bar = actions(show_bar(ui, first), "bar")
        with gr.Row(elem_classes="st-apart"):
            effort = gr.Radio(
                [(t("effort.quick"), "quick"), (t("effort.normal"), "normal")],
                value=ui.studio.settings.effort, label=t("effort"), elem_id="effort",
            )  # fmt: skip
            to_taste = gr.Checkbox(
                False, label=t("taste.candidates"), info=t("taste.candidates_what"), elem_id="to-taste"
            )
            with gr.Column():
                go = gr.Button(t("design.go"), variant="primary", elem_id="go", interactive=bool(first.mix.donors))
                estimate = gr.HTML("", js_on_load=None, padding=False, elem_id="estimate")
        progress = actions("", "progress")
        table = actions(show_mixer(ui, first, {}), "mixer")
    build_photo_persona(ui)
    shown = gr.State(_NOTHING)

    def show(owner: str, now: DesignState) -> Shown:
        return _progress(ui, owner, now), _near(ui, owner, now)

    def desk_of(owner: str, now: DesignState) -> tuple[Any, ...]:
        after = show(owner, now)
        return now, show_bar(ui, now), show_mixer(ui, now, after[1]), after[0], after, _able(now)

    def load(request: gr.Request) -> Any:
        owner = owner_of(request)
        now, how = _kept_state(ui, owner, first), _kept_effort(ui, owner)
        return *desk_of(owner, now), now.mix.category, how, _estimate(ui, how)

    def follow(said: Said, request: gr.Request) -> Said:
        now, before = said[desk], said[shown]
        after = show(owner_of(request), now)
        if after == before:
            return {}
        measured = {} if after[1] == before[1] else {table: show_mixer(ui, now, after[1])}
        return {progress: after[0], shown: after, **measured}

    def choose(look: str, now: DesignState, request: gr.Request) -> Any:
        owner = owner_of(request)
        fresh = DesignState(first_mix(ui, look), favourites=now.favourites)
        _keep_mix(ui, owner, fresh.mix)
        return desk_of(owner, fresh)

    def act(now: DesignState, how: str, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), pressed(event)
        fresh = _act(ui, now, data, owner)
        if fresh.mix != now.mix:
            _keep_mix(ui, owner, fresh.mix)
        if data.get("do") == "mend":
            ui.queue.put(_request(ui, fresh, how, owner))
        return *desk_of(owner, fresh), fresh.mix.category

    def start(now: DesignState, how: str, by_taste: bool, request: gr.Request) -> Any:
        owner = owner_of(request)
        ui.queue.put(_request(ui, now, how, owner, to_taste=by_taste))
        return _progress(ui, owner, now)

    def choose_effort(how: str, request: gr.Request) -> str:
        with _KEEPING:
            ui.mark(owner_of(request), _KEPT, effort=how)
        return _estimate(ui, how)

    outputs = [desk, bar, table, progress, shown, go]
    gr.on(None, guarded(ui, load), None, [*outputs, category, effort, estimate], **HIDDEN)
    pulse.hears(follow, [desk, shown], [progress, table, shown])
    category.input(guarded(ui, choose), [category, desk], outputs, **(LATEST | in_turn("desk")))
    effort.input(guarded(ui, choose_effort), [effort], [estimate], **LATEST)
    acting = guarded(ui, act)
    for part in (bar, table, progress):
        part.click(acting, [desk, effort], [*outputs, category], **(EACH | in_turn("desk")))
    go.click(guarded(ui, start), [desk, effort, to_taste], [progress], **(HIDDEN | in_turn("desk")))
    pulse.connect()


def _able(now: DesignState) -> gr.Button:
    """The button that makes a person, which cannot be pressed where there is nobody to mix."""
    return gr.Button(interactive=bool(now.mix.donors))


def _estimate(ui: Ui, effort: str) -> str:
    return say_estimate(ui, Design.kind, JobSize(units=_CANDIDATES[effort]))


def _kept_effort(ui: Ui, owner: str) -> str:
    kept = str(ui.said(owner, _KEPT).get("effort", ""))
    return kept if kept in _CANDIDATES else ui.studio.settings.effort


def _request(ui: Ui, now: DesignState, effort: str, owner: str, *, to_taste: bool = False) -> DesignRequest:
    """A mix that a hand touched is the only one tried; else its seed finds it, and others where it is not new."""
    recipe = recipe_of_mix(now.mix, ui.donors(now.mix.category)) if now.by_hand else None
    seed = now.mix.seed if recipe is None else 1
    count, tastes = _CANDIDATES[effort], tastes_of(ui.studio.records, owner)
    guided = guide_candidates(tastes, count, seed, adventurous=_BOLD) if to_taste else None
    return DesignRequest.make(
        owner=owner, category=now.mix.category, seed=seed, candidates=count, recipe=recipe, guided=guided
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
    if do in ("adopt", "less"):
        return _adopt(ui, now, owner, data.get("recipe", ""), less=do == "less")
    if do == "mend":
        return _mend(ui, now, owner, data.get("job", ""))
    return now


def _kept_state(ui: Ui, owner: str, first: DesignState) -> DesignState:
    """As it was left, in whichever tab; `first` where nothing was, or where one of the mix's donors is gone."""
    said, known = ui.said(owner, _KEPT), {d.id for d in ui.donors()}
    mix, favourites = mix_from_json(said.get("mix", {}), known), _favourites(said, known)
    if mix is None or not mix.donors:
        usable = first.mix.donors and known.issuperset(first.mix.donors)  # since: donors added, another backbone chosen
        mix = first.mix if usable else first_mix(ui, first.mix.category)
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


def _recipe(ui: Ui, owner: str, now: DesignState, key: str) -> PreviewedRecipe | None:
    """One of the mixes that are shown, or of an earlier preview."""
    rows = [*_rows(ui, owner, now), *(row for preview in ui.queue.results(Preview, owner) for row in preview.recipes)]
    return next((row for row in rows if row.recipe.id == key), None)


def _adopt(ui: Ui, now: DesignState, owner: str, key: str, *, less: bool = False) -> DesignState:
    """The desk with a mix that was shown, with less of whom it comes too near to, where that is wanted."""
    row = _recipe(ui, owner, now, key)
    if row is None:
        return now
    r, near = row.recipe, {donor: value for donor, value in row.similarity.items() if value is not None}
    mix = Mix(r.category, r.donors, r.mix_weights, r.seed)
    if not less or not near:
        return now.with_mix(mix)
    donor = max(near, key=lambda one: near[one])
    mended = now.with_mix(less_of(mix, donor, near[donor], ui.early_ceiling))
    return replace(mended, preview=_preview(ui, mended, owner))


def _mend(ui: Ui, now: DesignState, owner: str, job: str) -> DesignState:
    """The desk with the mix of a refused design, and less of whom it came too near to."""
    refused = _refusal(ui.queue.find(job, owner))
    if refused is None:
        return now
    facts = refused.fields
    mix = Mix(now.mix.category, tuple(facts["donors"]), tuple(facts["weights"]), 0)
    known = {donor.id: donor.category for donor in ui.donors()}
    if not known.keys() >= set(mix.donors):
        raise BadInput("donor_gone")
    mix = replace(mix, category=known[mix.donors[0]])
    return now.with_mix(less_of(mix, facts["donor_id"], facts["similarity"], facts["ceiling"]))


def _refusal(job: JobRecord | None) -> StudioError | None:
    """Why a design failed, where its face was not new and its mix is known."""
    raised = None if job is None or job.state != "failed" else job.facts.get("raised")
    error = None if raised is None else error_from_json(raised)
    return error if error is not None and error.code == NOT_NOVEL and "weights" in error.fields else None


def _rows(ui: Ui, owner: str, now: DesignState) -> tuple[PreviewedRecipe, ...]:
    """The mixes of the preview that is shown, as far as they are drawn."""
    job = ui.queue.find(now.preview, owner) or ui.newest(owner, "preview")
    if job is None:
        return ()
    if job.state != "done":
        return ui.queue.report(job.id, owner).mixes
    preview = ui.queue.result(job, Preview)
    return preview.recipes if preview.pictures > 1 else ()  # an older studio measured something else


def _near(ui: Ui, owner: str, now: DesignState) -> Near:
    """What was measured of the mix on the desk; empty before it was."""
    for row in _rows(ui, owner, now):
        if tuple(zip(row.recipe.donors, row.recipe.mix_weights, strict=True)) == now.mix.drawn:
            return row.similarity
    return {}


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _progress(ui: Ui, owner: str, now: DesignState) -> str:
    t, design = ui.t, ui.newest(owner, "design")
    parts = [ui.job_panel(owner, design, link(t("design.then"), ui.url("select"), name="next"))]
    if (refused := _refusal(design)) is not None and design is not None:
        mend = button(t("design.mend", name=refused.fields["donor"]), "mend", big=True, job=design.id)
        parts = [panel(f"<p>{escape(ui.why(design))}</p>{mend}", "failed")]
    job = ui.queue.find(now.preview, owner) or ui.newest(owner, "preview")
    if job is not None and job.state != "done":
        parts.append(ui.job_panel(owner, job, strip=False))
    parts.append(show_previews(ui, now, _rows(ui, owner, now)))
    return "".join(parts)
