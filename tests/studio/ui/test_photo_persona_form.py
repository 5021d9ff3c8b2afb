"""Photos of a person on the page: what is found in them is shown, and nothing is made without a word of consent."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.character import CharacterConsent
from studio.jobs.queue import Queue
from studio.library.characters import add_character
from studio.library.grants import may_read
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.photo_persona_form import _Form, _lay_out, _read, _show, _why_not
from tests.studio.workflows.test_character import worn
from tests.tiny import write_studio_character


@pytest.fixture
def studio(tmp_path: Path, tiny_flux: Path) -> Studio:
    adapter = write_studio_character(tmp_path / "character")
    return Studio(Settings(data=tmp_path / "data", backbone=str(tiny_flux), character_folder=adapter))


def build(studio: Studio, language: Language) -> tuple[Ui, _Form]:
    ui = Ui(studio, Queue(studio), Texts(language))

    async def lay_out() -> _Form:
        with gr.Blocks():
            return _lay_out(ui)

    return ui, asyncio.run(lay_out())


def said(form: _Form, **more: Any) -> dict[Any, Any]:
    told = {"who": " Mei  Lin ", "scope": "posts", "expires": "2099-12-31"} | more
    return {
        form.added: more.get("added"), form.look: "sweet", form.name: "Mei", form.strength: 0.8,
        form.agreed: more.get("agreed", True), **{part: told[name] for name, part in form.consent.items()},
    }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_found_in_each_photo_is_shown(
    studio: Studio, language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.ui.parts.photo_persona_form.sees_people", lambda settings: True)
    ui, _ = build(studio, language)
    photo, clothes = worn(tmp_path / "mei.png", 5), worn(tmp_path / "lin.png", 8)
    html = _show(ui, "me", add_character(studio.library, [photo], "me", clothes), True)
    first, second = html.split("st-card")[1:]
    assert all(f">{ui.t(f'part.{part}')}<" in first for part in ("face", "hair"))
    assert f">{ui.t('part.torso')}<" not in first
    assert f">{ui.t('part.torso')}<" in second
    assert f">{ui.t('part.face')}<" not in second
    alone = _show(ui, "me", add_character(studio.library, [photo], "me"), False)
    assert f">{ui.t('part.torso')}<" in alone
    shown = alone.split('src="')[1].split('"')[0]
    key = next(part.split("?")[0] for part in shown.split("/") if len(part.split("?")[0]) == 64)
    assert may_read(studio.records, "me", key)
    assert not may_read(studio.records, "wang", key)
    height, width = studio.store.get_picture(key).shape[:2]
    assert width / height == pytest.approx(3 / 4, abs=0.02)  # cards cut off what is of another shape


def test_without_photos_or_consent_nothing_is_made(studio: Studio, tmp_path: Path) -> None:
    _, form = build(studio, "en")
    character = add_character(studio.library, [worn(tmp_path / "mei.png", 5)], "me")
    made = _read(form, said(form, added=character), "me")
    assert made.character == character.model_copy(update={"strength": 0.8})
    agreed = CharacterConsent(who="Mei Lin", scope="posts", expires=datetime.date(2099, 12, 31))
    assert (made.character_consent, made.category, made.name, made.owner) == (agreed, "sweet", "Mei", "me")
    for change, code in (
        ({"added": None}, "character_photo_count"), ({"agreed": False}, "not_agreed"),
        ({"expires": "soon"}, "bad_date"), ({"who": ""}, "who"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=code):
            _read(form, said(form, **({"added": character} | change)), "me")


def test_where_no_adapter_is_there_the_page_says_so(studio: Studio, tmp_path: Path, tiny_flux: Path) -> None:
    assert _why_not(Ui(studio, Queue(studio), Texts("en"))) == ""
    without = Studio(Settings(data=tmp_path / "other", backbone=str(tiny_flux)))
    assert "adapter" in _why_not(Ui(without, Queue(without), Texts("en")))
