"""Post sets: persona × scene × platform × shots, drawn one by one with scores, arranged by hand, and exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from studio.domain.arrangement import arrange
from studio.domain.bundle import Bundle
from studio.domain.persona import Persona
from studio.domain.platforms import load_platforms
from studio.domain.posts import MOST_SHOTS, PostRequest, PostSet
from studio.library.scenes import default_scene
from studio.ui.context import EACH, HIDDEN, Pressed, Said, Ui, actions, guarded, in_turn, owner_of, pressed
from studio.ui.parts.fixing import build_fixing
from studio.ui.parts.html import empty, file_url, link
from studio.ui.parts.look import show_look
from studio.ui.parts.misfits import split_people
from studio.ui.parts.page_head import open_page
from studio.ui.parts.post_cards import newest_set, read_arrangement, show_arriving, show_set, take_jobs
from studio.ui.parts.recall_form import recalled_draft
from studio.ui.parts.set_actions import act_on_post, arranged_set, redraw_weak
from studio.ui.parts.set_form import SetForm, build_form, fit_form, read_form, write_form
from studio.ui.parts.shots_form import ShotsForm, build_shots, own_captions, read_table, write_table
from studio.ui.parts.shots_table import write_shots
from studio.ui.parts.strengths import build_strengths
from studio.ui.parts.text_form import EXPORTING, TextForm, build_text, kept_text

__all__ = ["build"]


@dataclass(frozen=True)
class Form:
    """All that a set is asked for with, and its text."""

    persona: gr.Dropdown
    misfits: gr.HTML
    scene: gr.Dropdown
    shots: ShotsForm
    settings: SetForm
    text: TextForm

    @property
    def inputs(self) -> set[Any]:
        return {self.persona, self.scene, self.shots.rows} | self.settings.inputs

    @property
    def outputs(self) -> set[Any]:
        return {self.persona, self.scene} | self.shots.outputs | self.settings.outputs


def read_request(ui: Ui, form: Form, said: Said, owner: str) -> PostRequest:
    """Return the request that the components say. Raises BadInput."""
    person = ui.find(owner, Persona, said[form.persona])
    place = next((s for s in ui.scenes(owner) if s.id == said[form.scene]), None)
    if person is None or place is None:
        raise BadInput("no_persona")
    shots, settings = read_table(ui, form.shots, said, person.name), read_form(form.settings, said)
    return PostRequest.make(owner=owner, persona=person, scene=place, **shots, **settings)


def write_request(ui: Ui, form: Form, request: PostRequest) -> Said:
    """Return what the components say of a request."""
    return {
        form.persona: request.persona.id,
        form.scene: request.scene.id,
        **write_table(ui, form.shots, request),
        **write_form(ui, form.settings, request),
    }


def build(ui: Ui) -> None:
    open_page(ui, "posts")
    form = _lay_out(ui)
    go = gr.Button(ui.t("posts.go"), variant="primary", elem_id="go")
    progress = actions("", "progress")
    form.text.box.render()
    fixing = build_fixing(ui)
    posts = actions("", "posts")
    shown = gr.State("")
    timer = gr.Timer(1.0)

    def show(request: gr.Request) -> Any:
        return {progress: _progress(ui, owner_of(request)), posts: _posts(ui, owner_of(request))}

    def load(request: gr.Request) -> Any:
        return {
            **fit_form(ui, form.settings),
            **_recalled(ui, form, request),
            **kept_text(ui, form.text, owner_of(request)),
            **show(request),
        }

    def tick(before: str, request: gr.Request) -> Any:
        html, cards = show(request).values()
        return (gr.skip(), gr.skip(), before) if html + cards == before else (html, cards, html + cards)

    def wish(said: Said, owner: str) -> PostRequest:
        return read_request(ui, form, said, owner)

    def start(said: Said, request: gr.Request) -> str:
        owner = owner_of(request)
        ui.queue.put(wish(said, owner))
        return _progress(ui, owner)

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
        return {**show(request), **changed}

    gr.on(
        None, guarded(ui, load), None,
        [
            *form.settings.fitted, form.persona, form.scene, form.misfits, form.shots.rows, form.shots.box,
            form.text.title, form.text.body, progress, posts,
        ],
        **HIDDEN,
    )  # fmt: skip
    timer.tick(guarded(ui, tick), [shown], [progress, posts, shown], **HIDDEN)
    go.click(guarded(ui, start), form.inputs, [progress], **(HIDDEN | in_turn("ways")))
    build_strengths(ui, form.settings.references.cards, form.inputs, wish)
    outputs = [progress, posts, *fixing.outputs, *form.outputs, *form.text.outputs]
    for part in (progress, posts):
        part.click(guarded(ui, act), form.text.inputs, outputs, **EACH)
    fixing.done.change(guarded(ui, show), None, [progress, posts], **HIDDEN)


def _lay_out(ui: Ui) -> Form:
    t = ui.t
    with gr.Row():
        persona = gr.Dropdown([], label=t("posts.persona"), elem_id="persona")
        scene = gr.Dropdown([], label=t("posts.scene"), elem_id="scene")
        platform = gr.Dropdown(
            [(p.name_zh if t.language == "zh" else p.name_en, p.id) for p in load_platforms()],
            value="xiaohongshu", label=t("posts.platform"), elem_id="platform",
        )  # fmt: skip
    misfits = gr.HTML("", js_on_load=None, padding=False, elem_id="misfits")
    return Form(
        persona, misfits, scene, build_shots(ui, platform), build_form(ui, persona, scene), build_text(ui, platform)
    )


def _act(ui: Ui, owner: str, post_set: PostSet, data: Pressed, fixing: Any) -> Said:
    """Do what a card's button says; return what the region editor shows then."""
    if data["do"] == "redraw-weak":
        redraw_weak(ui, owner, post_set)
        return {}
    arranged = arrange(post_set, read_arrangement(ui, owner, post_set), take_jobs(ui, owner))
    slot = next(s for s in arranged.slots if s.number == int(data["number"]))
    if data["do"] == "fix":
        return dict(zip(fixing.outputs, fixing.open(post_set, slot), strict=True))
    act_on_post(ui, owner, post_set, slot, data)
    return {}


def _recalled(ui: Ui, form: Form, request: gr.Request) -> Said:
    """Return who and where can be chosen, and what a link of the library's re-use fills the page with."""
    owner = owner_of(request)
    default_scene(ui.studio.library, owner)
    (people, greyed), places = _people(ui, owner), [(ui.t.word(s.name), s.id) for s in ui.scenes(owner)]
    draft = recalled_draft(ui, owner, request)
    known: Said = {
        form.persona: gr.Dropdown(people, value=_first(people, "" if draft is None else draft.persona)),
        form.misfits: greyed,
        form.scene: gr.Dropdown(places, value=_first(places, "" if draft is None else draft.scene)),
    }
    if draft is None:
        return known
    shots = draft.shots[:MOST_SHOTS]
    captions = own_captions(draft.name, shots, draft.captions)
    return known | {
        form.shots.rows: write_shots(ui, shots, draft.seeds, captions), form.shots.box: gr.Accordion(open=True)
    }  # fmt: skip


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


def _progress(ui: Ui, owner: str) -> str:
    t = ui.t
    drawing, export = ui.newest(owner, "posts"), ui.newest(owner, "export")
    if drawing is None:
        if ui.results(owner, Persona):
            return ""
        return empty(t("posts.empty"), link(t("consolidate.title"), ui.url("consolidate")))
    parts = [ui.job_panel(owner, drawing, strip=False)]
    for kind in ("vary", "fix"):
        take = ui.newest(owner, kind)
        if take is not None and take.state != "done":
            parts.append(ui.job_panel(owner, take, strip=False))
    of_earlier_set = export is not None and drawing.state == "done" and export.created < drawing.created
    if export is not None and not of_earlier_set:
        then = ""
        if export.state == "done":
            made = ui.queue.result(export, Bundle)
            label = t("posts.download", size=f"{made.bytes / 1e6:.1f}", count=made.pictures)
            then = link(label, file_url(made.bundle, made.name), name="download", download=True)
        parts.append(ui.job_panel(owner, export, then))
    return "".join(parts)


def _posts(ui: Ui, owner: str) -> str:
    newest = newest_set(ui, owner)
    arriving = show_arriving(ui, owner, ui.newest(owner, "posts"))
    return arriving + ("" if newest is None else show_look(ui, owner, newest.id) + show_set(ui, owner, newest))
