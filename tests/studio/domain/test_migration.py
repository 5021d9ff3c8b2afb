"""What version 0.1 stored is read, keeps every fact, and is what it was when it is stored again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.domain.design import Design
from studio.domain.migration import read_marks, read_stored
from studio.domain.values import Stored

OLD = Path(__file__).parent / "version_0_1"
RESULTS: dict[str, type[Stored]] = {"design": Design}


def _facts(value: Any) -> list[Any]:
    """Every leaf of a JSON value."""
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _facts(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _facts(part)]
    return [value]


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_of_version_0_1_keeps_every_fact(name: str) -> None:
    old = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))
    value = read_stored(RESULTS[name], old)
    again = value.model_dump(mode="json")
    assert read_stored(RESULTS[name], again) == value
    missing = set(map(repr, _facts(old))) - set(map(repr, _facts(again)))
    assert missing <= {repr(name)}  # a take's kind is its type now


def test_marks_of_version_0_1() -> None:
    facts = {
        "order": [2, 0, 1], "left_out": [1], "captions": {"0": "mine"}, "takes": {"0": ["vary-1:0"]},
        "undone": {"0": []}, "choices": {"1": "vary-2"}, "turns": 3, "title": "t", "trashed": False, "tags": " a ",
    }  # fmt: skip
    said = read_marks(facts)
    assert said.takes == {"0": ("vary-1:0",)}
    assert said.jobs_of(1) == {"vary-2"}
    assert facts | said.as_marks() == facts
