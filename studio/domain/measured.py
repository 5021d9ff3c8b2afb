"""Measures of a stored candidate, as they are kept beside the pictures of a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from personas.measures.hair import HairReading
from studio.domain.values import later_field

__all__ = ["StoredHair", "StoredMeasures", "read_measures", "write_measures"]

Numbers = Mapping[str, int | float | None]


class StoredHair(BaseModel):
    """A `HairReading`; `lab` [3], `embedding` [32]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float
    length: float
    lab: tuple[float, ...]
    embedding: tuple[float, ...]

    def as_reading(self) -> HairReading:
        """Return it with float32 arrays."""
        lab, embedding = np.asarray(self.lab, np.float32), np.asarray(self.embedding, np.float32)
        return HairReading(self.share, self.length, lab, embedding)


class StoredMeasures(BaseModel):
    """CandidateMeasures as JSON: None is what was not found or not seen.

    `face` [d] has length 1, `attributes` is what the reader sees, `thumbnail` [n], `eyes` [3]. All other fields are the
    `numbers`, by the names of MEASURES as they were when it was measured.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, int | float | None]

    face: tuple[float, ...] | None
    body: tuple[float | None, ...]
    hair: StoredHair | None
    attributes: dict[str, str]
    thumbnail: tuple[float, ...]
    eyes: tuple[float, ...] | None = later_field(None)

    @property
    def numbers(self) -> Numbers:
        """Return what was measured as a number."""
        return self.__pydantic_extra__


def read_measures(value: JsonValue) -> tuple[StoredMeasures, ...]:
    """Return the rows of a stored list."""
    return _ROWS.validate_python(value)


def write_measures(rows: Sequence[StoredMeasures]) -> JsonValue:
    """Return the list to be stored."""
    written: JsonValue = _ROWS.dump_python(tuple(rows), mode="json")
    return written


_ROWS = TypeAdapter(tuple[StoredMeasures, ...])
