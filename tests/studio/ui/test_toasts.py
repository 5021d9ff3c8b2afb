"""Names that somebody typed are words in a toast and in a panel, never HTML; each is escaped once."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import get_args

import gradio as gr
import pytest

from pipelines.errors import BadInput
from pipelines.pictures import read_picture
from studio.application import Studio
from studio.jobs.queue import Queue
from studio.library.donor_files import inspect_header
from studio.library.records import JobRecord
from studio.settings import Settings
from studio.texts.texts import Language, Texts
from studio.ui.context import Ui, guarded, toast

UI = Path(__file__).resolve().parents[3] / "studio" / "ui"
NAMES = [
    "<img src=x onerror=alert(1)>.png",
    "<form action='https:evil.example'><input name=password><button>Log in",
    '<a href="https:evil.example">here</a>',
    "a & b &lt;i&gt;",
]


def _ui(folder: Path, language: Language = "en") -> Ui:
    studio = Studio(Settings(data=folder / "data"))
    return Ui(studio, Queue(studio), Texts(language))


def _wrong_picture(name: str, _: Path) -> None:
    read_picture(b"no picture", name)


def _wrong_lora(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"GGUF")
    inspect_header(folder / name)


def _persona(name: str, _: Path) -> None:
    raise BadInput("not_found", result="persona", key=name)


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fails", [_wrong_picture, _wrong_lora, _persona])
def test_a_name_in_an_error_is_no_html(
    tmp_path: Path, language: Language, name: str, fails: Callable[[str, Path], None]
) -> None:
    name = name.replace("/", ":")  # a file's name has none
    with pytest.raises(BadInput) as raised:
        fails(name, tmp_path)
    ui = _ui(tmp_path, language)
    with pytest.raises(gr.Error) as shown:
        guarded(ui, fails)(name, tmp_path)
    message = str(shown.value.message)
    assert not re.search(r"[<>]", message)
    assert unescape(message) == ui.t.error(raised.value)
    assert name in unescape(message)


@pytest.mark.parametrize("language", get_args(Language))
def test_an_error_that_nobody_foresaw_is_said_in_words(tmp_path: Path, language: Language) -> None:
    ui = _ui(tmp_path, language)

    def fails() -> None:
        raise KeyError("lora_path")

    with pytest.raises(gr.Error) as shown:
        guarded(ui, fails)()
    assert shown.value.message == ui.t("error.unexpected")
    assert isinstance(shown.value.__cause__, KeyError)  # for the log


def test_a_job_panel_escapes_once(tmp_path: Path) -> None:
    ui = _ui(tmp_path)
    error = f"{NAMES[0]} is no LoRA for FLUX."
    job = JobRecord(id="donor-1", owner="me", kind="donor", state="failed", error=error, facts={"code": "bad_lora"})
    panel = ui.job_panel("me", job)
    assert "<img" not in panel
    assert "&lt;img src=x onerror=alert(1)&gt;" in panel
    assert "&amp;" not in panel


def test_what_is_no_error_is_escaped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Info", said.append)
    toast("<b>3</b> things")
    assert said == ["&lt;b&gt;3&lt;/b&gt; things"]


def test_toasts_are_made_in_one_place_only() -> None:
    makers = [p.name for p in UI.rglob("*.py") if re.search(r"gr\.(Error|Info|Warning)\(", p.read_text("utf-8"))]
    assert makers == ["context.py"]
