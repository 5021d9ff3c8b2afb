"""A gate is one row: its words, its threshold in the API, in the command line and on the page follow from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from personas.gates import CHOOSABLE, GATES, THRESHOLDS, Gate, Gates
from personas.selection import Selection, Verdict
from pipelines.errors import BadInput
from studio.cli.way import _read_gates
from studio.domain.design import DesignRequest
from studio.domain.thresholds import check_thresholds
from studio.texts.texts import LANGUAGES, Language
from studio.ui.pages import select
from studio.workflows.candidates import say_report
from tests.tables.surfaces import api_schema, api_tables, command_help, make_ui, page_words, texts

every_row = pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)


@every_row
def test_words(gate: Gate) -> None:
    for name in filter(None, (gate.name, gate.threshold)):
        assert set(texts()[f"word.{name}"]) == set(LANGUAGES)


@every_row
def test_api(gate: Gate) -> None:
    row = next(row for row in api_tables()["gates"] if row["name"] == gate.name)
    assert row["words"] == texts()[f"word.{gate.name}"]
    assert gate.name in api_schema()["GateRow"]["properties"]["name"]["enum"]
    for schema in (api_schema()["DesignBody"], DesignRequest.model_json_schema()):
        fields = schema["properties"]["gates"]["properties"]
        assert (gate.threshold in fields) == (gate.threshold in CHOOSABLE)
        if gate.threshold in CHOOSABLE:
            ends = THRESHOLDS[gate.threshold].low, THRESHOLDS[gate.threshold].high
            assert (fields[gate.threshold]["minimum"], fields[gate.threshold]["maximum"]) == ends


@every_row
def test_command_line(gate: Gate) -> None:
    assert (gate.threshold in command_help("design")) or gate.threshold not in CHOOSABLE
    (row,) = say_report(_dropped_by(gate))["candidates"]
    assert row["reasons"] == [gate.name]
    assert row["why"] == [texts()[f"word.{gate.name}"]["en"]]


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_page(gate: Gate, language: Language) -> None:
    hint = select._hint(make_ui(language), _dropped_by(gate).verdicts[0], kept=False)
    assert hint == f"1{texts()['colon'][language]}{texts()[f'word.{gate.name}'][language]}"
    page = page_words(select.build, language)
    assert (f'"elem_id": "{gate.threshold}"' in page) == (gate.threshold in CHOOSABLE)
    if gate.threshold in CHOOSABLE:
        assert texts()[f"word.{gate.threshold}"][language] in page


def _dropped_by(gate: Gate) -> Selection:
    gates = Gates(min_face_similarity=0.5, novelty_ceiling=0.7)
    return Selection((Verdict(0, False, (gate.name,), {}),), np.zeros(4, np.float32), (1,), {}, gates)


@pytest.mark.parametrize("threshold", CHOOSABLE)
def test_thresholds_have_ends(threshold: str) -> None:
    low, high = CHOOSABLE[threshold].low, CHOOSABLE[threshold].high
    assert DesignRequest.make(category="sweet", gates={threshold: low}).gates == {threshold: low}
    assert _read_gates([f"{threshold}={high}"]) == {threshold: high}
    with pytest.raises(BadInput) as caught:
        check_thresholds({threshold: high + 1})
    assert caught.value.code == "threshold_out_of_range"


@pytest.mark.parametrize("said", ["min_sharpness", "min_sharpness=much", "min_sharpness=nan", "novelty_ceiling=1"])
def test_what_is_no_threshold_is_refused(said: str) -> None:
    with pytest.raises(BadInput):
        _read_gates([said])


def test_no_gate_is_named_beside_the_table() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "studio" / "ui" / "pages" / "select.py").read_text(encoding="utf-8")
    named = {threshold for threshold in CHOOSABLE if f'"{threshold}"' in page}
    assert named == {"min_face_similarity", "min_body_similarity"}  # the two that the scatter plot draws
