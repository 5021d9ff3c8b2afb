"""docs/families.md agrees with the code's tables, row by row; each spelling that it names is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.families import LORA_KEYS, families_table
from pipelines.families.catalogue import FAMILIES, find_family
from pipelines.models.catalogue import MODELS
from pipelines.models.licences import LICENCES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "families.md"


def test_every_row_stands_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [row for row in families_table().splitlines() if row not in page] == []
    rows = {line for line in page if line.startswith("| ")}
    assert rows <= set(families_table().splitlines())  # and no other


def test_every_model_with_its_licence_is_in_the_tables() -> None:
    table = families_table()
    for model in MODELS.values():
        if model.role == "backbone" and model.hub:
            assert f"| {model.id} |" in table
    assert all(str(LICENCES[m.licence].read_on) in table for m in MODELS.values() if m.role == "backbone" and m.hub)


@pytest.mark.parametrize("family", [row.id for row in FAMILIES])
def test_every_spelling_that_is_named_is_read(family: str) -> None:
    spellings = find_family(family).lora_spellings
    for writer, key in LORA_KEYS[family].items():
        name = spellings.parse(key)
        assert name is not None, (writer, key)
        assert spellings.targets(name.layer), (writer, key)
