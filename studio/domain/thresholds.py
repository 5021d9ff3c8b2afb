"""Thresholds that a person gives: those of GATES that may be chosen, within their ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from personas.gates import CHOOSABLE
from pipelines.errors import BadInput
from studio.texts.texts import Texts

__all__ = ["Thresholds", "check_thresholds", "thresholds_schema"]


def check_thresholds(values: Mapping[str, float]) -> dict[str, float]:
    """Return the thresholds as they are. Raises BadInput for one that nobody may choose, or that is out of range."""
    for name, value in values.items():
        gate = CHOOSABLE.get(name)
        if gate is None:
            raise BadInput("unknown_threshold", threshold=name, known=list(CHOOSABLE))
        if not gate.low <= value <= gate.high:
            raise BadInput("threshold_out_of_range", threshold=name, value=value, low=gate.low, high=gate.high)
    return dict(values)


def thresholds_schema() -> dict[str, object]:
    """Return the JSON schema of an object with a number for each threshold that shall differ from its default."""
    texts = Texts("en")
    properties = {
        name: {"type": "number", "minimum": gate.low, "maximum": gate.high, "description": texts.word(name)}
        | ({} if gate.default is None else {"default": gate.default})
        for name, gate in CHOOSABLE.items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


Thresholds = Annotated[dict[str, float], AfterValidator(check_thresholds), WithJsonSchema(thresholds_schema())]
