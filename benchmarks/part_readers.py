"""Readers of eyes, mouths, hands and poses, to measure with: networks that no training is judged by.

They are of another kind than the judges of `miniature.parts` (patches and attention, whole faces instead of mouths)
and learn from other renders, half of them as the VAE makes them. What counts as alike or in place is what 99 of 100
held-out renders show. Trained once, in a few minutes, and kept in a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL

from miniature.parts import cut, degrade, find_parts, known_truth
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from miniature.world.faults import NO_EYE, WHOLE, Faults, no_faults, sample_faults
from personas.measures.regions import KEYPOINTS, Regions
from personas.shots import GOODS, POSES, Shot, vary_shots
from pipelines.families.autoencoder import decode_latents, encode_pictures

__all__ = ["PartReaders", "Read"]

Picture = NDArray[np.uint8]
SIDES = {"eye": 24, "face": 48, "hand": 32, "pose": 64}
_OUTPUTS = {"eye": NO_EYE + 1 + 3, "face": 3, "hand": 3, "pose": len(POSES)}
_FACE_EXTENT = 1.2  # head heights that a face's cut-out shows
_SEED = 7_000_000
_TOP, _CHIN = KEYPOINTS.index("head_top"), KEYPOINTS.index("chin")
_ROUNDS = {"eye": 700, "face": 700, "hand": 700, "pose": 500}
_BATCH = 64


class Attentive(nn.Module):
    """Cut-outs [n, 3, s, s] in [-1, 1] -> [n, m]: patches of 4×4, two layers of attention.

    A mouth's slip is the way between the mean places under two maps: where it is, and where it should be.
    """

    def __init__(self, kind: str, width: int = 64) -> None:
        super().__init__()
        patch = 8 if kind == "pose" else 4
        tokens = (SIDES[kind] // patch) ** 2
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.place = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.thin = nn.Linear(width, 16)
        self.where = nn.Linear(width, 2) if kind == "face" else None
        self.out = nn.Linear(16 * tokens, _OUTPUTS[kind])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.layers(self.patches(x).flatten(2).transpose(1, 2) + self.place)
        found: Tensor = self.out(self.thin(tokens).flatten(1))
        if self.where is None:
            return found
        share, side = self.where(tokens).softmax(1), round(tokens.shape[1] ** 0.5)  # [n, t, 2]
        at = (torch.arange(side, device=x.device) + 0.5) / side * _FACE_EXTENT
        places = torch.stack([at.repeat(side), at.repeat_interleave(side)], dim=1)  # [t, 2]
        there, expected = share.transpose(1, 2).matmul(places).unbind(1)
        return torch.cat([there - expected, found[:, 2:]], dim=1)


@dataclass(frozen=True)
class Read:
    """What is seen in n pictures; pairs are the picture's left and right one.

    `whole` bool [n, 2] of eyes, `irises` RGB in [0, 1] [n, 2, 3], `slip` [n] of the mouth in head heights (infinite
    where there is none), `hands` bool [n, 2], five fingers or a grip where the arm ends, `poses` one word each.
    """

    whole: NDArray[np.bool_]
    irises: NDArray[np.float32]
    slip: NDArray[np.float32]
    hands: NDArray[np.bool_]
    poses: tuple[str, ...]

    @property
    def apart(self) -> NDArray[np.float32]:
        """How far the irises of one face are apart, [n]."""
        return np.asarray(np.linalg.norm(self.irises[:, 0] - self.irises[:, 1], axis=1), np.float32)


def cut_all(images: Tensor, points: Tensor) -> dict[str, Tensor]:
    """Cut-outs uint8 [n, k, 3, s, s] of each kind; pictures uint8 [n, h, w, 3], keypoints [n, 20, 3] in pixels."""
    height, width = images.shape[1:3]
    x, places = images.permute(0, 3, 1, 2).float(), find_parts(points, height, width)
    tall = (points[:, _CHIN, 1] - points[:, _TOP, 1]).abs()
    squares = {
        "eye": [(places["eyes"].centre[:, k], places["eyes"].side[:, k]) for k in range(2)],
        "hand": [(places["hands"].centre[:, k], places["hands"].side[:, k]) for k in range(2)],
        "face": [((points[:, _TOP, :2] + points[:, _CHIN, :2]) / 2, _FACE_EXTENT * tall)],
    }
    cuts = {
        kind: torch.stack([cut(x, *square, SIDES[kind]) for square in some], dim=1) for kind, some in squares.items()
    }
    side = SIDES["pose"]
    cuts["pose"] = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)[:, None]
    return {kind: some.round().clamp(0, 255).to(torch.uint8) for kind, some in cuts.items()}


def read_truth(faults: Faults, tint: Tensor, shots: Sequence[Shot]) -> dict[str, Tensor]:
    """Return what readers have to say, per kind [n, k, m]; see `miniature.parts.known_truth`."""
    known = known_truth(faults, tint)
    poses = torch.tensor([float(POSES.index(s.pose)) for s in shots])
    return {"eye": known["eyes"], "face": known["mouth"], "hand": known["hands"], "pose": poses[:, None, None]}


def _draw(
    count: int, seed: int, vae: AutoencoderKL, wrong: bool
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Cut-outs and truth of renders, four a time, every other four through the VAE; what is not seen is left out."""
    identity, _ = people(count, seed)
    shots = vary_shots(count, seed, goods=("nothing",) * 3 + GOODS[1:])
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + count)))
    for i in range(0, count, 4):
        rows = list(range(i, min(i + 4, count)))
        some, who = tuple(shots[r] for r in rows), identity[rows]
        faults = sample_faults(who, torch.Generator().manual_seed(seed + i)) if wrong else no_faults(who)
        drawn = render(World(who, some, scenes.take(rows), seed + i, faults=faults))
        images = drawn.images
        if i % 8 == 0:
            images = torch.from_numpy(decode_latents(vae, encode_pictures(vae, images.numpy())).copy())
        seen = find_parts(drawn.keypoints, *images.shape[1:3])
        arms = torch.tensor([[s.framing != "close-up"] for s in some])
        shown = {"eye": seen["eyes"].seen, "hand": seen["hands"].seen, "face": seen["mouth"].seen, "pose": arms}
        cuts, truth = cut_all(images, drawn.keypoints), read_truth(faults, drawn.tint, some)
        yield {k: cuts[k][shown[k]] for k in SIDES}, {k: truth[k][shown[k]] for k in SIDES}


def _loss(kind: str, said: Tensor, truth: Tensor) -> Tensor:
    if kind == "eye":
        state = truth[:, 0].long()
        colour = (said[:, -3:].sigmoid() - truth[:, 1:]).square().sum(1) * (state < NO_EYE - 1)
        return (F.cross_entropy(said[:, :-3], state, reduction="none") + 8 * colour).mean()
    if kind == "face":
        there = F.binary_cross_entropy_with_logits(said[:, 2], truth[:, 2], reduction="none")
        return (there + 60 * (said[:, :2] - truth[:, :2]).square().sum(1) * truth[:, 2]).mean()
    return F.cross_entropy(said, truth[:, 0].long())


@torch.no_grad()
def _right(kind: str, net: Attentive, cuts: Tensor, truth: Tensor) -> float:
    """How often it is right of cut-outs that it has not seen; a mouth's slip counts as right within .05."""
    said = net.eval()(cuts.float() / 127.5 - 1)
    if kind == "face":
        near = ((said[:, :2] - truth[:, :2]).norm(dim=1) < 0.05) | (truth[:, 2] == 0)
        return float((((said[:, 2] > 0) == (truth[:, 2] > 0)) & near).float().mean())
    states = said[:, :-3] if kind == "eye" else said
    return float((states.argmax(1) == truth[:, 0]).float().mean())


class PartReaders:
    """The trained readers, and what counts as alike and in place."""

    def __init__(self, nets: dict[str, Attentive], apart: float, slip: float) -> None:
        self.nets, self.apart, self.slip = {k: net.eval() for k, net in nets.items()}, apart, slip

    @classmethod
    def trained(cls, path: Path, vae: AutoencoderKL, renders: int = 1600) -> PartReaders:
        """Return those of the file; where there is none, they are trained and the file is written."""
        nets = {kind: Attentive(kind) for kind in SIDES}
        if path.exists():
            stored = torch.load(path, weights_only=True)
            for kind, net in nets.items():
                net.load_state_dict(stored["nets"][kind])
            return cls(nets, stored["apart"], stored["slip"])
        pairs = list(_draw(renders, _SEED, vae, wrong=True))
        for kind in SIDES:
            cuts, truth = (torch.cat([pair[k][kind] for pair in pairs]) for k in (0, 1))
            known = len(cuts) * 9 // 10
            nets[kind] = _train(kind, cuts[:known], truth[:known], max(2, _ROUNDS[kind] * renders // 1600))
            print(f"reader of {kind}: right in {_right(kind, nets[kind], cuts[known:], truth[known:]):.3f}", flush=True)
        readers = cls(nets, 0.0, 0.0)
        readers.calibrate(max(16, renders // 8), vae)
        path.parent.mkdir(parents=True, exist_ok=True)
        states = {kind: net.state_dict() for kind, net in nets.items()}
        torch.save({"nets": states, "apart": readers.apart, "slip": readers.slip}, path)
        return readers

    def calibrate(self, count: int, vae: AutoencoderKL) -> None:
        """Set what 99 of 100 renders without faults show."""
        pairs = list(_draw(count, _SEED + 500_000, vae, wrong=False))
        eyes = [self._say("eye", cuts["eye"]) for cuts, _ in pairs]
        irises = torch.cat(eyes)[:, -3:].sigmoid().view(-1, 2, 3)
        whole = (torch.cat(eyes)[:, :-3].argmax(1) == WHOLE).view(-1, 2).all(1)
        self.apart = float((irises[:, 0] - irises[:, 1]).norm(dim=1)[whole].quantile(0.99))
        slips = torch.cat([self._say("face", cuts["face"]) for cuts, _ in pairs])[:, :2].norm(dim=1)
        self.slip = float(slips.quantile(0.99))

    @torch.no_grad()
    def _say(self, kind: str, cuts: Tensor) -> Tensor:
        net: nn.Module = self.nets[kind]
        said: Tensor = net(cuts.float() / 127.5 - 1)
        return said

    def read(self, pictures: Sequence[Picture], regions: Sequence[Regions]) -> Read:
        """Read pictures of one size; `regions` say where everything is."""
        images = torch.from_numpy(np.stack(pictures))
        points = torch.from_numpy(np.stack([r.keypoints for r in regions]))
        cuts = cut_all(images, points)
        said = {k: self._say(k, some.flatten(0, 1)).view(len(images), some.shape[1], -1) for k, some in cuts.items()}
        mouth = said["face"][:, 0]
        slip = torch.where(mouth[:, 2] > 0, mouth[:, :2].norm(dim=1), torch.inf)
        return Read(
            (said["eye"][..., :-3].argmax(2) == WHOLE).numpy(), said["eye"][..., -3:].sigmoid().numpy(), slip.numpy(),
            (said["hand"].argmax(2) == 0).numpy(), tuple(POSES[int(k)] for k in said["pose"][:, 0].argmax(1)),
        )  # fmt: skip


def _train(kind: str, cuts: Tensor, truth: Tensor, rounds: int) -> Attentive:
    torch.manual_seed(70)
    net = Attentive(kind)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    for step in range(rounds):
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / rounds)
        rows = torch.randint(0, len(cuts), (_BATCH,))
        loss = _loss(kind, net(degrade(cuts[rows].float() / 127.5 - 1)), truth[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net
