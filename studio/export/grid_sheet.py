"""A grid as one picture: names over its columns and beside its rows, and under each picture what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pipelines.assets import ASSETS

__all__ = ["SheetCell", "draw_sheet", "wrap_text"]

_FONT = ASSETS / "fonts" / "sheet.otf"
_MOST_PX = 4096  # of a side: what a phone still opens
_CELL_PX, _LEAST_CELL_PX, _GAP, _TEXT_PX = 240, 96, 10, 15
_ROW_NAME_PX = 150
_INK, _SOFT, _BAD, _BLANK = (30, 41, 59), (71, 85, 105), (185, 28, 28), (241, 245, 249)


@dataclass(frozen=True, eq=False)
class SheetCell:
    """`picture` uint8 [h, w, 3] with what is said below it; without one, why there is none."""

    picture: npt.NDArray[np.uint8] | None
    words: str


def draw_sheet(
    title: str, columns: Sequence[str], rows: Sequence[str], cells: Sequence[Sequence[SheetCell]]
) -> Image.Image:
    """Return the sheet; `cells` are one list for each row. Its pictures are smaller where there are many."""
    shapes = [cell.picture.shape for row in cells for cell in row if cell.picture is not None]
    ratio = max((shape[0] / shape[1] for shape in shapes), default=4 / 3)
    width = max(_LEAST_CELL_PX, min(_CELL_PX, (_MOST_PX - _ROW_NAME_PX) // len(columns) - _GAP))
    width = max(_LEAST_CELL_PX, min(width, math.floor(((_MOST_PX - 200) / len(rows) - 3 * _TEXT_PX) / ratio)))
    height = math.ceil(width * ratio)
    font, line = _font(_TEXT_PX), _TEXT_PX + 5
    heads = [wrap_text(name, font, width) for name in columns]
    below = [[wrap_text(cell.words, font, width) if cell.picture is not None else [] for cell in row] for row in cells]
    room = line * max((len(lines) for row in below for lines in row), default=0) + 6
    top = _GAP + 2 * line + line * max(map(len, heads)) + 4
    sheet = Image.new(
        "RGB",
        (_ROW_NAME_PX + len(columns) * (width + _GAP) + _GAP, top + len(rows) * (height + room + _GAP) + _GAP),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), title, font=font, fill=_INK)
    for i, lines in enumerate(heads):
        _write(draw, (_left(i, width), top - 4 - line * len(lines)), lines, line, _INK)
    for j, name in enumerate(rows):
        y = top + j * (height + room + _GAP)
        _write(draw, (_GAP, y), wrap_text(name, font, _ROW_NAME_PX - 2 * _GAP), line, _INK)
        for i, cell in enumerate(cells[j]):
            x = _left(i, width)
            if cell.picture is None:
                draw.rectangle((x, y, x + width, y + height), fill=_BLANK)
                why = wrap_text(cell.words, font, width - 12)[: max(1, (height - 12) // line)]
                _write(draw, (x + 6, y + 6), why, line, _BAD)
                continue
            picture = ImageOps.contain(Image.fromarray(cell.picture), (width, height), Image.Resampling.LANCZOS)
            sheet.paste(picture, (x + (width - picture.width) // 2, y))
            _write(draw, (x, y + height + 2), below[j][i], line, _SOFT)
    return sheet


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Return the lines, at most `width` pixels wide; a line may end behind a space or any Chinese character."""
    lines: list[str] = []
    for part in text.splitlines():
        line = ""
        for piece in _pieces(part):
            if line and font.getlength((line + piece).rstrip()) > width:
                lines.append(line.rstrip())
                line = piece.lstrip()
            else:
                line += piece
        lines.append(line.rstrip())
    return lines


def _pieces(text: str) -> list[str]:
    """Words with the space behind them; each character of a script without spaces by itself."""
    pieces = [""]
    for character in text:
        if ord(character) >= 0x2E80:
            pieces += [character, ""]
        else:
            pieces[-1] += character
            if character == " ":
                pieces.append("")
    return [piece for piece in pieces if piece]


def _left(column: int, width: int) -> int:
    return _ROW_NAME_PX + _GAP + column * (width + _GAP)


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], line: int, colour: tuple[int, int, int]
) -> None:
    for number, text in enumerate(lines):
        draw.text((at[0], at[1] + number * line), text, font=_font(_TEXT_PX), fill=colour)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONT, size)
