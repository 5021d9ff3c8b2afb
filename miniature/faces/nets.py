"""The networks. Small, plain, exported to ONNX in the shapes that insightface and the studio's reader expect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from personas.measures.regions import ATTRIBUTES, KEYPOINTS, LABELS

EMBEDDING_DIM = 128
HAIR_DIM = 32
STRIDES = (8, 16, 32)
ANCHORS = 2


def conv(into: int, out: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, size, stride, size // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Halve the sides, then one residual pair."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.down = conv(into, out, 2)
        self.body = nn.Sequential(conv(out, out), nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        return F.relu(x + self.body(x))


class ConvRecogniser(nn.Module):
    """Aligned face [n, 3, 112, 112] in [-1, 1] -> embedding [n, 128]; a small residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 24, 2), Residual(24, 48), Residual(48, 96), Residual(96, 128))
        self.pool = nn.Conv2d(128, 256, 7, groups=128, bias=False)  # a learned weight per place, as in MobileFaceNet
        self.out = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256), nn.Linear(256, EMBEDDING_DIM))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.pool(self.features(x)))


class PatchRecogniser(nn.Module):
    """The same task for another mind: a small vision transformer on 14×14 patches."""

    def __init__(self, width: int = 128, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 14, 14)
        self.place = nn.Parameter(torch.randn(1, 64, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.ModuleDict({
                "norm1": nn.LayerNorm(width), "qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width),
                "norm2": nn.LayerNorm(width), "up": nn.Linear(width, 3 * width), "down": nn.Linear(3 * width, width),
            })
            for _ in range(depth)
        )  # fmt: skip
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(64 * 16, EMBEDDING_DIM)
        self.thin = nn.Linear(width, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        n, t, c = x.shape
        for layer in cast(Iterable[nn.ModuleDict], self.layers):
            q, k, v = layer["qkv"](layer["norm1"](x)).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
            attention = ((q @ k.transpose(-1, -2)) * (c // self.heads) ** -0.5).softmax(-1)
            x = x + layer["proj"]((attention @ v).transpose(1, 2).reshape(n, t, c))
            x = x + layer["down"](F.gelu(layer["up"](layer["norm2"](x))))
        return self.out(self.thin(self.norm(x)).flatten(1))


class Detector(nn.Module):
    """SCRFD's outputs (arXiv 2105.04714): per stride scores [k, 1], boxes [k, 4], landmarks [k, 10], in strides.

    Input [1, 3, h, w] = (RGB - 127.5) / 128, sides multiples of 32; k = h/stride · w/stride · 2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 2), conv(16, 24, 2))
        self.stages = nn.ModuleList([Residual(24, 48), Residual(48, 64), Residual(64, 64)])
        self.lateral = nn.ModuleList([nn.Conv2d(c, 48, 1) for c in (48, 64, 64)])
        self.head = nn.ModuleList([nn.Sequential(conv(48, 48), conv(48, 48)) for _ in STRIDES])
        self.score = nn.ModuleList([nn.Conv2d(48, ANCHORS, 1) for _ in STRIDES])
        self.box = nn.ModuleList([nn.Conv2d(48, ANCHORS * 4, 1) for _ in STRIDES])
        self.landmarks = nn.ModuleList([nn.Conv2d(48, ANCHORS * 10, 1) for _ in STRIDES])
        for layer in self.score:
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.constant_(layer.bias, -4.0)

    def maps(self, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Per stride: score logits [n, h·w·2, 1], boxes [n, h·w·2, 4], landmarks [n, h·w·2, 10]."""
        x = self.stem(x)
        levels = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        for i in (1, 0):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], scale_factor=2.0)
        rows = []
        for i, level in enumerate(levels):
            h = self.head[i](level)
            rows.append((
                _rows(self.score[i](h), 1), F.softplus(_rows(self.box[i](h), 4)), _rows(self.landmarks[i](h), 10)
            ))  # fmt: skip
        return rows

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        rows = self.maps(x)
        parts = [[torch.sigmoid(s), b, k] for s, b, k in rows]
        return tuple(parts[level][kind][0] for kind in range(3) for level in range(3))


def _rows(x: Tensor, size: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, size)


class Closer(nn.Module):
    """A closer look at one spot of a picture: a square cut out at full sharpness -> features [n, 128]."""

    SIDE = 64

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 24, 2), Residual(24, 48), Residual(48, 96), conv(96, 24, size=1))
        self.out = nn.Sequential(nn.Flatten(), nn.Linear(24 * (self.SIDE // 8) ** 2, 128), nn.ReLU())

    def forward(self, x: Tensor, centre: Tensor, side: Tensor) -> Tensor:
        """x [n, 3, h, w]; centre [n, 2] as (x, y) in [0, 1] of width and height; side [n] in heights."""
        height, width = x.shape[2:]
        at = torch.linspace(-0.5, 0.5, self.SIDE, device=x.device, dtype=x.dtype)
        ys, xs = at.view(1, -1, 1), at.view(1, 1, -1)
        side = side.view(-1, 1, 1)
        gx = centre[:, 0].view(-1, 1, 1) + xs * side * (height / width) + 0 * ys
        gy = centre[:, 1].view(-1, 1, 1) + ys * side + 0 * xs
        cut = F.grid_sample(x, torch.stack([gx, gy], dim=-1) * 2 - 1, align_corners=False, padding_mode="border")
        return cast(Tensor, self.out(self.features(cut * 2 - 1)))


class Reader(nn.Module):
    """Regions, keypoints, attributes and a hair embedding of a picture [n, 3, 256, 192] in [0, 1].

    It first finds the body, then looks closer at the head, which says view and expression, and at the hand that may
    hold something: both are a few pixels wide in a whole-body picture.
    """

    TOP, CHIN, HAND = (KEYPOINTS.index(name) for name in ("head_top", "chin", "hand_left"))

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16, 2)
        self.stages = nn.ModuleList([Residual(16, 48), Residual(48, 80), Residual(80, 128)])
        self.up = nn.ModuleList([conv(128 + 80, 64), conv(64 + 48, 48), conv(48 + 16, 24)])
        self.labels = nn.Conv2d(24, len(LABELS), 1)
        self.heat = nn.Conv2d(48, len(KEYPOINTS), 1)
        self.seen = nn.Linear(128, len(KEYPOINTS))
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(16 * 16 * 12, 192), nn.ReLU())
        self.thin = conv(128, 16, size=1)
        self.cloth = nn.Sequential(nn.Linear(48 * 2 + 3, 96), nn.ReLU())
        self.head, self.hand = Closer(), Closer()
        self.heads = nn.ModuleDict({name: nn.Linear(192 + 96 + 256, len(words)) for name, words in ATTRIBUTES.items()})
        self.hair = nn.Sequential(nn.Linear(48 * 2 + 3, 128), nn.ReLU(), nn.Linear(128, HAIR_DIM))

    def forward(self, x: Tensor, points: Tensor | None = None) -> dict[str, Tensor]:
        """`points` [n, k, 3] say where to look closer, in training; else the keypoints that were found do."""
        small = F.interpolate(x, size=(64, 48), mode="bilinear")
        levels = [self.stem(x * 2 - 1)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        y = levels[3]
        up = []
        for block, skip in zip(self.up, levels[2::-1], strict=True):
            y = block(torch.cat([F.interpolate(y, scale_factor=2.0), skip], dim=1))
            up.append(y)
        labels = self.labels(up[2])
        places, _ = self._keypoints(self.heat(up[1]))
        seen = torch.sigmoid(self.seen(levels[3].mean((2, 3))))[..., None]
        share = F.interpolate(labels.softmax(1), size=(64, 48), mode="bilinear")
        features = torch.cat([up[1], levels[1]], dim=1)
        trunk = self.trunk(self.thin(levels[3]))
        cloth = self.cloth(_pool(features, small, share[:, LABELS.index("clothes")]))
        found = torch.cat([places, seen], dim=2)
        head, hand = self._closer_looks(x, (found if points is None else points).detach().to(x.dtype))
        joint = torch.cat([trunk, cloth, head, hand], dim=1)
        hair = F.normalize(self.hair(_pool(features, small, share[:, LABELS.index("hair")])), dim=1)
        out = {"labels": labels, "keypoints": found, "hair_embedding": hair}
        return out | {name: decide(joint) for name, decide in self.heads.items()}

    def _closer_looks(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """At the head and at the hand; a hand outside the picture would be where goods are held up in a close-up."""
        top, chin, hand = points[:, self.TOP, :2], points[:, self.CHIN, :2], points[:, self.HAND]
        tall = (chin[:, 1] - top[:, 1]).abs().clamp(min=0.05)
        middle = (top + chin) / 2
        beside = middle + torch.stack([-0.66 * tall * (x.shape[2] / x.shape[3]), tall], dim=1)
        there = (hand[:, 2:] > 0.5).to(x.dtype)
        centre = there * hand[:, :2] + (1 - there) * beside
        return self.head(x, middle, 1.4 * tall), self.hand(x, centre, 2.2 * tall)

    @staticmethod
    def _keypoints(heat: Tensor) -> tuple[Tensor, Tensor]:
        """The mean place under each heat map, in [0, 1] of width and height: [n, k, 2]."""
        n, k, h, w = heat.shape
        p = heat.flatten(2).softmax(-1).view(n, k, h, w)
        xs = (torch.arange(w, dtype=heat.dtype, device=heat.device) + 0.5) / w
        ys = (torch.arange(h, dtype=heat.dtype, device=heat.device) + 0.5) / h
        return torch.stack([(p.sum(2) * xs).sum(-1), (p.sum(3) * ys).sum(-1)], dim=-1), p


def _pool(features: Tensor, colours: Tensor, share: Tensor) -> Tensor:
    """The mean of features [n, c, h, w] and colours under a soft mask [n, h, w]."""
    weight = share[:, None] + 1e-4
    total = weight.sum((2, 3))
    return torch.cat([(features * weight).sum((2, 3)) / total, (colours * weight).sum((2, 3)) / total], dim=1)
