"""Whatever is wrong with a request to /api, the answer is a code, its fields, a sentence and an advice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.application import Studio
from studio.library.records import FileRecord
from studio.settings import Settings
from studio.web.app import make_site
from studio.web.body_limit import MOST_BODY_BYTES
from tests.site import TestClient


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/nothing"),
        ("POST", "/api/kinds"),
        ("DELETE", "/api/jobs/x"),
        ("GET", "/api/"),
        ("PATCH", "/api/a/b"),
    ],
)
def test_an_unknown_path_is_refused_as_all_else(studio: Studio, method: str, path: str) -> None:
    site = TestClient(make_site(studio))
    for language, word in (("en", "There is no"), ("zh", "没有")):
        answer = site.request(method, path, headers={"accept-language": language})
        said = answer.json()
        assert (answer.status_code, said["code"]) == (404, "route_unknown")
        assert said["fields"] == {"method": method, "path": path}
        assert word in said["message"]
    assert site.get("/api/kinds").status_code == 200


def test_a_body_has_a_most_size(studio: Studio) -> None:
    site = TestClient(make_site(studio))
    body = json.dumps({"kind": "design", "category": "x" * MOST_BODY_BYTES}).encode()

    def unsaid() -> Iterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    for content in (body, unsaid()):
        answer = site.post("/api/jobs", content=content, headers={"accept-language": "zh"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert "1 MiB" in answer.json()["message"]
    # just under it, whole and in blocks, the body arrives
    small = body.replace(b"xx", b"", 100)
    assert len(small) <= MOST_BODY_BYTES
    for content in (small, iter([small[:7], small[7:]])):
        answer = site.post("/api/jobs", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "request_length_invalid")
    assert site.post("/uploads?name=a.bin", content=body).status_code == 200


def test_what_is_no_picture_has_no_thumbnail(studio: Studio) -> None:
    key = studio.store.put(b"no picture")
    cut = studio.store.put(b"\x89PNG\r\n\x1a\n" + bytes(20))
    gone = hashlib.sha256(b"never stored").hexdigest()
    for one in (key, cut, gone):
        studio.records.keep(FileRecord(id=one, owner="me"))
    site = TestClient(make_site(studio))
    assert site.get(f"/thumbs/{key}").status_code == 415
    assert site.get(f"/thumbs/{cut}").status_code == 415
    assert site.get(f"/thumbs/{gone}").status_code == 404
    assert site.get(f"/files/{key}").content == b"no picture"


def test_what_is_refused_before_any_route_says_why_as_all_else_does(studio: Studio) -> None:
    site = TestClient(make_site(studio))
    elsewhere = site.get("/api/jobs", headers={"host": "shop.example", "accept-language": "zh"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "asked_from_elsewhere")
    assert "shop.example" in elsewhere.json()["message"]
    assert "工作室" in elsewhere.json()["message"]
    for method, path, status in (("GET", "/files/nothing", 404), ("GET", "/nowhere", 404), ("DELETE", "/health", 405)):
        answer = site.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, "address_refused")
        assert answer.json()["fields"] == {"asked": f"{method} {path}", "status": status}
    sent = site.post("/uploads", content=b"", headers={"content-length": str(10**10)})
    assert (sent.status_code, sent.json()["code"]) == (413, "too_large")
