"""Candidates on one sheet: kept ones framed green, dropped ones red with their reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from personas.selection import Verdict

__all__ = ["draw_contact_sheet"]

_COLUMNS = 8
_FRAME = 3


def draw_contact_sheet(
    images: Sequence[npt.NDArray[np.uint8]], verdicts: Sequence[Verdict], width: int = 144
) -> Image.Image:
    """One cell per candidate in order, `width` pixels wide, with its cosine and the gates that dropped it."""
    height = round(width * images[0].shape[0] / images[0].shape[1])
    rows = -(-len(images) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * width, rows * (height + 14)), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (image, verdict) in enumerate(zip(images, verdicts, strict=True)):
        x, y = k % _COLUMNS * width, k // _COLUMNS * (height + 14)
        sheet.paste(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS), (x, y))
        colour = (30, 150, 60) if verdict.kept else (200, 40, 40)
        draw.rectangle((x, y, x + width - 1, y + height - 1), outline=colour, width=_FRAME)
        cosine = "-" if verdict.face_similarity is None else f"{verdict.face_similarity:.2f}"
        draw.text((x + 4, y + height), f"{cosine} {' '.join(verdict.reasons)}", fill=colour)
    return sheet
