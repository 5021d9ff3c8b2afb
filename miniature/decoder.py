"""The VAE's decoder goes on learning faces: `python -m miniature.decoder`, once there is a recogniser.

What a pixel loss calls a good face can be another person's: an eye is some pixels wide. So the frozen recogniser must
see who it was. The latents stay as they are, and with them everything that was trained on them. The second recogniser
is not asked: it tells afterwards whether people were learnt, or what fools the first one.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from miniature.faces.crops import Recogniser, crop_boxes, crop_maps
from miniature.faces.train import Renders
from miniature.renders import FOLDER
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from miniature.vae import CELL, HEAD, head_weights, trained

_WINDOW = 9  # latent cells, 144 pixels: more than the crop of any face that is not a close-up
_HOW_OFTEN = {"close-up": 0.1, "half-body": 0.3, "full-body": 0.6}
_WHOLE = 0.25  # how often smaller faces come with the legs and floors below them


class Faces:
    """Windows around faces of the training's renders, with the latents that they are decoded from."""

    def __init__(self, renders: Renders, latents: Path) -> None:
        self.renders = renders
        self.latents = torch.load(latents, weights_only=True)["latents"]
        self.count = min(renders.count, len(self.latents))
        self.framings = np.array([f["framing"] for f in renders.facts[: self.count]])
        self.weights = head_weights(np.array(renders.keypoints))

    def draw(self, framing: str, count: int, rng: np.random.Generator, whole: bool) -> dict[str, Any]:
        """latents [n, 32, r, c], pixels [n, 3, h, w], weight [n, 1, h, w], maps [n, 2, 3] of one framing."""
        rows = np.sort(rng.choice(np.flatnonzero(self.framings == framing), count))
        _, _, _, all_rows, all_columns = self.latents.shape
        high, wide = (all_rows, all_columns) if whole else (_WINDOW, _WINDOW)
        points = self.renders.keypoints[rows, :5, :2].astype(np.float32)
        first, last = crop_boxes(points)
        centre = (first + last) / 2 / CELL - np.array([wide, high]) / 2
        stray = rng.integers(-1, 2, centre.shape)
        corner = np.clip(np.round(centre).astype(np.int64) + stray, 0, [all_columns - wide, all_rows - high])
        latents, pixels, heads = [], [], []
        for row, (x, y) in zip(rows, corner, strict=True):
            stored = self.latents[row, :, :, y : y + high, x : x + wide].float()
            latents.append(stored[0] + stored[1] * torch.randn_like(stored[1]))
            place = np.s_[y * CELL : (y + high) * CELL, x * CELL : (x + wide) * CELL]
            pixels.append(np.ascontiguousarray(self.renders.images[row][place]))
            heads.append(np.isin(self.renders.labels[row][place], HEAD))
        weight = (
            1 + torch.from_numpy(np.stack(heads))[:, None] * torch.from_numpy(self.weights[rows])[:, None, None, None]
        )
        return {
            "latents": torch.stack(latents).to(DEVICE),
            "pixels": (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1).to(DEVICE),
            "weight": weight.float().to(DEVICE),
            "maps": crop_maps(points, corner * CELL, high * CELL, wide * CELL, rng),
        }  # fmt: skip


def train(minutes: float, batch: int, renders: Path, out: Path, latents: Path, pack: Path,
          peak: float, identity: float) -> None:  # fmt: skip
    """Train for `minutes` of wall clock across resumes; `identity` is the weight of one minus the cosine.

    `out` is the VAE's folder, where its checkpoint lies and decoder.pt is written.
    """
    faces, eyes = Faces(Renders(renders), latents), Recogniser(pack)
    decoder: nn.Module = trained(out).decoder.to(DEVICE)
    average = Average(decoder, 0.99)
    optimizer = Both(decoder, lambda name, p: p.ndim == 4 and not name.startswith("conv_out"), peak)
    step, spent, log = load_checkpoint(out / "decoder.pt", decoder, average, optimizer)
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
        x, weight = some["pixels"], some["weight"]
        with autocast():
            y = decoder(some["latents"].to(memory_format=torch.channels_last))
        y = y.float()
        error = ((y - x).abs() * weight).mean() + ((y - x).square() * weight).mean()
        edges = torch.stack([
            ((y - x).diff(dim=d).abs() * weight.narrow(d, 1, weight.shape[d] - 1)).mean() for d in (2, 3)
        ]).sum()  # fmt: skip
        with torch.no_grad():
            was = eyes.embed(x, some["maps"])
        cosine = (eyes.embed(y, some["maps"]) * was).sum(dim=1).mean()
        loss = error + 0.7 * edges + identity * (1 - cosine)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        average.update(decoder)
        step += 1
        seen.append((error.item(), edges.item(), cosine.item()))
        if step % 25 == 0:
            error_, edges_, cosine_ = np.mean(seen[-25:], axis=0).tolist()
            log.append({"step": step, "error": error_, "edges": edges_, "cosine": cosine_, "minutes": spent / 60})
            print(json.dumps(log[-1]), flush=True)
        if step % 100 == 0:
            save_checkpoint(out / "decoder.pt", decoder, average, optimizer, step, spent, log)
    save_checkpoint(out / "decoder.pt", decoder, average, optimizer, step, spent, log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--vae", type=Path, default=Path("build/vae"))
    parser.add_argument("--latents", type=Path, default=Path("build/flux/latents.pt"))
    parser.add_argument("--faces", type=Path, default=Path("assets/miniature/faces"), help="the pack that judges")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--identity", type=float, default=0.3)
    args = parser.parse_args()
    train(args.minutes, args.batch, args.renders, args.vae, args.latents, args.faces, args.rate, args.identity)
