"""Tastes through the API and on the command line: the same, in words of both languages, and nobody else's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from studio.application import Studio
from studio.cli import app
from studio.library.grants import grant
from studio.library.marks import mark_thing
from studio.settings import Settings
from studio.taste.keeping import comment, taste_of
from studio.web.app import make_site
from tests.site import TestClient


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.fixture
def site(studio: Studio) -> TestClient:
    return TestClient(make_site(studio))


def post(site: TestClient, path: str, language: str = "en", **body: Any) -> Any:
    answer = site.post(f"/api/taste/{path}", json=body, headers={"Accept-Language": language})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def refused(site: TestClient, path: str, **body: Any) -> str:
    answer = site.post(f"/api/taste/{path}", json=body, headers={"Accept-Language": "zh"})
    assert answer.status_code == 422, answer.text
    assert any("\u4e00" <= sign <= "\u9fff" for sign in answer.json()["message"])
    return str(answer.json()["code"])


def test_pictures_are_voted_on_put_in_order_and_proposed(site: TestClient, studio: Studio, tmp_path: Path) -> None:
    first, second, third = site.get("/api/taste/next?count=3").json()
    assert post(site, "votes", picture=first)["liked"] == 1
    assert post(site, "votes", picture=second, vote=-1)["disliked"] == 1
    ranked = post(site, "order", pictures=[second, first])
    assert [row["picture"] for row in ranked] == [first, second]
    assert ranked[0]["chance"] > ranked[1]["chance"]
    assert ranked[0]["spread"] > 0
    post(site, "votes", picture=third, over=first)
    assert refused(site, "votes", picture="ab" * 32) == "file_not_yours"
    assert refused(site, "order", pictures=["ab" * 32]) == "file_not_yours"
    bundle = studio.store.put(b"PK of a bundle")
    grant(studio.records, studio.settings.owner, [bundle])
    assert refused(site, "votes", picture=bundle) == "picture_not_readable"
    assert [row["picture"] for row in post(site, "order", pictures=[bundle, first])] == [
        bundle,
        first,
    ]  # alike, as they stood
    command = CliRunner().invoke(app, ["taste", "vote", first, "0", "--data", str(studio.settings.data), "--json"])
    assert command.exit_code == 0, command.output
    assert site.get("/api/taste").json()["liked"] == 0  # the pair is no picture that is liked
    command = CliRunner().invoke(app, ["taste", "next", "--count", "2", "--data", str(studio.settings.data), "--json"])
    assert len(json.loads(command.stdout)["pictures"]) == 2


def test_a_comment_is_read_kept_changed_and_undone(site: TestClient) -> None:
    kept = post(site, "comments", text="I love the beach, but it's too dark")
    assert [(i["attribute"], i["weight"]) for i in kept["items"]] == [("setting.beach", 1.0), ("tone.dark", -1.0)]
    assert (kept["question"], kept["note"]) == (None, "")
    said = site.get("/api/taste", headers={"Accept-Language": "zh"}).json()
    assert [row["text"] for row in said["items"]] == ["喜欢 地点：海滩（1）", "不喜欢 影调：昏暗（1）"]
    changed = post(site, "items", attribute="tone.dark", weight=0.5)
    assert [row["text"] for row in changed["items"] if row["item"]["source"] == "hand"] == [
        "likes tone: dark (0.5) · set by hand · said both ways"
    ]
    assert [row["item"]["attribute"] for row in post(site, "undo", event=kept["id"])["items"]] == ["tone.dark"]
    assert site.get("/api/taste/events").json()["events"][0]["text"] == "I love the beach, but it's too dark"
    assert site.delete("/api/taste").json()["version"] == 0


def test_a_question_has_chips_in_the_readers_language(site: TestClient) -> None:
    asked = post(site, "comments", "zh", text="光线不错")["question"]
    assert (asked["why"], asked["field"], asked["text"]) == ("aspect", "light", "你指的是光线的哪一点？")
    assert {"id": "light.dusk", "name": "黄昏"} in asked["chips"]
    vague = post(site, "comments", text="not quite right")["question"]
    assert {"id": "setting", "name": "place"} in vague["chips"]


def test_what_is_no_comment_and_no_change_is_refused_in_words(site: TestClient) -> None:
    assert refused(site, "comments", text=" ") == "comment_empty"
    assert refused(site, "comments", text="暗" * 10_000) == "comment_too_long"
    assert refused(site, "comments", text="暗", picture="ab" * 32) == "file_not_yours"
    assert refused(site, "comments", text="暗", scope="persona") == "taste_scope_invalid"
    assert refused(site, "comments", text="暗", reader="endpoint") == "endpoint_not_set"
    assert refused(site, "items", attribute="light.aurora", weight=1) == "attribute_unknown"
    assert refused(site, "undo") == "taste_nothing_to_undo"
    assert refused(site, "shots", shots=[{"mood": "happy"}]) == "request_field_unknown"
    assert refused(site, "shots", shots=[{"light": "noon"}]) == "shot_word_unknown"


def test_shots_follow_the_taste_where_nothing_was_said(site: TestClient) -> None:
    plain = post(site, "shots", count=9, seed=4)
    assert plain["guided"] is None
    assert plain["why"] == []
    post(site, "items", attribute="expression.smiling", weight=1)
    post(site, "items", attribute="light.dusk", weight=1)
    found = post(site, "shots", "zh", count=9, seed=4, adventurous=0)
    assert {shot["expression"] for shot in found["shots"]} == {"smiling"}
    assert {shot["light"] for shot in found["shots"]} == {"dusk"}
    assert [s["outfit"] for s in found["shots"]] == [s["outfit"] for s in plain["shots"]]
    assert "第 1 张：表情为“微笑”，因为：微笑" in found["why"]
    assert found["guided"]["version"] == 2
    stated = post(site, "shots", shots=[{"expression": "serious"}, {"light": "night", "expression": "laughing"}])
    assert [shot["expression"] for shot in stated["shots"]] == ["serious", "laughing"]
    assert [shot["light"] for shot in stated["shots"]] == ["dusk", "night"]
    post(site, "items", attribute="expression.smiling", weight=-1, scope="persona", name="Lin")
    hers = post(site, "shots", count=9, seed=4, adventurous=0, persona="Lin")
    assert "smiling" not in {shot["expression"] for shot in hers["shots"]}


def test_nobody_sees_anothers_taste(studio: Studio, site: TestClient) -> None:
    comment(studio.records, "you", "I love the beach")
    mark_thing(studio.records, "you", "design:d", votes={"ab" * 32: 1})
    told = site.get("/api/taste").json()
    assert (told["items"], told["version"], told["liked"]) == ([], 0, 0)
    assert refused(site, "undo", event=taste_of(studio.records, "you").events[0].id) == "taste_nothing_to_undo"
    site.delete("/api/taste")
    assert taste_of(studio.records, "you").version == 1


def test_attributes_are_listed_in_both_languages(site: TestClient) -> None:
    for language, name in (("en", "hand on hip"), ("zh", "叉腰")):
        rows = site.get("/api/taste/attributes", headers={"Accept-Language": language}).json()
        assert {row["id"]: row["name"] for row in rows}["pose.hand-on-hip"] == name


def test_the_command_line_does_the_same(tmp_path: Path) -> None:
    def run(*words: str, status: int = 0) -> Any:
        done = CliRunner().invoke(app, ["taste", *words, "--data", str(tmp_path), "--json"])
        assert done.exit_code == status, done.output
        return json.loads(done.stdout) if not status else done.exception

    told = run("comment", "海边很好，但是太暗")
    assert [i["attribute"] for i in told["comment"]["items"]] == ["setting.beach", "tone.dark"]
    assert run("set", "tone.dark", "--weight", "0.5")["version"] == 2
    assert run("set", "tone.dark", "--mute")["items"][1]["muted"] is True
    assert run("undo")["items"][1]["muted"] is False
    assert len(run("show", "--events")["events"]) == 4
    assert getattr(run("delete", status=1), "code", "") == "taste_delete_unconfirmed"
    assert getattr(run("show", "--persona", "Lin", "--shop", "Tea", status=1), "code", "") == "taste_scope_both"
    assert run("delete", "--yes") == {"deleted": 4}
    assert run("show")["items"] == []
