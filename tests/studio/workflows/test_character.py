"""Posts of whom photos show: recorded, drawn again to the pixel, with the consent and the licence that it takes."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.measures.regions import PERSON
from personas.shots import Shot
from pipelines.adapters.character import character_of
from pipelines.adapters.character_layout import STUDIO
from pipelines.adapters.character_photos import lay_out
from pipelines.errors import BadInput, BadPicture, ModelMissing
from studio.application import Studio
from studio.cli import app
from studio.domain.capabilities import abilities
from studio.domain.character import CLOTHES, HEAD, Character, CharacterConsent
from studio.domain.posts import PostRequest, plan_shots
from studio.jobs.fit import check_fits_backbone
from studio.jobs.licences import warnings_before
from studio.jobs.queue import admit
from studio.library.characters import add_character, find_person
from studio.library.consents import prolong_photo
from studio.library.grants import grant
from studio.library.scenes import add_picture, add_scene
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.character import photos_of
from studio.workflows.drawn_with import note_reader
from studio.workflows.injections import Injections
from studio.workflows.redrawing import redraw_bundle
from tests.exports import export_set
from tests.pipelines.adapters.test_character_files import pickled, usual_heads
from tests.studio.workflows.test_ways import bundle, draw, persona
from tests.tiny import (
    character_tensors,
    ip_adapter_tensors,
    write_character,
    write_ip_adapter,
    write_studio_character,
)
from tests.tiny_flux2 import write_klein

AGREED = CharacterConsent(who="Mei Lin", scope="posts of the shop")
YESTERDAY = datetime.date.today() - datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def studio(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    root = tmp_path_factory.mktemp("characters")
    adapter = write_character(root / "adapter")
    place = write_ip_adapter(root / "place", ip_adapter_tensors())
    return Studio(
        Settings(
            data=root / "data", backbone=str(tiny_flux), batch_size=2, character_folder=adapter, ip_adapter_folder=place
        )
    )


def photo(path: Path, colour: tuple[int, int, int] = (190, 30, 40)) -> Path:
    """Somebody in one colour before a plain wall."""
    image = np.full((160, 120, 3), 215, np.uint8)
    image[30:140, 40:80] = colour
    image[40:60, 50:70] = (220, 180, 150)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def asked(studio: Studio, tmp_path: Path) -> PostRequest:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(tmp_path / "scene.png")
    scene = add_scene(studio.library, tmp_path / "scene.png", None, "square")
    character = add_character(studio.library, [photo(tmp_path / "mei.png")], "me")
    return PostRequest.make(
        persona=persona(studio, tmp_path), scene=scene, shots=plan_shots(2, 1), scale=0.8, inject="ip-adapter",
        character=character, character_consent=AGREED,
    )  # fmt: skip


def test_photos_take_the_loras_place_and_are_drawn_again_to_the_pixel(
    studio: Studio, asked: PostRequest, tmp_path: Path
) -> None:
    post_set, pictures = draw(studio, asked)
    file = character_of(studio.backbone).file
    assert post_set.character_adapter is not None
    assert (post_set.character_adapter.sha256, post_set.character_adapter.licence) == (file.sha256, "apache-2.0")
    assert post_set.ip_adapter is not None  # the place is shown beside the person
    assert all("ohwx" not in post.prompt for post in post_set.posts)  # the trigger is the LoRA's
    assert all("identity" in post.scores for post in post_set.posts)  # whose likeness is measured as ever
    assert set(asked.character.file_keys() if asked.character else ()) <= post_set.file_keys()
    manifest = bundle(studio, post_set, tmp_path / "a.zip")
    assert manifest.draw.character == asked.character
    assert (manifest.draw.character_sha256, manifest.draw.character_licence) == (file.sha256, "apache-2.0")
    assert "Mei Lin" not in manifest.model_dump_json()
    lora, of_lora = draw(studio, asked.changed(character=None, character_consent=None))
    assert not np.array_equal(pictures[0], of_lora[0])
    assert "character" not in json.loads(export_set(studio, lora, tmp_path / "b.zip").model_dump_json())["draw"]


def test_photos_strength_and_span_count(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    character = asked.character
    assert character is not None
    blue, black = (
        add_character(studio.library, [photo(tmp_path / name, colour)], "me").photos
        for name, colour in (("b.png", (20, 90, 200)), ("c.png", (9, 9, 9)))
    )
    others = (
        {"strength": 0.3}, {"end": 0.4}, {"start": 0.5},
        {"photos": blue}, {"photos": (*character.photos, *black)},
    )  # fmt: skip
    shown: list[Any] = [draw(studio, asked)[1][0]]
    for other in others:
        made = Character.make(**{name: getattr(character, name) for name in Character.model_fields} | other)
        shown.append(draw(studio, asked.changed(character=made))[1][0])
    for i, a in enumerate(shown):
        for b in shown[i + 1 :]:
            assert not np.array_equal(a, b)
    off = Character.make(photos=character.photos, strength=0.0)
    post_set, _ = draw(studio, asked.changed(character=off))
    assert post_set.character_adapter is None
    assert Injections(studio, asked.changed(character=off)).character is None


def test_a_photo_without_a_mask_is_cut_out_when_it_is_read(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    image = np.asarray(Image.open(photo(tmp_path / "mei.png")))
    key = add_picture(studio.library, image, "me")  # as the API keeps one
    alone = Character.model_validate_json(json.dumps({"photos": [{"picture": key}]}))
    assert np.array_equal(draw(studio, asked.changed(character=alone))[1][0], draw(studio, asked)[1][0])
    plain = add_picture(studio.library, np.full((96, 96, 3), 120, np.uint8), "me")
    nobody = Character.model_validate_json(json.dumps({"photos": [{"picture": plain}]}))
    with pytest.raises(BadInput, match="character_not_cut_out"):
        Injections(studio, asked.changed(character=nobody))


def test_who_agreed_must_be_named_and_must_still_agree(studio: Studio, asked: PostRequest) -> None:
    asked.check_before()
    with pytest.raises(BadInput, match="character_no_consent"):
        asked.changed(character_consent=None).check_before()
    over = asked.changed(character_consent=CharacterConsent(who="Mei", scope="posts", expires=YESTERDAY))
    grant(studio.records, over.owner, over.file_keys())
    for ask in (lambda: admit(studio, over), lambda: Injections(studio, over)):
        with pytest.raises(BadInput, match="consent_over"):
            ask()
    assert over.character is not None
    for photo in over.character.photos:  # what was said since counts, for asking as for drawing
        prolong_photo(studio.records, over.owner, photo.picture, None)
    admit(studio, over)
    Injections(studio, over)


def test_a_bundle_of_another_adapter_is_not_drawn_again(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    export_set(studio, draw(studio, asked)[0], tmp_path / "a.zip")
    other = write_character(tmp_path / "other", character_tensors(seed=77))
    settings = studio.settings.model_copy(update={"character_folder": other})
    with pytest.raises(BadInput, match="bundle_of_another_character"):
        redraw_bundle(Studio(settings), tmp_path / "a.zip", run_directly)


def test_it_is_offered_where_there_is_an_adapter(
    studio: Studio, asked: PostRequest, tiny_flux: Path, tmp_path: Path
) -> None:
    assert "character" in abilities(studio.settings)
    check_fits_backbone(studio, asked)
    bare = Studio(Settings(data=tmp_path / "data", backbone=str(tiny_flux)))
    assert "character" not in abilities(bare.settings)
    with pytest.raises(ModelMissing, match="character_missing"):
        check_fits_backbone(bare, asked)
    klein = Studio(Settings(data=tmp_path / "data", backbone=str(write_klein(tmp_path / "klein"))))
    with pytest.raises(BadInput, match="reference_not_for_family"):
        check_fits_backbone(klein, asked)


def test_a_business_is_warned_of_the_adapters_licence(tiny_flux: Path, asked: PostRequest, tmp_path: Path) -> None:
    folder = write_character(tmp_path / "InstantCharacter")
    (folder / "README.md").unlink()
    studio = Studio(Settings(data=tmp_path / "data", backbone=str(tiny_flux), character_folder=folder))
    warning, *others = warnings_before(studio, asked)  # the sternest first
    assert (warning.model, warning.licence) == ("InstantCharacter", "instantcharacter-academic")
    assert warning.forbids
    assert list(warnings_before(studio, asked.changed(character=None))) == others


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"photos": ()}, "photos"), ({"strength": 1.6}, "strength"), ({"start": 0.5, "end": 0.5}, "character_span"),
        ({"scales": {"face": 2.0}}, "scales"), ({"end": 0.0}, "end"),
        ({"scales": {"nose": 1.0}}, "character_region_unknown"),
    ],
)  # fmt: skip
def test_characters_that_cannot_be(asked: PostRequest, change: dict[str, Any], says: str) -> None:
    assert asked.character is not None
    with pytest.raises(BadInput, match=says):
        Character.make(**{"photos": asked.character.photos} | change)
    with pytest.raises(BadInput, match="photos"):
        Character.make(photos=asked.character.photos * 5)
    with pytest.raises(BadInput, match="character_beside_picture"):
        asked.changed(person_as="reference", inject="references", person_picture="a" * 64)


def test_people_who_reach_the_edge_are_cut_out_whole_or_refused(studio: Studio) -> None:
    """By colour alone hair at the edge would be taken for background, and nobody would be told."""
    rng = np.random.default_rng(1)
    mask = np.zeros((160, 120), np.bool_)
    mask[10:, 35:90] = True  # down to the lower edge, as in a half-body photo
    dark = np.zeros((160, 120), np.bool_)
    dark[10:50, 35:90] = True
    person = np.where(dark[..., None], np.uint8(25), np.uint8(150)) + rng.integers(0, 20, (160, 120, 3), np.uint8)
    wall = np.full((160, 120, 3), 235, np.uint8) - rng.integers(0, 5, (160, 120, 3), np.uint8)
    found = find_person(studio.library, np.where(mask[..., None], person, wall))
    assert (found != mask).mean() < 0.01
    street = cv2.resize(rng.integers(0, 256, (8, 6, 3), np.uint8), (120, 160))
    with pytest.raises(BadInput, match="character_reaches_edge"):
        find_person(studio.library, np.where(mask[..., None], person, street))
    alpha = find_person(studio.library, np.where(mask[..., None], person, street), mask)
    assert np.array_equal(alpha, mask)


def test_photos_that_are_refused(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"character_photo_count.*count=5"):
        add_character(studio.library, [photo(tmp_path / "a.png")] * 5, "me")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(BadPicture):
        add_character(studio.library, [tmp_path / "dot.png"], "me")
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "wall.png")
    with pytest.raises(BadInput, match="character_not_cut_out"):
        add_character(studio.library, [tmp_path / "wall.png"], "me")


def test_the_command_line_converts_and_draws(
    studio: Studio, asked: PostRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    source = pickled(tmp_path / "instantcharacter_ip-adapter.bin", usual_heads())
    done = CliRunner().invoke(app, ["backbones", "convert-character", str(source), str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["licence"], told["blocks"]) == ("instantcharacter-academic", 4)
    assert Path(told["file"]).is_file()
    words = ["posts", str(tmp_path / "scene.png"), "--character", str(tmp_path / "mei.png")]
    for more, code in (
        ([], "character_no_consent"), (["--consent", str(tmp_path / "gone.json")], None),
        (["--consent", str(consent(tmp_path)), "--span", "half"], "span_unreadable"),
    ):  # fmt: skip
        ended = CliRunner().invoke(app, [*words, *more, "--data", str(studio.settings.data), "--json"])
        assert ended.exit_code != 0
        assert code is None or code in str(ended.exception)


def consent(folder: Path) -> Path:
    path = folder / "consent.json"
    path.write_text(json.dumps({"who": "Mei Lin", "scope": "posts", "expires": "2099-01-01"}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def by_parts(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return studio_by_parts(tmp_path_factory.mktemp("parts"), tiny_flux)


def studio_by_parts(root: Path, backbone: Path) -> Studio:
    """A studio whose adapter reads parts."""
    adapter = write_studio_character(root / "character")
    return Studio(Settings(data=root / "data", backbone=str(backbone), batch_size=2, character_folder=adapter))


@pytest.fixture(autouse=True)
def drawn_people_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny backbone says of no pictures what they look like; these are of the miniature's world."""
    monkeypatch.setattr("studio.workflows.character.sees_people", lambda settings: True)


def worn(path: Path, seed: int) -> Path:
    """Somebody of the miniature's world, whole and cut out."""
    identity, _ = people(8, seed)
    shot = Shot("full-body", view="front", outfit="t-shirt")
    drawn = render(World(identity[:1], (shot,), sample_scenes(["studio"], [seed]), seed))
    person = np.isin(drawn.labels.numpy()[0], PERSON)
    Image.fromarray(np.dstack([drawn.images.numpy()[0], person.astype(np.uint8) * 255])).save(path)
    return path


def shirt(path: Path) -> Path:
    """A T-shirt on a plain ground."""
    image = np.full((160, 160, 3), 235, np.uint8)
    image[40:140, 50:110] = (40, 90, 160)
    image[40:70, 25:135] = (40, 90, 160)
    Image.fromarray(image).save(path)
    return path


def test_parts_and_the_face_are_found_and_clothes_come_from_another_photo(
    by_parts: Studio, asked: PostRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = by_parts.library
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(tmp_path / "scene.png")
    scene = add_scene(library, tmp_path / "scene.png", None, "square")
    mei, lin = worn(tmp_path / "mei.png", 5), worn(tmp_path / "lin.png", 6)
    own = add_character(library, [mei], "me")
    wish = asked.changed(persona=persona(by_parts, tmp_path), scene=scene, scale=0.0, inject="redux", character=own)
    read = photos_of(by_parts, wish)
    assert read is not None
    (only,) = read.photos
    assert only.landmarks is not None
    assert {"face", "hair", "torso", "legs"} <= set(only.parts)
    assert only.shown is None
    assert all((part <= only.mask).all() for part in only.parts.values())

    dressed = add_character(library, [mei], "me", lin)
    assert [photo.parts for photo in dressed.photos] == [HEAD, CLOTHES]
    read = photos_of(by_parts, wish.changed(character=dressed))
    assert read is not None
    head, garment = read.photos
    assert set(head.seen()) == {"whole", "face", "hair"}
    assert not (head.seen()["whole"] & head.parts["torso"]).any()
    assert {"torso", "legs"} <= set(garment.seen()) <= set(CLOTHES)
    assert "face" in garment.hidden()
    laid = lay_out(garment, STUDIO, 128, (), 112)
    assert laid.face is None

    shown = []
    for character in (own, dressed, own.model_copy(update={"scales": {"torso": 0.0}})):
        post_set, pictures = draw(by_parts, wish.changed(character=character))
        shown.append(pictures[0])
        export_set(by_parts, post_set, tmp_path / "a.zip")
        assert redraw_bundle(by_parts, tmp_path / "a.zip", run_directly) == ()
    assert len({picture.tobytes() for picture in shown}) == 3

    assert bundle(by_parts, post_set, tmp_path / "b.zip").draw.character_reader_sha256 == note_reader(by_parts)
    monkeypatch.setattr("studio.workflows.redrawing.note_reader", lambda studio: "0" * 64)
    with pytest.raises(BadInput, match="bundle_of_another_reader"):
        redraw_bundle(by_parts, tmp_path / "a.zip", run_directly)


def test_of_clothes_on_somebody_whose_face_is_hidden_no_head_is_seen(
    by_parts: Studio, asked: PostRequest, tmp_path: Path
) -> None:
    """A phone before the face: nobody is recognised, and somebody is there."""
    image = np.asarray(Image.open(worn(tmp_path / "lin.png", 6)))
    rows, columns = np.flatnonzero(image[..., 3].any(axis=1)), np.flatnonzero(image[..., 3].any(axis=0))
    middle, tall = int(columns.mean()), len(rows)
    hidden = image.copy()
    hidden[rows[0] + tall // 20 : rows[0] + tall // 6, middle - tall // 16 : middle + tall // 16, :3] = 20
    Image.fromarray(hidden).save(tmp_path / "phone.png")
    character = add_character(by_parts.library, [worn(tmp_path / "mei.png", 5)], "me", tmp_path / "phone.png")
    read = photos_of(by_parts, asked.changed(character=character))
    assert read is not None
    garment = read.photos[1]
    seen = np.logical_or.reduce(list(garment.seen().values()))
    head = image[..., 3] > 0
    head[rows[0] + tall // 8 :] = False
    assert (seen & head).sum() < 0.1 * head.sum()

    Image.fromarray(np.rot90(image)).save(tmp_path / "lying.png")
    turned = add_character(by_parts.library, [worn(tmp_path / "mei.png", 5)], "me", tmp_path / "lying.png")
    with pytest.raises(BadInput, match="clothes_turned"):
        photos_of(by_parts, asked.changed(character=turned))


def test_a_garment_lying_flat_is_the_torsos(by_parts: Studio, asked: PostRequest, tmp_path: Path) -> None:
    flat = shirt(tmp_path / "shirt.png")
    character = add_character(by_parts.library, [worn(tmp_path / "mei.png", 5)], "me", flat)
    read = photos_of(by_parts, asked.changed(character=character))
    assert read is not None
    garment = read.photos[1]
    assert garment.seen().keys() - {"goods"} == {"torso"}
    assert (garment.parts["torso"] == garment.mask).all()


def test_clothes_of_another_photo_want_an_adapter_that_reads_parts(
    studio: Studio, asked: PostRequest, tmp_path: Path
) -> None:
    character = add_character(studio.library, [photo(tmp_path / "a.png")], "me", photo(tmp_path / "b.png"))
    with pytest.raises(BadInput, match="character_without_parts"):
        draw(studio, asked.changed(character=character))
    with pytest.raises(BadInput, match="character_photo_count"):
        add_character(studio.library, [photo(tmp_path / "a.png")] * 4, "me", photo(tmp_path / "b.png"))
    said = CliRunner().invoke(
        app, ["posts", str(tmp_path / "a.png"), "--clothes", str(tmp_path / "b.png"), "--data", str(tmp_path / "d")]
    )
    assert said.exit_code != 0
    assert isinstance(said.exception, BadInput)
    assert said.exception.code == "clothes_without_character"
