"""A network finds products in photos: any that takes a colour picture and gives a grey one; else colour alone does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image, ImageDraw

from pipelines.errors import BadInput, ModelMissing
from pipelines.references.cutout import cut_out
from pipelines.references.salient import KNOWN, load_salient
from studio.application import Studio
from studio.library.scenes import add_goods, get_mask
from studio.settings import Settings
from tests.data import FOLDER

_SIDE = 64


def write_net(path: Path, channels: int = 1, side: int = _SIDE) -> Path:
    """A network of one layer, which finds what is redder than green."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [channels, 3, 1, 1], [1.0, -1.0, 0.0] * channels)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("Sigmoid", ["y"], ["z"])],
        "salient",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, channels, side, side])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def photo() -> tuple[
    np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], np.ndarray[tuple[int, int], np.dtype[np.bool_]]
]:
    """A red thing with a hole in it before green and blue stripes, which reach from border to border."""
    image = Image.new("RGB", (320, 400), (60, 170, 80))
    pen = ImageDraw.Draw(image)
    for y in range(0, 400, 40):
        pen.rectangle((0, y, 320, y + 18), fill=(60, 150, 200))
    shape = Image.new("1", image.size)
    draw = ImageDraw.Draw(shape)
    draw.rectangle((90, 120, 230, 300), fill=1)
    draw.rectangle((130, 150, 190, 200), fill=0)
    image.paste((200, 40, 40), mask=shape)
    return np.asarray(image), np.asarray(shape)


def overlap(
    found: np.ndarray[tuple[int, int], np.dtype[np.bool_]], truth: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> float:
    return float((found & truth).sum() / (found | truth).sum())


def test_a_network_leaves_holes_open_and_needs_no_plain_background(tmp_path: Path) -> None:
    image, truth = photo()
    goods = cut_out(image, None, load_salient(write_net(tmp_path / "own.onnx")).find)
    wanted = truth[truth.any(axis=1)][:, truth.any(axis=0)]
    assert abs(goods.mask.shape[0] - wanted.shape[0]) <= 12
    middle = goods.mask[50:60, 60:80]
    assert not middle.any()
    assert cut_out(image).mask[50:60, 60:80].all()  # by colour alone holes are filled, as labels must be


def test_one_that_sees_nothing_leaves_it_to_colour(tmp_path: Path) -> None:
    image = np.full((200, 160, 3), 220, np.uint8)
    image[60:150, 50:110] = (40, 60, 160)
    blind = cut_out(image, None, lambda picture: np.zeros(picture.shape[:2], np.float32))
    assert np.array_equal(blind.mask, cut_out(image).mask)
    grey = np.full((200, 160, 3), 120, np.uint8)
    assert load_salient(write_net(tmp_path / "own.onnx")).find(grey).max() == 0


def test_the_studio_cuts_with_the_file_that_is_named(tmp_path: Path) -> None:
    image, truth = photo()
    Image.fromarray(image).save(tmp_path / "thing.png")
    net = write_net(tmp_path / "own.onnx")
    studio = Studio(Settings(data=tmp_path / "data", cutter=net))
    found = add_goods(studio.library, tmp_path / "thing.png", "a thing")
    mask = get_mask(studio.library, found.mask)
    assert not mask[50:60, 60:80].any()
    gone = Studio(Settings(data=tmp_path / "data", cutter=tmp_path / "gone.onnx"))
    with pytest.raises(ModelMissing, match="cutter_missing"):
        add_goods(gone.library, tmp_path / "thing.png", "a thing")
    cut = np.dstack([image, truth.astype(np.uint8) * 255])
    Image.fromarray(cut).save(tmp_path / "cut.png")
    add_goods(gone.library, tmp_path / "cut.png", "a thing")  # a cut-out needs no network


@pytest.mark.parametrize("kind", ["text", "many", "LoRA"])
def test_other_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.onnx"
    if kind == "many":
        write_net(path, channels=5)
    else:
        path.write_bytes(b"not a network" if kind == "text" else b"\x10" + b"\0" * 400)
    with pytest.raises(BadInput, match="cutter_unknown"):
        load_salient(path)


def test_u2netp_cuts_a_bag_with_its_handle_open() -> None:
    """The published file, where it is: `PERSONA_STUDIO_CUTTER`, or photos/u2netp.onnx among the tests' data."""
    path = Path(os.environ.get("PERSONA_STUDIO_CUTTER") or FOLDER / "photos" / "u2netp.onnx")
    if not path.is_file():
        pytest.skip(f"NOT TESTED: {path} is absent (set PERSONA_STUDIO_CUTTER)")
    net = load_salient(path)
    assert net.name in KNOWN.values()
    image, shape = Image.new("RGB", (700, 700), (250, 250, 250)), Image.new("1", (700, 700))
    for pen, colours in ((ImageDraw.Draw(image), ((120, 60, 30), (178, 92, 48))), (ImageDraw.Draw(shape), (1, 1))):
        pen.arc((220, 60, 480, 420), 180, 360, fill=colours[0], width=24)
        pen.rounded_rectangle((120, 240, 580, 620), 40, fill=colours[1])
    truth = np.asarray(shape)
    found = net.find(np.asarray(image)) >= 0.5
    assert overlap(found, truth) > 0.95
    assert not found[140:220, 300:400].any()
