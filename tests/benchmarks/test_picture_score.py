"""What people see first, counted: the readers see faults that were drawn, and edges are measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from benchmarks.bench import Bench, render_shots
from benchmarks.finishing_score import edge_width
from benchmarks.part_readers import SIDES, PartReaders
from benchmarks.picture_score import TARGETS, count_parts, eyes_right, goods_in_hand, marked
from miniature.renders import people
from personas.measures.regions import LABELS, RegionReader
from personas.shots import GOODS, vary_shots
from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL

from studio.application import Studio
from studio.settings import ASSETS, Settings

COUNT = 8


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> PartReaders:
    """Readers that have hardly learnt anything, kept and read back."""
    path = tmp_path_factory.mktemp("readers") / "readers.pt"
    vae = AutoencoderKL.from_pretrained(ASSETS / "flux" / "vae", torch_dtype=torch.float32).eval()
    first = PartReaders.trained(path, vae, renders=COUNT)
    again = PartReaders.trained(path, vae, renders=COUNT)
    for kind, side in SIDES.items():
        x = torch.rand(2, 3, side, side)
        assert torch.equal(first.nets[kind](x), again.nets[kind](x))
    assert (first.apart, first.slip) == (again.apart, again.slip)
    return again


def test_all_parts_of_renders_are_counted(readers: PartReaders, tmp_path: Path) -> None:
    shots = tuple(replace(s, view="front") for s in vary_shots(COUNT, 3, goods=GOODS[1:]))
    pictures = render_shots(people(COUNT, 3)[0], shots, 3)
    bench = Bench(Studio(Settings(data=tmp_path / "data")), tmp_path)
    scores = count_parts(bench, readers, "renders", pictures, shots, "")
    assert scores.keys() <= TARGETS.keys()
    assert all(0 <= s.low <= s.value <= s.high <= 1 for s in scores.values())
    assert scores["goods_held"].value > 0.8  # the shipped reader knows goods and where hands are
    assert (tmp_path / "renders-hands.png").is_file()


def test_irises_that_are_apart_are_no_pair(readers: PartReaders) -> None:
    pictures = render_shots(people(COUNT, 3)[0][:2], vary_shots(2, 3), 3)
    read = readers.read(pictures, RegionReader(ASSETS / "reader").read(pictures))
    whole = replace(read, whole=np.ones_like(read.whole), irises=np.zeros_like(read.irises))
    assert eyes_right(whole, readers).all()
    whole.irises[0, 0] = 1
    whole.whole[1, 1] = False
    assert not eyes_right(whole, readers).any()


def test_goods_count_only_at_the_hand() -> None:
    shot = replace(vary_shots(1, 3)[0], framing="half-body", goods="bottle")
    (picture,) = render_shots(people(8, 3)[0][:1], [shot], 3)
    (seen,) = RegionReader(ASSETS / "reader").read([picture])
    assert goods_in_hand(seen, 256, 192)
    away = replace(seen, labels=np.where(seen.labels == LABELS.index("goods"), 0, seen.labels))
    away.labels[-20:, -20:] = LABELS.index("goods")
    assert not goods_in_hand(away, 256, 192)


def test_a_soft_picture_has_wider_edges() -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, 40:] = 200
    soft = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(3)))
    assert edge_width(picture) == 1
    assert edge_width(soft) > 6


def test_a_fault_is_framed_and_nothing_else_changes() -> None:
    picture = np.full((40, 30, 3), 90, np.uint8)
    assert np.array_equal(marked(picture, False), picture)
    framed = marked(picture, True)
    assert tuple(framed[0, 15]) == (220, 30, 30)
    assert np.array_equal(framed[10:-10, 10:-10], picture[10:-10, 10:-10])
