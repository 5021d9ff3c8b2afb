"""The likeness loss looks where insightface looks, and its gradient reaches the latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from insightface.utils import face_align

from miniature.faces.nets import ConvRecogniser
from miniature.likeness import CROP, load_likeness
from miniature.renders import draw_set
from pipelines.backbones import load_backbone, resolve_backbone


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    draw_set(tmp_path, 12, 4)
    torch.manual_seed(0)
    torch.save(ConvRecogniser().state_dict(), tmp_path / "coach_net.pt")
    return tmp_path


def test_it_aligns_as_insightface_and_pulls_a_face_towards_its_person(renders: Path) -> None:
    vae = load_backbone(resolve_backbone("miniature"), "cpu", torch.float32).vae
    like = load_likeness(renders, renders, vae, torch.ones(32, 1, 1), torch.device("cpu"))
    assert like.usable[:8].any()
    assert not like.usable[8:].any()  # the last tenth of the people is held out
    rows = np.flatnonzero(like.usable).tolist()
    images, points = np.load(renders / "images.npy")[rows], np.load(renders / "keypoints.npy")[rows, :5, :2]

    seen: list[torch.Tensor] = []
    hook = like.embed.recogniser.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = vae.encode(x).latent_dist.mean
        pictures = (vae.decode(latents).sample.permute(0, 2, 3, 1) * 127.5 + 127.5).clamp(0, 255).byte().numpy()
    latents.requires_grad_(True)
    apart = like(latents, rows)
    hook.remove()
    for crop, picture, landmarks in zip(seen[0].detach(), pictures, points, strict=True):
        ours = (crop.permute(1, 2, 0).numpy() * 127.5 + 127.5).clip(0, 255)
        theirs = face_align.norm_crop(picture, landmark=landmarks, image_size=CROP)
        # the decoder's norms see a window instead of the whole picture: some grey levels apart, never a pixel aside
        assert np.abs(ours - theirs).mean() < 12
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95

    optimizer = torch.optim.Adam([latents], 0.05)
    for _ in range(5):
        optimizer.zero_grad()
        like(latents, rows).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert like(latents, rows).sum() < 0.7 * apart.sum()
