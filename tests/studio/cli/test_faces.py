"""A face is found among one's own things, from the command line and through the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from studio.application import Studio
from studio.cli import app
from studio.settings import Settings
from studio.web.app import make_site
from tests.site import TestClient
from tests.studio.workflows.test_likeness import WHO, another_photo, keep_people


def command(data: Path, *words: str, fails: bool = False) -> Any:
    done = CliRunner().invoke(app, [*words, "--data", str(data), "--json"])
    assert (done.exit_code != 0) is fails, done.output
    return done.exception if fails else json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(Settings(data=tmp_path / "data"))
    keep_people(studio)
    keep_people(studio, "mei")
    return studio


def test_the_command_line_reads_what_was_not_and_finds(studio: Studio, tmp_path: Path) -> None:
    data, photo = studio.settings.data, another_photo(WHO[1], tmp_path)
    before = command(data, "faces", "find", str(photo))
    assert (before["found"], before["unread"]) == ([], 4)
    assert command(data, "faces", "index") == {"read": 4}
    told = command(data, "faces", "find", str(photo), "--limit", "2")
    assert told["found"][0]["id"] == "post:set00001-001"
    assert told["found"][0]["likeness"] > told["strangers"] > told["found"][1]["likeness"]
    assert told["unread"] == 0
    like = command(data, "faces", "find", "--like", "post:set00001-001")
    assert [row["id"] for row in like["found"]].count("post:set00001-001") == 0
    assert len(like["found"]) == 2
    shown = CliRunner().invoke(app, ["faces", "find", str(photo), "--data", str(data)]).stdout
    assert "post:set00001-001" in shown.splitlines()[0]
    for words in ((), (str(photo), "--like", "post:set00001-001")):
        assert command(data, "faces", "find", *words, fails=True).code == "face_photo_or_thing"


def test_the_api_finds_by_an_upload_and_by_a_thing_its_owners_things_alone(studio: Studio, tmp_path: Path) -> None:
    site = TestClient(make_site(studio))
    assert command(studio.settings.data, "faces", "index", "--owner", "mei") == {"read": 4}
    photo = another_photo(WHO[2], tmp_path)
    token = site.post("/uploads", params={"name": photo.name}, content=photo.read_bytes()).json()["upload"]
    answer = site.get("/api/faces", params={"upload": token}).json()
    assert (answer["found"], answer["unread"]) == ([], 4)
    assert command(studio.settings.data, "faces", "index") == {"read": 4}
    found = site.get("/api/faces", params={"upload": token, "limit": 1}).json()["found"]
    assert [(row["thing"]["id"], row["thing"]["kind"]) for row in found] == [("post:set00001-002", "post")]
    assert found[0]["likeness"] > 0.5
    assert len(site.get("/api/faces", params={"thing": "post:set00001-000"}).json()["found"]) == 2
    for asked, status in (
        ({}, 422),
        ({"upload": token, "thing": "post:set00001-000"}, 422),
        ({"upload": "0" * 64}, 404),
        ({"thing": "post:no"}, 404),
        ({"thing": "post:set00001-003"}, 422),  # noise
    ):
        assert site.get("/api/faces", params=asked).status_code == status, asked
