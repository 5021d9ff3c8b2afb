"""Candidates and posts are liked and disliked by pages, API and command line, and all see the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from studio.application import Studio
from studio.cli import app
from studio.domain.design import Design
from studio.domain.measured import write_measures
from studio.domain.more import MoreCandidates
from studio.jobs.queue import Queue
from studio.library.votes import votes_of_design
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.pages.library import _mark
from studio.ui.pages.select import vote
from studio.ui.parts.thing_grid import Opened, Wanted, show_things
from studio.web.app import make_site
from tests.library import keep_cafe, keep_posts, keep_result, picture
from tests.site import TestClient
from tests.studio.domain.values import make_design


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.fixture
def site(studio: Studio) -> TestClient:
    return TestClient(make_site(studio))


def put_design(studio: Studio) -> tuple[Design, MoreCandidates]:
    """Three candidates, and one that was drawn later."""
    keys = tuple(studio.store.put_picture(picture(i)) for i in range(4))
    design = make_design(3).model_copy(update={"pictures": keys[:3], "measures": studio.store.put_json([])})
    keep_result(studio, "me", design)
    more = MoreCandidates(
        id="more", design=design.id, shots=design.shots[:1], prompts=design.prompts[:1], seeds=(9,), pictures=keys[3:],
        measures=studio.store.put_json(write_measures([])),
    )  # fmt: skip
    keep_result(studio, "me", more)
    return design, more


def command(studio: Studio, *words: str, fails: bool = False) -> Any:
    done = CliRunner().invoke(app, ["vote", *words, "--data", str(studio.settings.data), "--json"])
    assert (done.exit_code != 0) is fails, done.output
    return done.exception if fails else json.loads(done.stdout.strip().splitlines()[-1])


def test_candidates(studio: Studio, site: TestClient) -> None:
    design, more = put_design(studio)
    ui = Ui(studio, Queue(studio), Texts("en"))
    said = site.put("/api/votes", json={"design": design.id, "number": 3, "vote": "like"})
    assert said.json() == {"number": 3, "vote": "like", "picture": more.pictures[0]}
    assert command(studio, "dislike", "--candidate", "1") == {"thing": "design:design", "number": 1, "vote": "dislike"}
    vote(ui, "me", design, design.pictures[1], 1)  # a press on the board
    told = [(row["number"], row["vote"]) for row in site.get(f"/api/votes?design={design.id}").json()]
    assert told == [(0, "dislike"), (1, "like"), (3, "like")]
    site.put("/api/votes", json={"design": design.id, "number": 3, "vote": "like"})  # twice is once
    vote(ui, "me", design, design.pictures[1], 1)  # a second press takes it back
    command(studio, "none", "--candidate", "1", "--design", design.id)
    assert votes_of_design(studio.records, "me", design.id) == {more.pictures[0]: "like"}


def test_posts(studio: Studio, site: TestClient) -> None:
    post_set = keep_posts(studio, 1, keep_cafe(studio), pictures=2)
    ui = Ui(studio, Queue(studio), Texts("en"))
    thing = f"post:{post_set.id}-001"

    def marks() -> tuple[bool, bool]:
        (row,) = (row for row in site.get("/api/library?kind=post").json() if row["id"] == thing)
        return row["favourite"], row["disliked"]

    assert site.put("/api/votes", json={"post_set": post_set.id, "number": 1, "vote": "like"}).status_code == 200
    assert marks() == (True, False)
    assert command(studio, "dislike", "--post", "2")["thing"] == thing
    assert marks() == (False, True)
    html, _ = show_things(ui, "me", Wanted("post"), Opened())
    assert html.count('data-do="dislike"') == 2
    assert f'data-thing="{thing}" data-key="dislike-{thing}" aria-pressed="true"' in html
    assert _mark(ui, "me", "star", {"thing": thing})
    assert marks() == (True, False)
    assert _mark(ui, "me", "dislike", {"thing": thing})
    assert _mark(ui, "me", "dislike", {"thing": thing})
    assert marks() == (False, False)


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({"number": 0, "vote": "like"}, "vote_on_one", 422),
        ({"number": 0, "vote": "like", "design": "design", "post_set": "s"}, "vote_on_one", 422),
        ({"number": 4, "vote": "like", "design": "design"}, "candidate_unknown", 422),
        ({"number": 0, "vote": "like", "design": "none"}, "not_found", 404),
        ({"number": 9, "vote": "like", "post_set": "set00001"}, "not_found", 404),
        ({"number": 0, "vote": "great", "design": "design"}, "request_choice_invalid", 422),
    ],
)
def test_what_is_no_vote_is_refused(
    studio: Studio, site: TestClient, body: dict[str, Any], code: str, status: int
) -> None:
    put_design(studio)
    refused = site.put("/api/votes", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_the_command_line_refuses_them_too(studio: Studio) -> None:
    put_design(studio)
    assert command(studio, "like", fails=True).code == "vote_on_one"
    assert command(studio, "like", "--candidate", "1", "--post", "1", fails=True).code == "vote_on_one"
    assert command(studio, "like", "--candidate", "5", fails=True).code == "candidate_not_there"
