"""What is asked from elsewhere: other sites, proxies, frames, names of others."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.library.users import Users
from studio.settings import Settings, read_settings
from studio.web.app import make_site
from studio.web.proxies import FORWARDED
from tests.site import TestClient

SECRET = "correct horse battery"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.mark.parametrize("path", ["/health", "/places/cafe", "/login", "/nowhere", "/api/jobs"])
def test_no_page_is_framed_and_none_loads_from_elsewhere(studio: Studio, path: str) -> None:
    answer = TestClient(make_site(studio), follow_redirects=False).get(path)
    assert answer.headers["x-frame-options"] == "DENY"
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    refused = TestClient(make_site(studio)).get(path, headers={"host": "evil.example"})
    assert (refused.status_code, refused.headers["x-frame-options"]) == (403, "DENY")


def test_another_site_may_link_here_and_nothing_else(studio: Studio) -> None:
    site = TestClient(make_site(studio), follow_redirects=False)
    for where in ("cross-site", "same-site"):
        for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("navigate", "object")):
            told = {"sec-fetch-site": where, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
            for path in ("/health", "/places/cafe", "/manifest.json"):
                answer = site.get(path, headers=told)
                assert (answer.status_code, answer.json()["code"]) == (403, "asked_from_elsewhere"), (told, path)
        link = {"sec-fetch-site": where, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert site.get("/", headers=link).status_code == 307
        assert site.post("/login", headers=link).status_code == 403
    for where in ("same-origin", "none"):
        assert site.get("/health", headers={"sec-fetch-site": where}).status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://evil.example", "http://127.0.0.1.evil.example"])
def test_a_foreign_or_senseless_origin_is_refused(studio: Studio, origin: str) -> None:
    assert TestClient(make_site(studio)).get("/health", headers={"origin": origin}).status_code == 403


def test_no_name_of_tests_is_the_studios(studio: Studio) -> None:
    assert TestClient(make_site(studio), base_url="http://testserver").get("/health").status_code == 403


@pytest.mark.parametrize("header", FORWARDED)
def test_without_users_nothing_comes_through_a_proxy(studio: Studio, header: str) -> None:
    site = make_site(studio)
    for language, word in (("en", "another server"), ("zh", "其他服务器")):
        answer = TestClient(site).get("/places/cafe", headers={header: "1.2.3.4", "accept-language": language})
        assert (answer.status_code, answer.json()["code"]) == (403, "asked_through_proxy")
        assert word in answer.json()["message"]
    Users(studio.records).add("mei", SECRET)
    assert TestClient(site).get("/health", headers={header: "1.2.3.4"}).status_code == 200


def test_a_proxy_is_believed_where_it_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Users(Studio(Settings(data=tmp_path)).records).add("mei", SECRET)
    told = {"x-forwarded-for": "6.6.6.6, 9.9.9.9", "x-forwarded-proto": "https"}

    def secure(trusted: str, peer: str) -> bool:
        site = make_site(Studio(Settings(data=tmp_path, trusted_proxies=trusted)))
        client = TestClient(site, client=(peer, 1), follow_redirects=False)
        answer = client.post("/login", data={"name": "mei", "password": SECRET}, headers=told)
        assert answer.status_code == 303
        return "secure" in answer.headers["set-cookie"].lower()

    assert secure("127.0.0.1, 10.0.0.0/8", "10.1.2.3")
    assert secure("127.0.0.1", "127.0.0.1")
    with caplog.at_level(logging.WARNING):
        assert not secure("127.0.0.1", "10.1.2.3")
    assert "A proxy at 10.1.2.3 is not named" in caplog.text
    assert not secure("", "127.0.0.1")
    for wrong in ("*", "my-proxy", "10.0.0.1/99"):
        with pytest.raises(BadInput, match="setting_invalid"):
            read_settings(data=tmp_path, trusted_proxies=wrong)


def test_a_body_of_two_lengths_is_refused_and_the_connection_ends(studio: Studio) -> None:
    told = {"content-length": "4", "transfer-encoding": "chunked"}
    answer = TestClient(make_site(studio)).post("/api/jobs", content=b"0\r\n\r\n", headers=told)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_of_two_lengths")
    assert answer.headers["connection"] == "close"
