"""GATES: one row a gate, evaluated by one loop. A gate drops candidates and gives its name as the reason.

A new gate is one row here, and its words in the texts: `word.<name>`, and `word.<threshold>` where it has a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from personas.candidates import Pool
from pipelines.errors import BadInput

__all__ = ["CHOOSABLE", "GATES", "THRESHOLDS", "Gate", "Gates", "Stage", "apply_gates", "find_gate"]

Stage = Literal["picture", "typical", "pairs", "count", "person"]
Drops = Callable[["Gate", Pool, float], Sequence[int]]


def _outside(gate: Gate, pool: Pool, threshold: float) -> list[int]:
    """Drop what was measured and is beyond the threshold: None and NaN are not held against a candidate."""

    def is_outside(i: int) -> bool:
        value = pool.number(i, gate.measure)
        if value is None or (gate.faces_only and not pool.has_face(i)):
            return False
        return value > threshold if gate.at_most else value < threshold

    return [i for i in range(len(pool.candidates)) if is_outside(i)]


def _without_face(gate: Gate, pool: Pool, threshold: float) -> list[int]:
    return [i for i in range(len(pool.candidates)) if not pool.has_face(i)]


def _far_inside(gate: Gate, pool: Pool, threshold: float) -> list[int]:
    return [i for i in _outside(gate, pool, threshold) if i in pool.inside]


def _far_elsewhere(gate: Gate, pool: Pool, threshold: float) -> list[int]:
    # another cluster is no reason by itself: k-means may cut one person in two
    return [i for i in _outside(gate, pool, threshold) if i not in pool.inside]


def _repeated(gate: Gate, pool: Pool, threshold: float) -> list[int]:
    """Drop the one farther from the centre of two nearly equal pictures."""
    stays: list[int] = []
    drops: list[int] = []
    for i in pool.remaining:
        (drops if any(pool.likeness(i, j) > threshold for j in stays) else stays).append(i)
    return drops


def _too_many(gate: Gate, pool: Pool, threshold: float) -> list[int]:
    return pool.surplus


def _near_a_donor(gate: Gate, pool: Pool, threshold: float) -> list[int]:
    """Drop all where the mean of the remaining faces could pass for a donor."""
    return pool.remaining if max(pool.donor_similarity.values(), default=-math.inf) >= threshold else []


@dataclass(frozen=True)
class Gate:
    """`name` is the reason that reports keep; `measure`, a row of MEASURES, is what it looks at ("": see `drops`).

    `threshold` names the number that it is loosened by ("" for none): values over it are dropped where `at_most`, else
    those under it. Gates may share one; the first of them describes it: its `default` (None: from the recogniser's
    calibration), its ends `low` and `high`, and the `slider` that a page shows (least, most, step), None where nobody
    chooses it. Candidates without a face are judged only where not `faces_only`.

    Stages, in their order: "picture" looks at each alone, "typical" compares it with those that passed, "pairs" with
    each other, "count" with how many are wanted; "person" judges whom the remaining show.
    """

    name: str
    stage: Stage = "picture"
    measure: str = ""
    threshold: str = ""
    default: float | None = None
    at_most: bool = False
    low: float = 0.0
    high: float = 1.0
    slider: tuple[float, float, float] | None = None
    faces_only: bool = True
    drops: Drops = _outside


_SHARE = (0.0, 1.0, 0.01)
GATES: tuple[Gate, ...] = (
    Gate("no_face", drops=_without_face),
    Gate("face", measure="face_similarity", threshold="min_face_similarity", low=-1, slider=_SHARE, drops=_far_inside),
    Gate("other_cluster", measure="face_similarity", threshold="min_face_similarity", drops=_far_elsewhere),
    Gate("sharpness", measure="sharpness", threshold="min_sharpness", default=0.2, high=1000, slider=(0.0, 100.0, 0.1)),
    Gate("small_face", measure="face_height", threshold="min_face_height", default=0.06, slider=(0.0, 0.5, 0.01)),
    Gate("prompt", measure="obeyed", threshold="min_obeyed", default=0.6, slider=_SHARE),
    Gate("quality", measure="quality", threshold="min_quality", default=0.3, slider=_SHARE),
    Gate("people", measure="people", threshold="max_people", default=1, at_most=True, high=100, slider=(1, 10, 1)),
    Gate("body", "typical", "body_similarity", "min_body_similarity", 0.35, slider=_SHARE, faces_only=False),
    Gate("hair", "typical", "hair_similarity", "min_hair_similarity", 0.3, low=-1, slider=_SHARE, faces_only=False),
    Gate("eyes", "typical", "eye_similarity", "min_eye_similarity", 0.3, slider=_SHARE, faces_only=False),
    Gate(
        "duplicate", "pairs", threshold="max_duplicate_similarity", default=0.995, at_most=True, low=-1,
        slider=(0.9, 1.0, 0.005), drops=_repeated,
    ),
    Gate("surplus", "count", drops=_too_many),
    Gate("novelty", "person", threshold="novelty_ceiling", at_most=True, low=-1, drops=_near_a_donor),
)  # fmt: skip
THRESHOLDS: Mapping[str, Gate] = {
    name: next(row for row in GATES if row.threshold == name)
    for name in dict.fromkeys(row.threshold for row in GATES if row.threshold)
}
CHOOSABLE: Mapping[str, Gate] = {name: row for name, row in THRESHOLDS.items() if row.slider is not None}


def find_gate(name: str) -> Gate:
    """Return the row of that name. Raises BadInput."""
    for gate in GATES:
        if gate.name == name:
            return gate
    raise BadInput("unknown_gate", gate=name, known=[gate.name for gate in GATES])


class Gates(Mapping[str, float]):
    """A value for every threshold of GATES, those that are not given at their defaults; it never changes.

    `min_face_similarity` and `novelty_ceiling` come from the recogniser's calibration: see `personas.novelty`. Raises
    BadInput for a threshold that does not exist, that is no number, or that has no default and was not given.
    """

    def __init__(self, **thresholds: float) -> None:
        if unknown := sorted(thresholds.keys() - THRESHOLDS.keys()):
            raise BadInput("unknown_threshold", threshold=unknown[0], known=list(CHOOSABLE))
        self._values: dict[str, float] = {}
        for name, gate in THRESHOLDS.items():
            value = thresholds.get(name, gate.default)
            if value is None or not math.isfinite(value):
                raise BadInput("threshold_no_number", threshold=name)
            self._values[name] = value

    def __getitem__(self, threshold: str) -> float:
        return self._values[threshold]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Gates({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"

    def replace(self, changes: Mapping[str, float]) -> Gates:
        """Return these with some thresholds changed. Raises BadInput."""
        return Gates(**(self._values | dict(changes)))


def apply_gates(pool: Pool, gates: Gates, stage: Stage) -> None:
    """Hold against each candidate all that the gates of one stage find, in the order of GATES."""
    for gate in GATES:
        if gate.stage == stage:
            for i in gate.drops(gate, pool, gates[gate.threshold] if gate.threshold else math.nan):
                pool.reasons[i].append(gate.name)
