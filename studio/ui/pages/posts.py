"""Post sets: persona × scene × platform × shots, drawn one by one with scores, arranged by hand, and exported."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.domain.arrangement import (
    Arrangement,
    Slot,
    add_take,
    arrange,
    close_choices,
    compose,
    move,
    step_back,
    weak_slots,
)
from studio.domain.bundle import Bundle, ExportRequest
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, PostSet, plain_caption
from studio.domain.takes import VaryRequest
from studio.export.platforms import find_platform, load_platforms, overlong
from studio.export.recall import Draft
from studio.library.scenes import default_scene, scenes_of
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.context import EACH, HIDDEN, LATEST, Ui, actions, guarded, in_turn, owner_of
from studio.ui.parts.fixing import Fixing, build_fixing
from studio.ui.parts.html import empty, file_url, link, panel
from studio.ui.parts.page_head import open_page
from studio.ui.parts.post_cards import facts_of, show_arriving, show_set, take_jobs
from studio.ui.parts.recall_form import recalled_draft
from studio.ui.parts.set_form import build_form, read_form
from studio.ui.parts.shots_table import (
    CHOICES,
    HEADERS,
    MOST,
    MOST_CAPTION,
    TEMPLATES,
    fit_rows,
    make_shots,
    paste_shots,
    read_shots,
    write_shots,
)
from studio.ui.parts.strengths import build_strengths

__all__ = ["build", "default_captions"]

_DRAFT = "text:draft"
_VARIANTS = 3
_RECENT = 100


def build(ui: Ui) -> None:
    t = ui.t
    open_page(ui, "posts")
    with gr.Row():
        persona = gr.Dropdown([], label=t("posts.persona"), elem_id="persona")
        scene = gr.Dropdown([], label=t("posts.scene"), elem_id="scene")
        platform = gr.Dropdown(
            [(p.name_zh if t.language == "zh" else p.name_en, p.id) for p in load_platforms()],
            value="xiaohongshu", label=t("posts.platform"), elem_id="platform",
        )  # fmt: skip
    with gr.Accordion(t("posts.shots"), open=False, elem_id="shots-box") as box:
        with gr.Row():
            template = gr.Dropdown(
                [(t(f"template.{name}"), name) for name in TEMPLATES], value="mixed", label=t("posts.template"),
                elem_id="template",
            )  # fmt: skip
            count = gr.Slider(1, 18, value=9, step=1, label=t("posts.count"), elem_id="count")
        gr.HTML(f'<p class="st-soft">{escape(_known(ui))}</p>', js_on_load=None)
        with gr.Row():
            lines = gr.Textbox(
                "", lines=3, label=t("posts.paste"), placeholder=t("posts.paste_hint"), max_length=5000,
                elem_id="paste",
            )  # fmt: skip
            put = gr.Button(t("posts.paste_go"), elem_id="paste-go")
        rows = gr.Dataframe(
            write_shots(ui, make_shots("mixed", 9)), headers=[t(f"column.{c}") for c in HEADERS], type="array",
            interactive=True, label=t("posts.table"), elem_id="shots", wrap=True, buttons=[],
        )  # fmt: skip
    form = build_form(ui, scene)
    with gr.Accordion(t("text.box"), open=False, elem_id="text-box"):
        title = gr.Textbox("", label=t("text.title"), max_length=300, elem_id="title")
        body = gr.Textbox("", label=t("text.body"), lines=4, max_length=10_000, elem_id="body")
        length = gr.HTML("", js_on_load=None, elem_id="length", padding=False)
    go = gr.Button(t("posts.go"), variant="primary", elem_id="go")
    progress = actions("", "progress")
    fixing = build_fixing(ui)
    posts = actions("", "posts")
    shown = gr.State("")
    timer = gr.Timer(1.0)

    def load(request: gr.Request) -> Any:
        owner = owner_of(request)
        default_scene(ui.studio.library, owner)
        people, places = _people(ui, owner), _places(ui, owner)
        draft = recalled_draft(ui, owner, request) or Draft("", "", "", (), (), ())
        recalled = draft.shots[:MOST]
        again = write_shots(ui, recalled, draft.seeds, _written(draft, recalled)) if recalled else gr.skip()
        text = _text(ui, owner)
        return (
            gr.Dropdown(people, value=_first(people, draft.persona)),
            gr.Dropdown(places, value=_first(places, draft.scene)),
            again, gr.Accordion(open=bool(recalled)), text[0], text[1], _progress(ui, owner), _posts(ui, owner),
        )  # fmt: skip

    def tick(before: str, request: gr.Request) -> Any:
        html, cards = _progress(ui, owner_of(request)), _posts(ui, owner_of(request))
        return (gr.skip(), gr.skip(), before) if html + cards == before else (html, cards, html + cards)

    def fill(name: str, number: float) -> Any:
        return write_shots(ui, make_shots(name, int(number)))

    def resize(name: str, number: float, table: Any) -> Any:
        return fit_rows(ui, [list(row) for row in table], name, int(number))

    def change_platform(where: str, name: str, table: Any, head: str, words: str) -> Any:
        target = find_platform(where)
        fitted = fit_rows(ui, [list(row) for row in table], name, target.usual_pictures)
        size = gr.Slider(maximum=min(target.max_pictures, MOST), value=target.usual_pictures)
        return size, fitted, _length(ui, where, head, words)

    def paste(text: str) -> Any:
        found = paste_shots(text or "")
        return write_shots(ui, found), len(found)

    def write(where: str, head: str, words: str, request: gr.Request) -> str:
        owner = owner_of(request)
        newest = _newest(ui, owner)
        with ui.turn:
            for thing in [_DRAFT] + ([] if newest is None else [f"posts:{newest.id}"]):
                ui.mark(owner, thing, title=head or "", body=words or "")
        return _length(ui, where, head or "", words or "")

    def wish(values: Mapping[Any, Any], owner: str) -> PostRequest:
        person = next((p for p in ui.results(owner, Persona) if p.id == values[persona]), None)
        place = next((s for s in scenes_of(ui.studio.library, owner) if s.id == values[scene]), None)
        if person is None or place is None:
            raise BadInput("There is no persona or no scene.", "Make both first.", code="no_persona")
        table = read_shots(ui, values[rows])
        usual = default_captions(t, person.name, table.shots)
        captions = tuple(own or other for own, other in zip(table.captions, usual, strict=True))
        fields = read_form(form, values) | {"seeds": table.seeds, "captions": captions}
        return PostRequest.make(persona=person, scene=place, shots=table.shots, owner=owner, **fields)

    def start(values: dict[Any, Any], request: gr.Request) -> str:
        owner = owner_of(request)
        ui.queue.put(wish(values, owner))
        return _progress(ui, owner)

    def act(where: str, head: str, words: str, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), dict(event._data or {})
        opened: Any = fixing.nothing()
        if not ui.act(owner, data):
            with ui.turn:
                opened = _act(ui, owner, data, fixing, (where, head or "", words or ""))
        return _progress(ui, owner), _posts(ui, owner), *opened

    def fixed(request: gr.Request) -> Any:
        return _progress(ui, owner_of(request)), _posts(ui, owner_of(request))

    gr.on(None, guarded(ui, load), None, [persona, scene, rows, box, title, body, progress, posts], **HIDDEN)
    timer.tick(guarded(ui, tick), [shown], [progress, posts, shown], **HIDDEN)
    template.input(guarded(ui, fill), [template, count], [rows], **LATEST)
    count.release(guarded(ui, resize), [template, count, rows], [rows], **LATEST)
    platform.input(
        guarded(ui, change_platform), [platform, template, rows, title, body], [count, rows, length], **LATEST
    )
    put.click(guarded(ui, paste), [lines], [rows, count], **HIDDEN)
    # what is pasted is told one event late, so the field is read again when it is left
    written = [title.input, body.input, title.blur, body.blur]
    gr.on(written, guarded(ui, write), [platform, title, body], [length], **LATEST)
    asks = {persona, scene, rows} | form.inputs
    go.click(guarded(ui, start), asks, [progress], **(HIDDEN | in_turn("ways")))
    build_strengths(ui, form, asks, wish)
    acting = guarded(ui, act)
    for part in (progress, posts):
        part.click(acting, [platform, title, body], [progress, posts, *fixing.outputs], **EACH)
    fixing.done.change(guarded(ui, fixed), None, [progress, posts], **HIDDEN)


def default_captions(t: Texts, name: str, shots: Sequence[Shot]) -> list[str]:
    """In the page's language; a person writes better ones over them."""

    def caption(s: Shot) -> str:
        text = t("posts.default_caption", name=name, colour=t.word(s.outfit_colour), outfit=t.word(s.outfit))
        return text if s.goods == "nothing" else t("posts.default_caption_goods", text=text, goods=t.word(s.goods))

    return [caption(s) for s in shots]


def _written(draft: Draft, shots: Sequence[Shot]) -> list[str]:
    """A recalled set's captions without those that nobody wrote: they would name the old persona and outfit."""
    usual = [default_captions(Texts(language), draft.name, shots) for language in LANGUAGES]
    usual.append([plain_caption(draft.name, shot) for shot in shots])
    return ["" if own in others else own for own, *others in zip(draft.captions, *usual, strict=False)]


def _act(ui: Ui, owner: str, data: dict[str, Any], fixing: Fixing, export: tuple[str, str, str]) -> Any:
    """What a card's button does; what the region editor shows then."""
    post_set = next((s for s in ui.results(owner, PostSet) if s.id == data.get("set")), None)
    if post_set is None:
        return fixing.nothing()
    said, jobs, do = facts_of(ui, owner, post_set), take_jobs(ui, owner), data["do"]
    thing = f"posts:{post_set.id}"
    if do == "export":
        where, title, body = export
        find_platform(where)
        arranged = compose(post_set, said, jobs)
        ui.queue.put(ExportRequest.make(post_set=arranged, platform=where, owner=owner, title=title, body=body))
        return fixing.nothing()
    if do == "redraw-weak":
        for weak in weak_slots(arrange(post_set, said, jobs), ui.least_identity):
            said = _redraw(ui, post_set, said, weak)
        ui.mark(owner, thing, **said.as_marks())
        return fixing.nothing()
    number = int(str(data["number"]))
    slot = next(s for s in arrange(post_set, said, jobs).slots if s.number == number)
    if do == "fix":
        return fixing.open(owner, post_set, slot)
    if do == "leave":
        said = said.model_copy(update={"left_out": tuple(sorted({*said.left_out} ^ {number}))})
    elif do == "caption":
        text = " ".join(str(data.get("value", "")).split())[:MOST_CAPTION]
        said = said.model_copy(update={"captions": {**said.captions, str(number): text}})
    elif do == "move":
        said = move(post_set, said, number, int(str(data["to"])))
    elif do in ("undo", "redo"):
        said = step_back(said, number, jobs, forward=do == "redo")
    elif do == "choose":
        said = add_take(said, number, str(data["take"]))
    elif do == "close":
        said = close_choices(said, number)
    elif do == "redraw":
        said = _redraw(ui, post_set, said, slot)
    elif do == "vary":
        said, job = _draw_again(ui, post_set, said, slot, _VARIANTS)
        said = said.model_copy(update={"choices": {**said.choices, str(number): job}})
    ui.mark(owner, thing, **said.as_marks())
    return fixing.nothing()


def _redraw(ui: Ui, post_set: PostSet, said: Arrangement, slot: Slot) -> Arrangement:
    """The arrangement with a new take of one post, which is shown when it is there."""
    said, job = _draw_again(ui, post_set, said, slot, 1)
    return add_take(said, slot.number, f"{job}:0")


def _draw_again(ui: Ui, post_set: PostSet, said: Arrangement, slot: Slot, count: int) -> tuple[Arrangement, str]:
    """Queue `count` takes with seeds that were not drawn yet; the arrangement and the job."""
    turn = said.turns + 1
    seed = zlib.crc32(f"{post_set.id} {slot.number} {turn}".encode()) % 2**31
    wish = VaryRequest.make(
        post_set=post_set, number=slot.number, seed=seed, count=count, shot=slot.post.shot,
        owner=post_set.request.owner,
    )  # fmt: skip
    return said.model_copy(update={"turns": turn}), ui.queue.put(wish)


def _people(ui: Ui, owner: str) -> list[tuple[str, str]]:
    """The chosen version first, then the newest."""
    marks = ui.marks(owner)
    people = ui.results(owner, Persona)
    people.sort(key=lambda p: not marks.get(f"consolidate:{p.id}", {}).get("chosen", False))
    return [(f"{p.name} · {ui.t('version')} {p.version}", p.id) for p in people]


def _first(choices: list[tuple[str, str]], wanted: str) -> str | None:
    """The wanted one's id where it can be chosen, else the first's."""
    ids = [key for _, key in choices]
    return wanted if wanted in ids else next(iter(ids), None)


def _places(ui: Ui, owner: str) -> list[tuple[str, str]]:
    marks = ui.marks(owner)
    rows = [s for s in scenes_of(ui.studio.library, owner) if not marks.get(f"scene:{s.id}", {}).get("trashed")]
    return [(ui.t.word(s.name), s.id) for s in rows]


def _known(ui: Ui) -> str:
    return " · ".join(
        f"{ui.t(f'column.{c}')}: {', '.join(ui.t.word(w) for w in choices)}" for c, choices in CHOICES.items()
    )


def _newest(ui: Ui, owner: str) -> PostSet | None:
    """The newest set that is not in the trash; asked every second, so only its own result is read."""
    for row in ui.queue.jobs(owner, _RECENT, kind="posts", state="done"):
        if not ui.said(owner, f"posts:{row.facts['id']}").get("trashed"):
            return ui.queue.result(row, PostSet)
    return None


def _text(ui: Ui, owner: str) -> tuple[str, str]:
    """The title and body of the newest set; those written last where it has none."""
    newest, marks = _newest(ui, owner), ui.marks(owner)
    own = {} if newest is None else marks.get(f"posts:{newest.id}", {})
    facts = own if "title" in own else marks.get(_DRAFT, {})
    return str(facts.get("title", "")), str(facts.get("body", ""))


def _length(ui: Ui, where: str, title: str, body: str) -> str:
    """What is too long for the platform, said beside the fields."""
    target, t = find_platform(where), ui.t
    name = target.name_zh if t.language == "zh" else target.name_en
    wrong = [
        t("text.long", what=t(f"text.{what}"), length=length, most=most, platform=name)
        for what, length, most in overlong(target, title, body)
    ]
    return panel("<br>".join(map(escape, wrong)), "failed") if wrong else ""


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
    if export is not None:
        then = ""
        if export.state == "done":
            made = ui.queue.result(export, Bundle)
            label = t("posts.download", size=f"{made.bytes / 1e6:.1f}", count=made.pictures)
            then = link(label, file_url(made.bundle, made.name), name="download", download=True)
        parts.append(ui.job_panel(owner, export, then))
    return "".join(parts)


def _posts(ui: Ui, owner: str) -> str:
    newest = _newest(ui, owner)
    arriving = show_arriving(ui, owner, ui.newest(owner, "posts"))
    return arriving + ("" if newest is None else show_set(ui, owner, newest))
