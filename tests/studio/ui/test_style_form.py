"""The look of a set: what fits is offered, by its name in the page's language; what does not is named, with why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from studio.application import Studio
from studio.domain.posts import SetSettings
from studio.domain.style import MOST_STYLE_STRENGTH
from studio.jobs.queue import Queue
from studio.library.shipped_styles import shipped_styles
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.style_form import StyleForm, build_style, read_style, write_style
from tests.library import keep_result
from tests.studio.domain.values import make_style


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def build(studio: Studio, language: Language) -> tuple[Ui, StyleForm, dict[Any, Any]]:
    ui = Ui(studio, Queue(studio), Texts(language))

    async def lay_out() -> StyleForm:
        with gr.Blocks():
            return build_style(ui)

    form = asyncio.run(lay_out())
    return ui, form, {part: part.value for part in form.inputs}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_fits_can_be_chosen_and_what_does_not_says_why(studio: Studio, language: Language) -> None:
    mine, other = make_style("my light", id="mine"), make_style("their light", id="other", width=3072)
    for one in (mine, other):
        keep_result(studio, "me", one)
    ui, form, said = build(studio, language)
    assert read_style(form, said, "me") == {"style": None, "style_strength": 1.0}
    shown = write_style(ui, form, SetSettings(style=mine, style_strength=0.4), "me")
    ids = [key for _, key in shown[form.which].choices]
    assert ids == ["", *(style.id for style in shipped_styles()), "mine"]
    names = dict(shown[form.which].choices)
    assert all(style.names[language] in names for style in shipped_styles())
    assert (shown[form.which].value, shown[form.strength].value, shown[form.strength].visible) == ("mine", 0.4, True)
    assert "their light" in shown[form.about]
    assert form.strength.maximum == MOST_STYLE_STRENGTH
    chosen = {form.which: "mine", form.strength: 0.4}
    assert read_style(form, chosen, "me") == {"style": mine, "style_strength": 0.4}
    assert read_style(form, chosen, "wang") == {"style": None, "style_strength": 1.0}
    gone = write_style(ui, form, SetSettings(style=other), "me")
    assert (gone[form.which].value, gone[form.strength].visible) == ("", False)
    theirs = write_style(ui, form, SetSettings(style=mine), "wang")
    assert "mine" not in [key for _, key in theirs[form.which].choices]
    assert "their light" not in theirs[form.about]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_shipped_one_says_what_it_was_learnt_from(studio: Studio, language: Language) -> None:
    ui, form, _ = build(studio, language)
    for style in shipped_styles():
        shown = write_style(ui, form, SetSettings(style=style), "me")
        assert style.learnt_from[language] in shown[form.about]
        assert read_style(form, {form.which: style.id, form.strength: 1.5}, "me")["style"] == style
