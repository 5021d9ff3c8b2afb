"""Off a terminal somebody who reads the lines knows at least every 20 seconds what goes on."""

from __future__ import annotations

import io
import re
import time

import pytest

from pipelines.progress import Denoising, Stage, StageProgress, TrainingStep
from studio.cli import progress
from studio.cli.progress import Bars, Lines
from studio.domain.report import PicturesDrawn, StudioStage


def test_a_line_every_twenty_seconds_and_one_per_finished_stage() -> None:
    now = [100.0]
    out = io.StringIO()
    lines = Lines(out, lambda: now[0])
    for _ in range(70):  # a model is loaded: nobody calls step
        now[0] += 1
        lines.tick()
    assert out.getvalue().splitlines() == [f"starting, {s} s so far" for s in (20, 40, 60)]
    out.truncate(0)
    out.seek(0)
    for done in range(1, 61):
        now[0] += 1
        lines.step(f"drawing: {done}/60", finished=done == 60)
    assert out.getvalue().splitlines() == [
        "drawing: 10/60, 80 s so far",
        "drawing: 30/60, 100 s so far",
        "drawing: 50/60, 120 s so far",
        "drawing: 60/60",
    ]


def test_bars_off_a_terminal_speak_by_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SILENT_S", 0.2)
    monkeypatch.setattr(progress, "_TICK_S", 0.05)
    with Bars() as bars:
        bars.tell(TrainingStep(3, 350, 0.5))
        time.sleep(0.6)
    assert "training: 3/350, deviation 0.500, " in capsys.readouterr().err
    with Bars(quiet=True) as bars:
        bars.tell(TrainingStep(3, 3, 0.5))
        time.sleep(0.6)
    assert capsys.readouterr().err == ""


def test_bars_say_stages_in_the_terminals_language_and_leave_out_what_is_for_pages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SILENT_S", 0.0)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    posts = Stage(StudioStage.POSTS)
    bars = Bars()
    for event in (StageProgress(posts, 2, 4), Denoising(posts, 3, 16), PicturesDrawn(()), StageProgress(posts, 4, 4)):
        bars.tell(event)
    lines = [re.sub(r", \d+ s so far", "", line) for line in capsys.readouterr().err.splitlines()]
    assert list(dict.fromkeys(lines)) == ["生成帖子: 2/4", "生成帖子: 2/4, 第 3/16 步", "生成帖子: 4/4"]
