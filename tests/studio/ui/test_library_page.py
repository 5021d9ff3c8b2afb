"""The library's cards, a persona's rights, the line of jobs, and what stands where something went to the trash."""

from __future__ import annotations

import datetime
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from personas.recipes import Recipe
from pipelines.errors import BadInput
from pipelines.progress import Stage, StageProgress
from studio.application import Studio
from studio.domain.design import UsedDonor
from studio.domain.job_title import JobTitle
from studio.domain.persona import Persona, Sample
from studio.domain.report import StudioStage
from studio.domain.times import JobSize, JobTime
from studio.jobs.progress import Reporter
from studio.jobs.queue import Queue
from studio.library.job_times import note_time
from studio.library.records import JobRecord, PersonaRecord, UserRecord, WorkerRecord
from studio.settings import ASSETS, Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.pages.scenes import show_scenes
from studio.ui.parts.persona_card import show_persona
from studio.ui.parts.rights_card import act_on_consent
from studio.ui.parts.running_line import show_line
from studio.ui.parts.thing_grid import Opened, Wanted, show_things
from tests.library import PERSONA, keep_cafe, keep_posts, keep_result

SETS = Wanted("posts")
SWEET = ASSETS / "donors" / "sweet"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def _ui(studio: Studio, language: Language = "en") -> Ui:
    return Ui(studio, Queue(studio), Texts(language))


def _order(html: str) -> list[str]:
    """Cards and undos in the order in which they stand."""
    parts = html.split('<div class="st-grid">')[1].split('<div class="st-')[1:]
    return [
        ("gone " if part.startswith("gone") else "card ") + part.partition("set0000")[2][:1]
        for part in parts
        if part.startswith(("card", "gone"))
    ]


def test_an_undo_stands_where_a_thing_was_until_the_page_is_left(studio: Studio) -> None:
    ui, cafe = _ui(studio), keep_cafe(studio)
    for number in (1, 2, 3):
        keep_posts(studio, number, cafe)
    ui.mark("me", "posts:set00002", trashed=True)
    for language in LANGUAGES:
        html, _ = show_things(_ui(studio, language), "me", SETS, Opened(gone=("posts:set00002",)))
        assert _order(html) == ["card 3", "gone 2", "card 1"]
        assert 'data-do="restore"' in html
    html, _ = show_things(ui, "me", SETS, Opened(gone=("posts:set00001",)))
    assert _order(html) == ["card 3", "card 1"]  # it is no more in the trash
    html, _ = show_things(ui, "me", SETS, Opened())
    assert _order(html) == ["card 3", "card 1"]
    ui.mark("me", "posts:set00001", trashed=True)
    ui.mark("me", "posts:set00003", trashed=True)
    html, _ = show_things(ui, "me", SETS, Opened(gone=("posts:set00001", "posts:set00003")))
    assert _order(html) == ["gone 3", "gone 1"]
    assert "st-empty" in show_things(ui, "me", SETS, Opened())[0]
    assert "gone" not in show_things(_ui(studio), "wang", SETS, Opened(gone=("posts:set00001",)))[0]


def test_a_place_in_the_trash_can_be_brought_back_on_its_page(studio: Studio) -> None:
    ui, cafe = _ui(studio), keep_cafe(studio)
    ui.mark("me", f"scene:{cafe.id}", trashed=True)
    assert "st-empty" in show_scenes(ui, "me")
    html = show_scenes(ui, "me", (cafe.id,))
    assert f'data-do="restore" data-scene="{cafe.id}"' in html
    assert "café is in the trash" in html


def _keep_persona(studio: Studio, donors: dict[str, float]) -> Persona:
    known = {donor.id: donor for donor in studio.donors()}
    used = [
        UsedDonor(id=key, name=known[key].name if key in known else "Nobody", licence="cc-by-nc-4.0", consent="Mei Lin")
        for key in donors
    ]
    recipe = Recipe("r", "sweet", tuple(donors), tuple(donors.values()), 1, True)
    face = studio.store.put(b"\x89PNG a face")
    changed = {"donors": tuple(used), "recipe": recipe, "samples": (Sample(step=1, pictures=(face,), identity=0.5),)}
    persona = PERSONA.model_copy(update=changed)
    keep_result(studio, "me", persona)
    for version in (1, 2):
        key = "p1" if version == 2 else "p0"
        row = PersonaRecord(id=key, owner="me", name="Lin", version=version, design="d", lora=persona.lora, facts={})
        studio.records.keep(row)
    return persona


def _own_donor(data: Path, name: str, **consent: Any) -> None:
    """A donor that the merchant brought, with this consent."""
    folder = data / "donors" / "sweet" / name
    shutil.copytree(SWEET / name, folder)
    record = json.loads((folder / "donor.json").read_text())
    record["consent"] |= {"who": f"{name} by contract", "scope": "our shop"} | consent
    (folder / "donor.json").write_text(json.dumps(record))


def test_a_persona_says_of_whom_it_is_and_what_they_agreed_to(tmp_path: Path) -> None:
    names = sorted(path.name for path in SWEET.iterdir())[:4]
    today = datetime.date.today()
    dates = [None, today + datetime.timedelta(9), today - datetime.timedelta(1), None]
    for name, day in zip(names, dates, strict=True):
        _own_donor(tmp_path, name, expires=None if day is None else day.isoformat(), revoked=name == names[3])
    nobody = tmp_path / "no-bundled"
    nobody.mkdir()
    studio = Studio(Settings(data=tmp_path, bundled_donors=nobody))
    ids = {donor.name: donor.id for donor in studio.donors()}
    assert len(ids) == 4
    shares = (0.4, 0.3, 0.15, 0.1, 0.05)
    _keep_persona(studio, dict(zip([*ids.values(), "gone"], shares, strict=True)))
    keep_posts(studio, 1, keep_cafe(studio))
    html = show_persona(_ui(studio), "me", "p1")
    for said in (
        "Lin · version 2", "40%", "5%", "our shop", "no end", str(dates[1]), f"⚠ ended on {dates[2]}", "⚠ withdrawn",
        "no longer here", "/en/posts?set=set00001", "persona=p0", "kind=post&amp;person=Lin",
    ):  # fmt: skip
        assert said in html, said
    assert html.index("40%") < html.index("30%") < html.index("5%</span>")
    assert "st-empty" in show_persona(_ui(studio), "wang", "p1")
    assert "st-empty" in show_persona(_ui(studio), "me", "no")


def test_those_that_come_along_are_called_invented_in_the_pages_language(studio: Studio) -> None:
    donors = studio.donors()[:3]
    _keep_persona(studio, dict(zip([d.id for d in donors], (0.5, 0.3, 0.2), strict=True)))
    html = show_persona(_ui(studio, "zh"), "me", "p1")
    assert html.count(Texts("zh")("design.invented")) == 3
    assert donors[0].consent.who not in html


def test_the_line_says_what_runs_how_far_it_is_and_what_waits(studio: Studio) -> None:
    ui = _ui(studio)
    assert show_line(ui, "me") == ""

    def keep(job: str, state: str, **facts: Any) -> None:
        title = JobTitle(who="Lin", where="cafe", count=9).model_dump(mode="json")
        told = {"title": title, "size": JobSize(units=9).model_dump(mode="json")} | facts
        studio.records.keep(JobRecord(id=job, owner="me", kind="posts", state=state, error=None, facts=told))

    keep("posts-1", "running", began=time.time() - 30)
    assert "waiting for the program that draws" in show_line(ui, "me")
    studio.records.keep(WorkerRecord(id="w", owner="", beat=time.time() + 60, facts={}))
    assert "starting" in show_line(ui, "me")
    reporter = Reporter(studio.records, "posts-1", "me", set())
    reporter.tell(StageProgress(Stage(StudioStage.POSTS), 3, 9))
    keep("posts-2", "queued")
    note_time(studio.records, "posts-0", "posts", studio.choice, JobTime(size=JobSize(units=9), seconds=90))
    line = show_line(ui, "me")
    for said in ("Posts: Lin · café · 9 pictures", "drawing posts 3/9", "about 60 s left", "1 more waiting"):
        assert said in line, said
    assert "all done in about 2 min" in line
    assert 'href="/en/posts"' in line
    assert "width:33%" in line
    chinese = show_line(_ui(studio, "zh"), "me")
    assert "帖子：Lin · 咖啡馆 · 9 张" in chinese
    assert "另有 1 个等待中" in chinese
    assert show_line(ui, "wang") == ""


def test_whoever_brought_a_face_withdraws_and_prolongs_its_consent_on_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = sorted(path.name for path in SWEET.iterdir())[:2]
    _own_donor(tmp_path, mine)
    shutil.copytree(SWEET / theirs, tmp_path / "bundled" / "sweet" / theirs)
    studio = Studio(Settings(data=tmp_path, bundled_donors=tmp_path / "bundled"))
    invented, own = sorted(studio.donors(), key=lambda donor: "contract" in donor.consent.who)
    _keep_persona(studio, {own.id: 0.6, invented.id: 0.4})
    ui, said = _ui(studio), list[str]()
    monkeypatch.setattr("studio.ui.parts.rights_card.toast", said.append)
    before = show_persona(ui, "me", "p1")
    assert before.count('data-do="revoke-consent"') == 1  # nobody is behind the invented one
    assert act_on_consent(ui, "me", {"do": "revoke-consent", "donor": own.id})
    after = show_persona(ui, "me", "p1")
    for words in ("⚠ withdrawn", "No new pictures of this person"):
        assert words in after
        assert words not in before
    assert 'data-do="revoke-consent"' not in after
    assert act_on_consent(ui, "me", {"do": "prolong-consent", "donor": own.id, "value": "2099-05-01"})
    again = show_persona(ui, "me", "p1")
    assert "2099-05-01" in again
    assert "⚠" not in again
    assert "2099-05-01" in said[-1]
    with pytest.raises(BadInput, match="bad_date"):
        act_on_consent(ui, "me", {"do": "prolong-consent", "donor": own.id, "value": "01/02/2030"})
    with pytest.raises(BadInput, match="consent_of_others"):
        act_on_consent(ui, "me", {"do": "revoke-consent", "donor": invented.id})
    studio.records.keep(UserRecord(id="wang", owner="wang", password="x"))  # with users, it is who brought it
    with pytest.raises(BadInput, match="consent_of_others"):
        act_on_consent(ui, "wang", {"do": "revoke-consent", "donor": own.id})
    assert 'data-do="revoke-consent"' not in show_persona(ui, "me", "p1")
