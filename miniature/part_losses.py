"""What the base's guesses of clean pictures show of faces and hands, as losses.

Windows around faces and hands are decoded, and everything there is asked at once: the recogniser says who it is;
the judges of `miniature.parts` must say of eyes, mouths and hands what they say of the training picture's own; both irises
must be of one colour; and the pixels themselves must be near, each part on the scale of its cut-out, so that an eye
of three pixels counts as much as one of thirty. Nearly pure noise shows nothing yet, so all weigh `1 - σ` or less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from miniature.faces.crops import Recogniser, crop_boxes, crop_maps
from miniature.parts import SIDES, Places, cut, load_judges
from miniature.training import DEVICE, autocast
from miniature.vae import CELL
from miniature.world.faults import WHOLE

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

WINDOWS = (6, 8, 10, 14, 24)  # cells that are decoded, each way
_WEIGHTS = {"who": 3.0, "eyes": 1.0, "alike": 6.0, "mouth": 1.0, "hands": 1.0, "pixels": 3.0}
_NOISE = 0.1  # the most that cut-outs are blurred by in front of the judges, so that nothing learns to fool them
_LEAST = 0.15  # samples that weigh less are not decoded


@dataclass(frozen=True)
class Shown:
    """What n training pictures show.

    `points` float32 [n, 20, 3] in pixels, `places` and `cuts` (uint8 [n, k, 3, s, s]) of the parts by kind, `who`
    [n, 128] unit embeddings; `weight` [n] of parts, `known` [n] of faces: 0 leaves a sample out.
    """

    points: Tensor
    places: dict[str, Places]
    cuts: dict[str, Tensor]
    who: Tensor
    weight: Tensor
    known: Tensor


@dataclass(frozen=True)
class Window:
    """Pixels [m, 3, h, w] of some samples, `rows` of the batch [m], from `corner` [m, 2] (x, y) of the picture on."""

    rows: Tensor
    corner: Tensor
    pixels: Tensor


class PartLosses:
    """Decoder, recogniser and judges, all frozen."""

    def __init__(self, parts: Path, vae: AutoencoderKL, pack: Path, most: int) -> None:
        """`most` faces and as many hands are decoded of a batch; where `parts` is not there yet, pixels are compared."""
        self.judges = load_judges(parts) if parts.exists() else []
        self.recogniser, self.most = Recogniser(pack), most
        self.decoder = vae.decoder.to(DEVICE, memory_format=torch.channels_last).requires_grad_(False)

    def __call__(self, latents: Tensor, shown: Shown, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return each loss, already weighted; latents [n, 32, h, w] as the decoder takes them."""
        totals = {name: torch.zeros((), device=latents.device) for name in _WEIGHTS}
        faces = self._chosen(shown.weight)
        for window in self._decode(latents, faces, *_face_boxes(shown, faces)):
            self._add_face(totals, window, shown, rng)
        seen = shown.places["hands"].seen.to(shown.weight.device)
        chosen = self._chosen((seen * shown.weight[:, None]).flatten())
        owners, which = chosen // 2, chosen % 2
        at = shown.places["hands"]
        centre, half = at.centre[owners.cpu(), which.cpu()].numpy(), at.side[owners.cpu(), which.cpu()].numpy() / 2
        first, last = centre - half[:, None], centre + half[:, None]
        for number, window in self._decode_numbered(latents, owners, first, last):
            self._add_hands(totals, window, which[number], shown)
        return {name: _WEIGHTS[name] * total / max(len(latents), 1) for name, total in totals.items()}

    def embed_faces(
        self, latents: Tensor, points: Tensor, rows: Tensor, rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows [m] of a batch and the unit embeddings [m, 128] of their decoded faces; points [n, 20, 3]."""
        five = points[:, :5, :2].numpy()
        first, last = crop_boxes(five[rows.cpu().numpy()]) if len(rows) else (np.zeros((0, 2)), np.zeros((0, 2)))
        for window in self._decode(latents, rows, first, last):
            own, (height, width) = five[window.rows.cpu().numpy()], window.pixels.shape[2:]
            maps = crop_maps(own, window.corner.numpy(), height, width, rng)
            yield window.rows, self.recogniser.embed(window.pixels, maps)

    def _chosen(self, weight: Tensor) -> Tensor:
        """Up to `most` of the samples that weigh enough, at random."""
        able = torch.nonzero(weight > _LEAST)[:, 0]
        return able[torch.randperm(len(able), device=able.device)[: self.most]]

    def _decode(
        self, latents: Tensor, rows: Tensor, first: NDArray[np.float64], last: NDArray[np.float64]
    ) -> Iterator[Window]:
        for _, window in self._decode_numbered(latents, rows, first, last):
            yield window

    def _decode_numbered(
        self, latents: Tensor, rows: Tensor, first: NDArray[np.float64], last: NDArray[np.float64]
    ) -> Iterator[tuple[Tensor, Window]]:
        """Windows around boxes from `first` to `last` [m, 2] in pixels; those of one size are decoded together."""
        high, across = latents.shape[2:]
        extent = np.maximum((last - first).max(axis=1), 0) / CELL if len(rows) else np.zeros(0)
        sides = np.array([next((w for w in WINDOWS if e <= w - 1), WINDOWS[-1]) for e in extent], np.int64)
        for side in np.unique(sides):
            some = np.flatnonzero(sides == side)
            h, w = min(int(side), high), min(int(side), across)
            middle = (first[some] + last[some]) / 2 / CELL
            corner = np.clip(np.round(middle - np.array([w, h]) / 2).astype(np.int64), 0, [across - w, high - h])
            owners = rows[torch.from_numpy(some)]
            cells = torch.stack([
                latents[int(k), :, y : y + h, x : x + w] for k, (x, y) in zip(owners, corner, strict=True)
            ])  # fmt: skip
            with autocast():
                pixels = self.decoder(cells.contiguous(memory_format=torch.channels_last)).float()
            yield torch.from_numpy(some), Window(owners, torch.from_numpy(corner * CELL), pixels)

    def _add_face(self, totals: dict[str, Tensor], window: Window, shown: Shown, rng: np.random.Generator) -> None:
        rows, pixels = window.rows, window.pixels
        weight, known = shown.weight[rows], shown.known[rows]
        five = shown.points[rows.cpu(), :5, :2].numpy()
        maps = crop_maps(five, window.corner.numpy(), pixels.shape[2], pixels.shape[3], rng)
        cosine = (self.recogniser.embed(pixels, maps) * shown.who[rows]).sum(dim=1)
        totals["who"] = totals["who"] + ((1 - cosine) * known).sum()
        eyes = [self._compare(totals, "eyes", window, k, shown, weight) for k in range(2)]
        for (left, left_truth), (right, right_truth) in zip(*eyes, strict=True):
            both = left_truth.softmax(1)[:, WHOLE] * right_truth.softmax(1)[:, WHOLE]
            apart = (left[:, -3:].sigmoid() - right[:, -3:].sigmoid()).square().sum(1)
            totals["alike"] = totals["alike"] + (apart * both * weight).sum() / len(self.judges)
        self._compare(totals, "mouth", window, torch.zeros_like(rows), shown, weight)

    def _add_hands(self, totals: dict[str, Tensor], window: Window, which: Tensor, shown: Shown) -> None:
        self._compare(totals, "hands", window, which, shown, shown.weight[window.rows])

    def _compare(
        self, totals: dict[str, Tensor], kind: str, window: Window, which: int | Tensor, shown: Shown, weight: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Add how far one part of each window's sample is from the training picture's; what each judge said of both."""
        rows = window.rows.cpu()
        which = which.cpu() if isinstance(which, Tensor) else which
        at = shown.places[kind]
        centre = (at.centre[rows, which] - window.corner).float().to(DEVICE)
        drawn = cut(window.pixels, centre, at.side[rows, which].to(DEVICE), SIDES[kind])
        truth = shown.cuts[kind][rows, which].to(DEVICE).float() / 127.5 - 1
        far = (drawn - truth).abs().mean(dim=(1, 2, 3))
        totals["pixels"] = totals["pixels"] + (far * weight).sum()
        noise = _NOISE * torch.rand(len(drawn), 1, 1, 1, device=DEVICE) * torch.randn_like(drawn)
        said = []
        for judge in self.judges:
            with torch.no_grad():
                expected = judge[kind](truth)
            heard = judge[kind](drawn + noise)
            wrong = disagreement(kind, heard, expected)
            totals[kind] = totals[kind] + (wrong * weight).sum() / len(self.judges)
            said.append((heard, expected))
        return said


def _face_boxes(shown: Shown, rows: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last corner of what recogniser and judges look at, (x, y) [m, 2] each in pixels."""
    some = rows.cpu()
    if not len(some):
        return np.zeros((0, 2)), np.zeros((0, 2))
    first, last = crop_boxes(shown.points[some, :5, :2].numpy())
    mouth = shown.places["mouth"].of(some)
    half = mouth.side[:, 0, None].numpy() / 2
    centre = mouth.centre[:, 0].numpy()
    return np.minimum(first, centre - half), np.maximum(last, centre + half)


def disagreement(kind: str, said: Tensor, expected: Tensor) -> Tensor:
    """How far what a judge says of a guess [n, m] is from what it says of the truth, [n]; see `PartJudge`."""
    if kind == "eyes":
        share = expected[:, :-3].softmax(1)
        state = F.cross_entropy(said[:, :-3], share, reduction="none")
        return state + 8 * (said[:, -3:].sigmoid() - expected[:, -3:].sigmoid()).square().sum(1) * share[:, WHOLE]
    if kind == "mouth":
        there = expected[:, 2].sigmoid()
        slip = (said[:, :2] - expected[:, :2]).square().sum(1)
        return F.binary_cross_entropy_with_logits(said[:, 2], there, reduction="none") + 60 * slip * there
    return F.cross_entropy(said, expected.softmax(1), reduction="none")
