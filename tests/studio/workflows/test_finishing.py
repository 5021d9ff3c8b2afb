"""Posts are finished beside what was drawn: stored, exported, told in the manifest, and the same when drawn again."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.errors import BadInput, ModelMissing
from pipelines.finishing.files import save_network
from pipelines.finishing.network import FinishingNet, NetShape
from pipelines.picture_labels import split_labels
from studio.application import Studio
from studio.cli import main
from studio.domain.bundle import CheckRequest
from studio.domain.capabilities import finishes_by_itself, upscaler_of
from studio.domain.finishing import finishes, shown_size
from studio.domain.posts import PostRequest, PostSet, SetSettings
from studio.export.bundle import pixels_sha256
from studio.export.manifest import Manifest
from studio.export.recall import recall
from studio.library.scenes import put_mask
from studio.settings import Settings
from studio.ui.parts.fixing import fix_request
from studio.workflows import run_directly
from studio.workflows.bundling import check_export
from studio.workflows.post import draw_posts
from studio.workflows.redrawing import redraw_bundle
from studio.workflows.takes import fix_post
from tests.exports import export_set
from tests.studio.workflows.test_ways import asked  # noqa: F401

SHAPE = NetShape((16, 16, 16), (1, 1, 1), 4)
SIZE = (96, 64)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that changes a little of everything."""
    torch.manual_seed(1)
    net = FinishingNet(SHAPE)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.03)
    path = tmp_path_factory.mktemp("upscaler") / "ours.safetensors"
    save_network(net, SHAPE, path)
    return path


@pytest.fixture(scope="module")
def studio(tiny_family: Path, upscaler: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    data = tmp_path_factory.mktemp("finishing")
    return Studio(Settings(data=data, backbone=str(tiny_family), batch_size=2, upscaler=upscaler))


def exported(path: Path, manifest: Manifest, number: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with zipfile.ZipFile(path) as bundle:
        return np.asarray(Image.open(io.BytesIO(bundle.read(manifest.posts[number].file))).convert("RGB"))


def test_posts_are_finished_and_the_drawing_is_kept(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:  # noqa: F811
    drawn = draw_posts(studio, asked.changed(finish=False), run_directly)
    post_set = draw_posts(studio, asked, run_directly)
    assert [p.picture for p in post_set.posts] == [p.picture for p in drawn.posts]
    assert [p.scores for p in post_set.posts] == [p.scores for p in drawn.posts]
    assert PostSet.model_validate_json(post_set.model_dump_json()) == post_set
    for plain, post in zip(drawn.posts, post_set.posts, strict=True):
        assert (plain.finished, plain.large) == (None, plain.picture)
        assert "finished" not in plain.model_dump(mode="json")  # off leaves no trace
        told = post.finished
        assert told is not None
        assert (told.upscaler, told.scale, told.height, told.width) == ("ours.safetensors", 4, 1620, 1080)
        assert studio.finisher is not None
        assert told.sha256 == studio.finisher.sha256
        large = studio.store.get_picture(post.large)
        assert large.shape == (1620, 1080, 3)
        small = np.asarray(Image.fromarray(large).resize((64, 96), Image.Resampling.BOX)).astype(int)
        assert np.abs(small - studio.store.get_picture(post.picture)).mean() < 12  # the same picture
        assert post.large in post_set.file_keys()


def test_a_finished_file_is_recalled_as_what_was_drawn(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:  # noqa: F811
    post_set = draw_posts(studio, asked, run_directly)
    for key in (post_set.posts[1].picture, post_set.posts[1].large):
        (tmp_path / "kept.png").write_bytes(studio.store.get(key))
        found = recall(studio.library, tmp_path / "kept.png", "me", studio.donors)
        assert (found.source, found.shots[0].prompt) == ("drawn", post_set.posts[1].prompt)
        with pytest.raises(BadInput, match="no_recipe"):
            recall(studio.library, tmp_path / "kept.png", "somebody else", studio.donors)


def test_off_is_exactly_off(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:  # noqa: F811
    """A bundle without finishing has the bytes of one that was made where there is no upscaler."""
    bare = Studio(studio.settings.model_copy(update={"upscaler": None}))
    plain = draw_posts(bare, asked, run_directly)
    assert plain.posts[0].finished is None
    export_set(bare, plain, tmp_path / "bare.zip")
    finished = draw_posts(studio, asked, run_directly)
    assert [p.picture for p in finished.posts] == [p.picture for p in plain.posts]
    off = draw_posts(studio, asked.changed(finish=False), run_directly)
    for number, (post_set, fields) in enumerate(((off, {}), (finished, {"finish": False}), (plain, {"finish": False}))):
        manifest = export_set(studio, post_set, tmp_path / f"{number}.zip", **fields)
        assert all(post.finishing is None for post in manifest.posts)
        with zipfile.ZipFile(tmp_path / f"{number}.zip") as ours, zipfile.ZipFile(tmp_path / "bare.zip") as theirs:
            for name in ("pictures/01.jpg", "pictures/02.jpg", "contact_sheet.jpg"):
                assert split_labels(ours.read(name))[0] == split_labels(theirs.read(name))[0]


@pytest.mark.parametrize("platform", ["xiaohongshu", "taobao-square", "instagram-story", "xiaohongshu-goods"])
def test_an_export_is_finished_at_the_platforms_size(
    studio: Studio,
    asked: PostRequest,  # noqa: F811
    tmp_path: Path,
    platform: str,
) -> None:
    request = asked.changed(goods_box=(0.5, 0.5, 0.95, 1.0))
    post_set = draw_posts(studio, request, run_directly)
    path = tmp_path / "a.zip"
    manifest = export_set(studio, post_set, path, platform=platform)
    for post, row in zip(post_set.posts, manifest.posts, strict=True):
        assert row.finishing is not None
        assert row.drawn_sha256 == pixels_sha256(studio.store.get_picture(post.picture))
        told = row.finishing
        assert (told.upscaler, told.scale) == ("ours.safetensors", 4)
        shown = exported(path, manifest)
        assert told.height >= shown.shape[0] - 200  # a strip for the label may be below
        assert told.width >= shown.shape[1]
    assert redraw_bundle(studio, path, run_directly) == ()
    changed = json.loads(manifest.model_dump_json())
    changed["posts"][1]["finishing"]["pixels_sha256"] = "0" * 64
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as bundle:
        bundle.writestr("manifest.json", json.dumps(changed))
    (wrong,) = redraw_bundle(studio, tmp_path / "other.zip", run_directly)
    assert "02" in wrong
    assert "finished" in wrong
    looked = check_export(studio, CheckRequest.make(post_set=post_set, platform=platform), run_directly)
    with zipfile.ZipFile(path) as bundle:
        look, sent = studio.store.get(looked.pictures[0].picture), bundle.read(manifest.posts[0].file)
    assert split_labels(look)[0] == split_labels(sent)[0]  # no two signatures are the same


def test_the_archive_keeps_what_was_drawn(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:  # noqa: F811
    post_set = draw_posts(studio, asked, run_directly)
    manifest = export_set(studio, post_set, tmp_path / "a.zip", platform="archive")
    assert manifest.posts[0].finishing is None
    assert np.array_equal(exported(tmp_path / "a.zip", manifest), studio.store.get_picture(post_set.posts[0].picture))


def test_goods_come_from_the_upload(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:  # noqa: F811
    """Stripes a pixel of the drawing cannot hold are there at the platform's size."""
    from studio.library.scenes import add_goods

    photo = np.full((800, 640, 3), 215, np.uint8)
    photo[150:650, 200:440] = np.where((np.arange(240) // 6 % 2)[None, :, None], (190, 30, 40), (250, 240, 230))
    Image.fromarray(photo).save(tmp_path / "tin.png")
    goods = add_goods(studio.library, tmp_path / "tin.png", "a striped tin")
    request = asked.changed(goods=goods, goods_box=(0.3, 0.4, 0.8, 0.95))
    post_set = draw_posts(studio, request, run_directly)
    manifest = export_set(studio, post_set, tmp_path / "a.zip")
    shown = exported(tmp_path / "a.zip", manifest)
    row = shown[int(shown.shape[0] * 0.7), :, 2].astype(int)
    middle = row[int(0.48 * len(row)) : int(0.62 * len(row))]
    assert np.sum(np.abs(np.diff(middle > 135))) >= 6  # stripes
    assert middle.max() - middle.min() > 120


def test_a_fixed_post_is_finished_anew(studio: Studio, asked: PostRequest) -> None:  # noqa: F811
    post_set = draw_posts(studio, asked.changed(goods=None, keep_landmark=False), run_directly)
    painted = np.zeros((96, 64), np.bool_)
    painted[40:96] = True
    wish = fix_request(post_set, 0, post_set.posts[0], put_mask(studio.library, painted), 0.8)
    (fixed,) = fix_post(studio, wish, run_directly).posts
    assert fixed.finished is not None
    assert fixed.large != post_set.posts[0].large


def test_who_finishes_by_itself(tiny_family: Path, upscaler: Path, tmp_path: Path) -> None:
    assert finishes(None, True, 256, 192)
    assert not finishes(None, True, 768, 1024)  # large enough by itself
    assert not finishes(None, False, 256, 192)
    assert finishes(True, False, 1024, 1024)
    assert not finishes(False, True, 256, 192)
    assert shown_size(256, 192, 1080) == (1440, 1080)
    assert upscaler_of(Settings(data=tmp_path, backbone=str(tiny_family))) is None
    assert finishes_by_itself(Settings(data=tmp_path, backbone=str(tiny_family), upscaler=upscaler))
    assert not finishes_by_itself(Settings(data=tmp_path, backbone=str(tiny_family)))
    assert not finishes_by_itself(Settings(data=tmp_path, backbone="nothing/here", upscaler=upscaler))


def test_what_cannot_be_is_said_before_anything_is_drawn(
    studio: Studio,
    asked: PostRequest,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("studio.workflows.drawing._note_speed", lambda *rest: pytest.fail("something was drawn"))
    bare = Studio(studio.settings.model_copy(update={"upscaler": None}))
    with pytest.raises(BadInput, match="no_upscaler"):
        draw_posts(bare, asked.changed(finish=True), run_directly)
    gone = Studio(studio.settings.model_copy(update={"upscaler": tmp_path / "gone.safetensors"}))
    with pytest.raises(ModelMissing, match="upscaler_missing"):
        draw_posts(gone, asked, run_directly)
    torch.save({"x": torch.zeros(1)}, tmp_path / "x4.pth")
    pickled = Studio(studio.settings.model_copy(update={"upscaler": tmp_path / "x4.pth"}))
    with pytest.raises(BadInput, match="upscaler_is_pickle"):
        draw_posts(pickled, asked, run_directly)
    for size in (0, 20_000):
        with pytest.raises(BadInput, match=r"request_invalid.*finish_px"):
            asked.changed(finish_px=size)
    assert SetSettings().model_dump(mode="json").keys().isdisjoint({"finish", "finish_px"})


@pytest.mark.parametrize("size", ["0", "20000"])
def test_the_command_line_says_it_too(
    size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["persona-studio", "posts", "photo.png", "--finish-px", size, "--data", str(tmp_path)]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "--finish-px" in capsys.readouterr().err
