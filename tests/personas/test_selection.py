"""Every gate bites, and says so; the maths against hand-made clusters."""

import json
from dataclasses import replace

import numpy as np
import pytest

from personas.gates import Gates
from personas.measures.hair import HairReading
from personas.measures.subject import CandidateMeasures
from personas.selection import select_candidates
from pipelines.errors import NotEnough
from studio.texts.errors import say_error
from studio.texts.texts import Texts

GATES = Gates(min_face_similarity=0.5, novelty_ceiling=0.7)
DIM = 32


def _unit(v: np.ndarray) -> np.ndarray:
    return np.asarray(v / np.linalg.norm(v), np.float32)


def _candidate(rng: np.random.Generator, centre: np.ndarray, noise: float = 0.1) -> CandidateMeasures:
    hair = HairReading(0.1, 1.0, np.zeros(3, np.float32), _unit(np.eye(8)[0] + 0.05 * rng.standard_normal(8)))
    body = np.array([1.5, 1.1, 1.6, 0.8, 2.4, np.nan], np.float32) + rng.normal(0, 0.03, 6).astype(np.float32)
    face = _unit(centre + noise * rng.standard_normal(DIM))
    return CandidateMeasures(face, body, hair, _unit(rng.standard_normal(64)), {"sharpness": 1.0, "face_height": 0.2})


def _group(count: int, seed: int = 0, axis: int = 0, noise: float = 0.1) -> list[CandidateMeasures]:
    rng = np.random.default_rng(seed)
    return [_candidate(rng, np.eye(DIM)[axis], noise) for _ in range(count)]


def test_one_person_is_kept_whole() -> None:
    selection = select_candidates(_group(24), GATES, {}, seed=0)
    assert len(selection.kept) == 24
    assert selection.centre @ np.eye(DIM)[0] > 0.97
    assert np.linalg.norm(selection.centre) == pytest.approx(1, abs=1e-5)


def test_the_tightest_cluster_wins_and_the_other_person_is_dropped() -> None:
    people = _group(24, 0, 0, 0.05) + _group(24, 1, 5, 0.15)
    selection = select_candidates(people, GATES, {}, seed=3)
    assert selection.kept == tuple(range(24))
    assert {r for v in selection.verdicts[24:] for r in v.reasons} == {"other_cluster"}


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"face": None}, "no_face"),
        ({"face": _unit(np.eye(DIM)[9] + 0.2)}, "face"),
        ({"body": np.array([3.0, 2.2, 1.6, 0.8, 2.4, np.nan], np.float32)}, "body"),
        ({"hair": HairReading(0.1, 1, np.zeros(3, np.float32), np.asarray(np.eye(8)[3], np.float32))}, "hair"),
        ({"numbers": {"sharpness": 0.01}}, "sharpness"),
        ({"numbers": {"face_height": 0.02}}, "small_face"),
        ({"numbers": {"obeyed": 1 / 3}}, "prompt"),
        ({"numbers": {"quality": 0.1}}, "quality"),
        ({"numbers": {"people": 2}}, "people"),
    ],
)
def test_every_gate_drops_its_own(changes: dict[str, object], gate: str) -> None:
    people = _group(16)
    people[5] = replace(people[5], **changes)  # type: ignore[arg-type]
    selection = select_candidates(people, GATES, {}, seed=0)
    assert 5 not in selection.kept
    assert len(selection.kept) == 15
    assert gate in selection.verdicts[5].reasons
    assert selection.gate_counts[gate] == 1


@pytest.mark.parametrize("name", ["obeyed", "quality", "people"])
def test_what_was_not_measured_is_not_held_against_a_picture(name: str) -> None:
    people = _group(8)
    for value, number in ((None, 2), (float("nan"), 3)):
        people[number] = replace(people[number], numbers={name: value})
    assert len(select_candidates(people, GATES, {}, seed=0).kept) == 8


def test_near_duplicates_leave_the_better_one() -> None:
    people = _group(12)
    people[7] = replace(people[2])
    selection = select_candidates(people, GATES, {}, seed=0)
    assert len(selection.kept) == 11
    assert sum("duplicate" in v.reasons for v in selection.verdicts) == 1


def test_the_new_face_must_not_pass_for_a_donor() -> None:
    donor = _unit(np.eye(DIM)[0] + 0.1 * np.eye(DIM)[1])
    with pytest.raises(NotEnough, match=r"not_novel.*donor=twin"):
        select_candidates(_group(12), GATES, {"twin": donor}, seed=0)
    stranger = select_candidates(_group(12), GATES, {"stranger": _unit(np.eye(DIM)[3])}, seed=0)
    assert stranger.donor_similarity["stranger"] < 0.3


def test_all_dropped_says_which_gate_and_what_to_loosen() -> None:
    people = [replace(c, numbers={"sharpness": 0.0}) for c in _group(12)]
    with pytest.raises(NotEnough, match=r"candidates_too_few_under.*gate=sharpness, dropped=12") as caught:
        select_candidates(people, GATES, {}, seed=0)
    assert "lower min_sharpness" in say_error(caught.value, Texts("en"))[1]


def test_no_face_at_all() -> None:
    with pytest.raises(NotEnough, match=r"faces_too_few.*without=8, count=8"):
        select_candidates([replace(c, face=None) for c in _group(8)], GATES, {}, seed=0)


def test_same_seed_same_selection_and_json_report() -> None:
    people = _group(24, 0, 0, 0.2) + _group(10, 1, 5, 0.2)
    a, b = (select_candidates(people, GATES, {"d": _unit(np.eye(DIM)[2])}, seed=4) for _ in range(2))
    assert a.verdicts == b.verdicts
    report = json.loads(json.dumps(a.report()))
    assert report["kept"] == list(a.kept)
    assert len(report["candidates"]) == 34
    dropped = [row for row in report["candidates"] if not row["kept"]]
    assert all(row["reasons"] for row in dropped)
    assert report["gates"] == dict(GATES)


def test_the_best_of_every_kind_are_kept_in_turns() -> None:
    people = _group(12, noise=0.02) + _group(12, 1, noise=0.12)
    kinds = ["full-body"] * 12 + ["close-up"] * 12
    selection = select_candidates(people, GATES, {}, seed=0, max_kept=8, kinds=kinds)
    assert [kinds[i] for i in selection.kept].count("close-up") == 4
    for kind in ("full-body", "close-up"):
        kept = [v.face_similarity or 0 for v in selection.verdicts if v.kept and kinds[v.index] == kind]
        left = [v.face_similarity or 0 for v in selection.verdicts if "surplus" in v.reasons and kinds[v.index] == kind]
        assert min(kept) >= max(left)
    alone = select_candidates(people, GATES, {}, seed=0, max_kept=8)
    assert {kinds[i] for i in alone.kept} == {"full-body"}


def test_a_known_person_is_not_searched_for() -> None:
    people = _group(24, 0, 0, 0.05) + _group(12, 1, 5, 0.1)
    known = select_candidates(people, GATES, {}, seed=3, centre=_unit(np.eye(DIM)[5]))
    assert known.kept
    assert all(i >= 24 for i in known.kept)
