"""What was measured is stored and read back as it was, the numbers' types included."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import JsonValue, ValidationError

from studio.domain.measured import StoredHair, StoredMeasures, read_measures, write_measures

STORED: dict[str, JsonValue] = {
    "face": [0.6, 0.8],
    "body": [1.5, None],
    "hair": {"share": 0.1, "length": 2.0, "lab": [50.0, 1.0, 2.0], "embedding": [1.0]},
    "attributes": {"outfit": "dress"},
    "thumbnail": [0.1],
    "sharpness": 3.25,
    "people": 2,
    "quality": None,
}


def test_a_stored_list_is_read_and_written_as_it_is() -> None:
    (row,) = rows = read_measures([STORED])
    assert row.numbers == {"sharpness": 3.25, "people": 2, "quality": None}
    assert isinstance(row.numbers["people"], int)
    assert json.dumps(write_measures(rows)) == json.dumps([STORED])


def test_hair_is_a_reading_again() -> None:
    reading = StoredHair(share=0.1, length=2, lab=(1, 2, 3), embedding=(0.6, 0.8)).as_reading()
    assert reading.lab.dtype == reading.embedding.dtype == np.float32
    assert (reading.share, reading.length, reading.lab.tolist()) == (0.1, 2.0, [1.0, 2.0, 3.0])


def test_nobody_is_none_and_nonsense_is_refused() -> None:
    (row,) = read_measures([STORED | {"face": None, "hair": None}])
    assert (row.face, row.hair) == (None, None)
    with pytest.raises(ValidationError):
        StoredMeasures.model_validate(STORED | {"sharpness": "very"})
