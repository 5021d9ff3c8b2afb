"""The base's judges look where the face is, and what they say can be learnt from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from miniature.decoder import crop_maps
from miniature.faces.nets import ConvRecogniser
from miniature.judges import JUDGED, Asked, Judge, Judges, words_of
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.identity_loss import _as_module
from personas.measures.regions import ATTRIBUTES
from personas.shots import vary_shots
from studio.settings import ASSETS

COUNT = 6


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Judges:
    """The shipped recogniser behind the shipped decoder; the judges of latents, which are not shipped, know nothing."""
    folder = tmp_path_factory.mktemp("judges")
    torch.manual_seed(3)
    torch.save([Judge().state_dict()], folder / "judges.pt")
    both = nn.ModuleDict({"net": ConvRecogniser()})
    torch.save({"average": both.state_dict()}, folder / "recogniser.pt")
    vae = AutoencoderKL.from_pretrained(ASSETS / "flux" / "vae", torch_dtype=torch.float32)
    made = Judges(folder / "judges.pt", vae, torch.ones(32, 1, 1), folder / "recogniser.pt")
    made.recogniser.net = _as_module(str(ASSETS / "faces" / "recognition.onnx"), "faces")
    return made


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
    vae = AutoencoderKL.from_pretrained(ASSETS / "flux" / "vae", torch_dtype=torch.float32)
    with torch.no_grad():
        latents = vae.encode(drawn.images.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mode()
        whole = vae.decode(latents).sample
        maps = crop_maps(points, np.zeros((COUNT, 2), np.int64), 256, 192, np.random.default_rng(0))
        who = judges.recogniser.embed(whole, maps)
    words = words_of([{name: getattr(s, name) for name in JUDGED} for s in shots])
    return latents, Asked(words, who, points, torch.ones(COUNT), torch.ones(COUNT))


def test_a_window_shows_the_face_that_the_whole_picture_shows(judges: Judges, seen: tuple[Tensor, Asked]) -> None:
    latents, asked = seen
    own = judges._faces(latents, asked.points, asked.who, np.random.default_rng(1))
    others = judges._faces(latents, asked.points, asked.who.roll(1, 0), np.random.default_rng(1))
    assert own.min() > 0.9
    assert others.max() < 0.7


def test_what_is_asked_can_be_learnt(judges: Judges, seen: tuple[Tensor, Asked]) -> None:
    latents, asked = seen
    guess = (latents + 0.7 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
    before = judges(guess, asked, np.random.default_rng(2))
    before.backward()  # type: ignore[no-untyped-call]
    assert guess.grad is not None
    assert (guess.grad.flatten(1).norm(dim=1) > 0).all()
    unasked = replace(asked, weight=torch.zeros(COUNT), named=torch.zeros(COUNT))
    assert judges(guess, unasked, np.random.default_rng(2)).item() == 0
    assert asked.words.shape == (COUNT, len(JUDGED))
    assert all(asked.words[:, k].max() < len(ATTRIBUTES[name]) for k, name in enumerate(JUDGED))
