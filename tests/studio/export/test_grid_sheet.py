"""The sheet of a grid: every picture is on it, names are readable in Chinese, and large grids stay small enough."""

from __future__ import annotations

import numpy as np
from PIL import Image

from studio.export.grid_sheet import _MOST_PX, SheetCell, _font, draw_sheet, wrap_text


def filled(red: int, green: int) -> SheetCell:
    return SheetCell(np.full((120, 90, 3), (red, green, 0), np.uint8), "person 0.81")


def colours(sheet: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(row) for row in np.unique(np.asarray(sheet).reshape(-1, 3), axis=0).tolist()}


def test_all_pictures_are_on_it() -> None:
    cells = [[filled(40 * i, 60 * j) for i in range(4)] for j in range(3)]
    sheet = draw_sheet("Lin", list("abcd"), list("xyz"), cells)
    assert {(40 * i, 60 * j, 0) for i in range(4) for j in range(3)} <= colours(sheet)


def test_what_could_not_be_drawn_is_said_in_its_place() -> None:
    bad = SheetCell(None, "文件已损坏，无法使用。")
    drawn = draw_sheet("Lin", ["a"], ["x"], [[bad]])
    silent = draw_sheet("Lin", ["a"], ["x"], [[SheetCell(None, "")]])
    assert (185, 28, 28) in colours(drawn)
    assert (185, 28, 28) not in colours(silent)


def test_sixty_pictures_make_no_sheet_that_a_phone_cannot_open() -> None:
    for columns, rows in ((12, 5), (5, 12), (1, 60), (60, 1)):
        sheet = draw_sheet("t", ["name"] * columns, ["name"] * rows, [[filled(9, 9)] * columns] * rows)
        assert max(sheet.size) <= max(_MOST_PX, 60 * (96 + 10) + 200 if columns == 60 else 0, 60 * 190)
        assert np.asarray(sheet).shape[2] == 3


def test_chinese_has_letters_of_its_own() -> None:
    """Each character is drawn differently: none is the box of a missing one."""
    drawn = {c: bytes(_font(15).getmask(c)) for c in "强度训练人物小美第种画法地点"}
    assert len(set(drawn.values())) == len(drawn)


def test_lines_are_no_wider_than_the_picture() -> None:
    font = _font(15)
    for text in ("强度八成强度八成强度八成强度八成", "likeness to the person, on average 0.83", "one\ntwo"):
        lines = wrap_text(text, font, 90)
        assert all(font.getlength(line) <= 90 for line in lines)
        assert "".join("".join(lines).split()) == "".join(text.split())
    assert wrap_text("one\ntwo", font, 90) == ["one", "two"]
