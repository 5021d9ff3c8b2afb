"""Personas of one name that are kept at the same time have different versions, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from studio.library.persona_versions import keep_version
from studio.library.records import PersonaRecord, Records
from tests.postgres import Postgres, closed_engines

MANY = 8


def row(number: int, name: str = "Lin", owner: str = "me") -> PersonaRecord:
    return PersonaRecord(id=f"p{number}", owner=owner, name=name, design="d", lora="0" * 64, facts={})


def keep_at_once(place: Path | str) -> list[int]:
    """As so many machines do, each with a connection of its own."""
    machines = [Records(place) for _ in range(MANY)]
    together = Barrier(MANY)

    def keep(number: int) -> int:
        together.wait()
        return keep_version(machines[number], row(number))

    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(keep, range(MANY)))


def check(place: Path | str) -> None:
    assert sorted(keep_at_once(place)) == list(range(1, MANY + 1))
    records = Records(place)
    again = keep_version(records, row(3))  # a step may run twice
    assert again == records.get(PersonaRecord, "p3", "me").version  # type: ignore[union-attr]
    assert keep_version(records, row(90, "Mei")) == 1
    assert keep_version(records, row(91, owner="you")) == 1
    assert keep_version(records, row(92)) == MANY + 1


def test_on_sqlite(tmp_path: Path) -> None:
    check(tmp_path / "studio.sqlite")


def test_on_postgresql(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_engines(monkeypatch):
        check(postgres.new_database())
