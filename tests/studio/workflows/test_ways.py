"""Posts drawn through Fill, Kontext and goods as a reference: scored, recorded, and drawn again to the pixel."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personas.shots import Shot
from pipelines.errors import BadInput, BadLora, ModelMissing
from pipelines.lora import LoraMetadata, write_lora
from pipelines.models.weights import hash_weights
from pipelines.references.cutout import Place
from studio.application import Studio
from studio.cli import main
from studio.domain.design import UsedDonor
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, PostSet, plan_shots
from studio.domain.scene import Goods
from studio.domain.values import FileKey
from studio.export.manifest import Manifest, read_manifest
from studio.jobs.fit import check_fits_backbone
from studio.library.scenes import add_goods, add_scene
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.workflows import run_directly
from studio.workflows.post import draw_posts
from studio.workflows.redrawing import redraw_bundle
from tests.exports import export_set
from tests.loras import make_layers
from tests.studio.domain.values import RECIPE
from tests.tiny import write_companion

BLOCKS = ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.proj_out")


@pytest.fixture(scope="module")
def studio(tiny_family: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("ways"), backbone=str(tiny_family), batch_size=2))


def persona(studio: Studio, folder: Path, modules: tuple[str, ...] = BLOCKS) -> Persona:
    layers = make_layers(studio.backbone.transformer, 3, modules=modules, alpha=40.0)
    write_lora(folder / "persona.safetensors", layers, LoraMetadata("Mira", "ohwx"))
    donors = tuple(UsedDonor(id=d, name=d, licence="Apache-2.0", consent="invented") for d in RECIPE.donors)
    return Persona(
        id="p1", name="Mira", version=1, trigger="ohwx", subject="a young woman",
        lora=studio.store.put((folder / "persona.safetensors").read_bytes()),
        enrolment=tuple(np.eye(1, 128)[0].tolist()), recipe=RECIPE, donors=donors,
    )  # fmt: skip


@pytest.fixture
def asked(studio: Studio, tmp_path: Path) -> PostRequest:
    """Two shots in a place with a landmark, with a tin to sell."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(tmp_path / "scene.png")
    mask = np.zeros((96, 64), np.uint8)
    mask[5:40, 3:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    photo = np.full((150, 120, 3), 215, np.uint8)
    photo[30:130, 40:80] = (190, 30, 40)
    Image.fromarray(photo).save(tmp_path / "tin.png")
    scene = add_scene(studio.library, tmp_path / "scene.png", tmp_path / "mask.png", "square")
    goods = add_goods(studio.library, tmp_path / "tin.png", "a red tin")
    return PostRequest.make(
        persona=persona(studio, tmp_path), scene=scene, shots=plan_shots(2, 1), scale=0.5, goods=goods
    )


def draw(studio: Studio, request: PostRequest) -> tuple[PostSet, list[Any]]:
    post_set = draw_posts(studio, request, run_directly)
    return post_set, [studio.store.get_picture(p.picture) for p in post_set.posts]


def test_bundles_from_before_depth_are_drawn_again(
    studio: Studio, asked: PostRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was drawn with the landmark over everybody stays so, and its manifest is what it was."""
    old, then = draw(studio, asked)  # nobody knows a random model's pictures: as before
    monkeypatch.setattr("studio.workflows.injections.sees_people", lambda settings: True)
    assert "layered" not in old.posts[0].model_dump(mode="json")
    assert "layered" not in json.loads(bundle(studio, old, tmp_path / "old.zip").model_dump_json())["posts"][0]
    new, now = draw(studio, asked)
    assert bundle(studio, new, tmp_path / "new.zip").posts[0].layered
    assert not np.array_equal(then[0], now[0])
    assert {"exact", "in_sight", "whole", "seam"} <= set(new.posts[0].scores)


def test_wide_goods_of_before_are_drawn_again(
    studio: Studio, asked: PostRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A banner that is wider than a picture was cut off at its edges."""
    goods = add_banner(studio, tmp_path)
    old, _ = draw(studio, asked.changed(goods=goods, shots=(Shot(framing="close-up"),)))
    export_set(studio, old, tmp_path / "old.zip")
    monkeypatch.setattr("studio.workflows.injections.sees_people", lambda settings: True)
    assert redraw_bundle(studio, tmp_path / "old.zip", run_directly) == ()


def test_a_bundle_of_another_reader_is_not_drawn_again(
    studio: Studio, asked: PostRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set.zip"
    monkeypatch.setattr("studio.workflows.injections.sees_people", lambda settings: True)
    export_set(studio, draw(studio, asked)[0], path)
    told = {post.reader_sha256 for post in read_manifest(path).posts}
    assert told == {hash_weights(studio.settings.reader / "reader.onnx")}
    for name, other in (("note_reader", lambda studio: "0" * 64), ("sees_people", lambda settings: False)):
        with monkeypatch.context() as patched:
            patched.setattr(f"studio.workflows.injections.{name}", other)
            with pytest.raises(BadInput, match="bundle_of_another_reader"):
                redraw_bundle(studio, path, run_directly)


def add_banner(studio: Studio, folder: Path) -> Goods:
    banner = np.full((120, 1000, 3), 225, np.uint8)
    banner[30:90, 40:960] = (20, 60, 160)
    Image.fromarray(banner).save(folder / "banner.png")
    return add_goods(studio.library, folder / "banner.png", "a banner")


def bundle(studio: Studio, post_set: PostSet, path: Path) -> Manifest:
    export_set(studio, post_set, path)
    assert redraw_bundle(studio, path, run_directly) == ()
    return read_manifest(path)


@pytest.mark.parametrize(
    "ways",
    [
        {"keep": "fill"},
        {"keep": "fill", "scale": 0.0},
        {"inject": "references"},
        {"inject": "references", "goods_as": "reference"},
        {"inject": "references", "goods_as": "both"},
        {"goods_as": "reference"},
        {"keep": "fill", "goods_as": "reference", "panels": 2},
    ],
)
def test_every_way_is_drawn_again_to_the_pixel(
    studio: Studio, asked: PostRequest, tmp_path: Path, ways: dict[str, Any]
) -> None:
    request = asked.changed(goods_box=(0.5, 0.5, 0.95, 1.0), **ways)
    post_set, pictures = draw(studio, request)
    scene = studio.store.get_picture(asked.scene.photo)
    says_goods = request.goods_as != "pixels" or request.keep == "fill"
    for picture, post in zip(pictures, post_set.posts, strict=True):
        np.testing.assert_array_equal(picture[5:40, 3:20], scene[5:40, 3:20])
        assert post.prompt.endswith("with a red tin") == says_goods  # else others like them would be drawn
        if request.goods_as != "reference":
            assert post.scores["goods"] == 1
        else:
            assert 0 <= (post.scores["goods"] or 0) < 1
    draws = bundle(studio, post_set, tmp_path / "ways.zip").draw
    expected = "fill" if request.keep == "fill" else "kontext" if request.inject == "references" else ""
    assert [(c.role, len(c.sha256), c.licence) for c in draws.companions] == [
        (role, 64, "flux-1-dev-non-commercial-license") for role in (expected,) if role
    ]
    assert (draws.keep, draws.inject) == (request.keep, request.inject)
    if expected:
        assert {p.num_inference_steps for p in post_set.posts} == {50 if expected == "fill" else 28}


def test_a_bundle_that_says_kontext_is_drawn_again_to_the_pixel(
    studio: Studio, asked: PostRequest, tmp_path: Path
) -> None:
    """As earlier versions wrote it."""
    post_set, _ = draw(studio, asked.changed(inject="kontext"))
    assert post_set.request.inject == "references"
    made, old = tmp_path / "made.zip", tmp_path / "old.zip"
    export_set(studio, post_set, made)
    with zipfile.ZipFile(made) as bundled, zipfile.ZipFile(old, "w") as written:
        for name in bundled.namelist():
            data = bundled.read(name)
            if name == "manifest.json":
                told = json.loads(data)
                told["draw"]["inject"] = "kontext"
                for field in ("references", "person_as", "person_picture"):
                    del told["draw"][field]
                data = json.dumps(told).encode()
            written.writestr(name, data)
    assert read_manifest(old).draw.inject == "references"
    assert redraw_bundle(studio, old, run_directly) == ()


def test_a_picture_says_who_is_shown(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    """By Kontext, which reads one picture: no LoRA is on, and the place is told in words."""
    rng, keys = np.random.default_rng(1), list[Any]()
    for _ in range(2):
        keys.append(studio.store.put_picture(rng.integers(0, 256, (80, 70, 3), dtype=np.uint8)))
    request = asked.changed(inject="references", scale=0.0, goods=None, person_as="reference", person_picture=keys[0])
    post_set, pictures = draw(studio, request)
    assert post_set.companion == "kontext"
    assert [(r.number, r.role, r.name, r.picture) for r in post_set.references] == [(1, "person", "Mira", keys[0])]
    assert "ohwx" not in post_set.posts[0].prompt
    assert all("identity" in post.scores for post in post_set.posts)
    assert keys[0] in request.file_keys()
    told = bundle(studio, post_set, tmp_path / "who.zip").draw
    assert (told.person_as, told.person_picture) == ("reference", keys[0])
    assert told.references == post_set.references
    others = ({"person_picture": keys[1]}, {"person_as": "both"})
    for change in others:
        assert not np.array_equal(pictures[0], draw(studio, request.changed(**change))[1][0])
    with pytest.raises(BadInput, match=r"references_too_many.*FLUX\.1-Kontext-dev, count=2, most=1"):
        draw(studio, request.changed(scale=1.0))


def test_what_is_referred_to_reaches_the_picture(studio: Studio, asked: PostRequest) -> None:
    base = asked.changed(inject="references", goods_as="reference")
    assert asked.goods is not None
    first = draw(studio, base)[1][0]
    elsewhere = asked.goods.model_copy(update={"place": Place(0.3, 0.6, 0.3)})
    assert not np.array_equal(first, draw(studio, base.changed(goods=elsewhere))[1][0])
    photo = studio.store.put_picture(np.full((96, 64, 3), 90, np.uint8))
    other = asked.scene.model_copy(update={"photo": photo})
    assert not np.array_equal(first, draw(studio, base.changed(scene=other))[1][0])
    # a scale of 0 leaves the reference out, and with it the companion
    assert draw(studio, base.changed(goods=None, scale=0.0))[0].companion == ""


def test_a_bundle_of_another_companion_is_not_drawn_again(
    studio: Studio, asked: PostRequest, tmp_path: Path, tiny_family: Path
) -> None:
    export_set(studio, draw(studio, asked.changed(inject="references"))[0], tmp_path / "set.zip")
    folder = write_companion(tmp_path / "kontext", "kontext", seed=99)
    settings = Settings(data=studio.settings.data, backbone=str(tiny_family), kontext_folder=folder)
    with pytest.raises(BadInput, match=r"bundle_of_another_companion.*FLUX\.1-Kontext-dev.*role=kontext"):
        redraw_bundle(Studio(settings), tmp_path / "set.zip", run_directly)


def test_the_personas_lora_is_on_what_draws(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    for ways in ({"keep": "fill"}, {"inject": "references"}):
        request = asked.changed(**ways)
        strong = draw(studio, request)[1][0]
        layers = make_layers(studio.backbone.transformer, 9, modules=BLOCKS, alpha=40.0)
        write_lora(tmp_path / "other.safetensors", layers, LoraMetadata("Lin", "ohwx"))
        key = studio.store.put((tmp_path / "other.safetensors").read_bytes())
        other = draw(studio, request.changed(persona=request.persona.model_copy(update={"lora": key})))[1][0]
        assert not np.array_equal(strong, other)
    misfit = persona(studio, tmp_path, (*BLOCKS, "x_embedder"))
    with pytest.raises(BadLora, match=r"lora_does_not_fit_companion.*FLUX\.1-Fill-dev"):
        draw(studio, asked.changed(keep="fill", persona=misfit))
    draw(studio, asked.changed(persona=misfit))


def test_ways_that_cannot_be_gone_are_said(asked: PostRequest) -> None:
    bare = asked.scene.model_copy(update={"landmark": None})
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"inject": "magic"}, "inject"),
        ({"keep": "glue"}, "keep"),
        ({"goods_as": "song"}, "goods_as"),
        ({"keep": "fill", "inject": "references"}, "fill_with_kontext"),
        ({"keep": "fill", "goods": None, "scene": bare}, "fill_keeps_nothing"),
        ({"keep": "fill", "goods_as": "reference", "keep_landmark": False}, "fill_keeps_nothing"),
        ({"goods_as": "reference", "scale": 0.0}, "goods_reference_unseen"),
        ({"goods": None, "goods_box": (0.0, 0.0, 1.0, 1.0)}, "goods_box_without_goods"),
        ({"goods_box": (0.5, 0.0, 0.4, 1.0)}, "goods_box_invalid"),
        ({"person_as": "reference", "person_picture": bare.photo}, r"person_reference_unseen.*ways=\['references'\]"),
        ({"inject": "references", "person_as": "both"}, "person_picture_missing"),
        ({"person_picture": bare.photo}, "person_picture_unused"),
    ]
    for ways, words in wrong:
        with pytest.raises(BadInput, match=words):
            asked.changed(**ways)


def test_the_miniature_says_that_it_has_no_companions(asked: PostRequest, studio: Studio) -> None:
    miniature = Studio(Settings(data=studio.settings.data))
    for ways in ({"keep": "fill"}, {"inject": "references"}):
        with pytest.raises(ModelMissing, match=r"companion_missing.*miniature"):
            draw(miniature, asked.changed(**ways))


def test_a_folder_elsewhere_is_named_in_the_settings(studio: Studio, tiny_flux: Path, tiny_family: Path) -> None:
    named = Settings(data=studio.settings.data, backbone=str(tiny_flux), fill_folder=tiny_family.parent / "fill")
    other = Studio(named)
    assert other.backbone.spec.companions["fill"] == tiny_family.parent / "fill"
    assert hash_weights(tiny_flux) == studio.backbone_sha256  # the same weights by the same seed


def test_a_box_of_three_numbers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scene.png").write_bytes(b"")
    arguments = ["posts", str(tmp_path / "scene.png"), "--goods-box", "0.1,0.2,0.3", "--data", str(tmp_path), "--json"]
    monkeypatch.setattr("sys.argv", ["persona-studio", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    assert json.loads(capsys.readouterr().out)["code"] == "box_unreadable"


def test_goods_that_are_wider_than_a_picture_are_told_when_a_set_is_asked_for(
    studio: Studio, asked: PostRequest, tmp_path: Path
) -> None:
    goods = add_banner(studio, tmp_path)
    wide = asked.changed(goods=goods, shots=(Shot(framing="full-body"), Shot(framing="close-up")))
    with pytest.raises(BadInput, match=r"goods_larger_than_picture.*number=1") as refused:
        check_fits_backbone(studio, wide)
    assert "第 1 张" in Texts("zh").error(refused.value)
    shoes = goods.model_copy(update={"picture": put(studio, 150, 500), "mask": put(studio, 150, 500)})
    with pytest.raises(BadInput, match=r"goods_larger_than_picture.*number=2"):  # 3.3:1, too wide close up alone
        check_fits_backbone(studio, wide.changed(goods=shoes))
    check_fits_backbone(studio, wide.changed(goods=shoes, shots=wide.shots[:1]))
    check_fits_backbone(studio, wide.changed(goods_box=(0.1, 0.6, 0.9, 0.9)))
    check_fits_backbone(studio, wide.changed(goods_as="reference"))
    assert studio.store.get_picture(goods.picture).shape[1] > 800  # what was brought is still there


def put(studio: Studio, height: int, width: int) -> FileKey:
    return FileKey(studio.store.put_picture(np.full((height, width, 3), 255, np.uint8)))


def test_a_landmark_that_leaves_no_room_is_told_before_anything_is_drawn(
    studio: Studio, asked: PostRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.workflows.drawing._note_speed", lambda *rest: pytest.fail("something was drawn"))
    mask = np.full((96, 64), 255, np.uint8)
    mask[0, 0] = 0
    Image.fromarray(mask).save(tmp_path / "all.png")
    scene = add_scene(studio.library, tmp_path / "scene.png", tmp_path / "all.png", "all of it")
    with pytest.raises(BadInput, match="landmark_keeps_everything"):
        draw(studio, asked.changed(scene=scene, goods=None))
