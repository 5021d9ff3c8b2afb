"""Post sets: persona × scene × platform × shots, drawn one by one with scores, arranged by hand, and exported."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from studio.domain.drafts import PostsDraft
from studio.domain.persona import Persona
from studio.domain.posts import MOST_SHOTS, PostSet
from studio.library.drafts import kept_draft
from studio.library.scenes import default_scene
from studio.ui.context import EACH, HIDDEN, Pressed, Said, Ui, actions, guarded, in_turn, owner_of, pressed, toast
from studio.ui.parts.another import show_due, take_number
from studio.ui.parts.fixing import build_fixing
from studio.ui.parts.misfits import split_people
from studio.ui.parts.opened_set import FORGET_SET, SHOW_SET, show_jobs_of_set, show_opened_set, wanted_set
from studio.ui.parts.pack_start import connect_start, lay_out_start
from studio.ui.parts.page_head import open_page
from studio.ui.parts.post_cards import arrange_shown
from studio.ui.parts.posts_form import (
    Form,
    build_draft,
    estimate_of,
    lay_out,
    loaded_with,
    read_request,
    write_draft,
    write_request,
)
from studio.ui.parts.recall_form import recalled_draft, recalled_token
from studio.ui.parts.set_actions import act_on_post, arranged_set, redraw_weak
from studio.ui.parts.set_form import fit_form
from studio.ui.parts.shots_form import own_captions, write_table
from studio.ui.parts.shots_table import Table
from studio.ui.parts.strengths import build_strengths
from studio.ui.parts.text_form import EXPORTING, kept_text

__all__ = ["build"]


def build(ui: Ui) -> None:
    pulse, form = open_page(ui, "posts"), lay_out(ui)
    with form.sections.place.kept:
        start_from = lay_out_start(ui)
    started = connect_start(ui, start_from, form)
    progress = actions("", "progress")
    form.text.box.render()
    fixing = build_fixing(ui)
    posts, opened = actions("", "posts"), form.text.opened

    def show(key: str, request: gr.Request) -> Any:
        owner = owner_of(request)
        return {progress: show_jobs_of_set(ui, owner, key), posts: show_opened_set(ui, owner, key)}

    def load(request: gr.Request) -> Any:
        told = _filled(ui, form, request)
        return {
            **fit_form(ui, form.settings),
            **told,
            **kept_text(ui, form.text, owner_of(request), wanted_set(request), told[form.text.target]),
            opened: wanted_set(request),
            **show(wanted_set(request), request),
        }

    def estimate(said: Said, request: gr.Request) -> Said:
        # a job that is done, or another drawing model, changes how long the next set will take; what keeps the form
        # says it, too, and on a busy machine later than this: so it is told each time, not only where it is new here
        draft = kept_draft(ui.studio.library, owner_of(request)) or PostsDraft()
        return {form.estimate: estimate_of(ui, draft)}

    def hear_text(said: Said, request: gr.Request) -> Said:
        return form.text.arrived(ui, owner_of(request), said)

    wish = partial(read_request, ui, form)

    def start(said: Said, request: gr.Request) -> Any:
        owner, changed = owner_of(request), dict[Any, Any]()
        with ui.turn:
            if said[form.fresh]:
                said |= show_due(ui, form.shots, said, owner, str(said[form.persona]))
            asked = wish(said, owner)
            if said[form.fresh]:
                changed = take_number(ui, form.shots, said, owner, asked.persona.id)
        job = ui.queue.find(ui.queue.put(asked), owner)
        if job is not None and job.state == "done":
            toast(ui.t("posts.already"))
        return {progress: show_jobs_of_set(ui, owner, ""), opened: "", **changed}

    def act(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), pressed(event)
        post_set = None if ui.act(owner, data) else ui.find(owner, PostSet, data.get("set"))
        changed: Said = {}
        if post_set is not None and data["do"] == "settings":
            changed = write_request(ui, form, post_set.request)
        elif post_set is not None and data["do"] in EXPORTING:
            changed = form.text.act(ui, owner, data["do"], arranged_set(ui, owner, post_set), said)
        elif post_set is not None:
            with ui.turn:
                changed = _act(ui, owner, post_set, data, fixing)
        return {**show(said[opened], request), **changed}

    gr.on(None, None, js=SHOW_SET)
    kept = form.outputs - {form.loaded} | form.settings.fitted | form.text.kept
    filling = [*kept, form.misfits, form.text.target, progress, posts, opened]
    filled = gr.on(None, guarded(ui, load), None, filling, **HIDDEN)
    # once the browser shows all of it: parts that change one by one would be kept as half a form
    filled.success(guarded(ui, _tell_loaded), None, [form.loaded], **HIDDEN)
    pulse.shows(lambda said, request: show(said[opened], request), [progress, posts], [opened])
    pulse.hears(estimate, [], [form.estimate])
    pulse.hears(hear_text, form.text.inputs, form.text.outputs)
    redone = [progress, opened, form.shots.rows, form.shots.again]
    asked = form.go.click(guarded(ui, start), form.inputs, redone, **(HIDDEN | in_turn("ways")))
    asked.success(None, js=FORGET_SET)
    build_strengths(ui, pulse, form.settings.references.cards, form.inputs, wish)
    outputs = [progress, posts, *fixing.outputs, *form.outputs, *form.text.outputs]
    elsewhere = EACH | {"show_progress_on": [progress]}
    acted = [part.click(guarded(ui, act), form.text.inputs, outputs, **elsewhere) for part in (progress, posts)]
    build_draft(ui, form, [started, asked, *acted])
    fixing.done.change(guarded(ui, show), [opened], [progress, posts], **HIDDEN)
    pulse.connect()


def _tell_loaded(request: gr.Request) -> str:
    return loaded_with(recalled_token(request))


def _act(ui: Ui, owner: str, post_set: PostSet, data: Pressed, fixing: Any) -> Said:
    """Do what a card's button says; return what the region editor shows then."""
    if data["do"] == "redraw-weak":
        redraw_weak(ui, owner, post_set)
        return {}
    arranged = arrange_shown(ui, owner, post_set)
    slot = next(s for s in arranged.slots if s.number == int(data["number"]))
    if data["do"] == "fix":
        return dict(zip(fixing.outputs, fixing.open(post_set, slot), strict=True))
    act_on_post(ui, owner, post_set, slot, data)
    return {}


def _filled(ui: Ui, form: Form, request: gr.Request) -> Said:
    """Return who and where can be chosen, and the form as it was left, or as a link of the re-use fills it."""
    owner = owner_of(request)
    default_scene(ui.studio.library, owner)
    (people, greyed), places = _people(ui, owner), [(ui.t.word(s.name), s.id) for s in ui.scenes(owner)]
    kept, token = kept_draft(ui.studio.library, owner) or PostsDraft(), recalled_token(request)
    # loaded again, it stays as it was changed since
    found = recalled_draft(ui, owner, token) if token and token != kept.recalled else None
    who = _first(people, kept.persona if found is None else found.persona)
    where = _first(places, kept.scene if found is None else found.scene)
    if found is not None:
        kept = kept.model_copy(update={"platform": found.platform or kept.platform, "settings": found.settings})
    told = write_draft(ui, form, kept, owner, who or "", where or "")
    if found is not None:
        shots = found.shots[:MOST_SHOTS]
        table = Table(shots, found.seeds, own_captions(found.name, shots, found.captions))
        told |= write_table(ui, form.shots, table, int(told[form.shots.again]))
    return told | {
        form.persona: gr.Dropdown(people, value=who),
        form.scene: gr.Dropdown(places, value=where),
        form.misfits: greyed,
        form.text.target: told[form.platform],
    }


def _people(ui: Ui, owner: str) -> tuple[list[tuple[str, str]], str]:
    """The chosen version first, then the newest; and those that the backbone cannot draw, as HTML."""
    marks = ui.marks(owner)
    people = ui.results(owner, Persona)
    people.sort(key=lambda p: not marks.get(f"consolidate:{p.id}", {}).get("chosen", False))
    return split_people(ui, people, by_picture=True)


def _first(choices: list[tuple[str, str]], wanted: str) -> str | None:
    """The wanted one's id where it can be chosen, else the first's."""
    ids = [key for _, key in choices]
    return wanted if wanted in ids else next(iter(ids), None)
