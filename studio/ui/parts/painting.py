"""A picture to paint on, and what was painted as a mask."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from studio.ui.context import Ui

__all__ = ["build_editor", "on_canvas", "paint_mask", "painted_mask"]

EDITOR_PX = 900
_COLOUR = "#ff3b8d"


def build_editor(ui: Ui, label: str, name: str, height: int, brush: int) -> gr.ImageEditor:
    """An editor for one brush; `height` and `brush` in pixels."""
    return gr.ImageEditor(
        label=ui.t(label), type="pil", sources=[], transforms=[], layers=False, height=height,
        brush=gr.Brush(default_size=brush, colors=[_COLOUR], color_mode="fixed"), buttons=[], elem_id=name,
        canvas_size=(EDITOR_PX, EDITOR_PX), interactive=True,
    )  # fmt: skip


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
