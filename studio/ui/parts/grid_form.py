"""What a comparison draws: who, where, in which shot, at which stages and strengths, how often; how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from personas.shots import Shot
from pipelines.errors import BadInput, StudioError
from studio.domain.capabilities import usual_way
from studio.domain.checkpoints import kept_checkpoints, say_checkpoint
from studio.domain.grid import MOST_CELLS, Grid, GridRequest, count_cells
from studio.domain.limits import limits_of
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest
from studio.jobs.kinds import find_kind
from studio.library.scenes import default_scene
from studio.ui.context import LATEST, Said, Ui, guarded, owner_of
from studio.ui.parts.cautions import build_look
from studio.ui.parts.estimates import say_estimate
from studio.ui.parts.misfits import split_people
from studio.ui.parts.shots_table import CHOICES

__all__ = ["GridForm", "fill_grid", "lay_out_grid", "read_grid", "say_grid"]

_SHOT = ("framing", "view", "outfit", "pose")
_STRENGTHS = (0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4)
_FIRST = (0.6, 0.8, 1.0, 1.2)
_MOST_PEOPLE, _MOST_TRIES = 6, 6


@dataclass(frozen=True)
class GridForm:
    """The components; `shot` by the shot's fields, `number` the first try's random number."""

    people: gr.Dropdown
    misfits: gr.HTML
    scene: gr.Dropdown
    any_look: gr.Checkbox
    shot: dict[str, gr.Dropdown]
    strengths: gr.CheckboxGroup
    stages: gr.CheckboxGroup
    tries: gr.Slider
    number: gr.Number
    estimate: gr.HTML
    go: gr.Button

    @property
    def inputs(self) -> set[Any]:
        own = {self.people, self.scene, self.any_look, self.strengths, self.stages, self.tries, self.number}
        return own | set(self.shot.values())


def lay_out_grid(ui: Ui) -> GridForm:
    """Lay the form out, and let its estimate follow every change."""
    form = _lay_out(ui)

    def follow(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        choices, chosen = _stages(ui, _people(ui, owner, said[form.people]), said[form.stages])
        said |= {form.stages: chosen}
        return {form.stages: _show_stages(choices, chosen), **say_grid(ui, form, said, owner)}

    def count(said: Said, request: gr.Request) -> Any:
        return say_grid(ui, form, said, owner_of(request))

    shown = [form.estimate, form.go]
    form.people.change(guarded(ui, follow), form.inputs, [form.stages, *shown], **LATEST)
    changed = [part.change for part in sorted(form.inputs - {form.people}, key=lambda part: int(part._id))]
    gr.on(changed, guarded(ui, count), form.inputs, shown, **LATEST)
    return form


def _lay_out(ui: Ui) -> GridForm:
    t, seed = ui.t, limits_of(PostRequest, "seed")
    with gr.Row():
        people = gr.Dropdown(
            [], multiselect=True, max_choices=_MOST_PEOPLE, label=t("posts.persona"), elem_id="grid-people"
        )
        scene = gr.Dropdown([], label=t("posts.scene"), elem_id="grid-scene")
    misfits = gr.HTML("", js_on_load=None, padding=False)
    any_look = build_look(ui, scene)
    usual = Shot()
    with gr.Row():
        shot = {
            name: gr.Dropdown(
                [(t.word(word), word) for word in CHOICES[name]], value=getattr(usual, name),
                label=t(f"column.{name}"), min_width=120,
            )
            for name in _SHOT
        }  # fmt: skip
    strengths = gr.CheckboxGroup(
        [(f"{scale:g}", scale) for scale in _STRENGTHS], value=list(_FIRST), label=t("grid.strengths"),
        info=t("grid.strengths_what"), elem_id="grid-strengths",
    )  # fmt: skip
    stages = gr.CheckboxGroup(
        [(t("stage_of.end"), 0)], value=[0], label=t("grid.stages"), info=t("grid.stages_what"), elem_id="grid-stages"
    )
    with gr.Row():
        tries = gr.Slider(
            1, _MOST_TRIES, value=1, step=1, label=t("grid.tries"), info=t("grid.tries_what"), elem_id="grid-tries"
        )
        number = gr.Number(
            seed.default, precision=0, minimum=seed.least, maximum=(seed.most or 0) - _MOST_TRIES,
            label=t("grid.first"), info=t("grid.first_what"),
        )  # fmt: skip
    with gr.Row(equal_height=False):
        estimate = gr.HTML("", js_on_load=None, padding=False, elem_id="grid-estimate")
        go = gr.Button(t("grid.go"), variant="primary", elem_id="grid-go", interactive=False)
    return GridForm(people, misfits, scene, any_look, shot, strengths, stages, tries, number, estimate, go)


def fill_grid(ui: Ui, form: GridForm, owner: str, wanted: str) -> Said:
    """Return what can be chosen; the persona of the id `wanted` is, else the newest."""
    default_scene(ui.studio.library, owner)
    people, greyed = split_people(ui, ui.results(owner, Persona))
    places = [(ui.t.word(scene.name), scene.id) for scene in ui.scenes(owner)]
    chosen = [key for _, key in people if key == wanted] or [key for _, key in people[:1]]
    found = _people(ui, owner, chosen)
    choices, stages = _stages(ui, found, [], every=bool(wanted))
    said = {part: part.value for part in form.inputs}
    said |= {form.people: chosen, form.scene: places[0][1], form.stages: stages}
    return {
        form.people: gr.Dropdown(people, value=chosen, multiselect=True),
        form.misfits: greyed,
        form.scene: gr.Dropdown(places, value=places[0][1]),
        form.stages: _show_stages(choices, stages),
        **say_grid(ui, form, said, owner),
    }


def say_grid(ui: Ui, form: GridForm, said: Said, owner: str) -> Said:
    """Return how many pictures it is and how long they take, or why it cannot be drawn; and whether it can."""
    t = ui.t
    if not said[form.people]:
        return {form.estimate: "", form.go: gr.Button(interactive=False)}
    try:
        asked = read_grid(ui, form, said, owner)
    except StudioError as error:
        html = f'<div class="st-panel warn" role="status">{escape(t.error(error))}</div>'
        return {form.estimate: html, form.go: gr.Button(interactive=False)}
    people, count = len(asked.personas), count_cells(asked)
    words = t(
        "grid.count", count=count, people=people, stages=len(asked.checkpoints), strengths=len(asked.strengths),
        tries=len(asked.seeds), most=MOST_CELLS,
    )  # fmt: skip
    html = f'<p class="st-count">{escape(words)}</p>' + say_estimate(ui, Grid.kind, find_kind(Grid.kind).size(asked))
    return {form.estimate: html, form.go: gr.Button(interactive=True)}


def read_grid(ui: Ui, form: GridForm, said: Said, owner: str) -> GridRequest:
    """Return the request that the components say. Raises BadInput."""
    people = _people(ui, owner, said[form.people])
    scene = next((scene for scene in ui.scenes(owner) if scene.id == said[form.scene]), None)
    if not people or scene is None:
        raise BadInput("no_persona")
    if not said[form.strengths] or not said[form.stages]:
        raise BadInput("grid_nothing_chosen")
    first = int(said[form.number] or 0)
    shot = Shot(**{name: str(said[part]) for name, part in form.shot.items()})
    asked = PostRequest.make(
        owner=owner, persona=people[0], scene=scene, shots=(shot,), any_look=bool(said[form.any_look]),
        **usual_way(ui.studio.settings),
    )  # fmt: skip
    return GridRequest.make(
        owner=owner, asked=asked, others=tuple(people[1:]),
        checkpoints=tuple(_in_order([int(step) for step in said[form.stages]])),
        strengths=tuple(sorted(float(scale) for scale in said[form.strengths])),
        seeds=tuple(first + number for number in range(int(said[form.tries]))),
    )  # fmt: skip


def _people(ui: Ui, owner: str, keys: Sequence[str] | None) -> list[Persona]:
    """Return the personas as their training left them: how each posts draws is no part of a comparison."""
    return [persona for key in keys or () if (persona := ui.find(owner, Persona, key)) is not None]


def _stages(
    ui: Ui, people: Sequence[Persona], chosen: Sequence[int], *, every: bool = False
) -> tuple[list[tuple[str, int]], list[int]]:
    """Return the stages that any of these people kept, and which are chosen: those that were, or `every` one."""
    named = {
        0 if sample is persona.samples[-1] else sample.step: say_checkpoint(ui.t, persona, sample.step)
        for persona in reversed(people)
        for sample in kept_checkpoints(persona)
    }
    steps = _in_order({0, *named})
    value = list(steps) if every else [step for step in steps if step in chosen] or [0]
    return [(named.get(step, ui.t("stage_of.end")), step) for step in steps], value


def _show_stages(choices: list[tuple[str, int]], chosen: list[int]) -> gr.CheckboxGroup:
    """They are hidden where there is nothing to choose."""
    return gr.CheckboxGroup(choices, value=chosen, visible=len(choices) > 1)


def _in_order(steps: Any) -> list[int]:
    """Return the stages as they came in the training; its end, which is 0, last."""
    return sorted(steps, key=lambda step: (step == 0, step))
