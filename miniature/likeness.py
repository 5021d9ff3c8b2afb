"""The VAE goes on learning faces: `python -m miniature.likeness`, once there is a recogniser.

What a pixel loss calls a good face can be another person's: an eye is some pixels wide. So the frozen recogniser must
see who it was. The second recogniser is not asked: it tells afterwards whether people were learnt, or what fools the
first one. A recogniser looks through expressions, so eyes and mouth weigh most in the pixels. The latents stay near those
of before: what was trained on them only has to be trained on.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from miniature.faces.crops import Recogniser, crop_boxes, crop_maps
from miniature.faces.train import Renders
from miniature.renders import FOLDER
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from miniature.vae import CELL, HEAD, KL, LIKENESS, head_weights, pixel_losses, trained

_WINDOW = 144  # pixels: more than the crop of any face that is not a close-up
_HOW_OFTEN = {"close-up": 0.1, "half-body": 0.3, "full-body": 0.6}
_FEATURES = 3.0  # what eyes, nose and mouth weigh on top of the head that they are in
_WHOLE = 0.25  # how often smaller faces come with the legs and floors below them


class Faces:
    """Windows around faces of the training's renders."""

    def __init__(self, renders: Renders) -> None:
        self.renders = renders
        self.framings = np.array([f["framing"] for f in renders.facts[: renders.count]])
        self.weights = head_weights(np.array(renders.keypoints))

    def draw(self, framing: str, count: int, rng: np.random.Generator, whole: bool) -> dict[str, Any]:
        """pixels [n, 3, h, w], weight [n, 1, h, w], maps [n, 2, 3] of one framing."""
        rows = np.sort(rng.choice(np.flatnonzero(self.framings == framing), count))
        height, width = self.renders.images.shape[1:3]
        high, wide = (height, width) if whole else (_WINDOW, _WINDOW)
        points = self.renders.keypoints[rows, :5, :2].astype(np.float32)
        first, last = crop_boxes(points)
        centre = ((first + last) / 2 - np.array([wide, high]) / 2) / CELL
        stray = rng.integers(-1, 2, centre.shape)
        room = np.array([width - wide, height - high]) // CELL
        corner = np.clip(np.round(centre).astype(np.int64) + stray, 0, room) * CELL
        pixels, weights = [], []
        for row, (x, y), five in zip(rows, corner, points - corner[:, None], strict=True):
            place = np.s_[y : y + high, x : x + wide]
            pixels.append(np.ascontiguousarray(self.renders.images[row][place]))
            head = np.isin(self.renders.labels[row][place], HEAD)
            weights.append(1 + self.weights[row] * head * (1 + _FEATURES * _near(five, high, wide)))
        return {
            "pixels": (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1).to(DEVICE),
            "weight": torch.from_numpy(np.stack(weights))[:, None].float().to(DEVICE),
            "maps": crop_maps(points, corner, high, wide, rng),
        }  # fmt: skip


def _near(points: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """How near each pixel is to an eye, the nose or a corner of the mouth, [h, w] in [0, 1]; these are (x, y) [5, 2]."""
    reach = max(0.4 * float(np.linalg.norm(points[0] - points[1])), 2.0)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    far = np.square(xs[..., None] - points[:, 0]) + np.square(ys[..., None] - points[:, 1])
    return np.asarray(np.exp(-far.min(axis=2) / (2 * reach**2)), np.float32)


def train(
    minutes: float, batch: int, renders: Path, out: Path, pack: Path, peak: float, identity: float, anchor: float
) -> None:
    """Train for `minutes` of wall clock across resumes; `identity` is the weight of one minus the cosine.

    `out` is the VAE's folder, where its checkpoint lies and likeness.pt is written; `anchor` is how hard the latents are held
    to those of before.
    """
    faces, eyes = Faces(Renders(renders)), Recogniser(pack)
    vae = trained(out, likeness=False).to(DEVICE)
    before = copy.deepcopy(vae.encoder).requires_grad_(False)
    average = Average(vae, 0.99)
    edges_of_it = ("encoder.conv_in", "decoder.conv_out")
    optimizer = Both(vae, lambda name, p: p.ndim == 4 and not name.startswith(edges_of_it), peak)
    step, spent, log = load_checkpoint(out / LIKENESS, vae, average, optimizer)
    begin, seen = time.time() - spent, []
    names = list(_HOW_OFTEN)
    while (spent := time.time() - begin) < minutes * 60:
        rng = np.random.default_rng(900 + step)
        torch.manual_seed(900 + step)
        progress = spent / (minutes * 60)
        optimizer.rate(peak * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))))
        framing = names[rng.choice(len(names), p=list(_HOW_OFTEN.values()))]
        whole = framing == "close-up" or rng.random() < _WHOLE
        some = faces.draw(framing, batch // 2 if whole else batch, rng, whole)
        x, weight = some["pixels"].contiguous(memory_format=torch.channels_last), some["weight"]
        with torch.no_grad(), autocast():
            was_at = before(x).chunk(2, dim=1)[0]
        with autocast():
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample()).sample
        drift = F.mse_loss(posterior.mean.float(), was_at.float())
        y = y.float()
        error, edges = pixel_losses(y, x, weight)
        with torch.no_grad():
            was = eyes.embed(x, some["maps"])
        cosine = (eyes.embed(y, some["maps"]) * was).sum(dim=1).mean()
        loss = error + 0.7 * edges + identity * (1 - cosine) + anchor * drift + KL * posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        average.update(vae)
        step += 1
        seen.append((error.item(), edges.item(), cosine.item(), drift.item()))
        if step % 25 == 0:
            means = dict(zip(("error", "edges", "cosine", "drift"), np.mean(seen[-25:], axis=0).tolist(), strict=True))
            log.append({"step": step, "minutes": spent / 60} | means)
            print(json.dumps(log[-1]), flush=True)
        if step % 100 == 0:
            save_checkpoint(out / LIKENESS, vae, average, optimizer, step, spent, log)
    save_checkpoint(out / LIKENESS, vae, average, optimizer, step, spent, log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--vae", type=Path, default=Path("build/vae"))
    parser.add_argument("--faces", type=Path, default=Path("assets/miniature/faces"), help="the pack that judges")
    parser.add_argument("--rate", type=float, default=1.5e-4)
    parser.add_argument("--identity", type=float, default=1.0)
    parser.add_argument("--anchor", type=float, default=0.1, help="how hard the latents are held to those of before")
    args = parser.parse_args()
    train(args.minutes, args.batch, args.renders, args.vae, args.faces, args.rate, args.identity, args.anchor)
