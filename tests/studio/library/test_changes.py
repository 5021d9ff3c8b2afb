"""What an open page asks before anything else: whether any of its owner's things have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import event

from studio.library.changes import look_at_changes
from studio.library.records import DraftRecord, JobRecord, MarkRecord, Records, SceneRecord, TimeRecord
from tests.postgres import closed_engines


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    with closed_engines(monkeypatch):
        if request.param == "sqlite":
            yield Records(tmp_path / "studio.sqlite")
        else:
            yield Records(request.getfixturevalue("postgres").new_database())


def a_job(state: str, owner: str = "mei", name: str = "a") -> JobRecord:
    return JobRecord(id=f"posts-{name}", owner=owner, kind="posts", state=state, error=None, facts={})


def test_each_change_of_ones_own_things_is_seen_and_anothers_is_not(records: Records) -> None:
    scene = SceneRecord(id="s", owner="mei", name="café", photo="0" * 64, landmark=None, sha256="0" * 64)
    steps: tuple[Callable[[], None], ...] = (
        lambda: records.keep(a_job("done")),
        lambda: records.keep(a_job("failed")),
        lambda: records.keep(MarkRecord(id="scene:s", owner="mei", facts={"favourite": True})),
        lambda: records.keep(MarkRecord(id="scene:s", owner="mei", facts={"favourite": False})),
        lambda: records.remove(MarkRecord, "scene:s", "mei"),
        lambda: records.keep(DraftRecord(id="posts", owner="mei", facts={}, keys=[])),
        lambda: records.keep(DraftRecord(id="posts", owner="mei", facts={"count": 9}, keys=[])),
        lambda: records.keep(scene),
        lambda: records.keep(TimeRecord(id="t", owner="", kind="posts", backbone="b", seconds=1.0, facts={})),
    )
    told, his = [look_at_changes(records, "mei").told], look_at_changes(records, "wang").told[:-1]
    for step in steps:
        step()
        told.append(look_at_changes(records, "mei").told)
        time.sleep(0.002)  # a press takes longer
    assert all(before != after for before, after in pairwise(told))
    assert look_at_changes(records, "mei").told == told[-1]
    assert look_at_changes(records, "wang").told[:-1] == his


def test_an_older_copy_that_is_written_back_is_a_change(records: Records) -> None:
    records.keep(MarkRecord(id="m", owner="mei", facts={"n": 1}))
    older = records.get(MarkRecord, "m", "mei")
    assert older is not None
    time.sleep(0.002)
    records.keep(MarkRecord(id="m", owner="mei", facts={"n": 2}))
    between = look_at_changes(records, "mei")
    records.keep(older)
    assert look_at_changes(records, "mei").told != between.told
    records.keep(MarkRecord(id="m", owner="mei", facts={"n": 1}))  # as it is: nothing changes
    assert records.get(MarkRecord, "m", "mei").changed > older.changed  # type: ignore[union-attr]


def test_it_is_said_whether_anything_waits_and_whether_it_moves(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(owner: str = "mei") -> tuple[bool, bool]:
        found = look_at_changes(records, owner)
        return found.waits, found.moves

    assert look() == (False, False)
    records.keep(a_job("queued"))
    assert look() == (True, True)  # nobody's runs: a free worker takes it at once
    records.keep(a_job("running", "wang"))
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 60.0)
    assert look() == (True, False)  # behind another's, and not just asked for
    assert look("wang") == (True, True)
    records.keep(a_job("done"))
    assert look() == (False, False)


def test_one_statement_answers_it_from_indexes(tmp_path: Path) -> None:
    records, said = Records(tmp_path / "studio.sqlite"), list[str]()
    event.listen(records.engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    look_at_changes(records, "mei")
    assert len(said) == 1
    with records.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"explain query plan {said[0]}", tuple(["mei"] * said[0].count("?")))
        plan = [str(row[3]) for row in rows]
    for table in ("jobs", "marks"):
        assert any(f"SEARCH {table} USING COVERING INDEX {table}_changed" in line for line in plan), plan
    assert not [line for line in plan if line.startswith(("SCAN jobs", "SCAN marks"))], plan
