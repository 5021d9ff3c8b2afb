"""The library is paged by key: every page costs the same, and nothing is shown twice or left out while things come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from studio.application import Studio
from studio.jobs.queue import Queue
from studio.library.index import Cursor, Page, Search, Thing, count_things, every_thing, find_things
from studio.library.records import IndexRecord, MarkRecord, Records
from studio.library.trash import empty_trash
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.thing_grid import Opened, Wanted, show_things

POSTS = Search("me", "posts")
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "studio.sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def any_records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    sqlite = request.param == "sqlite"
    place: Any = tmp_path / "any.sqlite" if sqlite else request.getfixturevalue("postgres").new_database()
    records = Records(place)
    yield records
    records.engine.dispose()


def keep(records: Records, count: int, first: int = 0, owner: str = "me", kind: str = "posts") -> None:
    """Keep things of which three each are of the same moment."""
    with records.transaction() as session:
        for i in range(first, first + count):
            created = BEGAN + timedelta(seconds=i // 3)
            row = IndexRecord(
                id=f"{kind}:{i:05d}",
                owner=owner,
                kind=kind,
                words="",
                facts={"name": "Lin", "scene": "cafe", "count": 9},
            )
            row.created = created
            session.add(row)


def mark(records: Records, numbers: list[int], **facts: Any) -> None:
    with records.transaction() as session:
        session.add_all(MarkRecord(id=f"posts:{i:05d}", owner="me", facts=facts) for i in numbers)


def pages(records: Records, search: Search = POSTS, size: int = 60) -> Iterator[Page]:
    page = find_things(records, search, None, size)
    yield page
    while page.next is not None:
        page = find_things(records, search, page.next, size)
        yield page


def numbers(things: Iterator[Thing] | tuple[Thing, ...]) -> list[int]:
    return [int(thing.id.partition(":")[2]) for thing in things]


@contextmanager
def watched(records: Records) -> Iterator[tuple[list[int], list[tuple[str, Any]]]]:
    """Count the database's own instructions, by tens, and note the statements."""
    ticks, statements = [0], list[tuple[str, Any]]()

    def tick() -> int:
        ticks[0] += 1
        return 0

    def checkout(connection: Any, record: Any, proxy: Any) -> None:
        connection.set_progress_handler(tick, 10)

    def execute(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        statements.append((statement, parameters))

    event.listen(records.engine, "checkout", checkout)
    event.listen(records.engine, "before_cursor_execute", execute)
    try:
        yield ticks, statements
    finally:
        event.remove(records.engine, "checkout", checkout)
        event.remove(records.engine, "before_cursor_execute", execute)


def test_the_last_of_ten_thousand_costs_what_the_second_page_costs(records: Records) -> None:
    keep(records, 10_000)
    mark(records, list(range(0, 10_000, 500)), favourite=True)
    cursors = [page.next for page in pages(records)]
    assert len(cursors) == 167
    costs = []
    for after in (None, cursors[0], cursors[-2]):
        with watched(records) as (ticks, statements):
            page = find_things(records, POSTS, after)
        costs.append(ticks[0])
    assert len(page.things) == 40
    first, second, last = costs
    assert last <= second * 1.2
    assert first <= second * 2  # the favourites' own query
    ((statement, parameters),) = statements
    assert "OFFSET" not in statement.replace("LIMIT ? OFFSET ?", "OFFSET" if parameters[-1] else "")
    with records.engine.connect() as connection:
        plan = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert "SEARCH shelf USING INDEX shelf_order (owner=? AND kind=? AND created<?)" in plan
    assert not [row for row in plan if row.startswith("SCAN")]


def test_the_order_is_favourites_then_newest_then_by_id(any_records: Records) -> None:
    records = any_records
    keep(records, 500)
    keep(records, 20, owner="wang")
    keep(records, 20, kind="scene")
    chance = random.Random(1)
    stars, gone = chance.sample(range(500), 70), chance.sample(range(500), 50)
    both = set(stars) & set(gone)
    mark(records, [i for i in stars if i not in both], favourite=True)
    mark(records, [i for i in gone if i not in both], trashed=True, favourite=False)
    mark(records, sorted(both), favourite=True, trashed=True)
    every = sorted(range(500), key=lambda i: (i not in stars, -(i // 3), i))
    for size in (1, 7, 60, 1000):
        assert [i for page in pages(records, size=size) for i in numbers(page.things)] == [
            i for i in every if i not in gone
        ]
    assert count_things(records, POSTS) == 450
    trash = Search("me", trashed=True)
    assert numbers(every_thing(records, trash)) == [i for i in every if i in gone]
    assert count_things(records, trash) == 50
    assert count_things(records, Search("me", "scene")) == 20


def test_what_comes_and_goes_between_two_pages_moves_nothing(records: Records) -> None:
    keep(records, 300)
    mark(records, [7, 8], favourite=True)
    there = numbers(tuple(thing for page in pages(records) for thing in page.things))
    seen: list[int] = []
    for number, page in enumerate(pages(records)):
        seen += numbers(page.things)
        if number < 3:
            keep(records, 30, first=1000 + 100 * number)  # newer than all
            records.remove(IndexRecord, page.things[-1].id, "me")  # where the next page begins
    assert seen == there


def test_the_buttons_turn_the_pages_and_stay_on_one_that_is_left(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts("en"))
    keep(studio.records, 121)
    html, opened = show_things(ui, "me", Wanted("posts"), Opened())
    assert "121 found, page 1 of 3" in html
    assert opened.turned("previous-page") == opened
    for number in (2, 3):
        html, opened = show_things(ui, "me", Wanted("posts"), opened.turned("next-page"))
        assert f"121 found, page {number} of 3" in html
    assert html.count("st-card") == 1
    assert opened.turned("next-page") == opened
    mark(studio.records, [0], trashed=True)  # 0, 1 and 2 are of one moment: 2 is the last
    mark(studio.records, [2], trashed=True)
    html, opened = show_things(ui, "me", Wanted("posts"), opened)
    assert "119 found, page 2 of 2" in html
    html, opened = show_things(ui, "me", Wanted("posts"), opened.turned("previous-page"))
    assert "119 found, page 1 of 2" in html
    assert isinstance(opened.next, Cursor)
    assert "st-empty" in show_things(ui, "me", Wanted("posts", "unicorn"), Opened())[0]


def test_a_trash_of_many_pages_is_emptied_whole(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    keep(studio.records, 1203)
    mark(studio.records, list(range(1200)), trashed=True)
    assert empty_trash(studio.library, "me", lambda jobs, owner: None).things == 1200
    assert count_things(studio.records, POSTS) == 3
    assert count_things(studio.records, Search("me", trashed=True)) == 0
