"""The API: bodies are checked, jobs are queued as the pages queue them, and nobody sees another's work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from studio.application import Studio
from studio.domain.posts import PostRequest, PostSet
from studio.jobs.engine import Engine
from studio.library.scenes import add_bundled, scenes_of
from studio.settings import Settings
from studio.web.app import make_site
from tests.library import keep_cafe, keep_persona, keep_posts, make_posts
from tests.studio.jobs.local_kind import add_kind


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.mark.parametrize(
    "body",
    [
        {}, {"kind": "paint"}, {"kind": "design"}, {"kind": "design", "category": "tall"},
        {"kind": "design", "category": "sweet", "seed": 2**32}, {"kind": "design", "category": "ceo", "owner": "li"},
        {"kind": "design", "category": "sweet", "candidates": 10**6},
        {"kind": "posts", "persona": "p1", "scene": "x", "shots": [{"framing": "<script>"}]},
        {"kind": "posts", "persona": "p1", "scene": "x", "count": 36},
        {"kind": "posts", "persona": "p1", "scene": "x", "captions": ["x" * 301]},
        {"kind": "export", "post_set": "x" * 65},
    ],
)  # fmt: skip
def test_bad_bodies_are_refused(studio: Studio, body: dict[str, Any]) -> None:
    assert TestClient(make_site(studio)).post("/api/jobs", json=body).status_code == 422


def test_a_job_is_queued_done_and_read_back(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(studio: Studio, request: PostRequest, run: Any, progress: Any) -> PostSet:
        posts = make_posts(studio, 1, len(request.shots))
        return PostSet(id="drawn", request=request, posts=posts, batches=())

    add_kind(monkeypatch, draw, "posts")
    keep_persona(studio)
    scene = keep_cafe(studio)
    site = TestClient(make_site(studio))
    with Engine(studio, None):
        body = {"kind": "posts", "persona": "p1", "scene": scene.id, "count": 3, "seed": 5}
        body |= {"captions": ["新品", None]}
        job, twice = (site.post("/api/jobs", json=body).json()["id"] for _ in range(2))
        assert job == twice
        deadline = time.monotonic() + 30
        while (said := site.get(f"/api/jobs/{job}").json())["state"] != "done":
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        assert len(said["result"]["posts"]) == 3
        assert said["result"]["request"]["owner"] == "me"
        assert said["result"]["request"]["captions"] == ["新品", None]
        assert site.post(f"/api/jobs/{job}/next").json()["state"] == "done"
        assert [row["id"] for row in site.get("/api/results/posts").json()] == ["drawn"]
    assert site.get("/api/results/scene").json()[0]["id"] == scene.id


def test_another_owners_work_is_not_there(studio: Studio) -> None:
    add_bundled(studio.library, "beach", "wang")
    (scene,) = scenes_of(studio.library, "wang")
    keep_persona(studio, "wang")
    keep_posts(studio, 1, scene, "wang")
    site = TestClient(make_site(studio))
    assert site.get("/api/jobs").json() == []
    for kind in ("posts", "consolidate"):
        assert site.get(f"/api/results/{kind}").json() == []
    assert [row["name"] for row in site.get("/api/results/scene").json()] == ["cafe"]  # everybody's first
    for path in ("/api/jobs/posts-set00001", "/api/results/secrets", f"/api/recall/{'0' * 64}"):
        assert site.get(path).status_code == 404, path
    for do in ("stop", "retry", "next"):
        assert site.post(f"/api/jobs/posts-set00001/{do}").status_code == 404
    assert site.post("/api/jobs", json={"kind": "export", "post_set": "set00001"}).status_code == 404
    body = {"kind": "posts", "persona": "p1", "scene": scene.id}
    assert site.post("/api/jobs", json=body).json()["code"] == "not_found"
    assert site.post("/api/jobs", json=body, headers={"origin": "https://evil.example"}).status_code == 403


def test_it_is_described_without_a_page_from_elsewhere(studio: Studio) -> None:
    site = TestClient(make_site(studio))
    described = site.get("/openapi.json").json()
    assert {"/api/jobs", "/api/jobs/{job}", "/api/results/{kind}", "/uploads"} <= set(described["paths"])
    assert site.get("/docs").status_code == 404
    assert site.get("/redoc").status_code == 404
