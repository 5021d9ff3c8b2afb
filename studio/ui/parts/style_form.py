"""The style that a set's pictures are drawn in, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from studio.domain.limits import limits_of
from studio.domain.posts import PostRequest, SetSettings
from studio.domain.style import Style
from studio.library.styles import find_style, styles_of, why_not
from studio.ui.context import HIDDEN, Facts, Said, Ui, guarded, owner_of
from studio.ui.parts.misfits import show_misfits

__all__ = ["StyleForm", "build_style", "check_style_there", "read_style", "style_name", "write_style"]


@dataclass(frozen=True)
class StyleForm:
    """`which` says a style's id, "" for none; `find` returns an owner's style of an id, None where there is none."""

    which: gr.Dropdown
    strength: gr.Slider
    about: gr.HTML
    find: Callable[[str, str], Style | None]

    @property
    def inputs(self) -> set[Any]:
        return {self.which, self.strength}

    @property
    def outputs(self) -> set[Any]:
        return self.inputs | {self.about}


def style_name(ui: Ui, style: Style) -> str:
    """Return what a style is called in the page's language."""
    return style.names[ui.t.language]


def read_style(form: StyleForm, said: Said, owner: str) -> Facts:
    """Return fields of PostRequest from what the components say."""
    style = form.find(owner, str(said[form.which] or ""))
    return {"style": style, "style_strength": float(said[form.strength]) if style is not None else 1.0}


def check_style_there(form: StyleForm, said: Said, owner: str) -> None:
    """Raise BadInput where the style that is chosen was put in the trash meanwhile, say in another tab."""
    if (key := str(said[form.which] or "")) and form.find(owner, key) is None:
        raise BadInput("style_gone")


def write_style(ui: Ui, form: StyleForm, settings: SetSettings, owner: str) -> Said:
    """Return what the components say of a set's settings; a style that is gone, or is of another model, is none."""
    fitting, others = _split(ui, owner)
    chosen = settings.style if settings.style is not None and settings.style.id in {s.id for s in fitting} else None
    choices = [(ui.t("style.none"), ""), *((style_name(ui, style), style.id) for style in fitting)]
    return {
        form.which: gr.Dropdown(choices, value="" if chosen is None else chosen.id),
        form.strength: gr.Slider(value=settings.style_strength, visible=chosen is not None),
        form.about: _about(ui, chosen, others),
    }


def build_style(ui: Ui) -> StyleForm:
    """Lay the components out and connect them."""
    t, limits = ui.t, limits_of(PostRequest, "style_strength")
    which = gr.Dropdown(
        [(t("style.none"), "")], value="", label=t("style.label"), info=t("style.what"), elem_id="style"
    )
    strength = gr.Slider(
        limits.least or 0, limits.most or 1, value=limits.default, step=0.1, label=t("style.strength"),
        info=t("style.strength_what"), visible=False, elem_id="style-strength",
    )  # fmt: skip
    about = gr.HTML("", js_on_load=None, padding=False, elem_id="style-about")
    form = StyleForm(which, strength, about, partial(find_style, ui.studio.library))

    def choose(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        style = form.find(owner, str(said[which] or ""))
        return {strength: gr.Slider(visible=style is not None), about: _about(ui, style, _split(ui, owner)[1])}

    which.input(guarded(ui, choose), {which}, [strength, about], **HIDDEN)
    return form


def _split(ui: Ui, owner: str) -> tuple[list[Style], list[tuple[str, str]]]:
    """The styles that can be chosen now, and the names of the others, each with why it cannot."""
    fitting, others = [], []
    for style in styles_of(ui.studio.library, owner):
        why = why_not(ui.studio.library, ui.studio.settings, owner, style)
        if why is None:
            fitting.append(style)
        else:
            others.append((style_name(ui, style), ui.t.error(why)))
    return fitting, others


def _about(ui: Ui, style: Style | None, others: Sequence[tuple[str, str]]) -> str:
    """What the chosen style was learnt from; and the styles that cannot be chosen."""
    said = "" if style is None else style.learnt_from.get(ui.t.language, "")
    line = ui.t("style.learnt_from", count=style.pictures, what=said) if style is not None and said else ""
    return (f"<p class='st-soft'>{escape(line)}</p>" if line else "") + show_misfits(ui, others)
