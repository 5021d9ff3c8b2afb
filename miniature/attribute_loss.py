"""What a half-drawn picture shows, as a loss of the base: `python -m miniature.attribute_loss`.

A smile or a turned head is a hundredth of a picture's latents: flow matching alone hardly rewards a model that listens to
these words, and where noise is low it can see the mouth without them. So small networks learn to tell expression, view
and goods from (noisy) latents, and in training the base's own guess of the clean latents must show what the caption asks
for, the sooner the better. They are two, never shipped, and see their latents through noise, so that what is learnt is a
smile and not what fools one network; what is measured afterwards is read from pixels by others.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from miniature.renders import FOLDER
from miniature.training import DEVICE, autocast
from miniature.vae import LATENT_CHANNELS
from personas.measures.regions import ATTRIBUTES

JUDGED = ("expression", "view", "goods")
_JUDGES = 2
_NOISE = 0.5  # the most that latents are blurred by, in their own deviations
_HELD_OUT = 1000


class Judge(nn.Module):
    """Latents [n, 32, h, w] of unit deviation -> logits of each of `JUDGED`."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
        )  # fmt: skip
        self.where = nn.Conv2d(width, len(JUDGED), 1)  # a face is somewhere else in each framing
        self.heads = nn.ModuleList([nn.Linear(width, len(ATTRIBUTES[name])) for name in JUDGED])

    def forward(self, latents: Tensor) -> list[Tensor]:
        x = self.body(latents)
        looked = self.where(x).flatten(2).softmax(dim=2)  # [n, attributes, h·w]
        seen = looked @ x.flatten(2).transpose(1, 2)
        return [head(seen[:, k]) for k, head in enumerate(self.heads)]


class AttributeLoss:
    """Cross-entropy of the attributes in guesses of clean latents, by all judges; for the base's training."""

    def __init__(self, path: Path) -> None:
        states = torch.load(path, weights_only=True, map_location=DEVICE)
        self.judges = [Judge().to(DEVICE).eval().requires_grad_(False) for _ in states]
        for judge, state in zip(self.judges, states, strict=True):
            judge.load_state_dict(state)

    def __call__(self, latents: Tensor, words: Tensor, weight: Tensor) -> Tensor:
        """`latents` [n, 32, h, w]; `words` [n, attributes] from `words_of`; `weight` [n], 0 leaves a sample out."""
        total = torch.zeros((), device=latents.device)
        for judge in self.judges:
            noise = torch.randn_like(latents) * _NOISE * torch.rand(len(latents), 1, 1, 1, device=latents.device)
            for k, logits in enumerate(judge(latents + noise)):
                total = total + (F.cross_entropy(logits.float(), words[:, k], reduction="none") * weight).mean()
        return total / len(self.judges)


def words_of(facts: Sequence[dict[str, object]]) -> Tensor:
    """What each picture shows of `JUDGED`, as places in the tables, [n, attributes]."""
    return torch.tensor([[ATTRIBUTES[name].index(str(f[name])) for name in JUDGED] for f in facts], device=DEVICE)


def train(minutes: float, folder: Path, work: Path, batch: int = 64, peak: float = 2e-3) -> None:
    """All judges one after the other, each for its share of the time; held-out accuracy is printed."""
    stored = torch.load(work / "latents.pt", weights_only=True)
    latents, spread = stored["latents"], stored["spread"][:, None, None].to(DEVICE)
    words = words_of(json.loads((folder / "attributes.json").read_text())[: len(latents)])
    known = len(latents) - _HELD_OUT
    states = []
    for number in range(_JUDGES):
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
        for noise in (0.0, 0.5):
            right = _accuracy(judge, latents[known:].to(DEVICE), spread, words[known:], noise)
            print(json.dumps({"judge": number, "noise": noise} | dict(zip(JUDGED, right, strict=True))), flush=True)
        states.append(judge.state_dict())
    torch.save(states, work / "judges.pt")


def _loss(judge: Judge, stored: Tensor, spread: Tensor, words: Tensor) -> Tensor:
    stored = stored.float()
    x = (stored[:, 0] + stored[:, 1] * torch.randn_like(stored[:, 1])) / spread
    x = x + torch.randn_like(x) * _NOISE * torch.rand(len(x), 1, 1, 1, device=x.device)
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
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    args = parser.parse_args()
    train(args.minutes, args.renders, args.work)
