"""What leaves the studio: real goods in real places, looked at before the export and exported."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadInput
from pipelines.picture_labels import split_labels
from pipelines.references.goods import place_goods
from studio.application import Studio
from studio.domain.bundle import CheckRequest, ExportCheck, ExportRequest
from studio.domain.posts import Box, PostRequest, PostSet
from studio.domain.scene import Scene
from studio.export.content_credentials import read_credentials
from studio.export.provenance import read_label
from studio.export.recall import recall
from studio.library.records import BundleRecord
from studio.library.scenes import add_goods
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.bundling import check_export, export_bundle
from studio.workflows.shown import chosen_place, goods_cutout, parts_of, stand
from tests.exports import export_set
from tests.library import PERSONA, SHOT, keep_cafe, keep_persona
from tests.studio.domain.values import make_post

BOXES: tuple[Box | None, ...] = (
    None, (0.62, 0.5, 0.96, 1.0), (0.04, 0.5, 0.38, 1.0), (0.0, 0.0, 0.4, 0.4), (0.6, 0.0, 1.0, 0.4),
    (0.2, 0.3, 0.8, 1.0), (0.0, 0.7, 1.0, 1.0), (0.33, 0.5, 0.67, 0.98),
)  # fmt: skip


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def set_with_goods(studio: Studio, tmp_path: Path, box: Box | None, scene: Scene, wide: int = 80) -> PostSet:
    """One post: a product in the café, where its set puts it, as `place_goods` draws it."""
    photo = np.full((300, 240, 3), 215, np.uint8)
    photo[60:260, 120 - wide // 2 : 120 + wide // 2] = (190, 30, 40)
    photo[120:180, 100:140] = 250
    Image.fromarray(photo).save(tmp_path / "tin.png")
    goods = add_goods(studio.library, tmp_path / "tin.png", "a red tin")
    asked = PostRequest.make(persona=PERSONA, scene=scene, shots=(SHOT,), goods=goods, goods_box=box)
    canvas = np.asarray(Image.fromarray(studio.store.get_picture(scene.photo)).resize((192, 256)))
    cut = goods_cutout(studio, goods)
    drawn = place_goods(cut, stand(chosen_place(asked, cut, (256, 192)), SHOT), canvas).image
    post = make_post(0, "set00001", picture=studio.store.put_picture(drawn), shot=SHOT, caption="mine", scores={})
    return PostSet(id="set00001", request=asked, posts=(post,), batches=((0,),))


def test_the_label_is_off_the_goods_in_eight_of_eight(studio: Studio, tmp_path: Path) -> None:
    scene, off = keep_cafe(studio), 0
    for box in BOXES:
        post_set = set_with_goods(studio, tmp_path, box, scene)
        picture = studio.store.get_picture(post_set.posts[0].picture)
        goods = parts_of(studio, post_set.request, SHOT, picture)["goods"]
        assert goods.sum() > 300
        asked = CheckRequest.make(post_set=post_set, platform="xiaohongshu", finish=False)
        made = check_export(studio, asked, run_directly)
        (row,) = made.pictures
        assert row.covers == ()
        shown = np.asarray(Image.open(io.BytesIO(studio.store.get(row.picture))).convert("RGB")).astype(int)
        plain = np.asarray(Image.fromarray(picture).resize((1080, 1440), Image.Resampling.LANCZOS)).astype(int)
        mask = np.asarray(Image.fromarray(goods.astype(np.uint8) * 255).resize((1080, 1440), Image.Resampling.BILINEAR))
        if row.corner == "below":
            continue  # the goods are wherever they are, and the label is outside of the picture
        changed = np.abs(shown - plain).max(axis=2) > 60
        assert changed.sum() > 2000  # the label is somewhere
        off += not changed[mask > 128].any()
    assert off == len(BOXES) == 8


def test_a_look_is_what_is_exported(studio: Studio, tmp_path: Path) -> None:
    keep_persona(studio)
    post_set = set_with_goods(studio, tmp_path, None, keep_cafe(studio))
    for platform in ("xiaohongshu", "instagram-wide", "instagram-story", "archive"):
        asked = {"post_set": post_set, "platform": platform}
        made = check_export(studio, CheckRequest.make(**asked), run_directly)
        assert ExportCheck.model_validate_json(made.model_dump_json()) == made
        manifest = export_set(studio, post_set, tmp_path / f"{platform}.zip", platform=platform, content="pictures")
        with zipfile.ZipFile(tmp_path / f"{platform}.zip") as bundle:
            data = bundle.read(manifest.posts[0].file)
        look = studio.store.get(made.pictures[0].picture)
        assert split_labels(look)[0] == split_labels(data)[0]
        assert read_label(look) == read_label(data)
        assert read_credentials(look).state == read_credentials(data).state == "valid"
        assert made.pictures[0].bytes == len(look)
        assert manifest.posts[0].label == made.pictures[0].corner
        assert (made.pictures[0].corner == "") == (platform == "archive")
        assert made.pictures[0].caption == "mine"


def test_what_a_shape_cannot_hold_is_said(studio: Studio, tmp_path: Path) -> None:
    post_set = set_with_goods(studio, tmp_path, (0.2, 0.05, 0.8, 0.98), keep_cafe(studio))
    made = check_export(studio, CheckRequest.make(post_set=post_set, platform="instagram-wide"), run_directly)
    assert "goods" in made.pictures[0].cut
    assert not made.pictures[0].is_fine


def test_pictures_for_a_colleague_are_still_known_at_home(studio: Studio, tmp_path: Path) -> None:
    keep_persona(studio)
    post_set = set_with_goods(studio, tmp_path, None, keep_cafe(studio))
    export_set(studio, post_set, tmp_path / "a.zip", content="pictures")
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        assert sorted(bundle.namelist()) == ["captions.txt", "pictures/01.jpg"]
        bundle.extract("pictures/01.jpg", tmp_path)
    found = recall(studio.library, tmp_path / "pictures" / "01.jpg", "me", studio.donors)
    assert (found.source, found.persona_id, found.shots[0].prompt) == ("published", "p1", "prompt 0")
    elsewhere = Studio(Settings(data=tmp_path / "elsewhere"))
    with pytest.raises(BadInput, match="no_recipe"):
        recall(elsewhere.library, tmp_path / "pictures" / "01.jpg", "me", elsewhere.donors)


def test_the_white_background_shows_the_goods_alone(studio: Studio, tmp_path: Path) -> None:
    post_set = set_with_goods(studio, tmp_path, None, keep_cafe(studio))
    asked = ExportRequest.make(post_set=post_set, platform="taobao-white")
    asked.check_before()
    assert export_bundle(studio, asked, tmp_path / "white.zip") is None
    with zipfile.ZipFile(tmp_path / "white.zip") as bundle:
        assert bundle.namelist() == ["pictures/01.jpg"]
        data = bundle.read("pictures/01.jpg")
    assert read_label(data) is None
    seen = np.asarray(Image.open(io.BytesIO(data)))
    assert (seen[:40] == 255).all()
    assert abs(int(seen[700, 400, 0]) - 190) < 12
    assert studio.records.find(BundleRecord, "me")[0].platform == "taobao-white"
    made = check_export(studio, CheckRequest.make(post_set=post_set, platform="taobao-white"), run_directly)
    assert studio.store.get(made.pictures[0].picture) == data
    bare = post_set.model_copy(update={"request": post_set.request.changed(goods=None, goods_box=None)})
    with pytest.raises(BadInput, match="white_background_without_goods"):
        ExportRequest.make(post_set=bare, platform="taobao-white").check_before()
