"""What a half-drawn picture shows, as a loss of the base: `python -m miniature.judges`.

A smile, a turned head or who somebody is is a hundredth of a picture's latents: flow matching alone hardly rewards a model
that listens to these words, and where noise is low it can see the mouth without them. So small networks learn to tell
expression, view and goods from (noisy) latents, and in training the base's own guess of the clean latents must show what
is in the training picture, which the caption nearly always says, the sooner the better. They are two, never shipped, and
see their latents through noise, so that what is learnt is a smile and not what fools one network; what is measured
afterwards is read from pixels by others. Who it is the shipped recogniser says, of decoded faces; the second recogniser
tells afterwards whether people were learnt.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from miniature.faces.crops import Recogniser, crop_boxes, crop_maps
from miniature.renders import FOLDER
from miniature.training import DEVICE, autocast
from miniature.vae import CELL, LATENT_CHANNELS
from personas.measures.regions import ATTRIBUTES

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

JUDGED = ("expression", "view", "goods")
_FACES = 16  # that are decoded of a batch
_JUDGES = 2
_NOISE = 0.5  # the most that latents are blurred by, in their own deviations
_HELD_OUT = 1000
_WHO = 3.0  # a face's weight against that of an attribute


def _block(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, padding=1), nn.GroupNorm(8, out), nn.SiLU())


class Judge(nn.Module):
    """Latents [n, 32, h, w] of unit deviation -> logits of each of `JUDGED`."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(_block(LATENT_CHANNELS, width), _block(width, width), _block(width, width))
        self.where = nn.Conv2d(width, len(JUDGED), 1)  # a face is somewhere else in each framing
        self.heads = nn.ModuleList([nn.Linear(width, len(ATTRIBUTES[name])) for name in JUDGED])

    def forward(self, latents: Tensor) -> list[Tensor]:
        x = self.body(latents)
        looked = self.where(x).flatten(2).softmax(dim=2)  # [n, attributes, h·w]
        seen = looked @ x.flatten(2).transpose(1, 2)
        return [head(seen[:, k]) for k, head in enumerate(self.heads)]


@dataclass(frozen=True)
class Asked:
    """What a batch of pictures has to show.

    `words` [n, attributes] from `words_of`; `who` [n, 128] unit embeddings; `points` [n, 5, 2] landmarks in pixels;
    `weight` [n] of the words, `named` [n] of the faces: 0 leaves a sample out.
    """

    words: Tensor
    who: Tensor
    points: NDArray[np.float32]
    weight: Tensor
    named: Tensor


class Judges:
    """How little guesses of clean latents show what was asked for, for the base's training: expression, view and goods
    by all judges of latents; the face, for which latents are too few to learn from, by the recogniser in decoded pixels."""

    def __init__(self, attributes: Path, vae: AutoencoderKL, spread: Tensor, pack: Path) -> None:
        self.attributes = [
            _load(Judge(), state) for state in torch.load(attributes, weights_only=True, map_location="cpu")
        ]
        self.decoder = vae.decoder.to(DEVICE, memory_format=torch.channels_last).requires_grad_(False)
        self.spread, self.recogniser = spread, Recogniser(pack)

    def __call__(self, latents: Tensor, asked: Asked, rng: np.random.Generator) -> Tensor:
        """`latents` [n, 32, h, w] of unit deviation, so many as in `asked`."""
        total = torch.zeros((), device=latents.device)
        for judge in self.attributes:
            for k, logits in enumerate(judge(_blurred(latents))):
                wrong = F.cross_entropy(logits.float(), asked.words[:, k], reduction="none")
                total = total + (wrong * asked.weight).mean() / len(self.attributes)
        # nearer to pure noise there is no face yet
        rows = (torch.rand_like(asked.named) * (asked.named > 0.15)).argsort(descending=True)[:_FACES]
        far = 1 - self._faces(latents[rows], asked.points[rows.cpu().numpy()], asked.who[rows], rng)
        return total + _WHO * (far * asked.named[rows]).mean()

    def _faces(self, latents: Tensor, points: NDArray[np.float32], who: Tensor, rng: np.random.Generator) -> Tensor:
        """Cosines [n]. Windows of one size are decoded together."""
        _, _, rows, columns = latents.shape
        first, last = crop_boxes(points)
        extent = (last - first).max(axis=1) / CELL
        sides = np.where(extent < 5, 6, np.where(extent < 7, 8, columns))
        cosines = torch.zeros(len(latents), device=latents.device)
        for side in np.unique(sides):
            some = np.flatnonzero(sides == side)
            high, across = (rows, columns) if side == columns else (side, side)
            middle = (first[some] + last[some]) / 2 / CELL
            corner = np.round(middle - np.array([across, high]) / 2).astype(np.int64)
            corner = np.clip(corner, 0, [columns - across, rows - high])
            windows = torch.stack([
                latents[k, :, y : y + high, x : x + across] for k, (x, y) in zip(some, corner, strict=True)
            ])  # fmt: skip
            maps = crop_maps(points[some], corner * CELL, high * CELL, across * CELL, rng)
            with autocast():
                pixels = self.decoder((windows * self.spread).contiguous(memory_format=torch.channels_last))
            cosines[some] = (self.recogniser.embed(pixels, maps) * who[some]).sum(dim=1)
        return cosines


def _load(judge: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    judge.load_state_dict(state)
    return judge.to(DEVICE).eval().requires_grad_(False)


def _blurred(latents: Tensor) -> Tensor:
    return latents + torch.randn_like(latents) * _NOISE * torch.rand(len(latents), 1, 1, 1, device=latents.device)


def words_of(facts: Sequence[dict[str, object]]) -> Tensor:
    """What each picture shows of `JUDGED`, as places in the tables, [n, attributes]."""
    return torch.tensor([[ATTRIBUTES[name].index(str(f[name])) for name in JUDGED] for f in facts], device=DEVICE)


def train(minutes: float, folder: Path, work: Path, batch: int = 64, peak: float = 2e-3) -> None:
    """All judges one after the other, each for its share of the time; held-out accuracy is printed.

    Those that judges.pt holds already stay: delete it when the VAE or the renders have changed.
    """
    path = work / "judges.pt"
    states = torch.load(path, weights_only=True) if path.exists() else []
    stored = torch.load(work / "latents.pt", weights_only=True)
    latents, spread = stored["latents"], stored["spread"][:, None, None].to(DEVICE)
    words = words_of(json.loads((folder / "attributes.json").read_text())[: len(latents)])
    known = len(latents) - _HELD_OUT
    for number in range(len(states), _JUDGES):
        torch.manual_seed(30 + number)
        rng = np.random.default_rng(30 + number)
        judge = Judge().to(DEVICE)
        optimizer = torch.optim.AdamW(judge.parameters(), peak, weight_decay=0.05)
        begin, step = time.time(), 0
        while (progress := (time.time() - begin) / (minutes * 60 / _JUDGES)) < 1:
            optimizer.param_groups[0]["lr"] = peak * min(1.0, (step + 1) / 50) * max(0.02, 1 - progress)
            rows = torch.from_numpy(rng.integers(0, known, batch))
            loss = _loss(judge, latents[rows].to(DEVICE), spread, words[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 200 == 0:
                print(json.dumps({"judge": number, "step": step, "loss": loss.item()}), flush=True)
        judge.eval()
        for noise in (0.0, _NOISE):
            right = _accuracy(judge, latents[known:].to(DEVICE), spread, words[known:], noise)
            print(json.dumps({"judge": number, "noise": noise} | dict(zip(JUDGED, right, strict=True))), flush=True)
        states.append(judge.state_dict())
        torch.save(states, path)


def _loss(judge: Judge, stored: Tensor, spread: Tensor, words: Tensor) -> Tensor:
    stored = stored.float()
    x = _blurred((stored[:, 0] + stored[:, 1] * torch.randn_like(stored[:, 1])) / spread)
    with autocast():
        logits = judge(x)
    return torch.stack([F.cross_entropy(row.float(), words[:, k]) for k, row in enumerate(logits)]).sum()


@torch.no_grad()
def _accuracy(judge: Judge, stored: Tensor, spread: Tensor, words: Tensor, noise: float) -> list[float]:
    x = stored[:, 0].float() / spread
    logits = judge(x + noise * torch.randn_like(x))
    return [round(float((row.argmax(1) == words[:, k]).float().mean()), 3) for k, row in enumerate(logits)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    args = parser.parse_args()
    train(args.minutes, args.renders, args.work)
