"""Training of the finishing network on pairs; resumes from its checkpoint.

Loss: errors in pixels and in gradients, which count more on eyes, mouths and hands; the recogniser must see the same
person as in the small picture; and colours must stay: it sharpens, it does not redraw.
"""

from __future__ import annotations

import json
import math
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from miniature.faces.crops import Recogniser, crop_boxes, crop_maps
from miniature.finishing.pairs import HEIGHT, SCALE, SIDE, WAYS, WIDTH, WINDOWS, Pairs, Picture
from miniature.parts import find_parts
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from pipelines.finishing.network import FinishingNet, NetShape, enlarge_smoothly

SHAPE = NetShape((32, 64, 96), (2, 2, 3), SCALE)
HELD_OUT = 16
"""Pairs at the end that are only measured on."""
_HOW_OFTEN = (0.45, 0.3, 0.2, 0.05)  # of WAYS: where the base moves an edge, its true place cannot be told
_BLURS_PX = (0.3, 1.6)  # of what was only reduced: a blurred edge is where it was, and learnt to be sharp there
_WHERE = (0.4, 0.25, 0.35)  # of WINDOWS
_CROP, _COUNT = 40, 10
_FACE_COUNT = 3
_PARTS = {"eyes": 4.0, "mouth": 4.0, "hands": 2.0}  # what they weigh on top of 1
_LONGEST_STEP_S = 30.0  # a training that was held up has not learnt meanwhile
_BETAS = (0.1, 0.01)  # at the beginning and at the end: the last edges are learnt by their absolute errors
_COLOURS_PX = 4  # drawn pixels over which a mean colour is kept
_SAVE_EVERY_S = 120
_LOG_EVERY = 25


@dataclass(frozen=True)
class Crops:
    """`small` [n, 3, s, s] and `large` [n, 3, 6s, 6s] in [0, 1], `weight` [n, 1, 6s, 6s]; `maps` [m, 2, 3] from the
    recogniser's crop to the small pictures `faces` [m], those that hold a whole face."""

    small: Tensor
    large: Tensor
    weight: Tensor
    faces: Tensor
    maps: Tensor


class Cutter:
    """Random crops of windows, and whole windows of faces."""

    def __init__(self, pairs: Pairs, count: int) -> None:
        self.pairs, self.count = pairs, count
        self.places = find_parts(torch.from_numpy(pairs.points), HEIGHT, WIDTH)
        first, last = crop_boxes(pairs.points[:, :5, :2])
        corner = pairs.corners[:, 0]
        self.whole = np.asarray(np.all((first >= corner) & (last <= corner + SIDE), axis=1))

    def draw(self, faces: bool, rng: np.random.Generator) -> Crops:
        side, count = (SIDE, _FACE_COUNT) if faces else (_CROP, _COUNT)
        rows, ways = rng.integers(0, self.count, count), rng.choice(len(WAYS), count, p=_HOW_OFTEN)
        windows = np.zeros(count, np.int64) if faces else rng.choice(len(WINDOWS), count, p=_WHERE)
        offsets = rng.integers(0, SIDE - side + 1, (count, 2))
        small, large, weight = list[Picture](), list[Picture](), list[Tensor]()
        for row, window, way, (x, y) in zip(rows, windows, ways, offsets, strict=True):
            part = self.pairs.small[row, window, way, y : y + side, x : x + side]
            small.append(part if way or faces else cv2.GaussianBlur(part, (0, 0), rng.uniform(*_BLURS_PX)))
            box = np.s_[y * SCALE : (y + side) * SCALE, x * SCALE : (x + side) * SCALE]
            large.append(self.pairs.large[row, window][box])
            left, top = self.pairs.corners[row, window] + (x, y)
            weight.append(self.weigh(int(row), int(left), int(top), side))
        x_small, x_large = (_to_tensor(np.stack(some)) for some in (small, large))
        w = torch.stack(weight)[:, None].to(DEVICE)
        if not faces:
            if rng.random() < 0.5:
                x_small, x_large, w = x_small.flip(3), x_large.flip(3), w.flip(3)
            return Crops(x_small, x_large, w, torch.zeros(0, dtype=torch.long), torch.zeros(0, 2, 3))
        held = np.flatnonzero(self.whole[rows])
        five, corners = self.pairs.points[rows[held], :5, :2], self.pairs.corners[rows[held], 0]
        maps = crop_maps(five, corners, side, side, rng) if len(held) else torch.zeros(0, 2, 3)
        return Crops(x_small, x_large, w, torch.from_numpy(held).to(DEVICE), maps)

    def weigh(self, row: int, left: int, top: int, side: int) -> Tensor:
        """Return what the large pixels of a window weigh, [6s, 6s]; it begins at (left, top) and is `side` drawn pixels."""
        at = (torch.arange(side * SCALE, dtype=torch.float32) + 0.5) / SCALE
        xs, ys = left + at[None, :], top + at[:, None]
        weight = torch.ones(side * SCALE, side * SCALE)
        for kind, more in _PARTS.items():
            place = self.places[kind]
            for k in range(place.side.shape[1]):
                reach = float(place.side[row, k]) / 2
                far = ((xs - place.centre[row, k, 0]) ** 2 + (ys - place.centre[row, k, 1]) ** 2) / reach**2
                weight = torch.maximum(weight, 1 + more * (1.5 - far).clamp(0, 1))
        return weight


def _to_tensor(pictures: Picture) -> Tensor:
    x = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).to(DEVICE).float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def pixel_losses(y: Tensor, x: Tensor, weight: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """How far pictures y are from x [n, 3, h, w], in pixels and in gradients over one and two pixels: absolute errors,
    squared ones under `beta`.

    Nearly all pixels are flat and nearly right: by absolute errors alone these would pull as hard as the few edges that
    there is something to learn from.
    """
    off = y - x
    error = (_huber(off, beta) * weight).mean()
    edges = torch.zeros((), device=y.device)
    for step in (1, 2):
        for dim in (2, 3):
            length = off.shape[dim] - step
            change = off.narrow(dim, step, length) - off.narrow(dim, 0, length)
            edges = edges + (_huber(change, beta) * weight.narrow(dim, 0, length)).mean() / step
    return error, edges


def _huber(off: Tensor, beta: float) -> Tensor:
    return F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none", beta=beta)


class Losses:
    """Hold what a step is judged by."""

    def __init__(self, pack: Path, identity: float, edges: float, kept: float) -> None:
        self.recogniser = Recogniser(pack)
        self.weights = {"pixels": 1.0, "edges": edges, "kept": kept, "who": identity}

    def __call__(self, y: Tensor, crops: Crops, beta: float) -> dict[str, Tensor]:
        """Each loss with its weight; y [n, 3, 6s, 6s], `beta` as in `pixel_losses`."""
        error, edges = pixel_losses(y, crops.large, crops.weight, beta)
        again = F.avg_pool2d(y, SCALE)
        far = F.avg_pool2d(again, _COLOURS_PX) - F.avg_pool2d(crops.small, _COLOURS_PX)
        found = {"pixels": error, "edges": edges, "kept": far.abs().mean()}
        if len(crops.faces):
            with torch.no_grad():
                was = self.recogniser.embed(crops.small[crops.faces] * 2 - 1, crops.maps)
            found["who"] = 1 - (self.recogniser.embed(again[crops.faces] * 2 - 1, crops.maps) * was).sum(1).mean()
        return {name: self.weights[name] * loss for name, loss in found.items()}


def train(pairs: Pairs, out: Path, minutes: float, losses: Losses, peak: float = 1e-3) -> FinishingNet:
    """Train until `minutes` have been spent across resumes; prints losses and held-out numbers; SIGTERM saves first."""
    torch.manual_seed(7)
    net = FinishingNet(SHAPE).to(DEVICE)
    average = Average(net, 0.995)
    optimizer = Both(net, lambda name, p: False, peak)  # Adam alone: small convolutions learn faster by it
    path, stop, seen = out / "checkpoint.pt", list[int](), list[dict[str, float]]()
    step, spent, log = load_checkpoint(path, net, average, optimizer)
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    cutter, saved = Cutter(pairs, pairs.count - HELD_OUT), time.time()
    while spent < minutes * 60 and not stop:
        begin = time.time()
        rng = np.random.default_rng(step)
        progress = spent / (minutes * 60)
        optimizer.rate(peak * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))))
        crops = cutter.draw(step % 4 == 3, rng)
        with autocast():
            y = net(crops.small)
        found = losses(y.float(), crops, _BETAS[0] + progress * (_BETAS[1] - _BETAS[0]))
        optimizer.zero_grad()
        torch.stack(list(found.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update(net)
        step, spent = step + 1, spent + min(time.time() - begin, _LONGEST_STEP_S)
        seen.append({name: float(loss.detach()) for name, loss in found.items()})
        if step % _LOG_EVERY == 0:
            told = {n: [s[n] for s in seen if n in s] for n in losses.weights}
            means = {n: round(float(np.mean(values)), 5) for n, values in told.items() if values}
            log.append({"step": step, "minutes": round(spent / 60, 2)} | means)
            print(json.dumps(log[-1]), flush=True)
            seen = []
        if time.time() > saved + _SAVE_EVERY_S:
            save_checkpoint(path, net, average, optimizer, step, spent, log)
            saved = time.time()
    save_checkpoint(path, net, average, optimizer, step, spent, log)
    net.load_state_dict(average.state)
    return net.eval()


@torch.no_grad()
def held_out(net: FinishingNet, pairs: Pairs, count: int = HELD_OUT) -> dict[str, float]:
    """PSNR in dB of the last pairs' windows, all and on eyes, mouths and hands, by way; beside that of a smooth
    enlargement.
    """
    rows, cutter, found = (
        range(max(0, pairs.count - count), pairs.count),
        Cutter(pairs, pairs.count),
        dict[str, float](),
    )
    for way in range(len(WAYS)):
        wrong: dict[str, list[float]] = {"": [], "_smooth": [], "_parts": [], "_parts_smooth": []}
        for row in rows:
            x, truth = _to_tensor(pairs.small[row, :, way]), _to_tensor(pairs.large[row])
            corners = pairs.corners[row].tolist()
            part = torch.stack([cutter.weigh(row, left, top, SIDE) for left, top in corners]) > 1
            for end, y in (("", net(x).float().clamp(0, 1)), ("_smooth", enlarge_smoothly(x, SCALE))):
                off = (y - truth).square().mean(dim=1)
                wrong[end].append(float(off.mean()))
                wrong["_parts" + end].append(float(off[part].mean()))
        name = f"psnr {WAYS[way]}"
        found |= {name + end: round(-10 * math.log10(max(float(np.mean(mse)), 1e-9)), 2) for end, mse in wrong.items()}
    return found
