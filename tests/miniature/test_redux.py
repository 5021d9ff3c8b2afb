"""Redux's encoder learns to expect what people hide, and keeps what it knew of empty places."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPriorReduxPipeline

from miniature.redux import draw_piece, export, train
from pipelines.families.flux1.redux import load_redux
from studio.settings import ASSETS


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pieces")
    for number in range(3):
        torch.save(draw_piece(number, 16), folder / f"{number:04d}.pt")
    return folder


def test_a_piece_shows_the_same_place_with_and_without_somebody(pieces: Path) -> None:
    piece = torch.load(pieces / "0000.pt", weights_only=True)
    apart = {kind: (piece[kind].float() - piece["empty"].float()).abs().mean() for kind in ("masked", "person")}
    assert 0 < apart["masked"] < apart["person"]
    assert (piece["hidden"] > 0.02).all()


def test_what_it_makes_of_a_place_behind_somebody_nears_the_empty_places(pieces: Path, tmp_path: Path) -> None:
    """On places that it learns from: whether it helps on others `python -m benchmarks.scene_score` measures."""
    before = _load(ASSETS / "redux")
    export(train(pieces, ASSETS, 60, batch=16), tmp_path)
    after = _load(tmp_path / "redux")
    assert after.image_encoder.config.fills_foreground
    piece = torch.load(pieces / "0000.pt", weights_only=True)
    wanted = tokens(before, piece["empty"])
    errors = [(tokens(one, piece["person"]) - wanted).square().mean() for one in (before, after)]
    assert errors[1] < 0.7 * errors[0]


def _load(folder: Path) -> FluxPriorReduxPipeline:
    return load_redux(folder, "miniature", torch.device("cpu"), torch.float32)


@torch.no_grad()
def tokens(pipeline: FluxPriorReduxPipeline, pictures: torch.Tensor) -> torch.Tensor:
    hidden = pipeline.encode_image(list(pictures.numpy()), torch.device("cpu"), 1)
    made: torch.Tensor = pipeline.image_embedder(hidden).image_embeds
    return made
