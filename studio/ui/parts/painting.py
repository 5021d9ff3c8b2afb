"""A picture to paint on, and what was painted as a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from pipelines.errors import BadInput
from pipelines.pictures import open_picture
from studio.ui.context import Ui, guarded

__all__ = ["build_editor", "on_canvas", "paint_mask", "painted_mask", "read_painting"]

EDITOR_PX = 900
_COLOUR = "#ff3b8d"
_MOST_LAYERS = 3
_MOST_PIXELS = 4 * EDITOR_PX**2  # a screen of two pixels to the dot sends twice the sides
_MOST_BYTES = 8_000_000


def build_editor(ui: Ui, label: str, name: str, height: int, brush: int) -> gr.ImageEditor:
    """An editor for one brush; `height` and `brush` in pixels. What it sends is read by the studio's own door.

    Whatever fills it shows its progress elsewhere (`show_progress_on`): Gradio 6.31 asks each component whose progress
    it shows for its value at every event of the page, each timer's, too, and an editor answers by bringing its picture
    anew: thousands of times while somebody paints.
    """
    editor = gr.ImageEditor(
        label=ui.t(label), type="pil", sources=[], transforms=[], layers=False, height=height,
        brush=gr.Brush(default_size=brush, colors=[_COLOUR], color_mode="fixed"), buttons=[], elem_id=name,
        canvas_size=(EDITOR_PX, EDITOR_PX), interactive=True,
    )  # fmt: skip
    # on the object: Gradio writes a stub beside the source of any class that is made of one of its components
    editor.preprocess = guarded(ui, read_painting)  # type: ignore[method-assign]
    return editor


def read_painting(sent: Any) -> dict[str, Any] | None:
    """Return {"layers": pictures, …} of what an editor sends. Raises BadInput, BadPicture.

    Gradio 6.31 decodes the background, all layers and the whole picture, however many and large they are, by any
    decoder of Pillow's. Only the layers are of use here.
    """
    if sent is None:
        return None
    layers = [layer for layer in sent.layers or [] if layer]
    if len(layers) > _MOST_LAYERS:
        raise BadInput("too_many_layers", most=_MOST_LAYERS)
    return {"background": None, "layers": [_layer(_read_file(layer.path)) for layer in layers], "composite": None}


def _read_file(path: str) -> bytes:
    file = Path(path)
    if file.stat().st_size > _MOST_BYTES:
        raise BadInput("file_too_large", file=file.name, most_mb=_MOST_BYTES // 1_000_000)
    return file.read_bytes()


def _layer(data: bytes) -> Image.Image:
    """Return a layer as RGBA."""
    picture = open_picture(data, "painting", _MOST_PIXELS)
    image = Image.fromarray(picture.rgb)
    alpha = np.full(picture.rgb.shape[:2], 255, np.uint8) if picture.alpha is None else picture.alpha
    image.putalpha(Image.fromarray(alpha))
    return image


def on_canvas(photo: Image.Image) -> Image.Image:
    """A photo in the middle of a canvas that is always of one size: what is painted on it lies on it when the editor
    is shown another photo, or this one again."""
    left, top, width, height = _place(photo.size)
    canvas = Image.new("RGB", (EDITOR_PX, EDITOR_PX), "#f1f5f9")
    canvas.paste(photo.resize((width, height)), (left, top))
    return canvas


def paint_mask(mask: Any) -> Image.Image:
    """A mask bool [h, w] of a photo as the brush would have painted it on `on_canvas`."""
    grey = Image.fromarray(np.asarray(mask).astype(np.uint8) * 255)
    left, top, width, height = _place(grey.size)
    alpha = Image.new("L", (EDITOR_PX, EDITOR_PX))
    alpha.paste(grey.resize((width, height)).point(lambda value: 255 if value >= 128 else 0), (left, top))
    layer = Image.new("RGBA", alpha.size, _COLOUR)
    layer.putalpha(alpha)
    return layer


def painted_mask(painted: Any, photo: tuple[int, int] | None = None) -> Any:
    """White where something was painted, uint8 [h, w, 3]; None where nothing was. The editor rescales: so may this.

    `photo` is the size (width, height) of one that was shown by `on_canvas`.
    """
    layers = [] if not painted else [layer.convert("RGBA").getchannel("A") for layer in painted["layers"] if layer]
    if layers and photo is not None:
        left, top, width, height = _place(photo)
        layers = [layer.resize((EDITOR_PX, EDITOR_PX)) for layer in layers]
        layers = [layer.crop((left, top, left + width, top + height)) for layer in layers]
    if not layers:
        return None
    mask = np.max([np.asarray(layer) for layer in layers], axis=0) >= 64
    return np.repeat(mask[..., None] * np.uint8(255), 3, axis=2) if mask.any() else None


def _place(photo: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of a photo of this size (width, height) on the canvas."""
    scale = EDITOR_PX / max(photo)
    width, height = round(photo[0] * scale), round(photo[1] * scale)
    return (EDITOR_PX - width) // 2, (EDITOR_PX - height) // 2, width, height
