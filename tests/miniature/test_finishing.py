"""Finishing is learnt from renders: pairs agree to the pixel, a training goes on where it stopped, and it sharpens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.bench import render_shots
from benchmarks.finishing_score import edge_width
from miniature.faces.crops import crop_boxes
from miniature.finishing.pairs import SCALE, SIDE, WAYS, WINDOWS, Pairs, draw_pairs, load_pairs, reduce_picture
from miniature.finishing.train import HELD_OUT, Cutter, Losses, held_out, train
from miniature.renders import people
from miniature.world import Window, World, render, sample_scenes
from personas.shots import vary_shots
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.finishing.files import load_finisher
from pipelines.finishing.network import FinishingNet, NetShape
from studio.settings import ASSETS


def test_the_world_is_the_same_at_every_size() -> None:
    """The mean of each 6×6 pixels of a window of the large render is the small render: pairs are exact."""
    shots = vary_shots(4, 77)
    identity, scenes = people(8, 77)[0][:4], sample_scenes([s.setting for s in shots], list(range(77, 81)))
    world, corners = World(identity, shots, scenes, 77), np.array([(0, 0), (40, 30), (112, 0), (60, 176)])
    small = reduce_picture(render(world, 512, 384).images.numpy(), 2)
    window = Window(torch.from_numpy(corners * SCALE).float(), SIDE * SCALE, SIDE * SCALE)
    large = render(world, 256 * SCALE, 192 * SCALE, window=window).images.numpy()
    whole = render(world, 256 * SCALE, 192 * SCALE).images.numpy()
    for k, (x, y) in enumerate(corners):
        box = np.s_[y * SCALE : (y + SIDE) * SCALE, x * SCALE : (x + SIDE) * SCALE]
        assert np.array_equal(large[k], whole[k][box])
        off = np.abs(reduce_picture(large[k : k + 1], SCALE)[0].astype(int) - small[k, y : y + SIDE, x : x + SIDE])
        assert off.mean() < 0.8
        assert np.quantile(off, 0.95) <= 3


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    backbone = load_backbone(resolve_backbone("miniature"))
    draw_pairs(folder, 4, backbone)
    before = np.array(load_pairs(folder).small)
    (folder / "done.txt").write_text("0")  # as after a break: the same again
    draw_pairs(folder, 4, backbone)
    found = load_pairs(folder)
    assert np.array_equal(before, found.small)
    return found


def test_pairs_show_the_same_through_every_way(pairs: Pairs) -> None:
    assert pairs.large.shape == (4, len(WINDOWS), SIDE * SCALE, SIDE * SCALE, 3)
    assert pairs.small.shape == (4, len(WINDOWS), len(WAYS), SIDE, SIDE, 3)
    for row in range(4):
        off = np.abs(reduce_picture(pairs.large[row], SCALE).astype(int) - pairs.small[row, :, 0])
        assert off.mean() < 0.8
        first, last = crop_boxes(pairs.points[row : row + 1, :5, :2])
        middle = (first[0] + last[0]) / 2 - pairs.corners[row, 0]
        assert (np.abs(middle - SIDE / 2) < SIDE / 2).all()  # a face is in its window
    far = [np.abs(pairs.small[:, :, k].astype(int) - pairs.small[:, :, 0]).mean() for k in range(len(WAYS))]
    assert far[0] == 0
    assert 0 < far[1] < far[2] < far[3] < 25  # the farther it is drawn anew, the more of it is the base's


def test_a_training_goes_on_and_says_how_it_is(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("miniature.finishing.train.HELD_OUT", 1)
    monkeypatch.setattr("miniature.finishing.train.SHAPE", NetShape((16, 16, 16), (1, 1, 1), SCALE))
    monkeypatch.setattr("miniature.finishing.train._LOG_EVERY", 2)
    losses = Losses(ASSETS / "faces", 0.05, 0.7, 0.3)
    train(pairs, tmp_path, 0.08, losses)
    first = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert first["step"] > 0
    net = train(pairs, tmp_path, 0.16, losses)
    again = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert again["step"] > first["step"]
    assert again["log"][: len(first["log"])] == first["log"]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"step", "pixels", "edges", "kept", "who"} <= {name for line in lines for name in line}
    numbers = held_out(net, pairs, 1)
    assert {f"psnr {way}" for way in WAYS} <= numbers.keys()
    assert all(10 < value < 60 for value in numbers.values())


def test_parts_weigh_more(pairs: Pairs) -> None:
    cutter = Cutter(pairs, pairs.count)
    for faces in (False, True):
        crops = cutter.draw(faces, np.random.default_rng(0))
        assert crops.large.shape[2] == SCALE * crops.small.shape[2]
        assert len(crops.maps) == len(crops.faces)
        assert faces or not len(crops.faces)
        assert crops.weight.min() == 1
        assert crops.weight.max() > 3
    assert HELD_OUT > 0


def test_the_shipped_weights_sharpen_what_the_vae_blurs(pairs: Pairs) -> None:
    file = ASSETS / "finishing" / "finishing.safetensors"
    finisher = load_finisher(file)
    assert finisher.scale == SCALE
    assert file.stat().st_size <= 4 * 2**20
    net = finisher.enlarge
    assert isinstance(net, FinishingNet)
    numbers = held_out(net, pairs, 4)
    assert numbers["psnr reduced"] > numbers["psnr reduced_smooth"] + 1.5
    assert numbers["psnr vae"] > numbers["psnr vae_smooth"]
    shots = vary_shots(2, 31)
    identity = people(8, 31)[0][:2]
    ideal = np.mean([edge_width(p) for p in render_shots(identity, shots, 31, 1440, 1080)])
    for small in render_shots(identity, shots, 31):
        smooth = np.asarray(Image.fromarray(small).resize((1080, 1440), Image.Resampling.LANCZOS))
        assert edge_width(smooth) > 4 * ideal
        assert edge_width(finisher.finish(small, 1440, 1080)) <= 2 * ideal
