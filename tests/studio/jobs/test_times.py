"""How long a job takes is measured, and the next one like it is estimated by it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.domain.times import JobSize, JobTime, estimate_job, say_duration
from studio.jobs.kinds import KINDS, size_of_set
from studio.jobs.queue import Queue
from studio.library.job_times import note_time, read_times
from studio.library.records import JobRecord
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.estimates import say_estimate, say_left
from tests.studio.domain.values import make_goods, make_post_set


def size(units: int, like: str = "a") -> JobSize:
    return JobSize(units=units, like=like)


def test_an_estimate_is_the_usual_time_of_a_unit_of_jobs_that_are_alike() -> None:
    assert estimate_job([], size(9)) is None
    times = [JobTime(size=size(9), seconds=90), JobTime(size=size(1), seconds=12), JobTime(size=size(2), seconds=18)]
    assert estimate_job(times, size(18)) == pytest.approx(180)
    assert estimate_job([JobTime(size=size(1, "b"), seconds=1), *times], size(18)) == pytest.approx(180)
    assert estimate_job(times, size(3, "c")) == pytest.approx(30)  # nothing like it: better than nothing
    fast = [JobTime(size=size(1), seconds=1)] * 5
    assert estimate_job([*fast, *times], size(1)) == 1  # the newest count


def test_times_are_the_machines_and_of_one_backbone(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    mini, other = BackboneChoice(), BackboneChoice(backbone="else", precision="nf4")
    note_time(studio.records, "posts-1", "posts", mini, JobTime(size=size(9), seconds=90))
    note_time(studio.records, "posts-2", "posts", other, JobTime(size=size(9), seconds=900))
    note_time(studio.records, "design-1", "design", mini, JobTime(size=size(48), seconds=5))
    assert [row.seconds for row in read_times(studio.records, "posts", mini)] == [90]
    assert [row.seconds for row in read_times(studio.records, "posts", other)] == [900]
    assert read_times(studio.records, "posts", other.model_copy(update={"precision": "fp8"})) == []


def test_every_kind_says_its_size_and_a_set_by_what_it_shows() -> None:
    asked = make_post_set(9).request
    assert KINDS["posts"].size(asked) == size_of_set(asked, 9)
    assert KINDS["posts"].size(asked).units == 9
    others = [asked.changed(goods=make_goods()), asked.changed(scale=0.0), asked.changed(panels=3)]
    assert len({KINDS["posts"].size(one).like for one in (asked, *others)}) == 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_said_before_the_press_and_while_it_runs(tmp_path: Path, language: Language) -> None:
    studio, t = Studio(Settings(data=tmp_path)), Texts(language)
    ui = Ui(studio, Queue(studio), t)
    wanted = JobSize(units=9)
    assert t("estimate.unknown") in say_estimate(ui, "posts", wanted)
    row = JobRecord(
        id="posts-9", owner="me", kind="posts", state="running", error=None,
        facts={"size": wanted.model_dump(mode="json"), "began": time.time() - 60},
    )  # fmt: skip
    assert say_left(ui, row, None) == ""
    assert "7" in say_left(ui, row, 7.2)
    note_time(studio.records, "posts-1", "posts", studio.choice, JobTime(size=size(3, ""), seconds=60))
    assert say_duration(t, 180) in say_estimate(ui, "posts", wanted)
    left = say_left(ui, row, 7.2)
    assert left == t("job.left", left=say_duration(t, 120), whole=say_duration(t, 180))
    row.facts = row.facts | {"began": time.time() - 400}  # it takes longer than was thought
    assert say_left(ui, row, 30.0) == t("job.left", left=say_duration(t, 30), whole=say_duration(t, 180))


@pytest.mark.parametrize(("seconds", "said"), [(1, "5 s"), (62, "60 s"), (170, "3 min"), (6000, "1.5 h")])
def test_durations_are_rounded(seconds: float, said: str) -> None:
    assert say_duration(Texts("en"), seconds) == said
