"""What `make bench` says of seconds, and what it calls a fall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed import fallen
from benchmarks.speed_draw import Drawing, recipes, scoring
from benchmarks.speed_library import page, search
from benchmarks.speed_timing import interleave, row_of


def test_each_is_done_once_before_and_then_in_turns_that_begin_elsewhere() -> None:
    done: list[str] = []
    seconds = interleave(3, lambda: done.append("a"), lambda: done.append("b"))
    assert done == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert seconds.shape == (2, 3)


def test_a_row_compares_turn_by_turn() -> None:
    row = row_of("x", [1.0, 2.0, 4.0], [3.0, 6.0, 12.0], 2.0, agrees=True)
    assert (row.ratio, row.low, row.high) == pytest.approx((3.0, 3.0, 3.0))  # whatever the machine did in each turn
    assert (row.ours_s, row.peer_s) == (2.0, 6.0)
    wide = row_of("x", [1.0] * 20, np.linspace(1, 3, 20).tolist(), 2.0, agrees=True)
    assert wide.low < wide.ratio < wide.high


def _report(**ratios: float) -> dict[str, Any]:
    return {"rows": [{"name": name, "ratio": r, "agrees": r > 0, "note": ""} for name, r in ratios.items()]}


def test_a_ratio_that_fell_by_more_than_a_fifth_is_told() -> None:
    before = _report(a=10.0, b=2.0, c=1.0)
    assert fallen(_report(a=8.1, b=2.5, d=0.1), before) == []
    (line,) = fallen(_report(a=7.9, b=2.0), before)
    assert line.startswith("a: 7.90")
    assert len(fallen(_report(c=-1.0), before)) == 2  # slower, and no longer the same


def test_a_page_by_key_is_the_page_by_counting() -> None:
    (row,) = page(1, things=3_000)
    assert row.agrees


def test_the_nearest_faces_are_those_that_sorting_all_gives() -> None:
    rows = search(3, faces=3_000)
    assert [row.name for row in rows] == ["search_128", "search_512"]
    assert all(row.agrees for row in rows)


def test_recipes_in_one_batch_are_what_adapters_give_one_by_one(tmp_path: Path) -> None:
    (row,) = recipes(Drawing(tmp_path), 1)
    assert row.agrees, row.note


def test_candidates_measured_together_are_measured_as_alone(tmp_path: Path) -> None:
    (row,) = scoring(Drawing(tmp_path), 1, count=8)
    assert row.agrees, row.note
