"""The base's judges look where the face is, and what they say can be learnt from."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from miniature.faces.crops import crop_maps
from miniature.judges import Asked, Judge, Judges, words_of
from miniature.renders import people
from miniature.training import DEVICE
from miniature.world import World, render, sample_scenes
from personas.shots import vary_shots
from studio.settings import ASSETS

COUNT = 6


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Judges:
    """The shipped recogniser behind the shipped decoder; the judges of latents, which are not shipped, know nothing."""
    folder = tmp_path_factory.mktemp("judges")
    torch.manual_seed(3)
    torch.save([Judge().state_dict()], folder / "judges.pt")
    vae = AutoencoderKL.from_pretrained(ASSETS / "flux" / "vae", torch_dtype=torch.float32)
    return Judges(folder / "judges.pt", vae, torch.ones(32, 1, 1, device=DEVICE), ASSETS / "faces")


@pytest.fixture(scope="module")
def seen(judges: Judges) -> tuple[Tensor, Asked]:
    """Latents of two renders of each framing, and who is in them as the whole decoded picture says."""
    identity, _ = people(COUNT, 660_001)
    shots = tuple(
        replace(s, framing=f)
        for s, f in zip(vary_shots(COUNT, 660_001), ("close-up", "half-body", "full-body") * 2, strict=True)
    )
    drawn = render(World(identity, shots, sample_scenes([s.setting for s in shots], list(range(COUNT))), 5))
    points = drawn.keypoints[:, :5, :2].numpy().astype(np.float32)
    vae = AutoencoderKL.from_pretrained(ASSETS / "flux" / "vae", torch_dtype=torch.float32).to(DEVICE)
    with torch.no_grad():
        latents = vae.encode(drawn.images.to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mode()
        whole = vae.decode(latents).sample
        maps = crop_maps(points, np.zeros((COUNT, 2), np.int64), 256, 192, np.random.default_rng(0))
        who = judges.recogniser.embed(whole, maps)
    words = words_of([asdict(s) for s in shots])
    ones = torch.ones(COUNT, device=DEVICE)
    return latents, Asked(words, who, points, ones, ones)


def test_a_window_shows_the_face_that_the_whole_picture_shows(judges: Judges, seen: tuple[Tensor, Asked]) -> None:
    latents, asked = seen
    own = judges._faces(latents, asked.points, asked.who, np.random.default_rng(1))
    others = judges._faces(latents, asked.points, asked.who.roll(1, 0), np.random.default_rng(1))
    assert own.min() > 0.9
    assert others.max() < 0.7


def test_a_face_can_be_learnt_from_what_is_said_of_it(judges: Judges, seen: tuple[Tensor, Asked]) -> None:
    latents, asked = seen
    faces = replace(asked, weight=torch.zeros_like(asked.weight))
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1)).to(latents.device)
    guess = (latents + 0.5 * noise).requires_grad_()
    before = judges(guess, faces, np.random.default_rng(2))
    before.backward()  # type: ignore[no-untyped-call]
    assert guess.grad is not None
    size = guess.grad.flatten(1).norm(dim=1)[:, None, None, None]
    assert (size > 0).all()
    with torch.no_grad():
        after = judges(guess - 2 * guess.grad / size, faces, np.random.default_rng(2))
        nothing = judges(guess, replace(faces, named=torch.zeros_like(asked.named)), np.random.default_rng(2))
    assert after.item() < before.item() - 0.1
    assert nothing.item() == 0
