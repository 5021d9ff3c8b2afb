"""The nearest faces are those that comparing all of them one by one gives, in the same order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from personas.measures.nearest import FaceMatrix

Rows = np.ndarray[Any, np.dtype[Any]]


def brute(faces: Rows, face: Rows, count: int) -> list[int]:
    cosines = (np.asarray(faces, np.float16).astype(np.float64) * np.asarray(face, np.float64)).sum(axis=1)
    return list(np.lexsort((np.arange(len(faces)), -cosines))[:count])


def scaled(rows: Rows) -> Rows:
    unit: Rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit


def units(rng: np.random.Generator, *shape: int) -> Rows:
    return scaled(rng.standard_normal(shape))


def people(rng: np.random.Generator, count: int, each: int, width: int, spread: float) -> Rows:
    centres = np.repeat(units(rng, count, width), each, axis=0)
    return scaled(centres + spread * units(rng, count * each, width))


def faces_of(kind: str, rng: np.random.Generator, width: int) -> Rows:
    if kind == "strangers":
        return units(rng, 6000, width)
    if kind == "people":
        return people(rng, 60, 100, width, 0.7)
    if kind == "nearly the same":  # all within what eight bits lose
        return people(rng, 1, 4000, width, 2e-3)
    if kind == "one number each":
        return np.eye(width)[rng.integers(0, width, 3000)]
    return np.repeat(units(rng, 40, width), 50, axis=0)


@pytest.mark.parametrize("width", [128, 512])
@pytest.mark.parametrize("kind", ["strangers", "people", "nearly the same", "one number each", "doubles"])
def test_the_answer_is_exact(kind: str, width: int) -> None:
    rng = np.random.default_rng([width, len(kind)])
    faces, matrix = faces_of(kind, rng, width), FaceMatrix(width, threads=1)
    for part in np.array_split(faces, 7):
        matrix.add(part)
    for turn in range(12):
        face = units(rng, width) if turn % 2 else faces[turn * 17]
        for count in (1, 24, 200):
            found = matrix.nearest(face, count)
            assert list(found.rows) == brute(faces, face, count)
            assert list(found.cosines) == sorted(found.cosines, reverse=True)


def test_more_than_there_are_are_all_and_none_are_none() -> None:
    matrix = FaceMatrix(8, threads=1)
    face = np.eye(8)[0]
    assert len(matrix.nearest(face, 3).rows) == 0
    matrix.add(np.eye(8)[:2])
    assert list(matrix.nearest(face, 9).rows) == [0, 1]
    assert matrix.told(1) == np.eye(8)[1].astype("<f2").tobytes()


def test_a_look_is_exact_while_faces_are_added() -> None:
    rng = np.random.default_rng(5)
    faces, matrix = units(rng, 8000, 64), FaceMatrix(64, threads=1)
    matrix.add(faces[:1000])

    def add() -> None:
        for part in np.array_split(faces[1000:], 140):
            matrix.add(part)

    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(add)
        while not adding.done():
            before = len(matrix)
            found = set(matrix.nearest(faces[3], 10).rows)
            assert any(found == set(brute(faces[:n], faces[3], 10)) for n in range(before, len(matrix) + 1, 50))
        adding.result()
    assert list(matrix.nearest(faces[3], 10).rows) == brute(faces, faces[3], 10)
