"""A kind of job is one file and one row: texts, API, command line and pages know it; queue and engine do it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from personas.datasets.limits import Limits
from pipelines.progress import Progress
from studio.application import Studio
from studio.domain.album_export import AlbumArchive, AlbumExport, AlbumExportRequest
from studio.domain.bundle import Bundle, CheckRequest, ExportRequest
from studio.domain.captions import CaptionsRequest
from studio.domain.dataset import DataSet, DatasetPicture, DatasetRequest, FaceRequest
from studio.domain.design import DesignRequest, PreviewRequest
from studio.domain.donor import DonorRequest
from studio.domain.grid import GridRequest
from studio.domain.job_title import JobTitle, say_title
from studio.domain.more import MoreRequest
from studio.domain.persona import ConsolidateRequest, SwapRequest
from studio.domain.style import StyleRequest
from studio.domain.takes import FixRequest, StrengthsRequest, VaryRequest
from studio.domain.values import NamedPicture, Request, Result
from studio.jobs.engine import Engine
from studio.jobs.kinds import KINDS, Kind
from studio.jobs.line import page_of, title_of
from studio.library.records import JobRecord
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.job_list import job_row
from studio.web.app import make_site
from studio.workflows import Run
from tests.site import TestClient
from tests.studio.domain.values import RECIPE, key, make_design, make_persona, make_post_set
from tests.tables.surfaces import api_bodies, api_schema, api_tables, command_help, command_output, make_ui

every_row = pytest.mark.parametrize("row", KINDS.values(), ids=lambda row: row.name)


class CountRequest(Request):
    """How far to count."""

    to: int = 3


class Count(Result):
    """What was counted."""

    kind: ClassVar[str] = "count"

    numbers: tuple[int, ...]


def title_count(request: CountRequest) -> JobTitle:
    return JobTitle(count=request.to)


def count(studio: Studio, request: CountRequest, run: Run, progress: Progress) -> Count:
    return Count(id="count", numbers=tuple(run(f"number-{i}", partial(int, i)) for i in range(request.to)))


COUNT = Kind(
    "count", CountRequest, Count, f"{__name__}:count", "", {"en": "Counting", "zh": "计数"}, title_count, draws=False
)
BEGAN = datetime(2026, 11, 30, tzinfo=UTC)
_SET = make_post_set()
_DATASET = DataSet(
    id="set", facts=key("facts"), limits=Limits(), pixels=192 * 256,
    request=DatasetRequest.make(
        name="Mei", category="sweet", who="Mei", scope="posts",
        pictures=(DatasetPicture(name="a.png", picture=key("a"), height=256, width=192),),
    ),
)  # fmt: skip
ASKED: dict[str, Request] = {
    "more": MoreRequest.make(design=make_design(), number=0),
    "design": DesignRequest.make(category="sweet"),
    "consolidate": ConsolidateRequest.make(design=make_design(), name="Lin"),
    "posts": _SET.request,
    "vary": VaryRequest.make(post_set=_SET, number=1, seed=1),
    "fix": FixRequest.make(post_set=_SET, number=1, mask=key("mask"), seed=1),
    "swap": SwapRequest.make(persona=make_persona(), pictures=(NamedPicture(name="a", picture=key("a")),)),
    "preview": PreviewRequest.make(recipes=(RECIPE,)),
    "strengths": StrengthsRequest.make(asked=_SET.request, scales=(0.5, 1.0)),
    "grid": GridRequest.make(asked=_SET.request, strengths=(0.8, 1.0)),
    "archive": AlbumExportRequest.make(name="Spring", sets=(_SET,), platforms=("xiaohongshu",)),
    "captions": CaptionsRequest.make(post_set=_SET),
    "check": CheckRequest.make(post_set=_SET),
    "export": ExportRequest.make(post_set=_SET),
    "dataset": _DATASET.request,
    "face": FaceRequest.make(dataset=_DATASET),
    "style": StyleRequest.make(dataset=_DATASET),
    "donor": DonorRequest.make(upload="a" * 64, category="sweet", name="Mei", who="Mei", scope="posts"),
}  # fmt: skip
# all kinds whose request has a default for every field: a job of theirs needs nothing that was made before
FREE = [row for row in (COUNT, *KINDS.values()) if not any(f.is_required() for f in row.request.model_fields.values())]


@every_row
def test_it_is_whole(row: Kind) -> None:
    assert KINDS[row.name] is row
    assert row.result.kind == row.name
    assert callable(row.load())
    assert [other for other in KINDS.values() if row.request is other.request] == [row]


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_words(row: Kind, language: Language) -> None:
    assert row.words[language].strip()


@every_row
def test_api(row: Kind) -> None:
    assert {"name": row.name, "words": row.words} in api_tables()["kinds"]
    assert row.name in api_schema()["KindRow"]["properties"]["name"]["enum"]
    asked = set(row.request.model_fields) - {"owner", "schema_version"}
    assert asked <= set(api_bodies()[row.name]["properties"])


@every_row
def test_command_line(row: Kind) -> None:
    assert row.name in command_help("jobs", "run")
    (line,) = (line for line in command_output("jobs", "kinds").splitlines() if line.split()[:1] == [row.name])
    assert all(name in line for name in set(row.request.model_fields) - {"owner", "schema_version"})


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_a_job_has_a_name(row: Kind, language: Language) -> None:
    """More than its kind's: the page, the API and the command line say whom it is for, where, or of what."""
    title = row.title(ASKED.get(row.name) or row.request())
    assert isinstance(title, JobTitle)
    said = say_title(Texts(language), row.words, title)
    assert said.startswith(row.words[language])
    assert len(said) > len(row.words[language]) + 2
    job = JobRecord(id="a-job", owner="me", kind=row.name, state="done", error=None, facts={}, created=BEGAN)
    job.facts = {"id": "it", "title": title.model_dump(mode="json")}
    assert title_of(job) == title
    ui = make_ui(language)
    assert said in job_row(ui, "me", _with_result(ui, job))[0]
    assert "{" not in page_of(job)


@pytest.mark.parametrize("language", LANGUAGES)
@every_row
def test_page(row: Kind, language: Language) -> None:
    ui = make_ui(language)
    job = JobRecord(
        id="a-job", owner="me", kind=row.name, state="failed", error="", facts={}, created=datetime.now(UTC)
    )
    assert row.words[language] in ui.job_panel("me", job)
    assert any(row.words[language] in cell for cell in job_row(ui, "me", job))


def _with_result(ui: Ui, job: JobRecord) -> JobRecord:
    """An export's row links to its bundle, so that one is stored."""
    if job.kind == AlbumExport.kind:
        zipped = AlbumArchive(platforms=("tiktok",), name="a.zip", bundle=key("zip"), bytes=1, pictures=3)
        album = AlbumExport(id="it", name="Spring", post_sets=("set",), archives=(zipped,))
        job.facts = {**job.facts, "result": ui.studio.store.put_json(album.model_dump(mode="json"))}
    if job.kind == Bundle.kind:
        made = Bundle(id="it", post_set="set", platform="tiktok", name="a.zip", bundle=key("zip"), bytes=1, pictures=3)
        job.facts = {**job.facts, "result": ui.studio.store.put_json(made.model_dump(mode="json"))}
    return job


@pytest.mark.parametrize("row", FREE, ids=lambda row: row.name)
def test_queue_and_engine_do_it(row: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, row.name, row)
    studio = Studio(Settings(data=tmp_path))
    with Engine(studio, None):
        client = TestClient(make_site(Studio(studio.settings)))
        assert client.post("/api/jobs", json={"kind": row.name, "nobody's": 1}).status_code == 422
        asked = client.post("/api/jobs", json={"kind": row.name})
        assert asked.status_code == 202, asked.text
        done = _wait(lambda: client.get(f"/api/jobs/{asked.json()['id']}").json())
    assert done["result"] == studio.result_of(row.result).model_dump(mode="json")
    assert row.result.model_validate_json(studio.result_of(row.result).model_dump_json())


def _wait(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (job := ask())["state"] in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert job["state"] == "done", job
    return job


def test_a_row_says_itself_whether_it_draws() -> None:
    """What a figure counts as pictures is nobody's oversight: a row that does not say it is none."""
    with pytest.raises(TypeError, match="draws"):
        Kind("mute", CountRequest, Count, f"{__name__}:count", "", {}, title_count)  # type: ignore[call-arg]
    drawn = {name for name, row in KINDS.items() if row.draws}
    assert drawn >= {"design", "posts", "vary", "fix", "swap", "preview", "more", "strengths", "grid"}
    assert drawn.isdisjoint({"consolidate", "captions", "check", "export", "archive", "donor", "dataset", "style"})
