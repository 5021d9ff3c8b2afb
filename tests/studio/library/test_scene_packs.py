"""Scene packs: what is written comes back whole, and a file from a stranger writes nothing but a scene."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from personas.shots import GOODS, Shot
from pipelines.errors import BadInput, BadPicture, StudioError
from studio.application import Studio
from studio.cli import app
from studio.domain.scene import Crop, Scene, usual_crop
from studio.domain.scene_pack import ScenePack
from studio.library.records import PostSetRecord
from studio.library.scene_packs import (
    add_bundled_pack,
    add_pack,
    bundled_packs,
    choose_pack,
    newest_drawn,
    write_pack,
)
from studio.library.scenes import add_scene, bundled_scenes, change_scene, keep_pack, pack_of, scenes_of
from studio.settings import ASSETS, Settings
from studio.texts.texts import LANGUAGES, Texts
from studio.web.app import make_site
from tests.library import keep_posts
from tests.site import TestClient

PHOTO, MASK = ASSETS / "scenes" / "cafe.png", ASSETS / "scenes" / "cafe_landmark.png"
PACK = ScenePack(
    light="dusk", props=("cup", "book"), shots=({"view": "left"}, {"goods": "nothing"}, {"light": "night"}),
    voice="像和朋友聊天",
)  # fmt: skip
MANIFEST: dict[str, Any] = {"kind": "scene-pack", "version": 1, "name": "corner", "crops": [], "pack": {}}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def keep_corner(studio: Studio, owner: str = "me") -> Scene:
    height, width = np.asarray(Image.open(PHOTO)).shape[:2]
    crop = Crop(shape="1:1", box=usual_crop("1:1", height, width))
    return add_scene(studio.library, PHOTO, MASK, "街角 ☕", owner, [crop])


def zip_of(path: Path, files: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as written:
        for name, data in files.items():
            written.writestr(name, data)
    return path


def test_a_pack_says_light_and_props_where_a_shot_does_not() -> None:
    assert PACK.plan_shots() == (
        Shot(view="left", light="dusk", goods="cup"), Shot(light="dusk", goods="nothing"),
        Shot(light="night", goods="cup"),
    )  # fmt: skip


def test_what_is_written_comes_back_for_another_owner(studio: Studio, tmp_path: Path) -> None:
    scene = keep_corner(studio)
    file = tmp_path / "corner.zip"
    file.write_bytes(write_pack(studio.library, scene, PACK))
    assert file.read_bytes() == write_pack(studio.library, scene, PACK)
    other = Studio(Settings(data=tmp_path / "other"))
    there, pack = add_pack(other.library, file, "li")
    assert pack == PACK == pack_of(other.library, "li", there.id)
    assert (there.name, there.crops, there.photo, there.landmark) == (
        scene.name, scene.crops, scene.photo, scene.landmark,
    )  # fmt: skip
    assert scenes_of(other.library, "me") == []
    assert add_pack(other.library, file, "li")[0] == there  # twice is once
    renamed = change_scene(other.library, there, "li", name="elsewhere")
    assert pack_of(other.library, "li", renamed.id) == PACK


def test_a_folder_that_was_zipped_again_is_read(studio: Studio, tmp_path: Path) -> None:
    inner: dict[str, bytes | str] = {"pack.json": json.dumps(MANIFEST), "photo.png": PHOTO.read_bytes()}
    files: dict[str, bytes | str] = {f"corner/{name}": data for name, data in inner.items()} | {
        "__MACOSX/corner/._pack.json": b"\0"
    }
    scene, _ = add_pack(studio.library, zip_of(tmp_path / "again.zip", files), "me")
    assert (scene.name, scene.landmark) == ("corner", None)


def test_shots_light_and_props_are_those_of_the_newest_set_that_was_drawn_there(studio: Studio) -> None:
    scene = keep_corner(studio)
    post_set = keep_posts(studio, 3, scene, pictures=2)
    studio.records.keep(
        PostSetRecord(id=post_set.id, owner="me", persona=post_set.request.persona.id, scene=scene.id, facts={})
    )
    found = newest_drawn(studio.library, "me", scene)
    assert found is not None
    assert found.id == post_set.id
    pack = choose_pack(studio.library, scene, "me", found)
    told = [(s.framing, s.outfit, s.pose, s.light, s.goods) for s in pack.plan_shots()]
    assert told == [(s.framing, s.outfit, s.pose, s.light, s.goods) for s in post_set.request.shots]
    keep_pack(studio.library, "me", scene.id, PACK)
    assert choose_pack(studio.library, scene, "me", None) == PACK
    assert choose_pack(studio.library, scene, "me", found).voice == PACK.voice


def spoiled(**other: Any) -> dict[str, bytes | str]:
    return {"pack.json": json.dumps(MANIFEST | other), "photo.png": PHOTO.read_bytes()}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (spoiled() | {"../../evil.png": b"x"}, "pack_unsafe"),
        (spoiled() | {"/etc/evil": b"x"}, "pack_unsafe"),
        (spoiled() | {"..\\evil": b"x"}, "pack_unsafe"),
        (spoiled() | {"C:/evil": b"x"}, "pack_unsafe"),
        (spoiled() | {f"{i}.txt": b"x" for i in range(101)}, "pack_of_many_files"),
        (spoiled(version=2), "pack_too_new"),
        (spoiled(version="1"), "not_a_pack"),
        (spoiled(version=True), "not_a_pack"),
        (spoiled(version=0), "not_a_pack"),
        (spoiled(kind="bundle"), "not_a_pack"),
        (spoiled(more=1), "not_a_pack"),
        (spoiled(name=""), "not_a_pack"),
        (spoiled(name="a\u202eb"), "name_invalid"),
        (spoiled(crops=[{"shape": "1:1", "box": [0, 0, 2, 1]}]), "crop_outside"),
        (spoiled(crops=[{"shape": "1:1", "box": [0, 0, 1, 1]}]), "crop_of_other_shape"),
        (spoiled(pack={"light": "noon"}), "not_a_pack"),
        (spoiled(pack={"shots": [{"framing": "<script>"}]}), "shot_word_unknown"),
        (spoiled(pack={"shots": [{"lens": "85 mm"}]}), "pack_field_unknown"),
        (spoiled(pack={"shots": [{}] * 36}), "not_a_pack"),
        (spoiled(pack={"voice": "x" * 501}), "not_a_pack"),
        ({"pack.json": json.dumps(MANIFEST)}, "pack_without_photo"),
        (spoiled() | {"photo.jpg": b"x"}, "pack_without_photo"),
        ({"photo.png": PHOTO.read_bytes()}, "not_a_pack"),
        (spoiled() | {"pack.json": b"[" * 100_000}, "not_a_pack"),
        (spoiled() | {"pack.json": b" " * 1_000_001}, "pack_entry_too_large"),
        (spoiled() | {"photo.png": b"no picture"}, "picture_not_readable"),
        (spoiled() | {"mask.png": PHOTO.read_bytes()}, "mask"),
    ],
)  # fmt: skip
def test_a_file_from_a_stranger_is_refused_in_words_and_leaves_nothing(
    studio: Studio, tmp_path: Path, files: dict[str, bytes | str], code: str
) -> None:
    path = zip_of(tmp_path / "bad.zip", files)
    before = sorted(p.name for p in tmp_path.rglob("*") if "data" not in p.parts)
    with pytest.raises((BadInput, BadPicture)) as error:
        add_pack(studio.library, path, "me")
    assert error.value.code.startswith(code)
    assert [Texts(language).error(error.value) for language in LANGUAGES]
    assert scenes_of(studio.library, "me") == []
    assert sorted(p.name for p in tmp_path.rglob("*") if "data" not in p.parts) == before


def test_what_is_no_zip_or_a_broken_one_is_refused(studio: Studio, tmp_path: Path) -> None:
    whole = zip_of(tmp_path / "whole.zip", spoiled()).read_bytes()
    at = whole.index(PHOTO.read_bytes()[:40])
    spoilt = whole[: at + 100] + b"\xff" * 50 + whole[at + 150 :]
    broken = {"a": b"PK", "b": PHOTO.read_bytes(), "c": whole[: len(whole) // 2], "d": spoilt, "e": b""}
    for name, data in broken.items():
        (tmp_path / f"{name}.zip").write_bytes(data)
    for name in ("a.zip", "b.zip", "c.zip", "d.zip", "e.zip", "none.zip"):
        with pytest.raises(BadInput, match="not_a_pack"):
            add_pack(studio.library, tmp_path / name, "me")


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_pack_is_refused_however_it_is_packed(studio: Studio, tmp_path: Path, how: int) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as written:
        for name, data in spoiled(name="a long name " * 3).items():
            written.writestr(name, data, how)
        entry = written.getinfo("pack.json")
    whole, first = path.read_bytes(), entry.header_offset + 30 + len(entry.filename)
    for at in range(first + 9, first + entry.compress_size, 3):  # LZMA's own first bytes say nothing
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(BadInput, match="not_a_pack"):
            add_pack(studio.library, path, "me")
    assert scenes_of(studio.library, "me") == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_packs_that_come_along_can_be_started_from(studio: Studio, language: str) -> None:
    assert [row.id for row in bundled_packs()] == ["cafe", "unboxing", "outfit", "home"]
    for row in bundled_packs():
        assert row.place in bundled_scenes()
        scene, pack = add_bundled_pack(studio.library, row.id, "me", language)  # type: ignore[arg-type]
        assert scene.name == row.place
        assert choose_pack(studio.library, scene, "me", None) == pack
        assert len(pack.plan_shots()) == 9
        assert {shot.goods for shot in pack.plan_shots()} <= {*GOODS}
        assert pack.voice == row.voices[language]  # type: ignore[index]
    with pytest.raises(StudioError, match="pack_unknown"):
        add_bundled_pack(studio.library, "winter", "me", "en")


def test_by_the_api_and_the_command_line_it_is_the_same(studio: Studio, tmp_path: Path) -> None:
    scene, site = keep_corner(studio), TestClient(make_site(studio))
    keep_pack(studio.library, "me", scene.id, PACK)
    sent = site.get(f"/api/scenes/{scene.id}/pack")
    assert sent.headers["content-type"] == "application/zip"
    run = CliRunner()
    data = ["--data", str(tmp_path / "data"), "--json"]
    said = run.invoke(app, ["scenes", "pack", scene.id, str(tmp_path / "out.zip"), *data])
    assert said.exit_code == 0, said.output
    assert Path(json.loads(said.output)["file"]).read_bytes() == sent.content
    token = site.post("/uploads?name=corner.zip", content=sent.content).json()["upload"]
    kept = site.post("/api/packs", json={"upload": token}).json()
    said = run.invoke(app, ["scenes", "unpack", str(tmp_path / "out.zip"), *data])
    assert json.loads(said.output) == kept
    assert kept["pack"]["voice"] == PACK.voice
    started = site.post("/api/packs", json={"pack": "home"}, headers={"accept-language": "zh"}).json()
    assert started["scene"]["name"] == "bedroom"
    names = [row["name"] for row in site.get("/api/packs", headers={"accept-language": "en"}).json()]
    assert names[0] == "A café visit"
    assert site.post("/api/packs", json={}).json()["code"] == "pack_file_or_name"
    assert site.get("/api/scenes/nowhere/pack").status_code == 404
    with zipfile.ZipFile(io.BytesIO(sent.content)) as opened:
        assert opened.namelist() == ["pack.json", "photo.png", "mask.png"]
