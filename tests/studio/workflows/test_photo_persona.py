"""A persona of photos: enrolled by the face in them, dressed as in them, drawn and bundled without any LoRA."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.shots import OUTFITS, Shot
from pipelines.errors import BadInput, ConsentMissing, ModelMissing
from studio.application import Studio
from studio.cli import app
from studio.domain.character import CharacterConsent, Worn, parts_said, wear
from studio.domain.persona import ConsolidateRequest, Persona
from studio.domain.posts import PostRequest
from studio.domain.scene import Scene
from studio.jobs.bodies import parse_body
from studio.jobs.consents import check_consents
from studio.jobs.fit import check_fits_backbone
from studio.jobs.titles import title_persona
from studio.library.characters import add_character, read_worn
from studio.library.scenes import add_scene
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.character import faces_of, photos_of, worn_in
from studio.workflows.consolidate import consolidate_persona
from studio.workflows.drawing import persona_lora
from studio.workflows.redrawing import redraw_bundle
from studio.workflows.rights import lineage_of_persona
from tests.exports import export_set
from tests.studio.workflows.test_character import studio_by_parts, worn
from tests.studio.workflows.test_ways import draw

AGREED = CharacterConsent(who="Mei Lin", scope="posts of the shop")
YESTERDAY = datetime.date.today() - datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def studio(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return studio_by_parts(tmp_path_factory.mktemp("photos"), tiny_flux)


@pytest.fixture(autouse=True)
def drawn_people_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny backbone says of no pictures what they look like; these are of the miniature's world."""
    for room in ("character", "photo_persona"):
        monkeypatch.setattr(f"studio.workflows.{room}.sees_people", lambda settings: True)


def asked(studio: Studio, *photos: Path, clothes: Path | None = None) -> ConsolidateRequest:
    character = add_character(studio.library, photos, "me", clothes)
    return ConsolidateRequest.make(character=character, character_consent=AGREED, category="sweet", name="Mei")


@pytest.fixture(scope="module")
def mei(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Persona:
    with pytest.MonkeyPatch.context() as patch:
        for room in ("character", "photo_persona"):
            patch.setattr(f"studio.workflows.{room}.sees_people", lambda settings: True)
        photo = worn(tmp_path_factory.mktemp("mei") / "mei.png", 5)
        return consolidate_persona(studio, asked(studio, photo), run_directly)


def test_who_is_in_the_photo_is_enrolled_and_a_strip_is_drawn(studio: Studio, mei: Persona) -> None:
    assert (mei.name, mei.version, mei.lora, mei.donors) == ("Mei", 1, None, ())
    assert mei.character is not None
    (face,) = faces_of(studio, mei.character)
    assert face is not None
    assert np.allclose(mei.enrolment, face.embedding, atol=1e-5)
    assert mei.character.worn is not None
    assert mei.character.worn.outfit in OUTFITS
    (strip,) = mei.samples
    assert len(set(strip.pictures)) == 5
    assert mei.pictures == strip.pictures
    row = lineage_of_persona(studio, "me", mei)
    assert row.photos == (str(mei.character.photos[0].picture),)
    assert row.photos_consent is not None
    assert (row.photos_consent.who, row.photos_consent.state) == ("Mei Lin", "holds")


def test_posts_show_them_by_their_photos_and_are_drawn_again_to_the_pixel(
    studio: Studio, mei: Persona, tmp_path: Path
) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(tmp_path / "scene.png")
    scene = add_scene(studio.library, tmp_path / "scene.png", None, "square")
    assert mei.character is not None
    shots = wear((Shot("half-body"), Shot("close-up")), mei.character.worn)
    wish = PostRequest.make(persona=mei, scene=scene, shots=shots, scale=0.0)
    assert wish.photos == mei.character
    assert not wish.by_lora
    check_fits_backbone(studio, wish)
    post_set, pictures = draw(studio, wish)
    assert post_set.character_adapter is not None
    export_set(studio, post_set, tmp_path / "a.zip")
    assert redraw_bundle(studio, tmp_path / "a.zip", run_directly) == ()
    weaker = mei.character.model_copy(update={"strength": 0.2})
    _, other = draw(studio, wish.changed(character=weaker))
    assert not np.array_equal(pictures[0], other[0])
    with pytest.raises(BadInput, match="persona_without_lora"):
        wish.changed(person_as="both", person_picture=mei.pictures[0], inject="references")
    with pytest.raises(BadInput, match="persona_without_lora"):
        persona_lora(studio, mei)


def test_nobodys_consent_stands_for_somebody_else_and_a_withdrawn_one_counts_in_every_way(
    studio: Studio, mei: Persona, tmp_path: Path
) -> None:
    other = add_character(studio.library, [worn(tmp_path / "lin.png", 8)], "me")
    wish = PostRequest.make(persona=mei, scene=_scene(studio), shots=(Shot(),))
    assert wish.photos_consent == AGREED
    with pytest.raises(BadInput, match="character_no_consent"):
        wish.changed(character=other).check_before()
    over = mei.model_copy(update={"character_consent": AGREED.model_copy(update={"expires": YESTERDAY})})
    shown = wish.changed(persona=over, person_as="reference", person_picture=mei.pictures[0], inject="references")
    for asked_for in (wish.changed(persona=over), shown):
        with pytest.raises(ConsentMissing):
            check_consents(studio, asked_for)
    check_consents(studio, wish)


def test_a_program_that_names_no_shots_gets_them_in_the_photos_clothes(mei: Persona, studio: Studio) -> None:
    scene = _scene(studio)
    told = {"persona": mei.model_dump(mode="json"), "scene": scene.model_dump(mode="json"), "count": 4}
    asked_for = parse_body("posts", told, "me", lambda kind, key: None)  # type: ignore[arg-type, return-value]
    assert isinstance(asked_for, PostRequest)
    assert mei.character is not None
    assert mei.character.worn is not None
    worn_there = (mei.character.worn.outfit, mei.character.worn.outfit_colour)
    assert {(shot.outfit, shot.outfit_colour) for shot in asked_for.shots} == {worn_there}


def test_words_that_name_other_clothes_take_the_photos_clothes_away(studio: Studio, mei: Persona) -> None:
    character = mei.character
    assert character is not None
    assert character.worn is not None
    (same,) = wear([Shot()], character.worn)
    other = Shot(outfit="suit" if character.worn.outfit != "suit" else "coat")
    assert parts_said(same, character) == ()
    assert parts_said(other, character) == ("torso", "legs", "shoes")
    assert parts_said(Shot(outfit=same.outfit, outfit_colour=same.outfit_colour, goods="cup"), character) == ("goods",)
    assert parts_said(other, character.model_copy(update={"worn": None})) == ()
    read = photos_of(studio, PostRequest.make(persona=mei, scene=_scene(studio), shots=(same,)))
    assert read is not None
    assert worn_in(read, character, same) is read
    assert dict(worn_in(read, character, other).scales) == {"torso": 0.0, "legs": 0.0, "shoes": 0.0}


def _scene(studio: Studio) -> Scene:
    path = studio.settings.data / "place.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(path)
    return add_scene(studio.library, path, None, "place")


def test_of_two_photos_the_one_that_shows_more_of_the_clothes_says_what_is_worn(studio: Studio, tmp_path: Path) -> None:
    """Outfit and colour are of one photo, never of two."""
    identity, _ = people(8, 5)
    shots = (
        Shot("close-up", outfit="suit", outfit_colour="black"),
        Shot("full-body", outfit="dress", outfit_colour="green"),
    )
    for name, shot in zip(("near", "far"), shots, strict=True):
        drawn = render(World(identity[:1], (shot,), sample_scenes(["studio"], [5]), 5)).images.numpy()[0]
        Image.fromarray(drawn).save(tmp_path / f"{name}.png")
    photos = [tmp_path / "near.png", tmp_path / "far.png"]
    for order in (photos, photos[::-1]):
        character = add_character(studio.library, order, "me", reader=studio.regions)
        assert read_worn(studio.library, studio.regions, character) == Worn(outfit="dress", outfit_colour="green")


def test_what_somebody_stated_of_clothes_stays() -> None:
    shots = (Shot(), Shot(outfit="suit"), Shot())
    said = [{}, {"outfit": "suit"}]
    dressed = wear(shots, Worn(outfit="dress", outfit_colour="green"), said)
    assert [(s.outfit, s.outfit_colour) for s in dressed] == [("dress", "green"), ("suit", "white"), ("dress", "green")]
    assert wear(shots, None) == shots


def test_photos_of_two_people_or_without_a_face_make_nobody(studio: Studio, tmp_path: Path) -> None:
    one, two = worn(tmp_path / "one.png", 5), worn(tmp_path / "two.png", 8)
    with pytest.raises(BadInput, match="character_photos_differ"):
        consolidate_persona(studio, asked(studio, one, two), run_directly)
    image = np.full((160, 120, 3), 215, np.uint8)
    image[30:140, 40:80] = (190, 30, 40)
    Image.fromarray(image).save(tmp_path / "post.png")
    with pytest.raises(BadInput, match="character_without_face"):
        consolidate_persona(studio, asked(studio, tmp_path / "post.png"), run_directly)


def test_clothes_of_another_photo_are_worn_and_whoever_wears_them_is_not_enrolled(
    studio: Studio, tmp_path: Path
) -> None:
    one, two = worn(tmp_path / "one.png", 5), worn(tmp_path / "two.png", 8)
    wish = asked(studio, one, clothes=two)
    made = consolidate_persona(studio, wish, run_directly)
    assert made.character is not None
    assert len(faces_of(studio, made.character)) == 1
    assert title_persona(wish).picture == made.character.photos[0].picture


def test_what_cannot_be_a_persona_is_said_before(studio: Studio, tmp_path: Path, tiny_flux: Path) -> None:
    wish = asked(studio, worn(tmp_path / "mei.png", 5))
    with pytest.raises(BadInput, match="persona_of_what"):
        ConsolidateRequest.make(name="Nobody")
    with pytest.raises(BadInput, match="character_no_consent"):
        wish.changed(character_consent=None).check_before()
    over = AGREED.model_copy(update={"expires": YESTERDAY})
    with pytest.raises(ConsentMissing):
        consolidate_persona(studio, wish.changed(character_consent=over), run_directly)
    with pytest.raises(BadInput, match="unknown_category"):
        wish.changed(category="nobody")
    without = Studio(Settings(data=tmp_path / "data", backbone=str(tiny_flux)))
    with pytest.raises(ModelMissing, match="character_missing"):
        check_fits_backbone(without, wish)


def test_the_command_line_enrols_somebody(tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    for name, value in (("BACKBONE", studio.settings.backbone), ("CHARACTER_FOLDER", studio.settings.character_folder)):
        monkeypatch.setenv(f"PERSONA_STUDIO_{name}", str(value))
    photo, agreed = worn(tmp_path / "mei.png", 5), tmp_path / "consent.json"
    agreed.write_text(json.dumps({"who": "Mei", "scope": "posts", "expires": "2099-01-01"}), encoding="utf-8")
    words = ["personas", "enrol", "Mei", str(photo), "--consent", str(agreed), "--look", "sweet", "--json"]
    done = CliRunner().invoke(app, [*words, "--data", str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["version"], len(told["pictures"])) == (1, 5)
