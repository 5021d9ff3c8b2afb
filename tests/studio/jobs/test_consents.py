"""A consent that is withdrawn or has ended stops new work and nothing else; prolonged, work goes on. The lineage says
so, from an exported picture, a set or a persona."""

from __future__ import annotations

import datetime
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from personas.donors import Donor, load_donor
from pipelines.errors import BadInput, ConsentMissing
from studio.application import Studio
from studio.cli import app
from studio.domain.bundle import CheckRequest, ExportRequest
from studio.domain.captions import CaptionsRequest
from studio.domain.character import Character, CharacterConsent, CharacterPhoto
from studio.domain.design import UsedDonor
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, PostSet
from studio.domain.rights import Lineage
from studio.domain.takes import VaryRequest
from studio.domain.values import FileKey
from studio.export.recall import remember_export
from studio.jobs.consents import check_consents
from studio.jobs.queue import Queue
from studio.library.consents import check_photos, prolong_donor, prolong_photo, revoke_donor, revoke_photo
from studio.library.records import PersonaRecord, PostRecord, PostSetRecord, RightsRecord
from studio.settings import ASSETS, Settings
from studio.texts.texts import Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.opened_set import show_opened_set
from studio.ui.parts.origin import show_origin
from studio.ui.parts.persona_card import show_persona
from studio.ui.parts.rights_card import show_descendants
from studio.ui.parts.thing_grid import Opened, Wanted, show_things
from studio.web.app import make_site
from studio.workflows.rights import lineage_of_file, lineage_of_persona, lineage_of_set
from tests.library import PERSONA, SHOT, export, keep_cafe, keep_posts, keep_result
from tests.site import TestClient
from tests.studio.domain.values import RECIPE

SWEET = ASSETS / "donors" / "sweet"
TODAY = datetime.date.today()


def bring(data: Path, name: str, **consent: Any) -> None:
    """A donor that the merchant brought, as an older studio recorded it."""
    folder = data / "donors" / "sweet" / name
    shutil.copytree(SWEET / name, folder)
    record = json.loads((folder / "donor.json").read_text())
    record["consent"] |= {"who": "Lea Roth", "scope": "our shop"} | consent
    (folder / "donor.json").write_text(json.dumps(record))


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    bring(tmp_path / "data", "mei")
    (tmp_path / "none").mkdir()
    return Studio(Settings(data=tmp_path / "data", bundled_donors=tmp_path / "none"))


@pytest.fixture
def donor(studio: Studio) -> Donor:
    (found,) = studio.donors()
    return found


@pytest.fixture
def post_set(studio: Studio, donor: Donor) -> PostSet:
    used = UsedDonor(id=donor.id, name="mei", licence="Apache-2.0", consent="Lea Roth")
    recipe = replace(RECIPE, donors=(donor.id,), mix_weights=(1.0,))
    persona = PERSONA.model_copy(update={"donors": (used,), "recipe": recipe})
    keep_result(studio, "me", persona)
    facts = persona.model_dump(mode="json", include={"donors"})
    studio.records.keep(
        PersonaRecord(id="p1", owner="me", name="Lin", version=2, design="d", lora=persona.lora, facts=facts)
    )
    made = keep_posts(studio, 1, keep_cafe(studio))
    asked = made.request.changed(persona=persona)
    made = made.model_copy(update={"request": asked})
    keep_result(studio, "me", made)
    studio.records.keep(PostSetRecord(id=made.id, owner="me", persona="p1", scene=asked.scene.id, facts={}))
    return made


def wishes(made: PostSet) -> list[Any]:
    return [
        made.request, VaryRequest.make(post_set=made, number=0, count=1, seed=1),
        ExportRequest.make(post_set=made, platform="xiaohongshu"),
    ]  # fmt: skip


def test_a_withdrawn_consent_stops_new_work_and_nothing_else(studio: Studio, donor: Donor, post_set: PostSet) -> None:
    for wish in wishes(post_set):
        check_consents(studio, wish)
    revoke_donor(studio.library, "me", donor)
    for wish in wishes(post_set):
        with pytest.raises(ConsentMissing, match="consent_revoked"):
            check_consents(studio, wish)
    check_consents(studio, CheckRequest.make(post_set=post_set, platform="xiaohongshu"))
    check_consents(studio, CaptionsRequest.make(post_set=post_set, platform="xiaohongshu"))
    assert studio.result_of(PostSet, post_set.id) == post_set  # nothing is deleted
    prolong_donor(studio.library, "me", donor, TODAY + datetime.timedelta(30), "a" * 64)
    for wish in wishes(post_set):
        check_consents(studio, wish)
    (now,) = studio.donors()
    assert (now.consent.revoked, now.consent.document_sha256) == (False, "a" * 64)
    words = studio.records.find(RightsRecord, "me", kind="consent")
    assert [row.facts["did"] for row in words] == ["revoked", "prolonged"]
    assert {row.thing for row in words} == {f"donor:{donor.id}"}
    with pytest.raises(BadInput, match="consent_over"):
        prolong_donor(studio.library, "me", donor, TODAY - datetime.timedelta(1))


def test_one_that_ended_stops_too_and_those_that_come_along_cannot_be_withdrawn(
    tmp_path: Path, studio: Studio, donor: Donor, post_set: PostSet
) -> None:
    folder = donor.lora_path.parent
    record = json.loads((folder / "donor.json").read_text())
    record["consent"]["expires"] = (TODAY - datetime.timedelta(1)).isoformat()
    (folder / "donor.json").write_text(json.dumps(record))
    with pytest.raises(ConsentMissing, match="consent_expired"):
        check_consents(studio, post_set.request)
    lineage = lineage_of_set(studio, "me", post_set)
    assert (lineage.donors[0].consent.state, lineage.is_free) == ("over", False)
    with pytest.raises(BadInput, match="consent_of_invented"):
        revoke_donor(studio.library, "me", load_donor(SWEET / "mei"))


def test_photos_that_say_who_is_shown(studio: Studio) -> None:
    photo = FileKey("b" * 64)
    character, agreed = Character(photos=(CharacterPhoto(picture=photo),)), CharacterConsent(who="Mei", scope="posts")
    asked = PostRequest.make(
        persona=PERSONA, scene=keep_cafe(studio), shots=(SHOT,), character=character, character_consent=agreed
    )
    check_consents(studio, asked)
    revoke_photo(studio.records, "you", photo)  # another's word is not mine
    check_consents(studio, asked)
    revoke_photo(studio.records, "me", photo)
    with pytest.raises(ConsentMissing, match="photos_consent_revoked"):
        check_consents(studio, asked)
    prolong_photo(studio.records, "me", photo, TODAY + datetime.timedelta(1))
    check_consents(studio, asked)
    over = agreed.model_copy(update={"expires": TODAY - datetime.timedelta(1)})
    check_photos(studio.records, "me", character, over)  # prolonged since
    with pytest.raises(ConsentMissing, match="photos_consent_over"):
        check_photos(studio.records, "you", Character(photos=(CharacterPhoto(picture=FileKey("c" * 64)),)), over)


def test_the_lineage_leads_from_a_picture_to_people(studio: Studio, tmp_path: Path, post_set: PostSet) -> None:
    found = lineage_of_persona(studio, "me", post_set.request.persona)
    (one,) = found.donors
    assert (one.name, one.share, one.consent.who, one.consent.state) == ("mei", 1.0, "Lea Roth", "holds")
    assert one.consent.adult is None  # an older record
    assert one.file == studio.donors()[0].consent.file_sha256
    whole = lineage_of_set(studio, "me", post_set)
    assert (whole.scene, whole.post_set, len(whole.pictures)) == ("cafe", post_set.id, 1)
    manifest = export(studio, tmp_path / "a.zip", "xiaohongshu")  # which keeps a persona of the same id, without donors
    keep_result(studio, "me", post_set.request.persona)
    post = manifest.posts[1]
    facts = {"seed": post.seed, "prompt": post.prompt}
    studio.records.keep(
        PostRecord(id="x", owner="me", post_set=post_set.id, number=0, picture=post_set.posts[0].picture, facts=facts)
    )
    remember_export(studio.library, manifest, "me")
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        (tmp_path / "two.jpg").write_bytes(bundle.read(post.file))
    assert lineage_of_file(studio, "me", tmp_path / "two.jpg").post_set == post_set.id
    with pytest.raises(BadInput, match="rights_file_unknown"):
        lineage_of_file(studio, "you", tmp_path / "two.jpg")


def test_the_command_line_says_it_and_changes_it(
    studio: Studio, tmp_path: Path, post_set: PostSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_BUNDLED_DONORS", str(tmp_path / "none"))
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["rights", *words, "--data", str(tmp_path / "data")])
        if done.exception is not None:
            raise done.exception
        return str(done.output)

    assert "Lea Roth agreed: our shop, without an end" in run("show", "p1", "--out", str(tmp_path / "rights.json"))
    assert json.loads((tmp_path / "rights.json").read_text())["donors"][0]["name"] == "mei"
    said = run("revoke", "mei")
    assert "p1" in said
    assert post_set.id in said
    shown = run("show", post_set.id)
    assert "WITHDRAWN by Lea Roth" in shown
    assert "Nothing new" in shown
    (tmp_path / "paper.pdf").write_bytes(b"signed")
    assert "2099-01-01" in run("prolong", "mei", "--until", "2099-01-01", "--document", str(tmp_path / "paper.pdf"))
    assert "document" in run("show", "p1")
    with pytest.raises(BadInput, match="rights_donor_unknown"):
        run("revoke", "nobody")
    assert studio.result_of(Persona, "p1").name == "Lin"


def test_programs_and_pages_tell_where_things_come_from(studio: Studio, donor: Donor, post_set: PostSet) -> None:
    site = TestClient(make_site(studio))
    told = site.get(f"/api/sets/{post_set.id}/lineage").json()
    assert told == lineage_of_set(studio, "me", post_set).model_dump(mode="json")
    assert [row["consent"]["who"] for row in told["donors"]] == ["Lea Roth"]
    saved = site.get("/api/personas/p1/lineage", params={"download": True})
    assert saved.headers["content-disposition"] == 'attachment; filename="lineage-p1.json"'
    assert Lineage.model_validate_json(saved.content) == lineage_of_persona(studio, "me", post_set.request.persona)
    assert site.get("/api/personas/none/lineage").status_code == 404
    words: tuple[tuple[Language, str], ...] = (("en", "Lea Roth agreed: our shop"), ("zh", "Lea Roth 已同意"))
    for language, said in words:
        ui = Ui(studio, Queue(studio), Texts(language))
        for html in (show_origin(ui, "me", post_set), show_opened_set(ui, "me", post_set.id)):
            assert said in html
            assert f'href="/api/sets/{post_set.id}/lineage?download=true"' in html
        assert said in show_persona(ui, "me", "p1")


def test_what_descends_from_a_withdrawn_consent_is_named_on_its_pages(
    studio: Studio, donor: Donor, post_set: PostSet
) -> None:
    ui = Ui(studio, Queue(studio), Texts("en"))
    assert show_descendants(ui, "me", donor) == ""
    revoke_donor(studio.library, "me", donor)
    (now,) = studio.donors()
    for html in (
        show_descendants(ui, "me", now),
        show_persona(ui, "me", "p1"),
        show_things(ui, "me", Wanted("donor"), Opened())[0],
    ):
        assert "Made of mei so far" in html
        assert "/en/library?persona=p1" in html
        assert f"/en/posts?set={post_set.id}" in html
    assert show_descendants(ui, "wang", now) == ""  # nobody else's
    assert "<details" in show_origin(ui, "me", post_set)
    assert " open>" in show_origin(ui, "me", post_set)
