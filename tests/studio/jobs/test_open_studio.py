"""A command beside an open studio gives its job to that studio's queue and waits for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from pipelines.errors import BadInput, Cancelled, NotEnough, StudioError
from pipelines.progress import Event, Stage, StageProgress
from studio.application import Studio
from studio.cli import main
from studio.domain.bundle import Bundle, ExportRequest
from studio.domain.persona import Swap, SwappedPicture, SwapRequest
from studio.domain.report import StudioStage
from studio.domain.values import FileKey
from studio.jobs.engine import Engine
from studio.jobs.locks import take_lock
from studio.jobs.open_studio import OpenStudio, is_open
from studio.jobs.queue import Queue
from studio.settings import ASSETS, Settings
from tests.library import keep_cafe, keep_persona, keep_posts
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind


class _Told:
    """A Progress that keeps what it is told; `stops` is asked whether to stop."""

    def __init__(self, stops: Callable[[], bool] = lambda: False) -> None:
        self.events: list[Event] = []
        self._stops = stops

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def check_cancelled(self) -> None:
        if self._stops():
            raise Cancelled("stopped_by_key")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """An open studio, as far as others can tell: its page's lock is held."""
    made = Studio(Settings(data=tmp_path))
    lock = take_lock(tmp_path / "studio.lock")
    assert lock is not None
    yield made
    lock.close()


def _work(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
    if request.word == "fail":
        raise NotEnough("faces_too_few", without=1, count=2)
    for number in range(request.seed):
        progress.check_cancelled()
        progress.tell(StageProgress(Stage(StudioStage.POSTS), number + 1, request.seed))
        time.sleep(0.05)
    return Work(id="it", word=request.word)


def _wait_for_end(queue: Queue) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        (row,) = queue.jobs("me")
        if row.state not in ("queued", "running"):
            return row.state
        time.sleep(0.1)
    pytest.fail(f"the job is still {row.state}")


def test_the_job_is_done_by_the_open_studio_and_its_progress_and_error_arrive(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_kind(monkeypatch, _work)
    told = _Told()
    with Engine(studio, None):
        beside = OpenStudio(Studio(studio.settings), told)
        assert beside.run(WorkRequest(seed=30, word="done"), Work).word == "done"
        with pytest.raises(NotEnough, match="faces_too_few"):
            beside.run(WorkRequest(word="fail"), Work)
        states = {row.state for row in Queue(studio).jobs("me")}
    shown = [event.done for event in told.events if isinstance(event, StageProgress)]
    assert shown
    assert shown == sorted(shown)
    assert states == {"done", "failed"}


def test_stopping_the_command_stops_its_job(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    add_kind(monkeypatch, _work)
    began = time.monotonic()
    with Engine(studio, None):
        beside = OpenStudio(studio, _Told(lambda: time.monotonic() - began > 1.5))
        with pytest.raises(Cancelled, match="stopped_by_key"):
            beside.run(WorkRequest(seed=1000), Work)
        assert _wait_for_end(Queue(studio)) == "cancelled"


def test_a_paused_queue_and_a_studio_that_closes_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_kind(monkeypatch, _work)
    studio = Studio(Settings(data=tmp_path))
    assert not is_open(Studio(Settings(data=tmp_path)))
    lock = take_lock(tmp_path / "studio.lock")
    assert lock is not None
    assert is_open(Studio(Settings(data=tmp_path)))
    with Engine(studio, None):
        queue = Queue(studio)
        queue.pause("me", True)
        with pytest.raises(BadInput, match="queue_is_paused"):
            OpenStudio(studio).run(WorkRequest(), Work)
        assert queue.jobs("me") == []
        queue.pause("me", False)
        Timer(0.5, lock.close).start()
        with pytest.raises(StudioError, match="studio_was_closed"):
            OpenStudio(studio).run(WorkRequest(seed=400), Work)
        (row,) = queue.jobs("me")
        queue.stop(row.id, "me")
        _wait_for_end(queue)


def test_swap_beside_an_open_studio(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def swap(studio: Studio, request: SwapRequest, run: Any, progress: Any) -> Swap:
        rows = [
            SwappedPicture(
                name=given.name, before=given.picture, picture=given.picture, seed=request.seed + number,
                identity_before=0.1, identity=0.9, moved=None,
            )
            for number, given in enumerate(request.pictures)
        ]  # fmt: skip
        return Swap(id="swapped", persona=request.persona.id, pictures=tuple(rows))

    add_kind(monkeypatch, swap, "swap")
    keep_persona(studio)
    words = ["swap", str(ASSETS / "scenes" / "cafe.png"), "--out", str(tmp_path / "out"), "--data", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["persona-studio", *words, "--json"])
    with Engine(studio, None), pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    (row,) = json.loads(capfd.readouterr().out)["pictures"]
    assert Path(row["file"]).is_file()
    assert [job.state for job in Queue(studio).jobs("me", kind="swap")] == ["done"]


def test_a_bundle_beside_an_open_studio_is_its_job(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    zipped = studio.store.put(b"PK: a zip")

    def export(studio: Studio, request: ExportRequest, run: Any, progress: Any) -> Bundle:
        return Bundle(
            id="exported", post_set=request.post_set.id, platform=request.platform, name="a.zip",
            bundle=FileKey(zipped), bytes=9, pictures=2,
        )  # fmt: skip

    add_kind(monkeypatch, export, "export")
    keep_persona(studio)
    keep_posts(studio, 1, keep_cafe(studio), pictures=2)
    words = ["bundle", str(tmp_path / "out" / "a.zip"), "--data", str(tmp_path), "--json"]
    monkeypatch.setattr("sys.argv", ["persona-studio", *words])
    with Engine(studio, None), pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    told = json.loads(capfd.readouterr().out)
    assert Path(told["bundle"]).read_bytes() == b"PK: a zip"
    assert [job.state for job in Queue(studio).jobs("me", kind="export")] == ["done"]
