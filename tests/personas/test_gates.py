"""The one loop over GATES against the same rules written out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from personas.candidates import Pool
from personas.gates import CHOOSABLE, GATES, THRESHOLDS, Gates, apply_gates
from personas.measures.body import body_similarity
from personas.measures.catalogue import MEASURES
from personas.measures.hair import HairReading, hair_similarity
from personas.measures.subject import CandidateMeasures
from pipelines.errors import BadInput

DIM = 16
COUNT = 48


def _unit(v: np.ndarray) -> np.ndarray:
    return np.asarray(v / np.linalg.norm(v), np.float32)


def _candidate(rng: np.random.Generator, thumbnails: list[np.ndarray]) -> CandidateMeasures:
    """Anything may be missing, and anything may be beyond its threshold."""

    def maybe(value: float) -> float | None:
        return None if rng.random() < 0.1 else math.nan if rng.random() < 0.1 else value

    hair = HairReading(0.1, 1.0, np.zeros(3, np.float32), _unit(np.eye(4)[0] + 0.5 * rng.standard_normal(4)))
    body = np.array([1.5, 1.1, 1.6, 0.8, 2.4, 1.0], np.float32) + rng.normal(0, 0.2, 6).astype(np.float32)
    return CandidateMeasures(
        face=None if rng.random() < 0.1 else _unit(np.eye(DIM)[0] + 0.3 * rng.standard_normal(DIM)),
        body=np.where((rng.random(6) < 0.2) & (np.arange(6) > 1), np.nan, body).astype(np.float32),
        hair=None if rng.random() < 0.1 else hair,
        thumbnail=thumbnails[rng.integers(len(thumbnails))],
        numbers={
            "sharpness": rng.random(),
            "face_height": 0.3 * rng.random(),
            "obeyed": maybe(1.3 * rng.random()),
            "quality": maybe(rng.random()),
            "people": maybe(int(rng.integers(0, 3))),
        },
    )


def _by_hand(people: list[CandidateMeasures], inside: set[int], centre: np.ndarray, gates: Gates) -> list[list[str]]:
    """The rules, one `if` each."""
    reasons: list[list[str]] = [[] for _ in people]
    near = {i: float(centre @ c.face) for i, c in enumerate(people) if c.face is not None}
    for i, c in enumerate(people):
        if i not in near:
            reasons[i].append("no_face")
            continue
        if near[i] < gates["min_face_similarity"]:
            reasons[i].append("face" if i in inside else "other_cluster")
        for gate, name, threshold in (
            ("sharpness", "sharpness", "min_sharpness"), ("small_face", "face_height", "min_face_height"),
            ("prompt", "obeyed", "min_obeyed"), ("quality", "quality", "min_quality"),
        ):  # fmt: skip
            value = c.numbers[name]
            if value is not None and value < gates[threshold]:
                reasons[i].append(gate)
        count = c.numbers["people"]
        if count is not None and count > gates["max_people"]:
            reasons[i].append("people")
    alike = [people[i] for i in near if not reasons[i]]
    body = np.nanmedian([c.body for c in alike], axis=0).astype(np.float32)
    hairs = np.stack([c.hair.embedding for c in alike if c.hair is not None])
    hair = HairReading(0, 0, np.zeros(3, np.float32), _unit(hairs.mean(axis=0)))
    for i, c in enumerate(people):
        likeness = body_similarity(c.body, body)
        if likeness is not None and likeness < gates["min_body_similarity"]:
            reasons[i].append("body")
        if c.hair is not None and hair_similarity(c.hair, hair) < gates["min_hair_similarity"]:
            reasons[i].append("hair")
    stays: list[int] = []
    for i in sorted((i for i in near if not reasons[i]), key=lambda i: -near[i]):
        if any(people[i].thumbnail @ people[j].thumbnail > gates["max_duplicate_similarity"] for j in stays):
            reasons[i].append("duplicate")
        else:
            stays.append(i)
    return reasons


@pytest.mark.parametrize("seed", range(40))
def test_the_loop_does_what_the_rules_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thumbnails = [_unit(rng.standard_normal(32)) for _ in range(36)]
    people = [_candidate(rng, thumbnails) for _ in range(COUNT)]
    inside = {i for i in range(COUNT) if rng.random() < 0.8}
    gates = Gates(min_face_similarity=0.4 + 0.3 * rng.random(), novelty_ceiling=0.9, min_sharpness=0.1)
    centre = np.asarray(np.eye(DIM)[0], np.float32)
    pool = Pool(people, centre, frozenset(inside), {}, None, None)
    for stage in ("picture", "typical", "pairs"):
        if stage == "typical":
            pool.find_typical()
        apply_gates(pool, gates, stage)
    assert [list(r) for r in pool.reasons] == _by_hand(people, inside, centre, gates)
    assert len({reason for reasons in pool.reasons for reason in reasons}) > 5


def test_rows_are_whole() -> None:
    assert len({gate.name for gate in GATES}) == len(GATES)
    names = {row.name for row in MEASURES if row.on_candidates}
    for gate in GATES:
        assert gate.measure in {"", *names}
        assert bool(gate.measure) <= bool(gate.threshold)
    for name, gate in CHOOSABLE.items():
        assert gate.slider is not None
        least, most, step = gate.slider
        assert gate.low <= least < most <= gate.high, name
        assert step > 0
        if gate.default is not None:  # a slider can stand where the default is
            assert round((gate.default - least) / step, 6) == round((gate.default - least) / step), name


def test_a_donors_face_is_never_let_through_by_choice() -> None:
    assert "novelty_ceiling" in THRESHOLDS
    assert "novelty_ceiling" not in CHOOSABLE


def test_thresholds_are_checked_and_never_change() -> None:
    gates = Gates(min_face_similarity=0.5, novelty_ceiling=0.7)
    changed = gates.replace({"min_sharpness": 0.4})
    assert (gates["min_sharpness"], changed["min_sharpness"]) == (0.2, 0.4)
    assert dict(changed) == {**gates, "min_sharpness": 0.4}
    for wrong, code in (
        ({"min_face_similarity": 0.5}, "threshold_no_number"),
        ({**gates, "min_quality": math.nan}, "threshold_no_number"),
        ({**gates, "min_beauty": 1.0}, "unknown_threshold"),
    ):
        with pytest.raises(BadInput) as caught:
            Gates(**wrong)
        assert caught.value.code == code


def test_the_first_gate_of_a_threshold_describes_it() -> None:
    face = next(gate for gate in GATES if gate.name == "face")
    assert THRESHOLDS["min_face_similarity"] == face
    assert replace(face, slider=None) not in THRESHOLDS.values()
