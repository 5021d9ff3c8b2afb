"""What the transformer's training is prepared with."""

import os
from pathlib import Path

import numpy as np
import torch

from miniature.flux import encode_set
from miniature.vae import LIKENESS, build


def test_latents_are_those_of_the_vae_that_is_there(tmp_path: Path) -> None:
    renders, vae, out = (tmp_path / name for name in ("renders", "vae", "out"))
    renders.mkdir()
    vae.mkdir()
    np.save(renders / "images.npy", np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8))

    def train(name: str, seed: int, when: int) -> None:
        torch.manual_seed(seed)
        torch.save({"average": build().state_dict()}, vae / name)
        os.utime(vae / name, (when, when))

    def encode(count: int) -> dict[str, torch.Tensor]:
        encode_set(renders, vae, out, count)
        return dict(torch.load(out / "latents.pt", weights_only=True))

    train("checkpoint.pt", 1, 1000)
    first = encode(2)
    more = encode(4)  # those that are there stay, and so does the scale that a transformer has learnt
    assert torch.equal(more["latents"][:2], first["latents"])
    assert torch.equal(more["spread"], first["spread"])
    train(LIKENESS, 2, 2_000_000_000)
    os.utime(out / "latents.pt", (1_500_000_000, 1_500_000_000))
    other = encode(4)
    assert not torch.allclose(other["latents"].float(), more["latents"].float(), atol=0.01)
    assert torch.equal(other["spread"], first["spread"])
