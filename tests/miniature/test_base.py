"""The base goes on: on pieces, judged, from a checkpoint that is written again."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from miniature import base
from miniature.base import Pictures, train
from miniature.earlier import take_up
from miniature.faces.crops import Recogniser
from miniature.judges import Judge
from miniature.part_losses import PartLosses, Shown
from miniature.parts import KINDS, PartJudge
from miniature.pieces import Piece, draw_piece
from miniature.training import DEVICE
from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL

from studio.settings import ASSETS

COUNT = 4


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(ASSETS / "flux" / "vae", torch_dtype=torch.float32).eval().to(DEVICE)


@pytest.fixture(scope="module")
def piece(vae: AutoencoderKL) -> Piece:
    return draw_piece(0, vae, Recogniser(ASSETS / "faces"), COUNT)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, piece: Piece) -> Path:
    """Shipped weights, a piece, and judges that have learnt nothing yet."""
    folder = tmp_path_factory.mktemp("work")
    take_up(ASSETS, folder, folder / "vae")
    torch.manual_seed(5)
    torch.save([Judge().state_dict()], folder / "judges.pt")
    torch.save([{kind: PartJudge(kind).state_dict() for kind in KINDS}], folder / "parts.pt")
    (folder / "pieces").mkdir()
    torch.save(piece, folder / "pieces" / "0000.pt")
    return folder


def test_the_parts_of_a_guess_are_pulled_to_those_of_the_picture(work: Path, vae: AutoencoderKL, piece: Piece) -> None:
    sample = Pictures([piece]).draw(COUNT, random.Random(1))
    ones = torch.ones(COUNT, device=DEVICE)
    shown = Shown(sample.shown.points, sample.shown.places, sample.shown.cuts, sample.shown.who, ones, ones)
    losses = PartLosses(work / "parts.pt", vae, ASSETS / "faces", 2 * COUNT)

    def ask(latents: Tensor) -> dict[str, Tensor]:
        torch.manual_seed(2)
        return losses(latents, shown, np.random.default_rng(2))

    clean = ask(sample.latents)
    noise = torch.randn(sample.latents.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    guess = (sample.latents + 0.5 * noise).requires_grad_()
    before = ask(guess)
    assert all(before[name] > clean[name] for name in ("who", "pixels"))
    torch.stack(list(before.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert guess.grad is not None
    size = guess.grad.flatten(1).norm(dim=1)[:, None, None, None]
    assert (size > 0).all()
    with torch.no_grad():
        after = ask(guess - 2 * guess.grad / size)
    assert sum(after.values()) < sum(before.values())
    nothing = Shown(shown.points, shown.places, shown.cuts, shown.who, 0 * ones, 0 * ones)
    assert all(value == 0 for value in losses(guess, nothing, np.random.default_rng(2)).values())


def test_a_training_goes_on_where_it_was(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_MICRO", 2)
    monkeypatch.setattr(base, "_LOG_EVERY", 1)
    before = torch.load(work / "checkpoint.pt", weights_only=True)["module"]
    train(1, 1, work / "pieces", work, ASSETS, 1e-4, 0.2, float("inf"))
    train(2, 1, work / "pieces", work, ASSETS, 1e-4, 0.2, float("inf"))
    state = torch.load(work / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2
    assert [row["step"] for row in state["log"]] == [1, 2]
    assert all(np.isfinite(value) for row in state["log"] for value in row.values())
    name = "transformer.x_embedder.weight"
    assert not torch.equal(state["module"][name], before[name])
    train(3, 1, work / "pieces", work, ASSETS, 1e-4, 0.2, 0.0)  # no time left: nothing is learnt, nothing lost
    assert torch.load(work / "checkpoint.pt", weights_only=True)["step"] == 2
