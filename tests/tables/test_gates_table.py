"""A gate is one row: its words, its threshold in the API, in the command line and on the page follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from personas.gates import CHOOSABLE, GATES, THRESHOLDS
from pipelines.errors import BadInput
from studio.cli.way import _read_gates
from studio.domain.design import DesignRequest
from studio.domain.thresholds import check_thresholds
from studio.texts.texts import LANGUAGES, Language
from studio.ui.pages import select
from studio.web.api import DesignBody
from tests.tables.surfaces import api_schema, api_tables, command_help, page_words, texts


@pytest.mark.parametrize("name", [*(gate.name for gate in GATES), *THRESHOLDS])
def test_it_has_words(name: str) -> None:
    assert set(texts()[f"word.{name}"]) == set(LANGUAGES)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_the_api_tells_of_it(gate: object) -> None:
    rows = {row["name"]: row for row in api_tables()["gates"]}
    row = rows[getattr(gate, "name", "")]
    assert row["words"] == texts()[f"word.{row['name']}"]
    assert row["name"] in api_schema()["GateRow"]["properties"]["name"]["enum"]


@pytest.mark.parametrize("threshold", CHOOSABLE)
def test_the_api_takes_its_threshold(threshold: str) -> None:
    for schema in (api_schema()["DesignBody"], DesignRequest.model_json_schema()):
        field = schema["properties"]["gates"]["properties"][threshold]
        assert (field["minimum"], field["maximum"]) == (CHOOSABLE[threshold].low, CHOOSABLE[threshold].high)
    value = CHOOSABLE[threshold].low
    assert DesignBody(kind="design", category="sweet", gates={threshold: value}).gates == {threshold: value}
    with pytest.raises(BadInput) as caught:
        check_thresholds({threshold: CHOOSABLE[threshold].high + 1})
    assert caught.value.code == "threshold_out_of_range"


@pytest.mark.parametrize("threshold", CHOOSABLE)
def test_the_command_line_takes_its_threshold(threshold: str) -> None:
    assert threshold in command_help("design")
    assert _read_gates([f"{threshold}={CHOOSABLE[threshold].high}"]) == {threshold: CHOOSABLE[threshold].high}


@pytest.mark.parametrize("said", ["min_sharpness", "min_sharpness=much", "min_sharpness=nan", "novelty_ceiling=1"])
def test_what_is_no_threshold_is_refused(said: str) -> None:
    with pytest.raises(BadInput):
        _read_gates([said])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_a_slider_for_each(language: Language) -> None:
    page = page_words(select.build, language)
    for threshold in CHOOSABLE:
        assert f'"elem_id": "{threshold}"' in page
        assert texts()[f"word.{threshold}"][language] in page


def test_no_gate_is_named_beside_the_table() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "studio" / "ui" / "pages" / "select.py").read_text(encoding="utf-8")
    named = {threshold for threshold in CHOOSABLE if f'"{threshold}"' in page}
    assert named == {"min_face_similarity", "min_body_similarity"}  # the two that the scatter plot draws
