"""A model family is one folder and one line; its name is its own, and refusals list all that can be loaded."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from pipelines.backbones import resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.catalogue import FAMILIES, find_family
from pipelines.families.model import Loader
from pipelines.families.protocol import Family
from studio.texts.texts import LANGUAGES, Language
from tests.tables.surfaces import api_schema, api_tables, command_help, command_output, make_ui

every_row = pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row.id)


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_words(row: Family, language: Language) -> None:
    assert row.name in make_ui(language).t.error(_refused())


@every_row
def test_api(row: Family) -> None:
    assert {"id": row.id, "name": row.name} in api_tables()["families"]
    assert row.id in api_schema()["FamilyRow"]["properties"]["id"]["enum"]


@every_row
def test_command_line(row: Family) -> None:
    assert row.name in command_help("backbones").split("Families that are loaded:")[1]
    assert row.name in command_output("backbones").split("Families that are loaded:")[1]
    assert {"id": row.id, "name": row.name} in json.loads(command_output("backbones", "--json"))["families"]


@every_row
def test_page(row: Family) -> None:
    # what a page shows of a failed job: the sentence that says which families there are
    assert row.name in make_ui().t.error(_refused())


@every_row
def test_a_folder_of_its_class_is_resolved(row: Family, tmp_path: Path) -> None:
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text("{}", encoding="utf-8")
    for pipeline in row.pipelines:
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}), encoding="utf-8")
        spec = resolve_backbone(tmp_path)
        assert spec.family == row.id
        assert min(spec.height, spec.width, spec.num_inference_steps) > 0
    assert row.pipelines


@every_row
def test_its_loaded_half_is_whole(row: Family) -> None:
    for name in ("check_transformer", "load_model"):
        given = inspect.signature(getattr(row.loader(), name)).parameters
        assert ["self", *given] == list(inspect.signature(getattr(Loader, name)).parameters)


def _refused() -> BadInput:
    with pytest.raises(BadInput) as caught:
        find_family("nobody's")
    return caught.value
