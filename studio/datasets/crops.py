"""Which part of each picture a training learns from. Pure."""

from __future__ import annotations

__all__ = ["Box", "trained_box"]

Box = tuple[float, float, float, float]


def trained_box(height: int, width: int, canvas_height: int, canvas_width: int) -> Box:
    """Return (x0, y0, x1, y1) in shares of a picture: its middle, in the canvas's shape, as
    `pipelines.training.dataset.fit_image` cuts it.
    """
    scale = max(canvas_height / height, canvas_width / width)
    wide, tall = canvas_width / (width * scale), canvas_height / (height * scale)
    return (1 - wide) / 2, (1 - tall) / 2, (1 + wide) / 2, (1 + tall) / 2
