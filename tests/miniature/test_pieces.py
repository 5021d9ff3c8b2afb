"""Pieces: what they hold belongs together, hard things come often, and those that are there stay."""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from miniature import pieces
from miniature.faces.crops import Recogniser
from miniature.pieces import SIZES, draw_piece, draw_pieces, draw_shots, load_pieces
from miniature.training import DEVICE
from studio.settings import ASSETS


def test_raised_hands_and_low_garments_come_more_often() -> None:
    shots = draw_shots(600, 1)
    pose, outfit = Counter(s.pose for s in shots), Counter(s.outfit for s in shots)
    assert pose["waving"] > pose["relaxed"] + 40
    assert outfit["coat"] > outfit["suit"] + 20
    assert len({s.setting for s in shots}) == 10


def test_a_piece_holds_pictures_of_one_size_and_their_truth() -> None:
    vae = AutoencoderKL.from_pretrained(ASSETS / "flux" / "vae", torch_dtype=torch.float32).eval().to(DEVICE)
    height, width = SIZES[4]
    piece = draw_piece(7, vae, Recogniser(ASSETS / "faces"), 4)
    assert piece["latents"].shape == (4, 2, 32, height // 16, width // 16)
    assert torch.allclose(piece["focus"].float().mean(dim=(1, 2)), torch.ones(4), atol=0.01)
    assert torch.equal(piece["people"][0], piece["people"][3])
    assert torch.allclose(piece["who"].norm(dim=1), torch.ones(4), atol=1e-4)
    assert len(json.loads(piece["facts"])) == 4
    with torch.no_grad():
        back = vae.decode(piece["latents"][:, 0].float().to(DEVICE)).sample.cpu()
    x, y = piece["points"][0, 2, :2].long()
    nose = back[0, :, y - 3 : y + 4, x - 3 : x + 4].mean(dim=(1, 2))  # skin is redder than blue
    assert nose[0] > nose[2]


def test_pieces_that_are_there_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "draw_piece", lambda number, vae, recogniser: {"number": number})
    torch.save({"number": -1}, tmp_path / "0000.pt")
    (tmp_path / "0002.part").write_bytes(b"half of one")
    draw_pieces(tmp_path, 2, ASSETS)
    assert [p["number"] for p in load_pieces(tmp_path)] == [-1, 1]
