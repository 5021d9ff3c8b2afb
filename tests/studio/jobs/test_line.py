"""How long the queue will take is said from what such jobs took; nothing is said where none was timed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from studio.application import Studio
from studio.domain.job_title import JobTitle
from studio.domain.times import JobSize, JobTime
from studio.jobs.engine import Engine
from studio.jobs.line import expected_seconds, look_at_line, page_of, title_of
from studio.jobs.queue import Queue
from studio.library.job_times import note_time
from studio.library.records import PAUSED, JobRecord, MarkRecord
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def _keep(studio: Studio, job: str, state: str, count: int, owner: str = "li", **facts: Any) -> None:
    told = {
        "title": JobTitle(count=count).model_dump(mode="json"),
        "size": JobSize(units=count).model_dump(mode="json"),
    }
    studio.records.keep(JobRecord(id=job, owner=owner, kind="posts", state=state, error=None, facts=told | facts))


def test_the_line_says_when_all_is_done(studio: Studio) -> None:
    queue = Queue(studio)
    assert look_at_line(queue, "li").is_empty
    _keep(studio, "a", "running", 9, began=time.time() - 30)
    _keep(studio, "b", "queued", 5)
    _keep(studio, "w", "queued", 4, owner="wang")
    _keep(studio, "c", "queued", 1)
    line = look_at_line(queue, "li")
    assert line.running is not None
    assert line.running.id == "a"
    assert [row.id for row in line.waiting] == ["b", "c"]
    assert (line.seconds_left, line.seconds_in_all) == (None, None)  # nothing like it was timed yet
    note_time(studio.records, "done", "posts", studio.choice, JobTime(size=JobSize(units=10), seconds=100))
    line = look_at_line(queue, "li")
    assert line.seconds_left == pytest.approx(60, abs=3)
    assert line.seconds_in_all == pytest.approx(60 + 50 + 40 + 10, abs=3)  # wang's comes before li's last
    studio.records.keep(MarkRecord(id=PAUSED, owner="wang", facts={"paused": True}))
    assert look_at_line(queue, "li").seconds_in_all == pytest.approx(60 + 50 + 10, abs=3)
    studio.records.keep(MarkRecord(id=PAUSED, owner="li", facts={"paused": True}))
    line = look_at_line(queue, "li")
    assert line.paused
    assert line.seconds_in_all is None


def test_a_job_that_no_page_asked_for_is_named_and_sized(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        return Work(id="it")

    add_kind(monkeypatch, work)
    with Engine(studio, None) as engine:
        engine.run(WorkRequest(owner="li", word="Lin"), Work)
    (row,) = studio.records.find(JobRecord, "li")
    assert title_of(row) == JobTitle(who="Lin")
    assert expected_seconds(studio, row) is not None
    assert page_of(row) == ""
    (tmp_path / "settings.json").write_text("{")
    assert expected_seconds(studio, row) is None  # the line goes on where settings cannot be read
