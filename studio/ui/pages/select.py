"""Select: which candidates are the person. Gates as sliders, a hand that keeps and drops, nothing is drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from personas.gates import CHOOSABLE, Gates
from personas.measures.catalogue import CANDIDATE_MEASURES
from personas.selection import Verdict
from pipelines.errors import BadInput, StudioError
from studio.domain.design import Design
from studio.domain.limits import limits_of
from studio.domain.more import MoreCandidates, MoreRequest
from studio.domain.names import check_name
from studio.domain.persona import ConsolidateRequest
from studio.domain.same_pose import pose_of
from studio.domain.scores import say_scores
from studio.domain.training import training_refusal
from studio.domain.values import FileKey
from studio.library.results import job_of
from studio.library.votes import Vote, vote_candidate, votes_of_design
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
from studio.ui.parts.sections import build_section, show_tile
from studio.ui.parts.taste_fill import show_why
from studio.ui.parts.taste_order import TasteOrder, order_by_taste, order_choice
from studio.workflows.judgement import Judgement, amend, gates_of, judge, with_more

__all__ = ["ROUNDS", "build"]

ROUNDS: dict[str, dict[str, int]] = {
    "normal": {"rounds": 1, "pool": 0, "steps": 0},
    "quick": {"rounds": 1, "pool": 1, "steps": 60},
}


_MORE = limits_of(MoreRequest, "count").default


@dataclass(frozen=True)
class Chosen:
    """Choices of a person, pictures all: candidates that arrive meanwhile give others a number. `pair` are two that are
    compared."""

    design: str = ""
    held: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    pair: tuple[str, ...] = ()


def build(ui: Ui) -> None:
    t, pulse, hand = ui.t, open_page(ui, "select"), gr.State(Chosen())
    design = gr.Dropdown([], label=t("select.design"), elem_id="design")
    name, effort, go = _lay_out_start(ui)
    limits = build_section(ui, "gates")
    with limits.body, gr.Row():
        sliders = _sliders(ui)
    by = order_choice(ui)
    arriving, board = actions("", "arriving"), actions("", "board")
    seen = gr.State("")

    def load(request: gr.Request) -> Any:
        choices = _choices(ui, owner_of(request))
        newest = choices[0][1] if choices else None
        return gr.Dropdown(choices, value=newest), *open_design(newest, request)

    def open_design(key: str | None, request: gr.Request) -> Any:
        owner = owner_of(request)
        found = _find(ui, owner, key)
        if found is None:
            nothing = empty(t("select.empty"), link(t("design.title"), ui.url("design")))
            return Chosen(), nothing, gr.Button(interactive=False), gr.skip(), "usual", *(gr.skip() for _ in sliders)
        gates = gates_of(ui.studio, found)
        fresh = _kept_hand(ui, owner, found.id)
        can = gr.Button(interactive=not _why_not(ui, owner, found))
        board_html, said = _board(ui, owner, found, gates, fresh), _say_gates(ui, gates)
        return fresh, board_html, can, said, "usual", *(float(f"{gates[name]:.3g}") for name in sliders)

    def chosen_gates(found: Design, said: Said) -> Gates:
        return gates_of(ui.studio, found, {name: said[slider] for name, slider in sliders.items()})

    def resort(said: Said, request: gr.Request) -> Any:
        now, owner = said[hand], owner_of(request)
        found = _find(ui, owner, now.design)
        if found is None:
            return gr.skip()
        return _board(ui, owner, found, chosen_gates(found, said), now, by_taste=said[by] == "taste")

    def act(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), pressed(event)
        if ui.act(owner, data):
            return said[hand], gr.skip(), _arriving(ui, owner)
        found = _find(ui, owner, said[hand].design)
        fresh = _act(said[hand], data, found)
        if found is not None:
            _keep_said(ui, owner, found, data, fresh)
        return fresh, resort(said | {hand: fresh}, request), _arriving(ui, owner)

    def follow(said: Said, request: gr.Request) -> Said:
        html = _arriving(ui, owner_of(request))
        if html == said[seen]:
            return {}
        # where nothing is being drawn any more, what was drawn is there now
        return {arriving: html, seen: html} | ({} if html else {board: resort(said, request)})

    def start(said: Said, request: gr.Request) -> None:
        owner, now = owner_of(request), said[hand]
        found = _find(ui, owner, now.design)
        if found is None:
            raise BadInput("no_design")
        judged = _judged(ui, found, chosen_gates(found, said), now)
        _ask_for(ui, owner, found, judged, said[name], said[effort])

    def tighten(said: Said, request: gr.Request) -> Any:
        told = _say_gates(ui, {name: float(said[slider]) for name, slider in sliders.items()})
        return {board: resort(said, request), limits.tile: told}

    inputs: set[Any] = {hand, by, *sliders.values()}
    opened = [hand, board, go, limits.tile, by, *sliders.values()]
    gr.on(None, guarded(ui, load), None, [design, *opened], **HIDDEN)
    design.input(guarded(ui, open_design), [design], opened, **(LATEST | in_turn("hand")))
    by.input(guarded(ui, resort), inputs, [board], **(LATEST | in_turn("hand")))
    for slider in sliders.values():
        slider.release(guarded(ui, tighten), inputs, [board, limits.tile], **(LATEST | in_turn("hand")))
    for part in (arriving, board):
        part.click(guarded(ui, act), inputs, [hand, board, arriving], **(EACH | in_turn("hand")))
    pulse.hears(follow, {*inputs, seen}, [arriving, board, seen])
    started = go.click(guarded(ui, start), {*inputs, name, effort}, None, **(HIDDEN | in_turn("hand")))
    started.success(None, None, None, js=f"() => {{ window.location.href = '{ui.url('consolidate')}'; }}")
    pulse.connect()


def _lay_out_start(ui: Ui) -> tuple[gr.Textbox, gr.Radio, gr.Button]:
    """What the person is called, how much is done for them, and the button."""
    t = ui.t
    with gr.Row(equal_height=True, elem_classes="st-apart"):
        name = gr.Textbox(t("select.default_name"), label=t("select.name"), elem_id="name", max_length=200)
        effort = gr.Radio(
            [(t("effort.quick"), "quick"), (t("effort.normal"), "normal")],
            value=ui.studio.settings.effort, label=t("effort"), elem_id="effort",
        )  # fmt: skip
        return name, effort, gr.Button(t("select.go"), variant="primary", elem_id="go")


def _ask_for(ui: Ui, owner: str, found: Design, judged: Judgement, name: str | None, effort: str) -> None:
    """Let a person be made of what was kept."""
    chosen, called = amend(ui.studio, found, judged), check_name(str(name or ""))
    ui.queue.put(ConsolidateRequest.make(owner=owner, design=chosen, name=called, **ROUNDS[effort]))


def _keep_said(ui: Ui, owner: str, found: Design, data: Pressed, fresh: Chosen) -> None:
    """Keep a vote or a choice by hand, or draw more like a picture: what a button on a card says."""
    match data.get("do"):
        case "up" | "down":
            with ui.turn:
                vote(ui, owner, found, str(data["picture"]), 1 if data["do"] == "up" else -1)
        case "more":
            ui.queue.put(more_like(ui, owner, found, str(data["picture"])))
        case "keep" | "drop":
            ui.mark(owner, f"design:{found.id}", held=sorted(fresh.held), dropped=sorted(fresh.dropped))


def _find(ui: Ui, owner: str, key: str | None) -> Design | None:
    """Return the design with all that was drawn for it later."""
    found = ui.find(owner, Design, key)
    return None if found is None else with_more(ui.studio, found, _more_of(ui, owner, found.id), owner)


def _more_of(ui: Ui, owner: str, design: str) -> list[MoreCandidates]:
    """In the order in which they were asked for, however many others are newer."""
    return [one for one in ui.results(owner, MoreCandidates, None)[::-1] if one.design == design]


def _judged(ui: Ui, design: Design, gates: Gates, now: Chosen) -> Judgement:
    number: dict[str, int] = {key: i for i, key in enumerate(design.pictures)}
    held, dropped = ([number[key] for key in keys if key in number] for keys in (now.held, now.dropped))
    return judge(ui.studio, design, gates, held, dropped)


def more_like(ui: Ui, owner: str, design: Design, picture: str) -> MoreRequest:
    """Return the request of more candidates like one of them; each press asks for others. Raises BadInput."""
    number = _number(design, picture)
    with ui.turn:
        presses = int(ui.said(owner, f"design:{design.id}").get("more", 0)) + 1
        ui.mark(owner, f"design:{design.id}", more=presses)
    return MoreRequest.make(owner=owner, design=design, number=number, seed=presses)


def _number(design: Design, picture: str) -> int:
    """Raises BadInput for a picture that is none of its candidates."""
    if picture not in design.pictures:
        raise BadInput("candidate_gone")
    return design.pictures.index(FileKey(picture))


def vote(ui: Ui, owner: str, design: Design, picture: str, said: int) -> None:
    """Note that a candidate is liked (1) or not (-1); the same once more takes it back. Raises BadInput."""
    key = design.pictures[_number(design, picture)]
    wanted: Vote = "like" if said > 0 else "dislike"
    before = votes_of_design(ui.studio.records, owner, design.id).get(key, "none")
    vote_candidate(ui.studio.records, owner, design.id, key, "none" if before == wanted else wanted)


def _arriving(ui: Ui, owner: str) -> str:
    """Return how far the newest "more like this" is, "" once it is done."""
    job = ui.newest(owner, MoreCandidates.kind)
    return "" if job is None or job.state == "done" else ui.job_panel(owner, job)


def _sliders(ui: Ui) -> Mapping[str, gr.Slider]:
    """One for each threshold that has a slider, by its name."""
    return {
        name: gr.Slider(least, most, value=most, step=step, label=ui.t.word(name), elem_id=name, min_width=200)
        for name, gate in CHOOSABLE.items()
        if gate.slider is not None
        for least, most, step in [gate.slider]
    }


def _say_gates(ui: Ui, gates: Mapping[str, Any]) -> str:
    """The limits that can be chosen, as a tile."""
    said = [f"{ui.t.word(name)} {gates[name]:.3g}" for name, gate in CHOOSABLE.items() if gate.slider is not None]
    return show_tile(ui, "gates", " · ".join(said))


def _choices(ui: Ui, owner: str) -> list[tuple[str, str]]:
    """Those that can be trained first; the others say so."""
    found = [(_called(ui, owner, d), d.id, bool(design_reason(ui, d, ""))) for d in ui.results(owner, Design)]
    found.sort(key=lambda row: row[2])
    return [(f"{name} · {ui.t('select.other_model')}" if other else name, key) for name, key, other in found]


def _called(ui: Ui, owner: str, d: Design) -> str:
    job = job_of(ui.studio.records, owner, Design, d.id)
    said = [ui.t.word(d.recipe.category), f"{len(d.kept)}/{len(d.pictures)}"]
    return " · ".join([*said, f"{job.created:%m-%d %H:%M}"] if job is not None else said)


def _why_not(ui: Ui, owner: str, design: Design) -> str:
    """Why no persona of a design can be trained now, "" where it can."""
    why = training_refusal(ui.studio.settings)
    return design_reason(ui, design, _called(ui, owner, design)) or ("" if why is None else ui.t.error(why))


def _kept_hand(ui: Ui, owner: str, design: str) -> Chosen:
    """Return what was kept and dropped by hand before the page was loaded again."""
    said = ui.said(owner, f"design:{design}")
    return Chosen(design, frozenset(said.get("held", ())), frozenset(said.get("dropped", ())))


def _act(now: Chosen, data: Pressed, design: Design | None) -> Chosen:
    do, picture = data.get("do"), str(data.get("picture", ""))
    if do == "keep":
        return replace(now, held=now.held ^ {picture}, dropped=now.dropped - {picture})
    if do == "drop":
        return replace(now, dropped=now.dropped ^ {picture}, held=now.held - {picture})
    if do == "compare":
        pair = tuple(one for one in now.pair if one != picture) if picture in now.pair else (*now.pair, picture)[-2:]
        return replace(now, pair=pair)
    if do == "pose" and design is not None:
        return replace(now, pair=_next_of_pose(design, now.pair, picture))
    return now


def _next_of_pose(design: Design, pair: tuple[str, ...], picture: str) -> tuple[str, ...]:
    """Return the candidate beside the next one that shows the same framing, side and pose; alone where none does."""
    number = _number(design, picture)
    wanted = pose_of(design.shots[number])
    alike = [i for i, shot in enumerate(design.shots) if i != number and pose_of(shot) == wanted]
    if not alike:
        return (picture,)
    before = _number(design, pair[1]) if len(pair) == 2 and pair[0] == picture else number
    return picture, design.pictures[next((i for i in alike if i > before), alike[0])]


def _board(ui: Ui, owner: str, design: Design, gates: Gates, now: Chosen, *, by_taste: bool = False) -> str:
    t = ui.t
    try:
        found = _judged(ui, design, gates, now)
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
    votes = ui.said(owner, f"design:{design.id}").get("votes", {})
    order = sorted((*found.kept, *rest), key=lambda i: -votes.get(design.pictures[i], 0))  # what is liked comes first
    fits, note = TasteOrder({}, known=False), ""
    if by_taste:
        fits = order_by_taste(ui, owner, [(design.pictures[i], asdict(design.shots[i])) for i in order])
        order = fits.sort(order, lambda i: design.pictures[i])
        note = (
            ""
            if fits.known
            else panel(f"<p>{escape(t('taste.order_none'))}</p>{link(t('taste.nav'), ui.url('taste'))}")
        )
    cards = [
        _candidate(ui, design, found, i, now, votes.get(design.pictures[i], 0), fits.say(ui, design.pictures[i]))
        for i in order
    ]
    count = t("select.count", kept=len(found.kept), drawn=len(verdicts))
    if votes:
        up = sum(said > 0 for said in votes.values())
        count += " · " + t("select.votes", up=up, down=len(votes) - up)
    compared = ""
    if len(now.pair) == 2 and {*now.pair} <= {*design.pictures}:
        a, b = map(file_url, now.pair)
        left, right = (_number(design, key) + 1 for key in now.pair)
        compared = (
            f'<div class="st-compare"><img src="{a}" alt="{left}"><img src="{b}" alt="{right}">'
            f'<input type="range" data-compare aria-label="{escape(t("select.compare"))}"></div>'
        )
    misfit = design_reason(ui, design, _called(ui, owner, design))
    if misfit:
        how = link(t("misfits.choose"), ui.url("settings"), big=False)
        compared = panel(f"<p>{escape(misfit)}</p>{how}", "warn") + compared
    top = f'<p aria-live="polite"><strong>{escape(count)}</strong></p>{note}{compared}{grid(cards)}'
    guided = design.request.guided
    top += "" if guided is None else show_why(ui, guided, is_open=False)
    return f"{top}<h2>{escape(t('select.scatter'))}</h2>{plot}"


def _hint(ui: Ui, verdict: Verdict, kept: bool) -> str:
    why = ui.t("select.kept") if kept else ui.t("comma").join(ui.t.word(r) for r in verdict.reasons)
    return ui.t("select.verdict", number=verdict.index + 1, why=why or ui.t("select.by_hand"))


def _candidate(ui: Ui, design: Design, found: Judgement, i: int, now: Chosen, voted: int = 0, fits: str = "") -> str:
    """`fits` is HTML that says how it fits its owner's taste."""
    t, verdict = ui.t, found.selection.verdicts[i]
    kept, key = i in found.kept, design.pictures[i]
    hint = escape(_hint(ui, verdict, kept))
    numbers = " · ".join(say_scores(t, verdict.numbers, CANDIDATE_MEASURES).values())
    row = (
        button("✓", "keep", pressed=key in now.held, title=t("select.keep", number=i + 1), picture=key)
        + button("✕", "drop", pressed=key in now.dropped, title=t("select.drop", number=i + 1), picture=key)
        + button("⇔", "compare", pressed=key in now.pair, title=t("select.compare_one", number=i + 1), picture=key)
        + button(t("select.like"), "up", pressed=voted > 0, title=t("select.up", number=i + 1), picture=key)
        + button(t("select.dislike"), "down", pressed=voted < 0, title=t("select.down", number=i + 1), picture=key)
        + button(t("select.pose"), "pose", title=t("select.pose_one", number=i + 1), picture=key)
        + button(t("select.more"), "more", title=t("select.more_one", count=_MORE, number=i + 1), picture=key)
    )
    body = [
        f'<span title="{hint}" class="{"st-good" if kept else "st-bad"}">{hint}</span>',
        f'<span class="st-soft">{escape(numbers)}</span>{fits}<div class="st-row">{row}</div>',
    ]
    return card(picture(key, hint), body, "kept" if kept else "dropped")
