"""Scenes with crops, captions and the look before the export, from the command line and through the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from studio.application import Studio
from studio.cli import app
from studio.domain.scene import Crop, Scene
from studio.library.results import find_result
from studio.library.scenes import scenes_of
from studio.settings import ASSETS, Settings
from studio.web.app import make_site
from tests.library import keep_cafe, keep_persona, keep_posts
from tests.site import TestClient

PHOTO, MASK = ASSETS / "scenes" / "cafe.png", ASSETS / "scenes" / "cafe_landmark.png"


def command(data: Path, *words: str, fails: bool = False) -> Any:
    done = CliRunner().invoke(app, [*words, "--data", str(data), "--json"])
    assert (done.exit_code != 0) is fails, done.output
    return done.exception if fails else json.loads(done.stdout.strip().splitlines()[-1])


def test_a_scene_gets_crops_and_another_mask(tmp_path: Path) -> None:
    kept = command(tmp_path, "scene", str(PHOTO), "--mask", str(MASK), "--crop", "1:1=0,0.25,1,1")
    assert kept["crops"] == [{"shape": "1:1", "box": [0, 0.25, 1, 1]}]
    mask = np.asarray(Image.open(MASK).convert("L")).copy()
    mask[:20, :20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    changed = command(tmp_path, "scene", "--change", kept["id"], "--mask", str(tmp_path / "mask.png"))
    assert changed["landmark"] != kept["landmark"]
    assert changed["crops"] == kept["crops"]
    for words in (("scene",), ("scene", str(PHOTO), "--change", "x"), ("scene", str(PHOTO), "--crop", "1:1=half")):
        assert command(tmp_path, *words, fails=True).code in ("scene_photo_or_change", "crop_unreadable")


def test_the_api_changes_a_scene(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    site, scene = TestClient(make_site(studio)), keep_cafe(studio)
    crop = {"shape": "4:5", "box": [0, 0, 1, 0.9375]}
    changed = site.patch(f"/api/scenes/{scene.id}", json={"crops": [crop], "name": "our café"})
    assert changed.status_code == 200, changed.text
    kept = find_result(studio.records, studio.store, "me", Scene, changed.json()["id"])
    assert (kept.name, kept.landmark, kept.crops) == (
        "our café", scene.landmark, (Crop(shape="4:5", box=(0, 0, 1, 0.9375)),),
    )  # fmt: skip
    assert site.patch(f"/api/scenes/{kept.id}", json={"mask": ""}).json()["landmark"] is None
    refused = site.patch(f"/api/scenes/{kept.id}", json={"crops": [crop | {"box": [0, 0, 1, 1]}]})
    assert (refused.status_code, refused.json()["code"]) == (422, "crop_of_other_shape")
    assert site.patch("/api/scenes/none", json={}).status_code == 404
    assert len(scenes_of(studio.library, "me")) == 3


def test_captions_are_written_and_limits_hold_in_every_way_in(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    keep_persona(studio)
    made = keep_posts(studio, 1, keep_cafe(studio), pictures=4)
    told = command(tmp_path, "captions", "--product", "纯棉。", "--voice", "活泼")
    assert len(set(told["captions"])) == 4
    assert "纯棉。" in told["body"]
    assert command(tmp_path, "captions", "--writer", "endpoint", fails=True).code == "endpoint_not_set"
    long = {"kind": "export", "post_set": made.id, "tags": [f"tag{i}" for i in range(11)]}
    refused = TestClient(make_site(studio)).post("/api/jobs", json=long, headers={"Accept-Language": "zh"})
    assert (refused.status_code, refused.json()["code"]) == (422, "platform_tag_count")
    assert "小红书笔记最多 10 个" in refused.json()["message"]


@pytest.mark.parametrize("platform", ["xiaohongshu", "archive"])
def test_a_look_writes_pictures_and_no_bundle(tmp_path: Path, platform: str) -> None:
    studio = Studio(Settings(data=tmp_path / "data"))
    keep_persona(studio)
    keep_posts(studio, 1, keep_cafe(studio), pictures=2)
    word = ["--unlabelled"] if platform == "archive" else []
    told = command(tmp_path / "data", "bundle", str(tmp_path / "look"), "--look", "--platform", platform, *word)
    files = sorted(path.name for path in (tmp_path / "look").iterdir())
    assert files == (["01.jpg", "02.jpg"] if platform == "xiaohongshu" else ["01.png", "02.png"])
    assert [row["corner"] == "" for row in told["pictures"]] == [platform == "archive"] * 2
