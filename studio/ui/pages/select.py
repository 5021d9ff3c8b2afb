"""Select: which candidates are the person. Gates as sliders, a hand that keeps and drops, nothing is drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from personas.gates import CHOOSABLE, Gates
from personas.measures.catalogue import CANDIDATE_MEASURES
from personas.selection import Verdict
from pipelines.errors import BadInput, StudioError
from studio.domain.design import Design
from studio.domain.names import check_name
from studio.domain.persona import ConsolidateRequest
from studio.domain.scores import say_scores
from studio.domain.training import training_refusal
from studio.ui.context import (
    EACH,
    HIDDEN,
    LATEST,
    Pressed,
    Said,
    Ui,
    actions,
    guarded,
    in_turn,
    owner_of,
    pressed,
)
from studio.ui.parts.html import button, card, empty, file_url, grid, link, panel, picture, scatter
from studio.ui.parts.misfits import design_reason
from studio.ui.parts.page_head import open_page
from studio.workflows.judgement import Judgement, amend, gates_of, judge

__all__ = ["ROUNDS", "build"]

ROUNDS: dict[str, dict[str, int]] = {
    "normal": {"rounds": 1, "pool": 0, "steps": 0},
    "quick": {"rounds": 1, "pool": 1, "steps": 60},
}


@dataclass(frozen=True)
class Chosen:
    """Choices of a person; `pair` are two candidates that are compared."""

    design: str = ""
    held: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()
    pair: tuple[int, ...] = ()


def build(ui: Ui) -> None:
    t = ui.t
    open_page(ui, "select")
    hand = gr.State(Chosen())
    design = gr.Dropdown([], label=t("select.design"), elem_id="design")
    with gr.Row(equal_height=True):
        name = gr.Textbox(t("select.default_name"), label=t("select.name"), elem_id="name", max_length=200)
        effort = gr.Radio(
            [(t("effort.quick"), "quick"), (t("effort.normal"), "normal")],
            value=ui.studio.settings.effort, label=t("effort"), elem_id="effort",
        )  # fmt: skip
        go = gr.Button(t("select.go"), variant="primary", elem_id="go")
    with gr.Accordion(t("select.gates"), open=False, elem_id="gates"), gr.Row():
        sliders = _sliders(ui)
    board = actions("", "board")

    def load(request: gr.Request) -> Any:
        choices = _choices(ui, owner_of(request))
        newest = choices[0][1] if choices else None
        return gr.Dropdown(choices, value=newest), *open_design(newest, request)

    def open_design(key: str | None, request: gr.Request) -> Any:
        found = ui.find(owner_of(request), Design, key)
        if found is None:
            nothing = empty(t("select.empty"), link(t("design.title"), ui.url("design")))
            return Chosen(), nothing, gr.Button(interactive=False), *(gr.skip() for _ in sliders)
        gates = gates_of(ui.studio, found)
        fresh = Chosen(design=found.id)
        can = gr.Button(interactive=not _why_not(ui, found))
        return fresh, _board(ui, found, gates, fresh), can, *(gates[name] for name in sliders)

    def chosen_gates(found: Design, said: Said) -> Gates:
        return gates_of(ui.studio, found, {name: said[slider] for name, slider in sliders.items()})

    def resort(said: Said, request: gr.Request) -> Any:
        now = said[hand]
        found = ui.find(owner_of(request), Design, now.design)
        return gr.skip() if found is None else _board(ui, found, chosen_gates(found, said), now)

    def act(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        fresh = _act(said[hand], pressed(event))
        return fresh, resort(said | {hand: fresh}, request)

    def start(said: Said, request: gr.Request) -> None:
        owner, now = owner_of(request), said[hand]
        found = ui.find(owner, Design, now.design)
        if found is None:
            raise BadInput("no_design")
        chosen = amend(ui.studio, found, judge(ui.studio, found, chosen_gates(found, said), now.held, now.dropped))
        called = check_name(str(said[name] or ""))
        ui.queue.put(ConsolidateRequest.make(owner=owner, design=chosen, name=called, **ROUNDS[said[effort]]))

    inputs: set[Any] = {hand, *sliders.values()}
    gr.on(None, guarded(ui, load), None, [design, hand, board, go, *sliders.values()], **HIDDEN)
    design.input(guarded(ui, open_design), [design], [hand, board, go, *sliders.values()], **(LATEST | in_turn("hand")))
    for slider in sliders.values():
        slider.release(guarded(ui, resort), inputs, [board], **(LATEST | in_turn("hand")))
    board.click(guarded(ui, act), inputs, [hand, board], **(EACH | in_turn("hand")))
    started = go.click(guarded(ui, start), {*inputs, name, effort}, None, **(HIDDEN | in_turn("hand")))
    started.success(None, None, None, js=f"() => {{ window.location.href = '{ui.url('consolidate')}'; }}")


def _sliders(ui: Ui) -> Mapping[str, gr.Slider]:
    """One for each threshold that has a slider, by its name."""
    return {
        name: gr.Slider(*gate.slider, label=ui.t.word(name), elem_id=name, min_width=200)
        for name, gate in CHOOSABLE.items()
        if gate.slider is not None
    }


def _choices(ui: Ui, owner: str) -> list[tuple[str, str]]:
    """Those that can be trained first; the others say so."""
    found = [(_called(ui, d), d.id, bool(design_reason(ui, d, ""))) for d in ui.results(owner, Design)]
    found.sort(key=lambda row: row[2])
    return [(f"{name} · {ui.t('select.other_model')}" if other else name, key) for name, key, other in found]


def _called(ui: Ui, d: Design) -> str:
    return f"{ui.t.word(d.recipe.category)} · {len(d.kept)}/{len(d.pictures)} · {d.id[:6]}"


def _why_not(ui: Ui, design: Design) -> str:
    """Why no persona of a design can be trained now, "" where it can."""
    why = training_refusal(ui.studio.settings)
    return design_reason(ui, design, _called(ui, design)) or ("" if why is None else ui.t.error(why))


def _act(now: Chosen, data: Pressed) -> Chosen:
    do, number = data.get("do"), int(data.get("number", "-1"))
    if do == "keep":
        return replace(now, held=now.held ^ {number}, dropped=now.dropped - {number})
    if do == "drop":
        return replace(now, dropped=now.dropped ^ {number}, held=now.held - {number})
    if do == "compare":
        pair = tuple(i for i in now.pair if i != number) if number in now.pair else (*now.pair, number)[-2:]
        return replace(now, pair=pair)
    return now


def _board(ui: Ui, design: Design, gates: Gates, now: Chosen) -> str:
    t = ui.t
    try:
        found = judge(ui.studio, design, gates, now.held, now.dropped)
    except StudioError as error:
        return f'<div class="st-panel failed" role="alert">{escape(t.error(error))}</div>'
    verdicts = found.selection.verdicts
    points = [
        (
            v.face_similarity or 0, v.numbers.get("body_similarity") or 0, v.index in found.kept,
            _hint(ui, v, v.index in found.kept),
        )
        for v in verdicts
    ]  # fmt: skip
    drawn = (gates["min_face_similarity"], gates["min_body_similarity"])
    plot = scatter(points, t("select.scatter"), t("select.face"), t("select.body"), drawn)
    rest = sorted((v.index for v in verdicts if v.index not in found.kept), key=lambda i: -(points[i][0]))
    cards = [_candidate(ui, design, found, i, now) for i in (*found.kept, *rest)]
    count = t("select.count", kept=len(found.kept), drawn=len(verdicts))
    compared = ""
    if len(now.pair) == 2:
        a, b = (file_url(design.pictures[i]) for i in now.pair)
        compared = (
            f'<div class="st-compare"><img src="{a}" alt="{now.pair[0] + 1}"><img src="{b}" alt="{now.pair[1] + 1}">'
            f'<input type="range" data-compare aria-label="{escape(t("select.compare"))}"></div>'
        )
    misfit = design_reason(ui, design, _called(ui, design))
    if misfit:
        how = link(t("misfits.choose"), ui.url("settings"), big=False)
        compared = panel(f"<p>{escape(misfit)}</p>{how}", "warn") + compared
    top = f'<p aria-live="polite"><strong>{escape(count)}</strong></p>{compared}{grid(cards)}'
    return f"{top}<h2>{escape(t('select.scatter'))}</h2>{plot}"


def _hint(ui: Ui, verdict: Verdict, kept: bool) -> str:
    why = ui.t("select.kept") if kept else ", ".join(ui.t.word(r) for r in verdict.reasons)
    return f"{verdict.index + 1}: {why or ui.t('select.by_hand')}"


def _candidate(ui: Ui, design: Design, found: Judgement, i: int, now: Chosen) -> str:
    t, verdict = ui.t, found.selection.verdicts[i]
    kept = i in found.kept
    hint = escape(_hint(ui, verdict, kept))
    numbers = " · ".join(say_scores(t, verdict.numbers, CANDIDATE_MEASURES).values())
    row = (
        button("✓", "keep", pressed=i in now.held, title=t("select.keep", number=i + 1), number=i)
        + button("✕", "drop", pressed=i in now.dropped, title=t("select.drop", number=i + 1), number=i)
        + button("⇔", "compare", pressed=i in now.pair, title=t("select.compare_one", number=i + 1), number=i)
    )
    body = [
        f'<span title="{hint}" class="{"st-good" if kept else "st-bad"}">{hint}</span>',
        f'<span class="st-soft">{escape(numbers)}</span><div class="st-row">{row}</div>',
    ]
    return card(picture(design.pictures[i], hint), body, "kept" if kept else "dropped")
