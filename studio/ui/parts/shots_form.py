"""The shots of a set: how many, from which template, as a table to write into, or pasted as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from personas.shots import Shot
from studio.captions.facts import post_facts
from studio.captions.templates import plain_posts
from studio.domain.drafts import OWN_LIST, ShotsDraft
from studio.domain.platforms import find_platform
from studio.domain.posts import MOST_SHOTS, plain_caption
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.context import HIDDEN, LATEST, Facts, Said, Ui, guarded, in_turn
from studio.ui.parts.shots_table import (
    CHOICES,
    HEADERS,
    TEMPLATES,
    Table,
    fit_rows,
    make_shots,
    paste_shots,
    read_shots,
    say_rows,
    write_shots,
)

__all__ = [
    "ShotsForm", "build_shots", "captions_of", "default_captions", "own_captions", "read_shots_draft", "read_table",
    "stated_clothes", "write_shots_draft", "write_table",
]  # fmt: skip

_USUAL_MOST = 18


@dataclass(frozen=True)
class ShotsForm:
    """The components; `rows` is the table, `again` (which nobody sees) the number of the set that the template's cells
    are of, as in `vary_shots`.
    """

    template: gr.Dropdown
    count: gr.Slider
    rows: gr.Dataframe
    lines: gr.Textbox
    again: gr.Number

    @property
    def inputs(self) -> set[Any]:
        return {self.template, self.count, self.rows, self.lines, self.again}


def read_table(ui: Ui, form: ShotsForm, said: Said, name: str) -> Facts:
    """Return fields of PostRequest: what the table says, and captions in the page's language where it is silent."""
    table = read_shots(ui, said[form.rows])
    again = int(said[form.again] or 0)
    usual = default_captions(ui.t, table.shots, again)
    captions = tuple(own or other for own, other in zip(table.captions, usual, strict=True))
    return {"shots": table.shots, "seeds": table.seeds, "captions": captions, "again": again}


def stated_clothes(ui: Ui, form: ShotsForm, said: Said) -> list[dict[str, str]]:
    """Return by shot the clothes that a person wrote; those that the template proposed are left out."""
    shots, template = read_shots(ui, said[form.rows]).shots, str(said[form.template])
    usual = [] if template == OWN_LIST else make_shots(template, len(shots), int(said[form.again] or 0))
    fields = ("outfit", "outfit_colour")
    known = [{field: getattr(shot, field) for field in fields} for shot in usual] + [{}] * len(shots)
    own = [{field: str(getattr(shot, field)) for field in fields} for shot in shots]
    return [{} if clothes == proposed else clothes for clothes, proposed in zip(own, known, strict=False)]


def captions_of(ui: Ui, form: ShotsForm, said: Said, shots: Sequence[Shot]) -> tuple[str, ...]:
    """Return the table's captions for shots that are drawn in the place of its own."""
    usual = default_captions(ui.t, shots, int(said[form.again] or 0))
    return tuple(own or other for own, other in zip(read_shots(ui, said[form.rows]).captions, usual, strict=True))


def write_table(ui: Ui, form: ShotsForm, table: Table, again: int = 0) -> Said:
    """Return what the components say of a list of shots that somebody brought: nothing proposes other ones."""
    return {
        form.rows: write_shots(ui, table.shots, table.seeds, table.captions),
        form.count: gr.Slider(maximum=max(len(table.shots), _USUAL_MOST), value=len(table.shots)),
        form.template: OWN_LIST,
        form.again: again,
    }


def read_shots_draft(ui: Ui, form: ShotsForm, said: Said, fresh: bool) -> ShotsDraft:
    """Return what the components say, as it was typed."""
    rows = tuple(tuple(str(cell or "")[:1000] for cell in row) for row in said[form.rows])
    return ShotsDraft(
        template=str(said[form.template]), count=int(said[form.count]), again=int(said[form.again] or 0), fresh=fresh,
        language=ui.t.language, rows=rows, lines=str(said[form.lines] or ""),
    )  # fmt: skip


def write_shots_draft(ui: Ui, form: ShotsForm, draft: ShotsDraft, platform: str) -> Said:
    """Return what the components say of a draft; one without rows is as its template proposes."""
    template = draft.template if draft.template in (*TEMPLATES, OWN_LIST) else TEMPLATES[0]
    rows = say_rows(ui, draft.rows, draft.language) or write_shots(ui, make_shots(template, draft.count, draft.again))
    most = max(draft.count, min(find_platform(platform).max_pictures, MOST_SHOTS))
    return {
        form.rows: rows,
        form.count: gr.Slider(maximum=most, value=draft.count),
        form.template: template,
        form.again: draft.again,
        form.lines: draft.lines,
    }


def build_shots(ui: Ui, platform: gr.Dropdown) -> ShotsForm:
    """Lay the components out and connect them with each other; a platform proposes how many."""
    t = ui.t
    with gr.Row():
        template = gr.Dropdown(
            [(t(f"template.{name}"), name) for name in (*TEMPLATES, OWN_LIST)], value="mixed",
            label=t("posts.template"), elem_id="template",
        )  # fmt: skip
        count = gr.Slider(1, _USUAL_MOST, value=9, step=1, label=t("posts.count"), elem_id="count")
        again = gr.Number(0, precision=0, visible="hidden", elem_id="again")
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

    form = ShotsForm(template, count, rows, lines, again)

    def fill(said: Said) -> Any:
        name = said[template]
        if name == OWN_LIST:
            return gr.skip()
        return write_shots(ui, make_shots(name, int(said[count]), int(said[again] or 0)))

    def resize(said: Said) -> Any:
        return _fit(ui, form, said, int(said[count]))

    def change_platform(said: Said) -> Any:
        target = find_platform(said[platform])
        most = min(target.max_pictures, MOST_SHOTS)
        fitted = _fit(ui, form, said, target.usual_pictures)
        return {count: gr.Slider(maximum=most, value=target.usual_pictures), rows: fitted}

    def paste(said: Said) -> Any:
        found = paste_shots(said[lines] or "")
        return {rows: write_shots(ui, found), count: len(found), template: OWN_LIST}

    planned: set[Any] = {template, count, rows, again}
    # one after the other: a slow answer to an earlier change must not undo a later one
    latest, once = LATEST | in_turn("ways"), HIDDEN | in_turn("ways")
    template.input(guarded(ui, fill), planned, [rows], **latest)
    count.release(guarded(ui, resize), planned, [rows], **latest)
    platform.input(guarded(ui, change_platform), planned | {platform}, [count, rows], **latest)
    put.click(guarded(ui, paste), {lines}, [rows, count, template], **once)
    return form


def _fit(ui: Ui, form: ShotsForm, said: Said, count: int) -> list[list[Any]]:
    name = said[form.template]
    proposed = TEMPLATES[0] if name == OWN_LIST else name
    return fit_rows(ui, [list(row) for row in said[form.rows]], proposed, count, int(said[form.again] or 0))


def default_captions(t: Texts, shots: Sequence[Shot], again: int = 0) -> list[str]:
    """Return a caption for each shot of the set of this number, in the page's language; a person writes better ones
    over them, or lets them be written when the set is drawn."""
    usual = [plain_posts(post_facts(t, shot, ""), t.language) for shot in shots]
    return [captions[again % len(captions)] for captions in usual]


def own_captions(name: str, shots: Sequence[Shot], captions: Sequence[str | None]) -> tuple[str, ...]:
    """Return the captions without those that nobody wrote: they would name another persona and outfit."""
    return tuple(
        "" if own is None or own in _unwritten(name, shot) else own for own, shot in zip(captions, shots, strict=False)
    )


def _unwritten(name: str, shot: Shot) -> set[str]:
    """What the studio itself may have called a shot, in either language and by any version."""
    found = {plain_caption(name, shot)}
    for t in map(Texts, LANGUAGES):
        found |= {*plain_posts(post_facts(t, shot, ""), t.language), _formerly(t, name, shot)}
    return found


def _formerly(t: Texts, name: str, shot: Shot) -> str:
    """What version 0.1 wrote."""
    text = t("posts.default_caption", name=name, colour=t.word(shot.outfit_colour), outfit=t.word(shot.outfit))
    return text if shot.goods == "nothing" else t("posts.default_caption_goods", text=text, goods=t.word(shot.goods))


def _known(ui: Ui) -> str:
    return " · ".join(
        f"{ui.t(f'column.{c}')}: {', '.join(ui.t.word(w) for w in choices)}" for c, choices in CHOICES.items()
    )
