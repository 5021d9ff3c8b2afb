"""The page's process stays light; words are complete; mixing by hand keeps its sums."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from pipelines.errors import BadInput, BadPicture
from pipelines.progress import Stage, StageProgress, TrainingStep
from studio.application import Studio
from studio.domain.job_title import JobTitle
from studio.domain.migration import read_stored
from studio.domain.mix import Mix, mix_as_json, mix_from_json, move_weight, mute
from studio.domain.persona import Sample
from studio.domain.report import PicturesDrawn, PostScored, Report, SamplesDrawn, ScoredPost, StudioStage
from studio.domain.values import FileKey
from studio.jobs.progress import Reporter
from studio.jobs.queue import Queue
from studio.library.records import FileRecord, JobRecord, Records, ReportRecord, StopRecord
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Texts, choose_language
from studio.ui.context import Ui
from studio.ui.parts.opened_set import show_jobs_of_set, show_opened_set
from studio.ui.parts.post_cards import show_arriving
from studio.web.locale import Locale
from tests.library import keep_cafe, keep_posts, picture
from tests.site import TestClient

ROOT = Path(__file__).resolve().parents[3]
UI = ROOT / "studio" / "ui"
MIX = Mix("sweet", ("a", "b", "c", "d"), (0.4, 0.3, 0.2, 0.1), 7)


def test_the_pages_process_never_imports_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from studio.application import Studio;"
        "from studio.settings import Settings; from studio.jobs.engine import Engine;"
        "engine = Engine(Studio(Settings(data=Path(sys.argv[1])))); engine.load_ahead();"
        "engine.compute(lambda: None); print('diffusers' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "True"


def test_every_word_is_there_in_both_languages() -> None:
    texts = json.loads((ROOT / "studio" / "texts" / "texts.json").read_text(encoding="utf-8"))
    assert all(set(row) == set(LANGUAGES) and all(row.values()) for row in texts.values())
    for row in texts.values():
        assert len({frozenset(re.findall(r"{\w+}", text)) for text in row.values()}) == 1
    used = {m for p in UI.rglob("*.py") for m in re.findall(r"\bt\(\s*\"([a-z_.]+)\"", p.read_text(encoding="utf-8"))}
    assert used
    assert used <= set(texts)


def test_an_error_is_said_in_the_pages_language() -> None:
    error = BadPicture("picture_too_large", name="a.png", most=40)
    assert Texts("en").error(error) == "The picture a.png is larger than 40 megapixels. Make it smaller and try again."
    assert Texts("zh").error(error) == "图片 a.png 超过 40 百万像素。请缩小后再试。"


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,zh;q=0.5", "en"), ("de", "en"), ("", "en"), ("zh;q=x", "en")],
)
def test_the_language_is_the_browsers(header: str, language: str) -> None:
    assert choose_language(header) == language


def test_a_page_tells_gradio_its_language_before_anything_runs() -> None:
    page = '<html lang="en"><head><title>穿搭</title></head></html>'
    site = FastAPI()
    site.add_middleware(Locale)
    for path in ("/zh/design", "/en/design", "/login"):
        site.api_route(path, methods=["GET", "HEAD"], response_class=HTMLResponse)(lambda: page)
    site.get("/zh/data")(lambda: {"head": "<head>"})
    said = {path: TestClient(site).get(path).text for path in ("/zh/design", "/en/design", "/login", "/zh/data")}
    assert said["/login"] == page
    assert json.loads(said["/zh/data"]) == {"head": "<head>"}
    for path, locale in (("/zh/design", "zh-CN"), ("/en/design", "en")):
        assert said[path].startswith(f'<html lang="{locale}"><head><script>')
        assert f"'{locale}'" in said[path].split("<title>")[0]
        assert said[path].endswith("<title>穿搭</title></head></html>")
    assert TestClient(site).head("/zh/design").headers.get("content-length") != "0"


def test_a_moved_weight_leaves_locked_ones_and_the_sum() -> None:
    moved = move_weight(MIX, "a", 0.7)
    assert moved.weights == pytest.approx((0.7, 0.15, 0.1, 0.05))
    locked = Mix("sweet", MIX.donors, MIX.weights, 7, locked=frozenset("b"))
    for value in (0.0, 0.5, 5.0, -1.0, math.nan):
        result = move_weight(locked, "a", value)
        assert result.weights[1] == 0.3
        assert math.fsum(result.weights) == pytest.approx(1)
        assert min(result.weights) >= 0


def test_a_muted_donor_takes_no_part_until_it_comes_back() -> None:
    quiet = mute(MIX, "d")
    assert quiet.weights[3] == 0
    assert math.fsum(quiet.weights) == pytest.approx(1)
    back = mute(quiet, "d")
    assert back.weights[3] == pytest.approx(0.25)
    assert math.fsum(back.weights) == pytest.approx(1)
    with pytest.raises(BadInput, match=r"mix_needs_donors.*needed=3"):
        mute(quiet, "a")


def test_a_kept_mix_comes_back_as_long_as_its_donors_are_there() -> None:
    mix = move_weight(mute(replace(MIX, locked=frozenset("a")), "d"), "b", 0.17)
    saved = json.loads(json.dumps(mix_as_json(mix)))
    assert mix_from_json(saved, "abcde") == mix
    assert mix_from_json(saved, "abc") is None
    assert mix_from_json({}, "abcd") is None


def test_progress_goes_through_the_records_and_a_stop_comes_back(tmp_path: Path) -> None:
    from pipelines.errors import Cancelled

    records = Records(tmp_path / "r.sqlite")
    reporter = Reporter(records, "job", "me", {"a" * 64})
    reporter.tell(TrainingStep(1, 2, 0.5))
    reporter.tell(TrainingStep(2, 2, 0.25))
    row = records.get(ReportRecord, "job", "me")
    assert row is not None
    report = read_stored(Report, row.facts)
    assert report.current is not None
    assert report.current.done == 2
    assert report.losses == ((1, 0.5), (2, 0.25))
    assert records.get(ReportRecord, "job", "another") is None
    sample = Sample(step=60, pictures=(FileKey("a" * 64), FileKey("b" * 64)), identity=0.5)
    reporter.tell(SamplesDrawn((sample,)))
    row = records.get(ReportRecord, "job", "me")
    assert row is not None
    assert read_stored(Report, row.facts).samples == (sample,)
    assert records.get(FileRecord, "a" * 64, "me") is not None  # the page may show it before the job is done
    assert records.get(FileRecord, "b" * 64, "me") is None  # the job did not make it
    records.keep(StopRecord(id="job", owner="me"))
    with pytest.raises(Cancelled):
        reporter.check_cancelled()


def test_a_set_shows_its_own_jobs_and_bundle_only(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts("en"))
    scene = keep_cafe(studio)
    first, second = keep_posts(studio, 1, scene), keep_posts(studio, 2, scene)

    def keep(job: str, kind: str, state: str, post_set: str) -> None:
        facts = {"title": JobTitle(who="Lin", post_set=post_set).model_dump(mode="json")}
        studio.records.keep(JobRecord(id=job, owner="me", kind=kind, state=state, error=None, facts=facts))

    keep("export-1", "export", "queued", first.id)
    keep("vary-2", "vary", "running", second.id)
    pages = {key: show_jobs_of_set(ui, "me", key) for key in (first.id, second.id, "")}
    assert ["Export" in pages[key] for key in pages] == [True, False, False]
    assert ["New take" in pages[key] for key in pages] == [False, True, True]  # the newest is the second
    keep("posts-3", "posts", "failed", "")  # the set before is still the one on the page
    assert "New take" in show_jobs_of_set(ui, "me", "")
    for key, other in ((first, second), (second, first)):
        cards = show_opened_set(ui, "me", key.id)
        assert f'data-set="{key.id}"' in cards
        assert other.id not in cards
    ui.mark("me", f"posts:{first.id}", trashed=True)
    assert "st-empty" in show_opened_set(ui, "me", first.id)
    assert "st-empty" in show_opened_set(ui, "me", "nobody's")
    assert "st-empty" in show_opened_set(ui, "wang", second.id)


def test_other_sites_and_other_peoples_files_are_refused(tmp_path: Path) -> None:
    from studio.application import Studio
    from studio.library.store import Store
    from studio.settings import Settings
    from studio.web.app import make_site
    from tests.site import TestClient

    mine, others = (Store(tmp_path / "files").put(data) for data in (b"mine", b"another's"))
    records = Records(tmp_path / "studio.sqlite")
    records.keep(FileRecord(id=mine, owner="me"), FileRecord(id=others, owner="wang"))
    site = TestClient(make_site(Studio(Settings(data=tmp_path))), follow_redirects=False)
    assert site.get(f"/files/{mine}").content == b"mine"
    name = site.get(f"/files/{mine}", params={"name": 'a"b/\\r\n🌸.zip'}).headers["content-disposition"]
    assert name == "attachment; filename*=UTF-8''a%20b%20r%20%F0%9F%8C%B8.zip"  # a name that every disk takes
    for path in (f"/files/{others}", f"/thumbs/{others}", "/files/x", "/places/%2e%2e%2fx", "/language/xx"):
        assert site.get(path).status_code == 404, path
    assert site.get("/health", headers={"host": "evil.example"}).status_code == 403
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert site.post("/en/gradio_api/queue/join", json={}, headers=headers).status_code == 403
    assert site.get("/", headers={"accept-language": "zh"}).headers["location"] == "/zh/design"


def test_what_was_told_of_before_is_not_granted_once_more(tmp_path: Path) -> None:
    """Each report of drawn pictures holds all so far: sixty of four hundred and eighty cost the worker five seconds."""
    studio = Studio(Settings(data=tmp_path))
    keys = [FileKey(studio.store.put_picture(picture(i))) for i in range(3)]
    reporter = Reporter(studio.records, "posts-1", "me", set(keys))
    reporter.tell(PicturesDrawn(tuple(keys[:2])))
    first = {row.id: row.created for row in studio.records.find(FileRecord, "me")}
    reporter.tell(PicturesDrawn(tuple(keys)))
    after = {row.id: row.created for row in studio.records.find(FileRecord, "me")}
    assert set(first) == set(keys[:2])
    assert set(after) == set(keys)
    assert {key: after[key] for key in first} == first


def test_posts_arrive_one_by_one_first_the_picture_then_its_scores(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts("en"))
    keys = [studio.store.put_picture(picture(i)) for i in range(3)]
    row = JobRecord(id="posts-1", owner="me", kind="posts", state="running", error=None, facts={})
    studio.records.keep(row)
    assert show_arriving(ui, "me", row) == ""
    reporter = Reporter(studio.records, row.id, "me", set(keys))
    stage = Stage(StudioStage.POSTS)
    reporter.tell(PicturesDrawn(tuple(map(FileKey, keys))))
    reporter.tell(StageProgress(stage, 3, 3))
    drawn = show_arriving(ui, "me", row)
    assert drawn.count("st-card") == 3
    assert all(key in drawn for key in keys)
    assert "0.81" not in drawn
    scores = {"identity": 0.81, "goods": None}
    reporter.tell(PostScored(ScoredPost(number=0, picture=FileKey(keys[0]), scores=scores)))
    scored = show_arriving(ui, "me", row)
    assert scored.count("st-card") == 3
    assert scored.count("0.81") == 1
    assert show_arriving(ui, "wang", row) == ""  # another's page knows nothing of it
    row.state = "done"
    assert show_arriving(ui, "me", row) == ""
