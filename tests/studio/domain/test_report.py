"""A report follows the events; a stage is said in words in both languages; another version's report is nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pipelines.progress import Denoising, Event, Fetching, PipelineStage, Stage, StageProgress, TrainingStep
from studio.application import Studio
from studio.domain.migration import read_stored
from studio.domain.report import PostScored, Report, ScoredPost, StageReport, StudioStage, name_stage, say_stage
from studio.domain.values import FileKey
from studio.jobs.queue import Queue
from studio.library.records import JobRecord, ReportRecord
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.context import Ui

POSTS, LIN = Stage(StudioStage.POSTS), Stage(StudioStage.DONOR, "Lin {subject} 1/2")


def told(*events: Event) -> Report:
    """Return the report after events that are told a second apart."""
    report = Report()
    for at, event in enumerate(events):
        report = report.after(event, float(at))
    return report


def current(*events: Event) -> StageReport:
    now = told(*events).current
    assert now is not None
    return now


def test_denoising_is_part_of_its_stage() -> None:
    now = current(StageProgress(POSTS, 2, 8), Denoising(POSTS, 4, 16))
    assert (now.done, now.total, now.step, now.steps) == (2, 8, 4, 16)
    assert now.share == pytest.approx((2 + 4 / 16) / 8)
    assert say_stage(Texts("en"), now) == "drawing posts 2/8, step 4 of 16"
    after = current(StageProgress(POSTS, 2, 8), Denoising(POSTS, 16, 16), StageProgress(POSTS, 4, 8))
    assert say_stage(Texts("zh"), after) == "生成帖子 4/8"


def test_the_stage_that_was_told_of_last_is_the_current_one_and_keeps_its_beginning() -> None:
    scores = Stage(StudioStage.SCORES)
    report = told(StageProgress(POSTS, 0, 6), StageProgress(scores, 1, 6), StageProgress(POSTS, 2, 6))
    assert [row.stage for row in report.stages] == [scores, POSTS]
    assert report.stages[-1].seconds_left == pytest.approx(4.0)  # two in two seconds, four are left
    assert current(StageProgress(POSTS, 3, 6)).seconds_left is None
    assert current(StageProgress(POSTS, 6, 6)).share == 1
    anew = current(StageProgress(POSTS, 0, 6), StageProgress(POSTS, 6, 6), StageProgress(POSTS, 0, 6))
    assert (anew.first, anew.since) == (0, 2.0)


def test_a_subject_is_never_taken_apart() -> None:
    now = current(StageProgress(LIN, 1, 8), StageProgress(Stage(StudioStage.DONOR, "Mei"), 0, 8), Denoising(LIN, 1, 9))
    assert (now.name, now.subject, now.done) == (StudioStage.DONOR, "Lin {subject} 1/2", 1)
    assert name_stage(Texts("en"), now.stage) == "looking at source face Lin {subject} 1/2"


def test_a_curve_is_thinned_and_begins_anew_with_the_next_training() -> None:
    steps = [TrainingStep(step, 1000, 1 / step) for step in range(1, 1001)]
    losses = told(*steps).losses
    assert 200 <= len(losses) <= 400
    assert losses[0] == (1, 1.0)
    assert losses[-1] == (1000, 1 / 1000)
    assert list(losses) == sorted(losses)
    assert told(*steps, TrainingStep(1, 9, 0.5)).losses == ((1, 0.5),)
    assert told(TrainingStep(1, 9, math.nan)).losses == ()


def test_posts_are_in_their_order_and_each_is_there_once() -> None:
    posts = [
        ScoredPost(number=n, picture=FileKey(str(n) * 64), scores={"identity": s}) for n, s in ((2, 1.0), (0, 0.5))
    ]
    again = posts[0].model_copy(update={"scores": {}})
    report = told(*map(PostScored, posts), PostScored(again))
    assert report.posts == (posts[1], again)
    assert read_stored(Report, json.loads(report.model_dump_json())) == report


def test_what_is_of_no_interest_changes_nothing() -> None:
    assert told(Fetching("a.safetensors", 1, 2)) == Report()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [*PipelineStage, *StudioStage])
def test_every_stage_has_words(name: PipelineStage | StudioStage, language: str) -> None:
    said = name_stage(Texts("zh" if language == "zh" else "en"), Stage(name))
    assert said
    assert "{" not in said


def test_a_running_job_of_version_0_1_is_shown_as_starting(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts("en"))
    job = JobRecord(id="posts-1", owner="me", kind="posts", state="running", error=None, facts={})
    stage = {"since": 1.0, "from": 0, "done": 1, "total": 9, "at": 2.0}
    told = {"started": 1.0, "stages": {"posts": stage}, "stage": "posts", "now": 2.0, "pictures": ["a" * 64]}
    for facts in (told, {"schema_version": 99, "stages": []}):
        studio.records.keep(job, ReportRecord(id=job.id, owner="me", facts=facts))
        assert ui.queue.report(job.id, "me") == Report()
        assert "starting" in ui.job_panel("me", job)
    report = Report().after(StageProgress(LIN, 2, 8), 1.0).after(Denoising(LIN, 4, 16), 2.0)
    studio.records.keep(ReportRecord(id=job.id, owner="me", facts=report.model_dump(mode="json")))
    assert "looking at source face Lin {subject} 1/2 2/8, step 4 of 16" in ui.job_panel("me", job)
    assert "width:28%" in ui.job_panel("me", job)
