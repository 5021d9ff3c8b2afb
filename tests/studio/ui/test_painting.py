"""What painting fields send: read by the studio's own door, and let go."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadInput, BadPicture
from studio.application import Studio
from studio.jobs.queue import Queue
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.painting import EDITOR_PX, build_editor, painted_mask, read_painting
from studio.web.app import _pages
from tests.tables.surfaces import make_ui


def png(width: int = EDITOR_PX, height: int = EDITOR_PX, kind: str = "PNG") -> bytes:
    """A layer with a painted square."""
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[:40, :40] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def event(path: Path, *layers: bytes) -> Any:
    """What an editor sends; only its layers are ever opened."""
    for number, data in enumerate(layers):
        (path / f"layer{number}.png").write_bytes(data)
    files = [SimpleNamespace(path=str(path / f"layer{number}.png")) for number in range(len(layers))]
    nowhere = SimpleNamespace(path="/nowhere")
    return SimpleNamespace(id=None, background=nowhere, layers=files, composite=nowhere)


def test_a_layer_is_a_mask(tmp_path: Path) -> None:
    mask = painted_mask(read_painting(event(tmp_path, png())))
    assert mask is not None
    assert mask.shape == (EDITOR_PX, EDITOR_PX, 3)
    assert int((mask[..., 0] > 0).sum()) == 1600
    assert read_painting(event(tmp_path)) == {"background": None, "layers": [], "composite": None}
    assert read_painting(None) is None


def test_layers_are_few_small_and_of_kinds_that_photos_have(tmp_path: Path) -> None:
    for data in (png(2100, 2100), png(kind="TIFF"), png(32, 32), b"GIF89a", b""):
        with pytest.raises(BadPicture):
            read_painting(event(tmp_path, data))
    assert len((read_painting(event(tmp_path, *[png()] * 3)) or {})["layers"]) == 3
    with pytest.raises(BadInput, match="too_many_layers"):
        read_painting(event(tmp_path, *[png()] * 4))
    with pytest.raises(BadInput, match="file_too_large"):
        read_painting(event(tmp_path, b"x" * 8_100_000))


def test_every_editor_reads_so(tmp_path: Path) -> None:
    async def lay_out() -> gr.ImageEditor:
        with gr.Blocks():
            return build_editor(make_ui(), "scenes.paint", "editor", 400, 20)

    editor = asyncio.run(lay_out())  # Gradio wants a loop, and leaves one of its own open
    with pytest.raises(gr.Error, match="megapixels"):
        editor.preprocess(event(tmp_path, png(2100, 2100)))


def test_no_event_shows_its_progress_on_an_editor(tmp_path: Path) -> None:
    """Or else the editor brings its picture anew at every tick of every timer of the page."""
    studio = Studio(Settings(data=tmp_path))

    async def look() -> list[Any]:
        return list(_pages(Ui(studio, Queue(studio), Texts("zh"))).fns.values())

    touching = [
        event
        for event in asyncio.run(look())
        if any(isinstance(part, gr.ImageEditor) for part in (*event.inputs, *event.outputs))
    ]
    assert len(touching) >= 5
    for event in touching:
        assert event.show_progress_on, event.name
        assert not any(isinstance(part, gr.ImageEditor) for part in event.show_progress_on), event.name
