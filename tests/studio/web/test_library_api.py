"""Programs find single posts, fill albums, see the queue with names and times, and move a waiting job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.application import Studio
from studio.domain.job_title import JobTitle
from studio.domain.times import JobSize, JobTime
from studio.library.job_times import note_time
from studio.library.older import note_platform
from studio.library.records import JobRecord
from studio.settings import Settings
from studio.web.app import make_site
from tests.library import keep_cafe, keep_posts
from tests.site import TestClient
from tests.tables.surfaces import command_output


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.fixture
def site(studio: Studio) -> TestClient:
    return TestClient(make_site(studio))


def _keep_job(studio: Studio, job: str, state: str, owner: str = "me", **facts: Any) -> None:
    title = JobTitle(who="Lin", where="cafe", count=9, post_set="set00001").model_dump(mode="json")
    told = {"title": title, "size": JobSize(units=9).model_dump(mode="json")} | facts
    studio.records.keep(JobRecord(id=job, owner=owner, kind="posts", state=state, error=None, facts=told))


def test_posts_are_found_and_paged(studio: Studio, site: TestClient) -> None:
    cafe = keep_cafe(studio)
    for number in (1, 2):
        keep_posts(studio, number, cafe, pictures=3)
    keep_posts(studio, 3, cafe, owner="wang")
    note_platform(studio.library, "me", "set00001", "tiktok")

    def ids(**asked: Any) -> list[str]:
        answer = site.get("/api/library", params=asked)
        assert answer.status_code == 200, answer.text
        return [thing["id"] for thing in answer.json()]

    every = [f"post:set0000{s}-00{n}" for s in (2, 1) for n in range(3)]
    assert ids() == every
    assert ids(limit=2, after=every[1]) == every[2:4]
    assert ids(platform="tiktok") == every[3:]
    assert ids(person="Lin", place="cafe", words="red prompt") == every
    assert ids(person="Mia") == []
    assert ids(kind="posts") == ["posts:set00002", "posts:set00001"]
    assert site.get("/api/library", params={"kind": "post"}).json()[0]["facts"]["picture"]
    for asked, status in (({"kind": "no"}, 422), ({"after": "post:no"}, 404), ({"album": "no"}, 404)):
        assert site.get("/api/library", params=asked).status_code == status, asked


def test_albums_are_made_filled_renamed_and_removed(studio: Studio, site: TestClient) -> None:
    keep_posts(studio, 1, keep_cafe(studio), pictures=2)
    made = site.post("/api/albums", json={"name": "Spring"}).json()
    address = f"/api/albums/{made['id']}"
    changed = site.patch(address, json={"name": "Autumn", "put": ["posts:set00001", "post:set00001-001"]}).json()
    assert changed == {"id": made["id"], "name": "Autumn", "count": 2}
    assert site.get("/api/albums").json() == [changed]
    assert len(site.get("/api/library", params={"kind": "", "album": made["id"]}).json()) == 2
    assert site.patch(address, json={"take_out": ["posts:set00001"]}).json()["count"] == 1
    refused = site.patch(address, json={"put": ["scene:x"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "album_takes_posts")
    assert site.delete("/api/albums/no").status_code == 404
    assert site.delete(address).status_code == 204
    assert site.get("/api/albums").json() == []
    assert len(site.get("/api/library").json()) == 2  # its pictures stay


def test_the_queue_has_names_places_and_times(studio: Studio, site: TestClient) -> None:
    _keep_job(studio, "done", "done", id="set00001", result="0" * 64)
    note_time(studio.records, "done", "posts", studio.choice, JobTime(size=JobSize(units=9), seconds=90))
    for job in ("a", "b", "c"):
        _keep_job(studio, job, "queued")
    _keep_job(studio, "w", "queued", owner="wang")
    chinese = {"Accept-Language": "zh"}
    said = site.get("/api/queue", headers=chinese).json()
    assert [job["id"] for job in said["waiting"]] == ["a", "b", "c"]
    assert said["waiting"][0]["name"] == "帖子：Lin · 咖啡馆 · 9 张"
    assert said["waiting"][0]["about"]["who"] == "Lin"
    assert (said["running"], said["seconds_left"], said["seconds_in_all"]) == (None, None, 360)  # wang's has its turn
    names = {job["id"]: (job["name"], job["page"]) for job in site.get("/api/jobs").json()}
    assert names["done"] == ("Posts: Lin · café · 9 pictures", "/en/posts?set=set00001")
    assert names["a"][1] == "/en/posts"
    assert site.post("/api/jobs/c/up").status_code == 200
    assert site.post("/api/jobs/a/down").status_code == 200
    assert [job["id"] for job in site.get("/api/queue").json()["waiting"]] == ["c", "a", "b"]
    assert site.post("/api/jobs/b/next").status_code == 200
    assert [job["id"] for job in site.get("/api/queue").json()["waiting"]] == ["b", "c", "a"]
    assert site.post("/api/jobs/w/up").status_code == 404
    folder = str(studio.settings.data)
    assert command_output("jobs", "move", "a", "next", "--data", folder).split() == ["a", "b", "c"]
    listed = command_output("jobs", "list", "--data", folder)
    assert "Posts: Lin · café · 9 pictures" in listed
    assert "all done in about 6 min" in listed
