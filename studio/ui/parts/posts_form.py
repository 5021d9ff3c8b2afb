"""The posts page's form: all that a set is asked for with. A request and a draft, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from studio.domain.character import wear
from studio.domain.drafts import PostsDraft, keep_valid
from studio.domain.persona import Persona
from studio.domain.platforms import find_platform, load_platforms
from studio.domain.posts import PostRequest, PostSet
from studio.domain.scene import Scene
from studio.jobs.kinds import size_of_set
from studio.library.drafts import keep_draft
from studio.ui.context import HIDDEN, LATEST, Facts, Said, Ui, guarded, owner_of
from studio.ui.parts.another import build_another, next_number, show_number
from studio.ui.parts.cautions import build_look, say_own_words
from studio.ui.parts.chosen import Sections, build_sections, show_chosen
from studio.ui.parts.estimates import say_estimate
from studio.ui.parts.set_form import SetForm, build_form, fit_settings, read_form, show_kept, write_form
from studio.ui.parts.shots_form import (
    ShotsForm,
    build_shots,
    captions_of,
    own_captions,
    read_shots_draft,
    read_table,
    stated_clothes,
    write_shots_draft,
    write_table,
)
from studio.ui.parts.shots_table import Table
from studio.ui.parts.style_form import check_style_there
from studio.ui.parts.taste_fill import TasteFill, build_fill, filled_set, show_why
from studio.ui.parts.text_form import TextForm, build_text

__all__ = [
    "Form",
    "build_draft",
    "estimate_of",
    "lay_out",
    "loaded_with",
    "read_draft",
    "read_request",
    "write_draft",
    "write_request",
]

_LOADED = "loaded"


@dataclass(frozen=True)
class Form:
    """All that a set is asked for with, and its text. `loaded` (which nobody sees) says that the browser shows what was
    kept: what it shows before that must not be kept in its place.
    """

    persona: gr.Dropdown
    misfits: gr.HTML
    scene: gr.Dropdown
    platform: gr.Dropdown
    shots: ShotsForm
    settings: SetForm
    text: TextForm
    fresh: gr.Checkbox
    any_look: gr.Checkbox
    loaded: gr.Textbox
    go: gr.Button
    estimate: gr.HTML
    sections: Sections
    doubts: gr.HTML
    fill: TasteFill

    @property
    def inputs(self) -> set[Any]:
        own = {self.persona, self.scene, self.platform, self.fresh, self.any_look, self.fill.box, self.fill.bold}
        return own | self.shots.inputs | self.settings.inputs

    @property
    def outputs(self) -> set[Any]:
        own = {self.persona, self.scene, self.platform, self.fresh, self.any_look, self.loaded}
        return own | self.shots.inputs | self.settings.outputs


def read_request(ui: Ui, form: Form, said: Said, owner: str) -> PostRequest:
    """Return the request that the components say. Raises BadInput."""
    who, where = _who(ui, form, said, owner), _where(ui, form, said, owner)
    if who is None or where is None:
        raise BadInput("no_persona")
    check_style_there(form.settings.style, said, owner)
    shots, settings = read_table(ui, form.shots, said, who.name), _read_settings(form, said, owner)
    shape = find_platform(said[form.platform]).shape or ""
    told: Facts = {"shape": shape, **shots, **settings}
    found = filled_set(ui, form.fill, form.shots, said, owner, who.name, int(settings["seed"]))
    if found is not None:
        told = {**told, "captions": captions_of(ui, form.shots, said, found.shots), **found.fields()}
        told |= {"detail": settings["detail"]} if settings["detail"] else {}
    elif who.character is not None:
        dressed = wear(told["shots"], who.character.worn, stated_clothes(ui, form.shots, said))
        told = {**told, "shots": dressed, "captions": captions_of(ui, form.shots, said, dressed)}
    return PostRequest.make(owner=owner, persona=who, scene=where, **told)


def write_request(ui: Ui, form: Form, request: PostRequest) -> Said:
    """Return what the components say of a request; captions that nobody wrote are left out."""
    captions = own_captions(request.persona.name, request.shots, request.captions)
    return {
        form.persona: request.persona.id,
        form.scene: request.scene.id,
        form.any_look: request.any_look,
        **write_table(ui, form.shots, Table(request.shots, request.seeds, captions), request.again),
        **write_form(ui, form.settings, request, request.persona, request.scene, request.owner),
    }


def read_draft(ui: Ui, form: Form, said: Said, owner: str, recalled: str = "") -> PostsDraft:
    """Return what the components say, wrong or not."""
    return PostsDraft(
        platform=str(said[form.platform]),
        persona=str(said[form.persona] or ""),
        scene=str(said[form.scene] or ""),
        shots=read_shots_draft(ui, form.shots, said, bool(said[form.fresh])),
        settings=keep_valid(_read_settings(form, said, owner)),
        recalled=recalled,
    )


def write_draft(ui: Ui, form: Form, draft: PostsDraft, owner: str, who: str, where: str) -> Said:
    """Return what the components say of a draft; `who` and `where` are the ids of the persona and the place that can be
    chosen now. What the template proposes is for the set that is next.
    """
    ids: Said = {form.persona: who, form.scene: where}
    known = any(p.id == draft.platform for p in load_platforms())
    platform = draft.platform if known else str(form.platform.value)
    settings = fit_settings(form.settings, draft.settings)
    settings = settings.model_copy(update={"shape": find_platform(platform).shape or ""})
    shots = write_shots_draft(ui, form.shots, draft.shots, platform)
    if draft.shots.fresh:
        shots |= show_number(ui, form.shots, shots, next_number(ui, owner, who))
    return {
        form.platform: platform,
        form.fresh: draft.shots.fresh,
        form.any_look: settings.any_look,
        **shots,
        **write_form(ui, form.settings, settings, _who(ui, form, ids, owner), _where(ui, form, ids, owner), owner),
        form.settings.keep: show_kept(ui, form.settings, settings.keep),
    }


def lay_out(ui: Ui) -> Form:
    """Lay the components out and connect them with each other."""
    t = ui.t
    sections = build_sections(ui)
    with sections.person.kept:
        persona = gr.Dropdown([], label=t("posts.persona"), elem_id="persona")
    with sections.place.kept:
        scene = gr.Dropdown([], label=t("posts.scene"), elem_id="scene")
    with sections.shots.kept:
        platform = gr.Dropdown(
            [(p.name_zh if t.language == "zh" else p.name_en, p.id) for p in load_platforms()],
            value="xiaohongshu", label=t("posts.platform"), elem_id="platform",
        )  # fmt: skip
    with sections.shots.body:
        shots = build_shots(ui, platform)
    fill = build_fill(ui)
    settings = build_form(ui, sections, persona, scene, platform)
    misfits = gr.HTML("", js_on_load=None, padding=False, elem_id="misfits")
    any_look = build_look(ui, scene)
    doubts = gr.HTML("", js_on_load=None, padding=False, elem_id="doubts")
    text = build_text(ui, platform)
    with gr.Row(elem_id="go-bar", elem_classes="st-sticky"):
        with gr.Column(min_width=200):
            go = gr.Button(t("posts.go"), variant="primary", elem_id="go")
            estimate = gr.HTML("", js_on_load=None, padding=False, elem_id="estimate")
        fresh = build_another(ui, shots, persona)
    loaded = gr.Textbox("", visible="hidden", elem_id="loaded")
    return Form(
        persona,
        misfits,
        scene,
        platform,
        shots,
        settings,
        text,
        fresh,
        any_look,
        loaded,
        go,
        estimate,
        sections,
        doubts,
        fill,
    )


def build_draft(ui: Ui, form: Form, after: Sequence[gr.events.Dependency]) -> None:
    """Keep the form with every change and `after` events that filled it in, once the page shows what was kept before;
    and say what is chosen in it, and how long its set will take.
    """

    def keep(said: Said, request: gr.Request) -> Any:
        mark, _, recalled = str(said[form.loaded] or "").partition(" ")
        if mark != _LOADED:
            return {form.estimate: gr.skip()}
        owner = owner_of(request)
        draft = read_draft(ui, form, said, owner, recalled)
        keep_draft(ui.studio.records, owner, draft)
        who, where = _who(ui, form, said, owner), _where(ui, form, said, owner)
        return {
            form.estimate: estimate_of(ui, draft),
            form.doubts: say_own_words(ui, [list(row) for row in said[form.shots.rows]], _goods_name(form, said)),
            **show_chosen(ui, form.sections, draft, who, where),
        }

    def follow(said: Said, request: gr.Request) -> Any:
        is_on, owner = bool(said[form.fill.box]), owner_of(request)
        who = _who(ui, form, said, owner)
        name, seed = "" if who is None else who.name, int(said[form.settings.seed] or 0)
        found = filled_set(ui, form.fill, form.shots, said, owner, name, seed)
        why = "" if found is None else show_why(ui, found.guidance)
        return {form.fill.bold: gr.Slider(visible=is_on), form.fill.why: why}

    told = [form.fill.box.input, form.fill.bold.release, form.shots.rows.input, form.persona.input]
    gr.on(told, guarded(ui, follow), form.inputs, [form.fill.bold, form.fill.why], **LATEST)
    inputs = form.inputs | {form.loaded}
    changed = [part.change for part in sorted(inputs, key=lambda part: int(part._id))]
    outputs = [form.estimate, form.doubts, *form.sections.tiles]
    gr.on(changed, guarded(ui, keep), inputs, outputs, **LATEST)
    for event in after:  # what is folded does not tell that it was filled in
        event.success(guarded(ui, keep), inputs, outputs, **HIDDEN)


def estimate_of(ui: Ui, draft: PostsDraft) -> str:
    """Return as HTML how long a draft's set will take here, by what was measured until now."""
    rows = sum(any(row) for row in draft.shots.rows)
    return say_estimate(ui, PostSet.kind, size_of_set(draft.settings, max(rows, 1)))


def _goods_name(form: Form, said: Said) -> str:
    return str(said[form.settings.goods.name] or "")


def loaded_with(recalled: str) -> str:
    """Return what the hidden field says of a page that shows what was kept, and which upload filled it."""
    return f"{_LOADED} {recalled}".strip()


def _read_settings(form: Form, said: Said, owner: str) -> Facts:
    return {**read_form(form.settings, said, owner), "any_look": bool(said[form.any_look])}


def _who(ui: Ui, form: Form, said: Said, owner: str) -> Persona | None:
    return ui.person(owner, said[form.persona])


def _where(ui: Ui, form: Form, said: Said, owner: str) -> Scene | None:
    return next((s for s in ui.scenes(owner) if s.id == said[form.scene]), None)
