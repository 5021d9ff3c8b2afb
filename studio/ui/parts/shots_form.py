"""The shots of a set: how many, from which template, as a table to write into, or pasted as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from personas.shots import Shot
from studio.domain.platforms import find_platform
from studio.domain.posts import MOST_SHOTS, PostRequest, plain_caption
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.context import HIDDEN, LATEST, Facts, Said, Ui, guarded
from studio.ui.parts.shots_table import (
    CHOICES,
    HEADERS,
    TEMPLATES,
    Table,
    fit_rows,
    make_shots,
    paste_shots,
    read_shots,
    write_shots,
)

__all__ = ["ShotsForm", "build_shots", "default_captions", "own_captions", "read_table", "write_table"]


@dataclass(frozen=True)
class ShotsForm:
    """The components; `rows` is the table, `box` the accordion around all."""

    box: gr.Accordion
    template: gr.Dropdown
    count: gr.Slider
    rows: gr.Dataframe

    @property
    def outputs(self) -> set[Any]:
        return {self.box, self.count, self.rows}


def read_table(ui: Ui, form: ShotsForm, said: Said, name: str) -> Facts:
    """Return fields of PostRequest: what the table says, and captions in the page's language where it is silent."""
    table = read_shots(ui, said[form.rows])
    usual = default_captions(ui.t, name, table.shots)
    captions = tuple(own or other for own, other in zip(table.captions, usual, strict=True))
    return {"shots": table.shots, "seeds": table.seeds, "captions": captions}


def write_table(ui: Ui, form: ShotsForm, request: PostRequest) -> Said:
    """Return what the components say of a request; captions that nobody wrote are left out."""
    captions = own_captions(request.persona.name, request.shots, request.captions)
    table = Table(request.shots[:MOST_SHOTS], request.seeds, captions)
    return {
        form.rows: write_shots(ui, table.shots, table.seeds, table.captions),
        form.count: len(table.shots),
        form.box: gr.Accordion(open=True),
    }


def build_shots(ui: Ui, platform: gr.Dropdown) -> ShotsForm:
    """Lay the components out and connect them with each other; a platform proposes how many."""
    t = ui.t
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

    def fill(said: Said) -> Any:
        return write_shots(ui, make_shots(said[template], int(said[count])))

    def resize(said: Said) -> Any:
        return fit_rows(ui, [list(row) for row in said[rows]], said[template], int(said[count]))

    def change_platform(said: Said) -> Any:
        target = find_platform(said[platform])
        fitted = fit_rows(ui, [list(row) for row in said[rows]], said[template], target.usual_pictures)
        most = min(target.max_pictures, MOST_SHOTS)
        return {count: gr.Slider(maximum=most, value=target.usual_pictures), rows: fitted}

    def paste(said: Said) -> Any:
        found = paste_shots(said[lines] or "")
        return {rows: write_shots(ui, found), count: len(found)}

    template.input(guarded(ui, fill), {template, count}, [rows], **LATEST)
    count.release(guarded(ui, resize), {template, count, rows}, [rows], **LATEST)
    platform.input(guarded(ui, change_platform), {platform, template, rows}, [count, rows], **LATEST)
    put.click(guarded(ui, paste), {lines}, [rows, count], **HIDDEN)
    return ShotsForm(box, template, count, rows)


def default_captions(t: Texts, name: str, shots: Sequence[Shot]) -> list[str]:
    """Return a caption for each shot in the page's language; a person writes better ones over them."""

    def caption(s: Shot) -> str:
        text = t("posts.default_caption", name=name, colour=t.word(s.outfit_colour), outfit=t.word(s.outfit))
        return text if s.goods == "nothing" else t("posts.default_caption_goods", text=text, goods=t.word(s.goods))

    return [caption(s) for s in shots]


def own_captions(name: str, shots: Sequence[Shot], captions: Sequence[str | None]) -> tuple[str, ...]:
    """Return the captions without those that nobody wrote: they would name another persona and outfit."""
    usual = [default_captions(Texts(language), name, shots) for language in LANGUAGES]
    usual.append([plain_caption(name, shot) for shot in shots])
    written = zip(captions, *usual, strict=False)
    return tuple("" if own is None or own in others else own for own, *others in written)


def _known(ui: Ui) -> str:
    return " · ".join(
        f"{ui.t(f'column.{c}')}: {', '.join(ui.t.word(w) for w in choices)}" for c, choices in CHOICES.items()
    )
