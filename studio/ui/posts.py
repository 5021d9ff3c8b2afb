"""Post sets: persona × scene × platform × shots, drawn one by one with scores, and exported."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from studio.places import scenes_of
from studio.platforms import find_platform, load_platforms
from studio.requests import ExportRequest, PostRequest
from studio.ui.context import HIDDEN, Ui, actions, guarded, open_page, owner_of
from studio.ui.parts import button, card, empty, file_url, grid, link, picture
from studio.ui.scenes import default_scene
from studio.ui.set_form import build_form, read_form
from studio.ui.shots import CHOICES, COLUMNS, TEMPLATES, make_shots, read_shots, write_shots
from studio.ways import check_ways

__all__ = ["build"]


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
    with gr.Accordion(t("posts.shots"), open=False, elem_id="shots-box"):
        with gr.Row():
            template = gr.Dropdown(
                [(t(f"template.{name}"), name) for name in TEMPLATES], value="mixed", label=t("posts.template"),
                elem_id="template",
            )  # fmt: skip
            count = gr.Slider(1, 18, value=9, step=1, label=t("posts.count"), elem_id="count")
        gr.HTML(f'<p class="st-soft">{escape(_known(ui))}</p>', js_on_load=None)
        rows = gr.Dataframe(
            write_shots(ui, make_shots("mixed", 9)), headers=[t(f"column.{c}") for c in COLUMNS], type="array",
            interactive=True, label=t("posts.table"), elem_id="shots", wrap=True, buttons=[],
        )  # fmt: skip
    form = build_form(ui, scene)
    go = gr.Button(t("posts.go"), variant="primary", elem_id="go")
    progress = actions("", "progress")
    posts = actions("", "posts")
    shown = gr.State("")
    timer = gr.Timer(1.0)

    def load(request: gr.Request) -> Any:
        owner = owner_of(request)
        default_scene(ui, owner)
        people, places = _people(ui, owner), _places(ui, owner)
        return (
            gr.Dropdown(people, value=people[0][1] if people else None),
            gr.Dropdown(places, value=places[0][1] if places else None),
            _progress(ui, owner), _posts(ui, owner),
        )  # fmt: skip

    def tick(before: str, request: gr.Request) -> Any:
        html, cards = _progress(ui, owner_of(request)), _posts(ui, owner_of(request))
        return (gr.skip(), gr.skip(), before) if html + cards == before else (html, cards, html + cards)

    def fill(name: str, number: float) -> Any:
        return write_shots(ui, make_shots(name, int(number)))

    def start(values: dict[Any, Any], request: gr.Request) -> str:
        owner = owner_of(request)
        person = next((p for p in ui.results(owner, "consolidate") if p["id"] == values[persona]), None)
        place = next((s for s in scenes_of(ui.studio, owner) if s["id"] == values[scene]), None)
        if person is None or place is None:
            raise BadInput("There is no persona or no scene.", "Make both first.", code="no_persona")
        shots = [asdict(s) for s in read_shots(ui, values[rows])]
        wish = PostRequest(person, place, shots, 1, owner, **read_form(form, values))
        check_ways(wish)
        ui.queue.put("posts", asdict(wish))
        return _progress(ui, owner)

    def act(where: str, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), dict(event._data or {})
        if not ui.act(owner, data):
            _act(ui, owner, data, where)
        return _progress(ui, owner), _posts(ui, owner)

    gr.on(None, guarded(ui, load), None, [persona, scene, progress, posts], **HIDDEN)
    timer.tick(guarded(ui, tick), [shown], [progress, posts, shown], **HIDDEN)
    gr.on([template.input, count.release], guarded(ui, fill), [template, count], [rows], **HIDDEN)
    go.click(guarded(ui, start), {persona, scene, rows} | form.inputs, [progress], **HIDDEN)
    for part in (progress, posts):
        part.click(guarded(ui, act), [platform], [progress, posts], **HIDDEN)


def _act(ui: Ui, owner: str, data: dict[str, Any], platform: str) -> None:
    sets = ui.results(owner, "posts")
    post_set = next((s for s in sets if s["id"] == data.get("set")), None)
    if post_set is None:
        return
    facts = ui.marks(owner).get(f"posts:{post_set['id']}", {})
    left_out = set(facts.get("left_out", ()))
    if data["do"] == "leave":
        ui.mark(owner, f"posts:{post_set['id']}", left_out=sorted(left_out ^ {int(str(data["number"]))}))
    elif data["do"] == "export":
        find_platform(platform)
        posts = [p for i, p in enumerate(post_set["posts"]) if i not in left_out]
        ui.queue.put("export", asdict(ExportRequest(post_set | {"posts": posts}, platform, owner)))
    elif data["do"] == "redraw":
        shot = post_set["posts"][int(str(data["number"]))]
        wish = PostRequest(
            post_set["persona"], post_set["scene"], [shot["shot"]], (shot["seed"] + 1) % 2**31, owner,
            scale=post_set["scale"], keep_landmark=post_set["keep_landmark"],
        )  # fmt: skip
        ui.queue.put("posts", asdict(wish))


def _people(ui: Ui, owner: str) -> list[tuple[str, str]]:
    """The chosen version first, then the newest."""
    marks = ui.marks(owner)
    people = ui.results(owner, "consolidate")
    people.sort(key=lambda p: not marks.get(f"consolidate:{p['id']}", {}).get("chosen", False))
    return [(f"{p['name']} · {ui.t('version')} {p['version']}", str(p["id"])) for p in people]


def _places(ui: Ui, owner: str) -> list[tuple[str, str]]:
    marks = ui.marks(owner)
    rows = [s for s in scenes_of(ui.studio, owner) if not marks.get(f"scene:{s['id']}", {}).get("trashed")]
    return [(ui.t.word(s["name"]), str(s["id"])) for s in rows]


def _known(ui: Ui) -> str:
    return " · ".join(
        f"{ui.t(f'column.{c}')}: {', '.join(ui.t.word(w) for w in choices)}" for c, choices in CHOICES.items()
    )


def _progress(ui: Ui, owner: str) -> str:
    t = ui.t
    drawing, export = ui.newest(owner, "posts"), ui.newest(owner, "export")
    if drawing is None:
        if ui.results(owner, "consolidate"):
            return ""
        return empty(t("posts.empty"), link(t("consolidate.title"), ui.url("consolidate")))
    parts = [ui.job_panel(owner, drawing)]
    if export is not None:
        then = ""
        if export.state == "done":
            made = ui.queue.result(export)
            label = t("posts.download", size=f"{made['bytes'] / 1e6:.1f}", count=made["pictures"])
            then = link(label, file_url(made["bundle"], made["name"]), name="download", download=True)
        parts.append(ui.job_panel(owner, export, then))
    return "".join(parts)


def _posts(ui: Ui, owner: str) -> str:
    t, sets = ui.t, ui.results(owner, "posts")
    if not sets:
        return ""
    newest = sets[0]
    left_out = set(ui.marks(owner).get(f"posts:{newest['id']}", {}).get("left_out", ()))
    cards = []
    for i, post in enumerate(newest["posts"]):
        numbers = " · ".join(
            f"{t(f'score.{name}')} {value:.2f}" for name, value in post["scores"].items() if value is not None
        )
        shot = ", ".join(t.word(post["shot"][column]) for column in COLUMNS)
        row = button(t("posts.redraw"), "redraw", set=newest["id"], number=i) + button(
            t("posts.leave"), "leave", pressed=i in left_out, set=newest["id"], number=i
        )
        body = [
            f"<strong>{i + 1}</strong><span class='st-soft'>{escape(shot)}</span><span>{escape(numbers)}</span>",
            f'<div class="st-row">{row}</div>',
        ]
        cards.append(card(picture(post["picture"], shot), body, "dropped" if i in left_out else ""))
    title = t("posts.set", name=newest["persona"]["name"], count=len(newest["posts"]) - len(left_out))
    return (
        f"<h2>{escape(title)}</h2><p>{button(t('posts.export'), 'export', big=True, set=newest['id'])}</p>{grid(cards)}"
    )
