"""A picture to paint on, and what was painted as a mask."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from studio.ui.context import Ui

__all__ = ["EDITOR_PX", "build_editor", "paint_mask", "painted_mask"]

EDITOR_PX = 900
_COLOUR = "#ff3b8d"


def build_editor(ui: Ui, label: str, name: str, height: int, brush: int) -> gr.ImageEditor:
    """An editor for one brush; `height` and `brush` in pixels."""
    return gr.ImageEditor(
        label=ui.t(label), type="pil", sources=[], transforms=[], layers=False, height=height,
        brush=gr.Brush(default_size=brush, colors=[_COLOUR], color_mode="fixed"), buttons=[], elem_id=name,
        canvas_size=(EDITOR_PX, EDITOR_PX), interactive=True,
    )  # fmt: skip


def painted_mask(painted: Any) -> Any:
    """White where something was painted, uint8 [h, w, 3]; None where nothing was. The editor rescales: so may this.

    A layer that was opened and not touched comes back larger than the photo, as `paint_mask` made it.
    """
    layers = [] if not painted else [layer.convert("RGBA").getchannel("A") for layer in painted["layers"] if layer]
    if not layers:
        return None
    photo = painted.get("background")
    size = layers[0].size if photo is None else photo.size
    mask = np.max([np.asarray(layer.crop((0, 0, *size))) for layer in layers], axis=0) >= 64
    return np.repeat(mask[..., None] * np.uint8(255), 3, axis=2) if mask.any() else None


def paint_mask(mask: Any, size: tuple[int, int]) -> Image.Image:
    """A mask bool [h, w] as the editor's brush would have painted it on a photo that is shown at a size (width, height).

    The editor puts a layer into the middle of its canvas before that takes the photo's size: one as large as the canvas
    lies where the photo will.
    """
    alpha = Image.fromarray(np.asarray(mask).astype(np.uint8) * 255).resize(size)
    layer = Image.new("RGBA", size, _COLOUR)
    layer.putalpha(alpha.point(lambda value: 255 if value >= 128 else 0))
    whole = Image.new("RGBA", (EDITOR_PX, EDITOR_PX))
    whole.paste(layer, (0, 0))
    return whole
