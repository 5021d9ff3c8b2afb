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


@pytest.mark.parametrize(
    "body",
    [
        '{"kind": "design", "category": "sweet", "seed": NaN}',
        '{"kind": "posts", "persona": "p1", "scene": "s", "scale": NaN}',
        '{"kind": "posts", "persona": "p1", "scene": "s", "scale": 1e999}',
        '{"kind": "posts", "persona": "p1", "scene": "s", "captions": ["\\ud800"]}',
        '{"kind": "posts", "persona": "\\ud800", "scene": "\\u0000"}',
        '{"kind": "\\udfff"}',
        '{"kind": "design", "category": "sweet", "candidates": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"kind": ' + '{"a":' * 50_000,
        "null",
        "\x00",
        "\ufeff{}",
        b'{"kind": "\xed\xbf\xbf"}',  # half a letter as bytes, which JSON readers pass on
        b'{"kind": "posts", "persona": "\xff"}',
        '{"kind": "design"}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_senseless_json_is_refused_in_words(studio: Studio, body: str | bytes) -> None:
    site = TestClient(make_site(studio), raise_server_exceptions=False)
    for path in ("/api/jobs", "/api/estimates"):
        sent = body if isinstance(body, bytes) else body.encode()
        answer = site.post(path, content=sent, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])
        said = answer.json()
        assert said["message"]
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("name", ['"\\ud800"', '"a\\u0000b"', '"' + "x" * 5000 + '"', "null", "[]"])
def test_senseless_names_are_refused_in_words(studio: Studio, name: str) -> None:
    site = TestClient(make_site(studio), raise_server_exceptions=False)
    for path, body in (
        ("/api/albums", f'{{"name": {name}}}'),
        ("/api/goods", f'{{"photo": "{"0" * 64}", "name": {name}}}'),
        ("/api/scenes", f'{{"photo": "{"0" * 64}", "name": {name}}}'),
        ("/api/taste/comments", f'{{"comment": {name}, "text": {name}}}'),
    ):
        answer = site.post(path, content=body.encode(), headers={"content-type": "application/json"})
        assert answer.status_code < 500, (path, answer.text[:300])
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("odd", ["%00", "%ff", "%ed%a0%80", "..%2f..%2fetc", "a" * 3000, "%F0%9F%92%A9", "%0d%0aX: y"])
def test_odd_addresses_are_refused_in_words(studio: Studio, odd: str) -> None:
    site = TestClient(make_site(studio), raise_server_exceptions=False, follow_redirects=False)
    for path in (
        f"/files/{odd}", f"/thumbs/{odd}", f"/donors/{odd}", f"/places/{odd}", f"/language/{odd}", f"/api/jobs/{odd}",
        f"/api/recall/{odd}", f"/api/results/{odd}", f"/api/personas/{odd}/drawing", f"/api/scenes/{odd}/pack",
        f"/api/library?after={odd}", f"/api/library?words={odd}", f"/api/taste?scope={odd}", f"/api/votes?design={odd}",
        f"/language/en?page={odd}", f"/login?next={odd}",
    ):  # fmt: skip
        answer = site.get(path)
        assert answer.status_code < 500, (path, answer.text[:300])
        assert "Traceback" not in answer.text
