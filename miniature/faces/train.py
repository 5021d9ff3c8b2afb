"""Train one of the miniature's eyes: `python -m miniature.faces.train recogniser|second|detector|reader`.

Everything learns from the cached renders (`miniature.renders`); the last tenth of the people is held out. Each run
ends by exporting to ONNX; `python -m miniature.faces.calibrate` then measures the face packs on people never seen.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from insightface.utils import face_align
from numpy.typing import NDArray
from torch import Tensor, nn

from miniature.faces.crops import CROP
from miniature.faces.halve import halve
from miniature.faces.nets import ANCHORS, EMBEDDING_DIM, STRIDES, ConvRecogniser, Detector, PatchRecogniser, Reader
from miniature.renders import FOLDER, SHOTS_PER_PERSON
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from miniature.vae import trained
from personas.measures.regions import ATTRIBUTES, HEIGHT, KEYPOINTS, LABELS, WIDTH

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

FACE = LABELS.index("face")
_CANVAS = 256
_MARGIN = 8


class Renders:
    """The cached set, without the held-out people."""

    def __init__(self, folder: Path) -> None:
        done = int((folder / "done.txt").read_text())
        self.count = done * 9 // 10 // SHOTS_PER_PERSON * SHOTS_PER_PERSON
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy", mmap_mode="r")
        self.keypoints = np.load(folder / "keypoints.npy", mmap_mode="r")
        self.identity = np.load(folder / "identity.npy")
        self.vectors = torch.from_numpy(np.load(folder / "identity_vectors.npy"))
        self.facts = json.loads((folder / "attributes.json").read_text())


def run(
    name: str, net: nn.Module, extra: nn.Module, minutes: float, peak: float, out: Path,
    loss_of: Callable[[nn.Module, nn.Module, np.random.Generator], Tensor],
) -> nn.Module:  # fmt: skip
    """The loop all four share: Muon and AdamW, warm-up, linear decay, an average of the weights, checkpoints."""
    torch.manual_seed(3)
    both = nn.ModuleDict({"net": net, "extra": extra}).to(DEVICE)
    average = Average(both, 0.99)
    optimizer = Both(both, lambda n, p: p.ndim in (2, 4) and n.startswith("net.") and min(p.shape[:2]) >= 16, peak)
    path = out / f"{name}.pt"
    step, spent, log = load_checkpoint(path, both, average, optimizer)
    begin = time.time() - spent
    both.train()
    while (spent := time.time() - begin) < minutes * 60:
        optimizer.rate(peak * min(1.0, (step + 1) / 30) * max(0.02, 1 - spent / (minutes * 60)))
        torch.manual_seed(step)
        loss = loss_of(net, extra, np.random.default_rng(step))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(both.parameters(), 5.0)
        optimizer.step()
        average.update(both)
        step += 1
        if step % 25 == 0:
            log.append({"step": step, "loss": loss.item(), "minutes": spent / 60})
            print(json.dumps(log[-1]), flush=True)
        if step % 200 == 0:
            save_checkpoint(path, both, average, optimizer, step, spent, log)
    save_checkpoint(path, both, average, optimizer, step, spent, log)
    both.load_state_dict(average.state)
    return net.eval().cpu()


# Recognisers


def aligned_crops(renders: Renders, cache: Path, vae: AutoencoderKL) -> NDArray[np.uint8]:
    """Faces aligned as insightface does, with a margin for jitter: uint8 [n, 2, 128, 128, 3] RGB, computed once.

    The second of each is what the `vae` makes of the picture.
    """
    if cache.exists():
        crops: NDArray[np.uint8] = np.load(cache, mmap_mode="r")
        if len(crops) >= renders.count:
            return crops
    side = CROP + 2 * _MARGIN
    crops = np.empty((renders.count, 2, side, side, 3), np.uint8)
    for i in range(0, renders.count, 16):
        images = np.ascontiguousarray(renders.images[i : min(i + 16, renders.count)])
        for row, pair in enumerate(zip(images, _through(vae, images), strict=True), i):
            matrix = face_align.estimate_norm(renders.keypoints[row, :5, :2].astype(np.float32), CROP)
            matrix[:, 2] += _MARGIN
            for k, image in enumerate(pair):
                crops[row, k] = cv2.warpAffine(image, matrix, (side, side))
    np.save(cache, crops)
    return crops


@torch.no_grad()
def _through(vae: AutoencoderKL, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [n, h, w, 3], encoded and decoded."""
    x = torch.from_numpy(images).to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1
    with autocast():
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample
    back: NDArray[np.uint8] = (
        ((y.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    )
    return back


def _degrade(x: Tensor, rng: np.random.Generator) -> Tensor:
    """What drawing does to faces: less detail, other light, a little noise, an imprecise alignment. x [n, 3, h, w]."""
    n = len(x)
    like: dict[str, Any] = {"device": x.device}
    angle = torch.randn(n, **like) * 0.05
    size = 1 + torch.randn(n, **like) * 0.05
    theta = torch.zeros(n, 2, 3, **like)
    theta[:, 0, 0], theta[:, 0, 1] = size * torch.cos(angle), -size * torch.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = size * torch.sin(angle), size * torch.cos(angle)
    theta[:, :, 2] = torch.randn(n, 2, **like) * 0.03
    theta[:, :, :2] *= CROP / x.shape[-1]
    x = F.grid_sample(x, F.affine_grid(theta, [n, 3, CROP, CROP], align_corners=False), align_corners=False,
                      padding_mode="border")  # fmt: skip
    coarse = int(rng.integers(22, CROP + 1))
    for half in (slice(0, n // 2), slice(n // 2, n)):
        if rng.random() < 0.7:
            coarse = int(rng.integers(22, CROP + 1))
            low = F.interpolate(x[half], size=(coarse, coarse), mode="bilinear", antialias=True)
            x = torch.cat([x[: half.start], F.interpolate(low, size=(CROP, CROP), mode="bilinear"), x[half.stop :]])
    x = x * (1 + torch.randn(n, 3, 1, 1, **like) * 0.06) + torch.randn(n, 1, 1, 1, **like) * 0.06
    return (x + torch.randn_like(x) * 0.03 * torch.rand(n, 1, 1, 1, **like)).clamp(-1, 1)


def train_recogniser(
    net: nn.Module, name: str, renders: Renders, vae: AutoencoderKL, minutes: float, out: Path, batch: int = 64
) -> nn.Module:
    """CosFace over the people (arXiv 1801.09414, s 24, m .25), plus the traits by linear regression.

    The second task keeps the embedding smooth in who somebody is: people vary continuously, and a fused face lies
    between faces that are classes. Each face comes twice, as a render and as the VAE makes it, as all that is drawn is:
    who it is must not change by that.
    """
    crops = aligned_crops(renders, out / "crops.npy", vae)
    people = renders.count // SHOTS_PER_PERSON
    extra = nn.ModuleDict(
        {"classes": nn.Linear(EMBEDDING_DIM, people, bias=False), "traits": nn.Linear(EMBEDDING_DIM, 26)}
    )

    def loss_of(net: nn.Module, extra: nn.Module, rng: np.random.Generator) -> Tensor:
        assert isinstance(extra, nn.ModuleDict)
        rows = np.sort(rng.integers(0, renders.count, batch // 2))
        pairs = torch.from_numpy(crops[rows]).to(DEVICE).transpose(0, 1).flatten(0, 1)  # the renders, then the VAE's
        x = pairs.permute(0, 3, 1, 2).float() / 127.5 - 1
        # the face's left half is nearly its right one's mirror image: a view from the left tells of one from the right
        mirrored = torch.from_numpy(rng.random(batch) < 0.5).to(DEVICE)[:, None, None, None]
        x = torch.where(mirrored, x.flip(3), x)
        who = torch.from_numpy(renders.identity[rows]).long().to(DEVICE).repeat(2)
        with autocast():
            embedding = net(_degrade(x, rng))
        embedding = embedding.float()
        unit = F.normalize(embedding)
        cosine = unit @ F.normalize(cast(nn.Linear, extra["classes"]).weight).T
        cosine = cosine - 0.25 * F.one_hot(who, people)
        traits = F.mse_loss(extra["traits"](embedding), renders.vectors[rows].to(DEVICE).repeat(2, 1))
        agree = (unit[: batch // 2] * unit[batch // 2 :]).sum(dim=1).mean()
        return F.cross_entropy(24 * cosine, who) + 2 * traits + 2 * (1 - agree)

    return run(name, net, extra, minutes, 2e-3, out, loss_of)


def export_recogniser(net: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(net, (torch.zeros(1, 3, CROP, CROP),), str(folder / "recognition.onnx"), input_names=["data"],
                      output_names=["embedding"], dynamic_axes={"data": {0: "n"}, "embedding": {0: "n"}},
                      opset_version=17, dynamo=False)  # fmt: skip
    halve(folder / "recognition.onnx")


# Detector


def face_boxes(renders: Renders) -> NDArray[np.float32]:
    """The box of the visible face region, x0 y0 x1 y1 in pixels [n, 4]; zeros where there is none."""
    boxes = np.zeros((renders.count, 4), np.float32)
    for i in range(renders.count):
        mask = renders.labels[i] == FACE
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(ys):
            boxes[i] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
    return boxes


def train_detector(renders: Renders, minutes: float, out: Path, batch: int = 12) -> nn.Module:
    """Focal loss on centres (arXiv 1708.02002), smooth L1 on sides and landmarks; faces are put at any place and size."""
    boxes = face_boxes(renders)
    points = torch.from_numpy(np.array(renders.keypoints[: renders.count, :5, :2]))

    def loss_of(net: nn.Module, extra: nn.Module, rng: np.random.Generator) -> Tensor:
        assert isinstance(net, Detector)
        images, box, mark = [], [], []
        for row in rng.integers(0, renders.count, batch):
            scale = rng.uniform(0.75, 1.25)
            dx, dy = rng.uniform(-30, 90), rng.uniform(-30, 30)
            if rng.random() < 0.4:
                scale, dx, dy = 1.0, 0.0, 0.0
            matrix = np.array([[scale, 0, dx], [0, scale, dy]])
            image = cv2.warpAffine(np.ascontiguousarray(renders.images[row]), matrix, (_CANVAS, _CANVAS))
            if rng.random() < 0.3:
                k = int(rng.integers(1, 3)) * 2 + 1
                image = cv2.GaussianBlur(image, (k, k), 0)
            images.append(image)
            box.append(torch.from_numpy(boxes[row] * scale + np.array([dx, dy, dx, dy], np.float32)))
            mark.append(points[row] * scale + torch.tensor([dx, dy], dtype=torch.float32))
        x = (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() - 127.5) / 128
        x = (x * (1 + torch.randn(batch, 3, 1, 1) * 0.06)).to(DEVICE)
        with autocast():
            maps = net.maps(x)
        where, points_at = torch.stack(box).float().to(DEVICE), torch.stack(mark).float().to(DEVICE)
        return _detection_loss(maps, where, points_at)

    return run("detector", Detector(), nn.ModuleDict(), minutes, 2e-3, out, loss_of)


def _detection_loss(maps: list[tuple[Tensor, Tensor, Tensor]], box: Tensor, marks: Tensor) -> Tensor:
    """box [n, 4], marks [n, 5, 2] in pixels of the 256² canvas."""
    size = box[:, 3] - box[:, 1]
    centre = torch.stack([(box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2], dim=1)
    inside = ((centre > 2) & (centre < _CANVAS - 2)).all(1) & (size > 8)
    ranges = ((0, 45), (35, 90), (75, 400))
    total, found = torch.zeros((), device=box.device), 0
    parts = []
    for (score, sides, points), stride, (low, high) in zip(maps, STRIDES, ranges, strict=True):
        n = _CANVAS // stride
        ys, xs = torch.meshgrid(*(torch.arange(n, device=box.device),) * 2, indexing="ij")
        grid = (torch.stack([xs, ys], -1).view(-1, 1, 2).repeat(1, ANCHORS, 1).view(-1, 2) * stride).float()
        near = (grid[None] - centre[:, None]).abs().amax(2)
        fits = inside & (size >= low) & (size < high)
        positive = (near <= stride * 0.75) & fits[:, None]
        # A face of another level's size is background here, or every level would see every face.
        ignore = (
            (near <= torch.maximum(size * 0.3, torch.tensor(stride * 1.5, device=box.device))[:, None])
            & ~positive
            & fits[:, None]
        )
        p = torch.sigmoid(score[..., 0].float())
        focal = torch.where(
            positive, -0.75 * (1 - p).square() * (p + 1e-6).log(), -0.25 * p.square() * (1 - p + 1e-6).log()
        )
        total = total + focal[~ignore].sum()
        found += int(positive.sum())
        if positive.any():
            which = positive.nonzero()[:, 0]
            g, s, k = grid.expand(len(box), -1, -1)[positive], sides[positive].float(), points[positive].float()
            want = torch.cat([g - box[which, :2], box[which, 2:] - g], 1) / stride
            marks_want = ((marks[which] - g[:, None]) / stride).flatten(1)
            parts.append(
                F.smooth_l1_loss(s, want, reduction="sum", beta=0.5)
                + F.smooth_l1_loss(k, marks_want, reduction="sum", beta=0.5)
            )
    return (total + 0.3 * torch.stack(parts).sum() if parts else total) / max(found, 1)


def export_detector(net: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES]
    axes = {"input.1": {2: "h", 3: "w"}} | {name: {0: f"k{name}"} for name in names}
    torch.onnx.export(net, (torch.zeros(1, 3, _CANVAS, _CANVAS),), str(folder / "detection.onnx"),
                      input_names=["input.1"], output_names=names, dynamic_axes=axes, opset_version=17, dynamo=False)  # fmt: skip
    halve(folder / "detection.onnx")


# Reader


def train_reader(
    renders: Renders, minutes: float, out: Path, batch: int = 12, vae: AutoencoderKL | None = None
) -> nn.Module:
    """Labels and attributes by cross-entropy, keypoints by L1 where seen, hair by InfoNCE over pairs of one person.

    Every other batch is what the `vae` makes of the renders: that is how small faces look in all that is drawn.
    """
    words = {
        name: torch.tensor([table.index(f[name]) for f in renders.facts], device=DEVICE)
        for name, table in ATTRIBUTES.items()
    }

    def loss_of(net: nn.Module, extra: nn.Module, rng: np.random.Generator) -> Tensor:
        people = rng.choice(renders.count // SHOTS_PER_PERSON, batch // 2, replace=False)
        rows = np.concatenate([p * SHOTS_PER_PERSON + rng.choice(SHOTS_PER_PERSON, 2, replace=False) for p in people])
        x = torch.from_numpy(renders.images[rows]).to(DEVICE).permute(0, 3, 1, 2).float() / 255
        if vae is not None and rng.random() < 0.5:
            with torch.no_grad(), autocast():
                x = vae.decode(vae.encode(x * 2 - 1).latent_dist.sample()).sample.float().clamp(-1, 1) / 2 + 0.5
        elif rng.random() < 0.6:  # decoded pictures are softer than renders
            size = int(rng.integers(110, 256))
            low = F.interpolate(x, size=(size, size * 3 // 4), mode="bilinear", antialias=True)
            x = F.interpolate(low, size=(HEIGHT, WIDTH), mode="bilinear")
        x = (x + torch.randn_like(x) * 0.02 * float(rng.random())).clamp(0, 1)
        labels = torch.from_numpy(renders.labels[rows][:, ::2, ::2].astype(np.int64)).to(DEVICE)
        points = torch.from_numpy(np.array(renders.keypoints[rows])).to(DEVICE)
        want, seen = points[..., :2] / torch.tensor([WIDTH, HEIGHT], device=DEVICE), points[..., 2]
        with autocast():
            out = net(x, torch.cat([want + 0.015 * torch.randn_like(want), seen[..., None]], dim=2))
        out = {k: v.float() for k, v in out.items()}
        loss = F.cross_entropy(out["labels"], labels)
        error = (out["keypoints"][..., :2] - want).abs().mean(2) * seen
        loss = (
            loss
            + 12 * error.sum() / seen.sum()
            + F.binary_cross_entropy(out["keypoints"][..., 2].clamp(1e-4, 1 - 1e-4), seen)
        )
        loss = loss + 0.4 * sum(F.cross_entropy(out[name], table[rows]) for name, table in words.items())
        hair = out["hair_embedding"]
        similarity = hair[0::2] @ hair[1::2].T / 0.15
        target = torch.arange(len(similarity), device=DEVICE)
        return loss + 0.15 * (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target))

    return run("reader", Reader(), nn.ModuleDict(), minutes, 2e-3, out, loss_of)


def export_reader(net: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = list(net(torch.zeros(1, 3, HEIGHT, WIDTH)))
    torch.onnx.export(net, (torch.zeros(1, 3, HEIGHT, WIDTH),), str(folder / "reader.onnx"), input_names=["image"],
                      output_names=names, dynamic_axes={"image": {0: "n"}} | {n: {0: "n"} for n in names},
                      opset_version=17, dynamo=False)  # fmt: skip
    halve(folder / "reader.onnx")
    words = {"labels": LABELS, "keypoints": KEYPOINTS, "attributes": ATTRIBUTES}
    (folder / "reader.json").write_text(json.dumps(words, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("recogniser", "second", "detector", "reader"))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=Path("build/faces"))
    parser.add_argument("--vae", type=Path, default=Path("build/vae"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    renders, vae = Renders(args.renders), trained(args.vae).to(DEVICE)
    torch.manual_seed(11 if args.part == "second" else 10)
    if args.part == "recogniser":
        export_recogniser(
            train_recogniser(ConvRecogniser(), "recogniser", renders, vae, args.minutes, args.out),
            args.assets / "faces",
        )
    elif args.part == "second":
        export_recogniser(
            train_recogniser(PatchRecogniser(), "second", renders, vae, args.minutes, args.out),
            args.assets / "faces_second",
        )
    elif args.part == "detector":
        net = train_detector(renders, args.minutes, args.out)
        for name in ("faces", "faces_second"):  # one detector: it is the recogniser that must be another mind
            export_detector(net, args.assets / name)
    else:
        export_reader(train_reader(renders, args.minutes, args.out, vae=vae), args.assets / "reader")
    assert math.isfinite(args.minutes)


if __name__ == "__main__":
    main()
