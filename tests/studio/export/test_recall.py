"""What was exported tells what it was made from; what others made is read as words only; bombs are refused."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipelines.errors import BadInput, BadPicture
from studio.application import Studio
from studio.domain.posts import SetSettings
from studio.export.a1111 import parse_parameters
from studio.export.recall import Recalled, draft_of
from studio.export.recall import recall as recall_file
from studio.library.records import PostRecord, PostSetRecord
from studio.library.uploads import find_upload
from studio.settings import Settings
from studio.web.app import make_site
from tests.library import SHOT, export
from tests.site import TestClient
from tests.stored import place_in

PARAMETERS = (
    "a girl, <lora:mei:0.8>\nsecond line\nNegative prompt: blurry, bad\nSteps: 20, Sampler: Euler a, CFG scale: 7, "
    'Seed: 1234567890, Size: 512x768, Lora hashes: "mei: {mei}, other: 0123456789ab", Version: v1.9.0'
)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def recall(studio: Studio, path: Path, owner: str) -> Recalled:
    return recall_file(studio.library, path, owner, studio.donors)


def _picture(bundle: Path, folder: Path, number: int = 1) -> Path:
    with zipfile.ZipFile(bundle) as files:
        name = files.namelist()[number]
        (folder / Path(name).name).write_bytes(files.read(name))
    return folder / Path(name).name


@pytest.mark.parametrize(("platform", "source"), [("xiaohongshu", "published"), ("archive", "archive")])
def test_an_exported_picture_gives_everything_back(studio: Studio, tmp_path: Path, platform: str, source: str) -> None:
    export(studio, tmp_path / "a.zip", platform)
    found = recall(studio, _picture(tmp_path / "a.zip", tmp_path), "me")
    assert (found.source, found.persona, found.persona_id, found.scene) == (source, "Lin · 2", "p1", "cafe")
    (shot,) = found.shots
    assert (shot.prompt, shot.seed, shot.settings["num_inference_steps"]) == ("prompt 1", 101, "16")
    assert found.settings["scale"] == "0.8"
    draft = draft_of(found)
    assert draft is not None
    assert draft.persona == "p1"
    assert draft.scene == found.scene_id != ""
    assert draft.shots[0] == SHOT
    assert list(draft.seeds) == [shot.seed for shot in found.shots]
    assert draft.captions == ("hi",)
    assert draft.platform == platform
    assert draft.settings == SetSettings(scale=0.8)


def test_a_bundle_gives_all_its_shots(studio: Studio, tmp_path: Path) -> None:
    export(studio, tmp_path / "a.zip", "xiaohongshu")
    found = recall(studio, tmp_path / "a.zip", "me")
    assert [s.seed for s in found.shots] == [100, 101, 102]
    assert found.platform == "xiaohongshu"


def test_so_does_its_contact_sheet_where_it_was_made(studio: Studio, tmp_path: Path) -> None:
    export(studio, tmp_path / "a.zip", "xiaohongshu")
    with zipfile.ZipFile(tmp_path / "a.zip") as files:
        files.extract("contact_sheet.jpg", tmp_path)
    found = recall(studio, tmp_path / "contact_sheet.jpg", "me")
    assert (found.source, [s.seed for s in found.shots]) == ("published", [100, 101, 102])
    with pytest.raises(BadInput, match="no_recipe"):
        recall(Studio(Settings(data=tmp_path / "other")), tmp_path / "contact_sheet.jpg", "me")


def test_an_archive_carries_its_recipe_to_another_studio_but_no_enrolment(studio: Studio, tmp_path: Path) -> None:
    export(studio, tmp_path / "a.zip", "archive")
    picture = _picture(tmp_path / "a.zip", tmp_path)
    found = recall(Studio(Settings(data=tmp_path / "other")), picture, "me")
    assert (found.persona, found.persona_id, found.scene_id) == ("Lin · 2", "", "")
    assert [x.known for x in found.loras] == [""]  # the persona's LoRA is missing there
    with Image.open(picture) as image:
        image.load()
        assert "enrolment" not in str(image.info["PersonaStudio"])


def test_another_persons_export_is_not_found(studio: Studio, tmp_path: Path) -> None:
    export(studio, tmp_path / "a.zip", "xiaohongshu", "wang")
    with pytest.raises(BadInput, match="no_recipe"):
        recall(studio, _picture(tmp_path / "a.zip", tmp_path), "me")
    assert recall(studio, tmp_path / "a.zip", "me").persona_id == ""  # a bundle's own words give no rights


def test_a_drawn_picture_is_found_by_its_bytes(studio: Studio, tmp_path: Path) -> None:
    key = studio.store.put_picture(np.full((96, 64, 3), 9, np.uint8))
    facts: dict[str, Any] = {"prompt": "p", "seed": 7, "shot": asdict(SHOT), "num_inference_steps": 4,
                             "guidance_scale": 0.0, "true_cfg_scale": 2.0}  # fmt: skip
    studio.records.keep(
        PostSetRecord(id="s", owner="me", persona="gone", scene="gone", facts={"seed": 3, "scale": 1.0}),
        PostRecord(id="s-0", owner="me", post_set="s", number=1, picture=key, facts=facts),
    )
    found = recall(studio, place_in(studio.store, key), "me")
    assert (found.source, found.shots[0].seed, found.settings["seed"]) == ("drawn", 7, "3")
    with pytest.raises(BadInput, match="no_recipe"):
        recall(studio, place_in(studio.store, key), "wang")


def _short_hash(lora: Path) -> str:
    data = lora.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()[:12]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_other_tools_pictures_are_read_and_missing_loras_named(studio: Studio, tmp_path: Path, kind: str) -> None:
    donor = studio.donors()[0]
    text = PARAMETERS.format(mei=_short_hash(donor.lora_path))
    image, path = Image.new("RGB", (96, 96)), tmp_path / "foreign"
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("parameters", text)
        image.save(path, "PNG", pnginfo=chunks)
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
        image.save(path, "JPEG", exif=exif)
    found = recall(studio, path, "me")
    (shot,) = found.shots
    assert (shot.prompt, shot.negative) == ("a girl, <lora:mei:0.8>\nsecond line", "blurry, bad")
    assert (shot.seed, shot.settings["Sampler"]) == (1234567890, "Euler a")
    assert [(x.name, x.known) for x in found.loras] == [("mei", donor.name), ("other", "")]
    assert draft_of(found) is None


def test_parameters_are_untrusted_words() -> None:
    shot = parse_parameters("<script>\x00\x1b[31m\u202e" + "x" * 30_000 + "\nSteps: 1, Seed: -5, Size: 1x1")
    assert "\x00" not in shot.prompt
    assert "\u202e" not in shot.prompt
    assert len(shot.prompt) < 21_000
    assert parse_parameters("p\nSteps: 1, Seed: " + "9" * 400 + ", Size: 1x1").seed is None
    with pytest.raises(ValueError, match="no parameters"):
        parse_parameters("")


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("Steps: 20, Model hash: 6ce0161689, Size: 1x1", {"Steps": "20", "Model hash": "6ce0161689", "Size": "1x1"}),
        ('A: "x, y: z", B:  q , C: "open, D: 1', {"A": "x, y: z", "B": "q", "C": "open", "D": "1"}),
        (r'A: "a \" b, c", B: "c"d, E: ,F/g-h: 3', {"A": r"a \" b, c", "B": 'c"d', "E": "", "F/g-h": "3"}),
        ("(nothing) at all: 1, - key: 2, : 3, Z: 4:5", {"at all": "1", "key": "2", "Z": "4:5"}),
    ],
)
def test_the_last_line_is_read_from_left_to_right(line: str, pairs: dict[str, str]) -> None:
    assert parse_parameters(f"p\n{line}").settings == pairs


_LONG = 100_000
_ADVERSARIAL = {
    "backslashes in quotes": 'a:"' + "\\" * _LONG,
    "open quotes": 'a:"b,' * (_LONG // 5),
    "quotes without commas": 'a:"b"' * (_LONG // 5),
    "spaces": "x" + " " * 15_000 + "x" * _LONG,  # only the first 20 000 characters are read
    "words": "a " * (_LONG // 2),
    "a long word": "a" * _LONG,
    "keys": "a:" * (_LONG // 2),
    "colons": ":" * _LONG,
    "commas": "a:,," * (_LONG // 4),
    "hashes": 'a: 1, b: 2, Lora hashes: "' + "a" * 200 + ":" + " " * 15_000 + '",',
    "names": 'Lora hashes: "' + "a: " * (_LONG // 3) + '", b: 1, c: 2',
    "lines": "a\n" * (_LONG // 2),
}


@pytest.mark.parametrize("kind", sorted(_ADVERSARIAL))
def test_a_long_line_is_read_in_no_time(kind: str) -> None:
    """The page's process holds its interpreter while it reads: nothing else is answered meanwhile."""
    began = time.monotonic()
    parse_parameters("p\n" + _ADVERSARIAL[kind])
    assert time.monotonic() - began < 0.2


def test_a_small_picture_with_a_long_line_freezes_nothing(studio: Studio, tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    quotes = "x" + " " * 8000 + 'a:"' * 3000
    chunks.add_itxt("parameters", f'p\nSteps: 1, Seed: 2, Lora hashes: "{quotes}, {"b:" + " " * 9000}', zip=True)
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png", "PNG", pnginfo=chunks)
    assert (tmp_path / "a.png").stat().st_size < 20_000
    began = time.monotonic()
    recall(studio, tmp_path / "a.png", "me")
    assert time.monotonic() - began < 0.5
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("AIGC", "[" * 50_000, zip=True)
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png", "PNG", pnginfo=chunks)
    with pytest.raises(BadInput, match="recipe_unreadable"):
        recall(studio, tmp_path / "a.png", "me")


def test_bombs_and_what_is_no_picture(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("manifest.json", b" " * 40_000_000)
    with pytest.raises(BadInput, match=r"not_a_bundle.*larger than 16 MB"):
        recall(studio, path, "me")
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BadInput, match="not_a_bundle"):
        recall(studio, path, "me")
    path.write_bytes(b"GIF89a")
    with pytest.raises(BadPicture, match="picture_not_readable"):
        recall(studio, path, "me")
    out = io.BytesIO()
    Image.new("1", (9000, 9000)).save(out, "PNG")
    path.write_bytes(out.getvalue())
    with pytest.raises(BadPicture, match=r"picture_too_large.*40"):
        recall(studio, path, "me")
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("PersonaStudio", '{"version": 1}')
    Image.new("RGB", (96, 96)).save(path, "PNG", pnginfo=chunks)
    with pytest.raises(BadInput, match="recipe_unreadable"):
        recall(studio, path, "me")
    with path.open("wb") as huge:
        huge.truncate(2_000_000_000)
    with pytest.raises(BadInput, match=r"file_too_large.*64"):
        recall(studio, path, "me")


def test_an_upload_is_its_owners_and_keeps_its_name(studio: Studio) -> None:
    site = TestClient(make_site(studio))
    token = site.post("/uploads", params={"name": "../a b/../米 🌸.png"}, content=b"abc").json()["upload"]
    path = find_upload(studio.settings, "me", token)
    assert (path.name, path.read_bytes()) == ("a b..米 .png", b"abc")
    for owner, key in (("wang", token), ("me", "../../studio.sqlite"), ("me", "")):
        with pytest.raises(BadInput, match="no_upload"):
            find_upload(studio.settings, owner, key)
    assert site.post("/uploads", content=b"x", headers={"content-length": "2000000000"}).status_code == 413
    assert site.post("/uploads", content=b"x", headers={"origin": "https://evil.example"}).status_code == 403
    assert not list(path.parent.parent.glob(".*.part"))
