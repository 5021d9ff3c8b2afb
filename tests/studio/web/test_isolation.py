"""What stands between a person and Gradio's own routes, without Gradio: it hears what is let through."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import OutOfDisk
from studio.web.gradio_isolation import MOST_UPLOAD_BYTES, GradioIsolation
from studio.web.login import OWNER
from studio.web.rates import Rates
from tests.site import TestClient

API = "/en/gradio_api"


class Site:
    """Stands in Gradio's place: what reached it, and what it answers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answer = b"null"
        self.isolation = GradioIsolation(self._app)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                body = b"gone"
                break
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.heard.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.answer})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope[OWNER] = dict(scope["headers"]).get(b"x-owner", b"mei").decode()
        await self.isolation(scope, receive, send)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def mei(site: Site) -> TestClient:
    return TestClient(site, headers={"x-owner": "mei"})


@pytest.fixture
def wang(site: Site) -> TestClient:
    return TestClient(site, headers={"x-owner": "wang"})


def upload(site: Site, who: TestClient, *paths: str) -> None:
    """An upload that Gradio answers with these paths."""
    site.answer = json.dumps(paths).encode()
    assert who.post(f"{API}/upload", files={"files": b"x"}).status_code == 200


def test_what_one_makes_it_remember_leaves_anothers_alone(site: Site, mei: TestClient, wang: TestClient) -> None:
    upload(site, wang, "/tmp/wangs.png")
    wang.get(f"{API}/queue/data?session_hash=wangs")
    for start in range(0, 21_000, 3000):
        upload(site, mei, *(f"/tmp/mei{number}.png" for number in range(start, start + 3000)))
    for number in range(1200):
        mei.post(f"{API}/queue/join", json={"session_hash": f"m{number}"})
    assert wang.get(f"{API}/file=/tmp/wangs.png").status_code == 200
    assert mei.get(f"{API}/file=/tmp/wangs.png").status_code == 404
    assert mei.get(f"{API}/queue/data?session_hash=wangs").status_code == 404
    assert mei.get(f"{API}/file=/tmp/mei20999.png").status_code == 200
    assert mei.get(f"{API}/file=/tmp/mei0.png").status_code == 404  # her own oldest were forgotten


def test_no_route_that_names_events_or_that_no_page_uses_is_open(site: Site, mei: TestClient) -> None:
    closed = (
        "call/show/e1",
        "call/v2/show/e1",
        "run/show",
        "api/show",
        "openapi.json",
        "vibe-edit",
        "component_server",
    )
    for path in closed:
        form = mei.post(f"{API}/{path}", data={"index": "30000000"}, files={"file": b"x"})
        for answer in (mei.get(f"{API}/{path}"), mei.post(f"{API}/{path}", json={}), form):
            assert answer.status_code == 404, path
    assert site.heard == []


@pytest.mark.parametrize("path", ["%00", "a%00b", "/tmp/%00", "%ff%fe", "a" * 5000])
def test_what_is_no_path_is_not_there(mei: TestClient, path: str) -> None:
    assert mei.get(f"{API}/file={path}").status_code == 404
    body = {"data": [{"path": "\x00", "meta": {"_type": "gradio.FileData"}}]}
    assert mei.post(f"{API}/queue/join", json=body).status_code == 404


def test_a_body_names_few_files_and_is_small(site: Site, mei: TestClient) -> None:
    names = [f"{tempfile.gettempdir()}/own{number}.png" for number in range(300)]
    upload(site, mei, *names)
    for count, status in ((200, 200), (201, 404)):
        body = {"data": [{"path": name} for name in names[:count]]}
        assert mei.post(f"{API}/queue/join", json=body).status_code == status, count
    twice = {"data": [{"path": names[0]}] * 5000}  # the same is looked for once
    assert mei.post(f"{API}/queue/join", json=twice).status_code == 200
    assert mei.post(f"{API}/queue/join", json={"data": "x" * 5_000_000}).status_code == 404


def test_one_person_uploads_so_often(site: Site, mei: TestClient, wang: TestClient) -> None:
    site.isolation._uploads = Rates(3, 60)
    said = [mei.post(f"{API}/upload", files={"files": b"x"}) for _ in range(4)]
    assert [answer.status_code for answer in said] == [200, 200, 200, 429]
    assert said[-1].json()["code"] == "too_many_requests"
    assert wang.post(f"{API}/upload", files={"files": b"x"}).status_code == 200
    site.isolation._brought = Rates(1000, 60)
    assert wang.post(f"{API}/upload", files={"files": b"x" * 1000}).json()["code"] == "too_many_uploads"


def test_uploads_have_a_most_size_whether_they_say_it_or_not(site: Site, mei: TestClient) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b"}
    said = mei.post(f"{API}/upload", content=b"", headers=kind | {"content-length": str(MOST_UPLOAD_BYTES + 1)})
    assert (said.status_code, said.json()["code"]) == (413, "body_too_large")
    assert site.heard == []
    site.isolation._most_upload = 1_000_000

    def unsaid() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    mei.post(f"{API}/upload", content=unsaid(), headers=kind)
    assert site.heard == [(f"{API}/upload", b"gone")]


def test_who_has_no_room_left_hears_so(mei: TestClient, site: Site) -> None:
    def none(owner: str, size: int) -> None:
        raise OutOfDisk("out_of_disk")

    site.isolation._check_room = none
    answer = mei.post(f"{API}/upload", files={"files": b"x"}, headers={"accept-language": "zh"})
    assert (answer.status_code, answer.json()["code"]) == (507, "out_of_disk")


def test_a_rate_counts_a_window(tmp_path: Path) -> None:
    now = 0.0
    rate = Rates(2, 10, lambda: now)
    assert [rate.allows("a") for _ in range(3)] == [True, True, False]
    assert rate.allows("b")
    now = 10.5
    assert rate.allows("a")
    bytes_a_day = Rates(100, 10, lambda: now)
    assert [bytes_a_day.allows("a", 60), bytes_a_day.allows("a", 60), bytes_a_day.allows("a", 40)] == [
        True,
        False,
        True,
    ]
