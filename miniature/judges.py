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
from miniature.pieces import Piece, load_pieces
from miniature.renders import FOLDER
from miniature.training import DEVICE, autocast
from miniature.vae import CELL, LATENT_CHANNELS
from personas import shots

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

WORDS = {"expression": shots.EXPRESSIONS, "view": shots.VIEWS, "goods": shots.GOODS, "pose": shots.POSES}
JUDGED = tuple(WORDS)
_FACES = 16  # that are decoded of a batch
UNSEEN = -100  # what `cross_entropy` leaves out
_JUDGES = 2
_NOISE = 0.5  # the most that latents are blurred by, in their own deviations
_WHO = 3.0  # a face's weight against that of an attribute


def _block(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, padding=1), nn.GroupNorm(8, out), nn.SiLU())


class Judge(nn.Module):
    """Latents [n, 32, h, w] of unit deviation -> logits of each of `JUDGED`."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(_block(LATENT_CHANNELS, width), _block(width, width), _block(width, width))
        self.where = nn.Conv2d(width, len(JUDGED), 1)  # a face is somewhere else in each framing
        self.heads = nn.ModuleList([nn.Linear(width, len(words)) for words in WORDS.values()])

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
        self.attributes = load_judges(attributes)
        self.decoder = vae.decoder.to(DEVICE, memory_format=torch.channels_last).requires_grad_(False)
        self.spread, self.recogniser = spread, Recogniser(pack)

    def __call__(self, latents: Tensor, asked: Asked, rng: np.random.Generator) -> Tensor:
        """`latents` [n, 32, h, w] of unit deviation, so many as in `asked`."""
        total = words_loss(self.attributes, latents, asked.words, asked.weight)
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


def load_judges(path: Path) -> list[nn.Module]:
    """The trained judges of latents, frozen."""
    judges = list[nn.Module]()
    for state in torch.load(path, weights_only=True, map_location="cpu"):
        judge = Judge()
        judge.load_state_dict(state)
        judges.append(judge.to(DEVICE).eval().requires_grad_(False))
    return judges


def words_loss(judges: Sequence[nn.Module], latents: Tensor, words: Tensor, weight: Tensor) -> Tensor:
    """How little latents [n, 32, h, w] of unit deviation show of `words` [n, attributes]; `weight` [n]."""
    total = torch.zeros((), device=latents.device)
    for judge in judges:
        for k, logits in enumerate(judge(_blurred(latents))):
            wrong = F.cross_entropy(logits.float(), words[:, k], reduction="none")
            total = total + (wrong * weight).mean() / len(judges)
    return total


def _blurred(latents: Tensor) -> Tensor:
    return latents + torch.randn_like(latents) * _NOISE * torch.rand(len(latents), 1, 1, 1, device=latents.device)


def words_of(facts: Sequence[dict[str, object]]) -> Tensor:
    """Return what each picture shows of `JUDGED`, as places in the tables, [n, attributes]; `UNSEEN` where no picture says.

    In a close-up nobody sees what the arms do.
    """
    rows = [[words.index(str(f[name])) for name, words in WORDS.items()] for f in facts]
    found = torch.tensor(rows)
    found[[f["framing"] == "close-up" for f in facts], JUDGED.index("pose")] = UNSEEN
    return found.to(DEVICE)


@dataclass(frozen=True)
class Examples:
    """Latents [n, 2, 32, h, w] of pictures of one size, mean and deviation, and their words [n, attributes]."""

    latents: Tensor
    words: Tensor

    def split(self) -> tuple[Examples, Examples]:
        """What is learnt from and what is held out, one in fourteen."""
        known = len(self.latents) * 13 // 14
        return Examples(self.latents[:known], self.words[:known]), Examples(self.latents[known:], self.words[known:])


def read_renders(folder: Path, work: Path) -> tuple[list[Examples], Tensor]:
    """Those of `miniature.renders`, and the latents' spread [32, 1, 1]."""
    stored = torch.load(work / "latents.pt", weights_only=True)
    facts = json.loads((folder / "attributes.json").read_text())[: len(stored["latents"])]
    return [Examples(stored["latents"], words_of(facts))], stored["spread"][:, None, None].to(DEVICE)


def read_pieces(folder: Path) -> tuple[list[Examples], Tensor]:
    """Those of `miniature.pieces`, size by size; their spread is one."""
    groups: dict[tuple[int, ...], list[Piece]] = {}
    for piece in load_pieces(folder):
        groups.setdefault(tuple(piece["latents"].shape[3:]), []).append(piece)
    examples = [
        Examples(torch.cat([p["latents"] for p in some]), torch.cat([words_of(json.loads(p["facts"])) for p in some]))
        for some in groups.values()
    ]
    return examples, torch.ones(LATENT_CHANNELS, 1, 1, device=DEVICE)


def train(
    steps: int, examples: Sequence[Examples], spread: Tensor, path: Path, batch: int = 64, peak: float = 2e-3
) -> None:
    """All judges one after the other; held-out accuracy is printed.

    Those that `path` holds already stay: delete it when the VAE or the renders have changed.
    """
    states = torch.load(path, weights_only=True) if path.exists() else []
    pairs = [some.split() for some in examples]
    sizes = np.array([len(known.latents) for known, _ in pairs], np.float64)
    for number in range(len(states), _JUDGES):
        torch.manual_seed(30 + number)
        rng = np.random.default_rng(30 + number)
        judge = Judge().to(DEVICE)
        optimizer = torch.optim.AdamW(judge.parameters(), peak, weight_decay=0.05)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = peak * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / steps)
            known, _ = pairs[rng.choice(len(pairs), p=sizes / sizes.sum())]
            rows = torch.from_numpy(rng.integers(0, len(known.latents), batch))
            loss = _loss(judge, known.latents[rows].to(DEVICE), spread, known.words[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step % 200 == 199:
                print(json.dumps({"judge": number, "step": step + 1, "loss": loss.item()}), flush=True)
        judge.eval()
        for noise in (0.0, _NOISE):
            right = _accuracy(judge, [held for _, held in pairs], spread, noise)
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
def _accuracy(judge: Judge, held: Sequence[Examples], spread: Tensor, noise: float) -> list[float]:
    right = list[Tensor]()  # [n, attributes], not a number where nothing is seen
    for some in held:
        x = some.latents[:, 0].to(DEVICE).float() / spread
        said = torch.stack([row.argmax(1) for row in judge(x + noise * torch.randn_like(x))], dim=1)
        right.append(torch.where(some.words == UNSEEN, torch.nan, (said == some.words).float()))
    return [round(float(share), 3) for share in torch.cat(right).nanmean(0)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--pieces", type=Path, default=None, help="learn from these instead")
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    args = parser.parse_args()
    found = read_pieces(args.pieces) if args.pieces else read_renders(args.renders, args.work)
    train(args.steps, *found, args.work / "judges.pt")
