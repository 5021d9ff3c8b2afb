"""The API: bodies are checked, jobs are queued as the pages queue them, and nobody sees another's work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from studio.application import Studio
from studio.domain.posts import PostRequest, PostSet
from studio.domain.values import Result
from studio.jobs.bodies import parse_body
from studio.jobs.engine import Engine
from studio.library.results import find_result
from studio.library.scenes import add_bundled, scenes_of
from studio.settings import ASSETS, Settings
from studio.web.app import make_site
from tests.library import keep_cafe, keep_persona, keep_posts, make_posts
from tests.site import TestClient
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


def send(site: TestClient, file: Path) -> str:
    return str(site.post("/uploads", params={"name": file.name}, content=file.read_bytes()).json()["upload"])


def test_uploaded_files_become_what_requests_name(studio: Studio, tmp_path: Path) -> None:
    site = TestClient(make_site(studio))
    scenes = ASSETS / "scenes"
    photo, mask = (send(site, scenes / name) for name in ("cafe.png", "cafe_landmark.png"))
    scene = site.post("/api/scenes", json={"photo": photo, "mask": mask, "name": " my  shop "}).json()
    assert [s.name for s in scenes_of(studio.library, "me")] == ["my shop"]
    assert scene["landmark"]
    tin = Image.new("RGB", (240, 300), (215, 215, 215))
    ImageDraw.Draw(tin).rectangle((80, 60, 160, 260), fill=(190, 30, 40))
    tin.save(tmp_path / "tin.png")
    goods = site.post("/api/goods", json={"photo": send(site, tmp_path / "tin.png"), "name": "a red tin"}).json()
    weights = site.post("/api/weights", json={"picture": photo, "scene": scene["id"]}).json()["key"]
    place = site.post("/api/places", json={"picture": photo}).json()
    key = site.post("/api/pictures", json={"picture": photo}).json()["key"]
    for file in (scene["photo"], goods["picture"], goods["mask"], weights, place["photo"], key):
        assert site.get(f"/files/{file}").status_code == 200
    body = {"kind": "posts", "persona": "p1", "scene": scene["id"], "goods": goods}
    body |= {"dials": {"weights": weights, "references": [place], "pool": 2}}
    keep_persona(studio)
    owner = studio.settings.owner

    def find(kind: type[Result], key: str) -> Result:
        return find_result(studio.records, studio.store, owner, kind, key)

    asked = parse_body("posts", body, owner, find)
    assert isinstance(asked, PostRequest)
    assert (asked.goods and asked.goods.name, asked.dials.pool) == ("a red tin", 2)
    gone = "0" * 64  # no upload of this owner's
    for path, told in (
        ("scenes", {"photo": gone, "name": "x"}), ("goods", {"photo": gone}), ("pictures", {"picture": gone}),
        ("places", {"picture": gone}), ("weights", {"picture": photo, "scene": "x"}),
    ):  # fmt: skip
        assert site.post(f"/api/{path}", json=told).status_code == 404


@pytest.mark.parametrize(
    ("language", "message"),
    [("en", "The value of scale cannot be used: ≤ 2.0."), ("zh-CN,zh;q=0.9", "“scale”的值无法使用")],
)
def test_an_error_is_a_code_with_fields_and_a_sentence(studio: Studio, language: str, message: str) -> None:
    site = TestClient(make_site(studio), headers={"accept-language": language})
    body = {"kind": "posts", "persona": "p1", "scene": "x", "scale": 7}
    said = site.post("/api/jobs", json=body).json()
    assert set(said) == {"code", "fields", "message", "advice"}
    assert (said["code"], said["fields"]) == ("request_invalid", {"field": "scale", "limit": "≤ 2.0"})
    assert message in said["message"]
    cut = site.post("/api/jobs", content=b"{", headers={"content-type": "application/json"}).json()
    assert (cut["code"], cut["fields"]) == ("body_no_json", {"at": 1})
    typed = site.post("/api/jobs", json=body | {"persona": 1, "scale": 1}).json()
    assert (typed["code"], typed["fields"]) == ("request_type_invalid", {"field": "persona", "wanted": "type_text"})
    unknown = site.get("/api/results/persona")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "result_kind_unknown")
    assert "consolidate" in unknown.json()["advice"]
    assert site.get("/api/jobs", params={"limit": 0}).json()["fields"]["field"] == "limit"
