"""What a half-drawn picture shows, as a loss of the base: `python -m miniature.judges`.

A smile, a turned head or who somebody is is a hundredth of a picture's latents: flow matching alone hardly rewards a model
that listens to these words, and where noise is low it can see the mouth without them. So small networks learn to tell
expression, view and goods from (noisy) latents, and in training the base's own guess of the clean latents must show what
the caption asks for, the sooner the better. They are two, never shipped, and see their latents through noise, so that what
is learnt is a smile and not what fools one network; what is measured afterwards is read from pixels by others. Who it is
the shipped recogniser says, of decoded faces; the second recogniser tells afterwards whether people were learnt.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from insightface.utils import face_align
from numpy.typing import NDArray
from torch import Tensor, nn

from miniature.decoder import CELL, Recogniser, crop_boxes, crop_maps
from miniature.renders import FOLDER, SHOTS_PER_PERSON
from miniature.training import DEVICE, autocast
from miniature.vae import LATENT_CHANNELS
from personas.measures.regions import ATTRIBUTES

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

JUDGED = ("expression", "view", "goods")
_EMBEDDING_DIM, _CROP = 128, 112
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

    def __init__(self, attributes: Path, vae: AutoencoderKL, spread: Tensor, recogniser: Path) -> None:
        self.attributes = [_load(Judge(), state) for state in torch.load(attributes, weights_only=True)]
        self.decoder = vae.decoder.to(DEVICE, memory_format=torch.channels_last).requires_grad_(False)
        self.spread, self.recogniser = spread, Recogniser(recogniser)

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


@torch.no_grad()
def embed_people(folder: Path, recogniser: Recogniser) -> Tensor:
    """The mean unit embedding of the person in each render, [n, 128]."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    points = np.load(folder / "keypoints.npy", mmap_mode="r")[:, :5, :2].astype(np.float32)
    found = []
    for i in range(0, int((folder / "done.txt").read_text()), 64):
        crops = [
            cv2.warpAffine(np.ascontiguousarray(image), face_align.estimate_norm(five, _CROP), (_CROP, _CROP))
            for image, five in zip(images[i : i + 64], points[i : i + 64], strict=True)
        ]
        x = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(DEVICE).float() / 127.5 - 1
        with autocast():
            found.append(F.normalize(recogniser.net(x).float()))
    each = torch.cat(found)
    means = F.normalize(each.view(-1, SHOTS_PER_PERSON, _EMBEDDING_DIM).mean(dim=1))
    return means.repeat_interleave(SHOTS_PER_PERSON, dim=0).cpu()


@dataclass(frozen=True)
class _Samples:
    """Cached latents of the renders in unit deviation, the last of the people held out."""

    stored: Tensor
    spread: Tensor
    known: int

    def pick(self, batch: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Rows [n] and their blurred latents [n, 32, h, w]."""
        rows = torch.from_numpy(rng.integers(0, self.known, batch))
        stored = self.stored[rows].to(DEVICE).float()
        x = (stored[:, 0] + stored[:, 1] * torch.randn_like(stored[:, 1])) / self.spread
        return rows, _blurred(x)

    def held_out(self, noise: float) -> Tensor:
        x = self.stored[self.known :, 0].to(DEVICE).float() / self.spread
        return x + noise * torch.randn_like(x)


def _learn(
    judge: nn.Module, seed: int, minutes: float, peak: float, samples: _Samples, batch: int,
    loss_of: Callable[[Tensor, Tensor], Tensor],
) -> None:  # fmt: skip
    """`loss_of` takes rows and latents."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(judge.parameters(), peak, weight_decay=0.05)
    begin, step = time.time(), 0
    while (progress := (time.time() - begin) / (minutes * 60)) < 1:
        optimizer.param_groups[0]["lr"] = peak * min(1.0, (step + 1) / 50) * max(0.02, 1 - progress)
        rows, x = samples.pick(batch, rng)
        with autocast():
            loss = loss_of(rows, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 200 == 0:
            print(json.dumps({"seed": seed, "step": step, "loss": loss.item()}), flush=True)
    judge.eval()


def train(minutes: float, folder: Path, work: Path, batch: int = 64) -> None:
    """All judges one after the other, each for its share of the time; held-out accuracy is printed."""
    samples = _samples(work)
    words = words_of(json.loads((folder / "attributes.json").read_text())[: len(samples.stored)])
    states = []
    for number in range(_JUDGES):
        torch.manual_seed(30 + number)
        judge = Judge().to(DEVICE)

        def loss_of(rows: Tensor, x: Tensor, judge: Judge = judge) -> Tensor:
            found = cast(list[Tensor], judge(x))
            return torch.stack([F.cross_entropy(o.float(), words[rows, k]) for k, o in enumerate(found)]).sum()

        _learn(judge, 30 + number, minutes / _JUDGES, 2e-3, samples, batch, loss_of)
        for noise in (0.0, _NOISE):
            with torch.no_grad():
                right = [o.argmax(1) == words[samples.known :, k] for k, o in enumerate(judge(samples.held_out(noise)))]
            rates = {name: round(r.float().mean().item(), 3) for name, r in zip(JUDGED, right, strict=True)}
            print(json.dumps({"judge": number, "noise": noise} | rates), flush=True)
        states.append(judge.state_dict())
    torch.save(states, work / "judges.pt")


def _samples(work: Path) -> _Samples:
    stored = torch.load(work / "latents.pt", weights_only=True)
    latents, spread = stored["latents"], stored["spread"][:, None, None].to(DEVICE)
    return _Samples(latents, spread, len(latents) - _HELD_OUT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    args = parser.parse_args()
    train(args.minutes, args.renders, args.work)
