"""Eyes, mouths and hands of a picture, cut out, and judges of them: `python -m miniature.parts`.

Each is a hundredth of a picture or less, and what anybody looks at first: two irises of one colour with a pupil in each,
a mouth under the nose, hands with five fingers. The judges learn from renders with faults (`miniature.world.faults`),
whose truth is known, and see one eye at a time: so they cannot take one for the other. They are never shipped, and
what is measured afterwards is read by others.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from miniature.faces.halve import halve
from miniature.renders import people
from miniature.training import DEVICE, autocast
from miniature.world import World, render, sample_scenes
from miniature.world.faults import FINGERS, NO_EYE, WHOLE, Faults, sample_faults
from personas.measures.regions import KEYPOINTS
from personas.measures.whole_eyes import NETWORK
from personas.shots import GOODS, vary_shots

SIDES = {"eyes": 24, "mouth": 32, "hands": 32}  # pixels of a cut-out
KINDS = tuple(SIDES)
_PLACES = {"eyes": ("eye_left", "eye_right"), "mouth": ("mouth_left",), "hands": ("hand_left", "hand_right")}
_EXTENT = {"eyes": 0.36, "mouth": 0.6, "hands": 0.95}  # head heights that a cut-out shows
_TOP, _CHIN, _MOUTH_RIGHT = (KEYPOINTS.index(name) for name in ("head_top", "chin", "mouth_right"))
_ELBOWS = [KEYPOINTS.index(name) for name in ("elbow_left", "elbow_right")]
_FINGERS_AT = 0.12  # head heights from the hand's keypoint, away from the elbow
_OUTPUTS = {"eyes": NO_EYE + 1 + 3, "mouth": 3, "hands": 3}
_JUDGES = 2
_SEED = 3_000_000


@dataclass(frozen=True)
class Places:
    """Where parts of one kind are: `centre` [n, k, 2] as (x, y) and `side` [n, k] in pixels, `seen` bool [n, k]."""

    centre: Tensor
    side: Tensor
    seen: Tensor

    def of(self, rows: Tensor) -> Places:
        return Places(self.centre[rows], self.side[rows], self.seen[rows])


def find_parts(points: Tensor, height: int, width: int) -> dict[str, Places]:
    """Return where eyes (two), mouth (one) and hands (two) are; keypoints [n, 20, 3] in pixels of the whole picture."""
    tall = (points[:, _CHIN, 1] - points[:, _TOP, 1]).abs()[:, None]
    found = {}
    for kind, names in _PLACES.items():
        at = points[:, [KEYPOINTS.index(name) for name in names], :2]
        if kind == "mouth":
            at = (at + points[:, _MOUTH_RIGHT, None, :2]) / 2
        if kind == "hands":
            at = at + _FINGERS_AT * tall[..., None] * F.normalize(at - points[:, _ELBOWS, :2], dim=2)
        side = (_EXTENT[kind] * tall).expand(at.shape[:2])
        room = torch.tensor([width, height], dtype=at.dtype)
        inside = (at > 0.3 * side[..., None]) & (at < room - 0.3 * side[..., None])
        found[kind] = Places(at, side, inside.all(2))
    return found


def cut(pixels: Tensor, centre: Tensor, side: Tensor, size: int) -> Tensor:
    """Squares of `side` [n] pixels around `centre` [n, 2] of pictures [n, 3, h, w], as [n, 3, size, size]."""
    height, width = pixels.shape[2:]
    at = torch.arange(size, device=pixels.device, dtype=torch.float32).add(0.5).div(size).sub(0.5)
    x = centre[:, 0, None, None] + at[None, None, :] * side[:, None, None] + 0 * at[None, :, None]
    y = centre[:, 1, None, None] + at[None, :, None] * side[:, None, None] + 0 * at[None, None, :]
    grid = torch.stack([x / width, y / height], dim=-1) * 2 - 1
    return F.grid_sample(pixels.float(), grid, align_corners=False, padding_mode="border")


def cut_parts(images: Tensor, places: dict[str, Places]) -> dict[str, Tensor]:
    """Cut-outs uint8 [n, k, 3, s, s] of each kind; pictures uint8 [n, h, w, 3]."""
    x = images.permute(0, 3, 1, 2).float()
    return {
        kind: torch.stack(
            [
                cut(x, at.centre[:, k], at.side[:, k], SIDES[kind]).round().clamp(0, 255).to(torch.uint8)
                for k in range(at.side.shape[1])
            ],
            dim=1,
        )
        for kind, at in places.items()
    }


class PartJudge(nn.Module):
    """Cut-outs [n, 3, s, s] in [-1, 1] of one kind -> logits of the states, with the iris's before the sigmoid; of a
    mouth its slip in head heights and the logit of its being there.

    The slip is the mean place under a map: from flat features it was learnt ten times slower.
    """

    def __init__(self, kind: str, width: int = 32) -> None:
        super().__init__()
        into, layers = 3, list[nn.Module]()
        for k, stride in enumerate((1, 2, 2)):
            out = width * (1 + k)
            layers += [nn.Conv2d(into, out, 3, stride, 1), nn.GroupNorm(8, out), nn.SiLU()]
            into = out
        self.features = nn.Sequential(*layers)
        self.where = nn.Conv2d(into, 1, 1) if kind == "mouth" else None
        self.out = nn.Linear(into * (SIDES[kind] // 4) ** 2, _OUTPUTS[kind])

    def forward(self, x: Tensor) -> Tensor:
        seen = self.features(x)
        said: Tensor = self.out(seen.flatten(1))
        if self.where is None:
            return said
        share = self.where(seen).flatten(1).softmax(1).view(-1, 1, *seen.shape[2:])
        at = (torch.arange(seen.shape[3], device=x.device, dtype=seen.dtype) + 0.5) / seen.shape[3] - 0.5
        slip = torch.cat([(share.sum(2) * at).sum(2), (share.sum(3) * at).sum(2)], dim=1) * _EXTENT["mouth"]
        return torch.cat([slip.to(said.dtype), said[:, 2:]], dim=1)


def known_truth(faults: Faults, shown: Tensor) -> dict[str, Tensor]:
    """What judges have to say, per kind [n, k, m]; `shown` [n, 3] is the light's tint on people.

    Eyes: state, iris RGB. Mouth: slip right and down in head heights, 1 where it is there. Hands: 0 whole, 1 some
    fingers, 2 none.
    """
    irises = faults.irises * shown[:, None]
    hands = torch.where(faults.fingers >= FINGERS, 0, torch.where(faults.fingers > 0, 1, 2))
    return {
        "eyes": torch.cat([faults.eyes[..., None].float(), irises], dim=2),
        "mouth": torch.cat([faults.mouth, 1 - faults.mouthless[:, None]], dim=1)[:, None],
        "hands": hands[..., None].float(),
    }


def part_loss(kind: str, said: Tensor, truth: Tensor) -> Tensor:
    """How wrong a judge's words [n, m] of cut-outs are, [n]."""
    if kind == "eyes":
        state = truth[:, 0].long()
        colour = (said[:, -3:].sigmoid() - truth[:, 1:]).square().sum(1) * (state < NO_EYE - 1)
        return F.cross_entropy(said[:, :-3], state, reduction="none") + 8 * colour
    if kind == "mouth":
        there = F.binary_cross_entropy_with_logits(said[:, 2], truth[:, 2], reduction="none")
        return there + 60 * (said[:, :2] - truth[:, :2]).square().sum(1) * truth[:, 2]
    return F.cross_entropy(said, truth[:, 0].long(), reduction="none")


def draw_faults(count: int, seed: int, batch: int = 4) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Cut-outs uint8 [m, 3, s, s] of parts that are seen and their truth [m, …], per kind, of `batch` renders a time."""
    identity, _ = people(count, seed)
    shots = vary_shots(count, seed, goods=("nothing",) * 3 + GOODS[1:])
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + count)))
    for i in range(0, count, batch):
        rows = list(range(i, min(i + batch, count)))
        faults = sample_faults(identity[rows], torch.Generator().manual_seed(seed + i))
        drawn = render(World(identity[rows], tuple(shots[r] for r in rows), scenes.take(rows), seed + i, faults=faults))
        places = find_parts(drawn.keypoints, *drawn.images.shape[1:3])
        cuts, truth = cut_parts(drawn.images, places), known_truth(faults, drawn.tint)
        yield (
            {kind: cuts[kind][places[kind].seen] for kind in KINDS},
            {kind: truth[kind][places[kind].seen] for kind in KINDS},
        )


def degrade(x: Tensor, light: Tensor | None = None) -> Tensor:
    """Blur cut-outs [n, 3, s, s] in [-1, 1] as half-drawn pictures are: less detail, a small shift, other light, noise.

    `light` [n, 3, 1, 1] is what is added, None for one of its own.
    """
    n, size = len(x), x.shape[-1]
    shift = (torch.rand(n, 2, device=x.device) * 2 - 1) * 0.06
    zoom = 1 + 0.06 * torch.randn(n, device=x.device)
    theta = torch.zeros(n, 2, 3, device=x.device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom, zoom, shift
    x = F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False,
                      padding_mode="border")  # fmt: skip
    coarse = int(torch.randint(size // 3, size + 1, ()))
    soft = F.interpolate(x, size=(coarse, coarse), mode="bilinear", antialias=True)
    soft = F.interpolate(soft, size=(size, size), mode="bilinear")
    x = torch.where(torch.rand(n, 1, 1, 1, device=x.device) < 0.6, soft, x)
    x = x + (0.05 * torch.randn(n, 3, 1, 1, device=x.device) if light is None else light)
    return (x + 0.08 * torch.rand(n, 1, 1, 1, device=x.device) * torch.randn_like(x)).clamp(-1, 1)


def train(steps: int, count: int, work: Path, batch: int = 64, peak: float = 2e-3) -> None:
    """Train all judges on `count` renders, drawn once; held-out errors are printed. Those in parts.pt stay."""
    cache, path = work / "faults.pt", work / "parts.pt"
    if not cache.exists():
        work.mkdir(parents=True, exist_ok=True)
        drawn = list(draw_faults(count, _SEED))
        torch.save([{kind: torch.cat([d[k][kind] for d in drawn]) for kind in KINDS} for k in (0, 1)], cache)
    cuts, truth = torch.load(cache, weights_only=True)
    states = torch.load(path, weights_only=True) if path.exists() else []
    for number in range(len(states), _JUDGES):
        learnt = {}
        for kind in KINDS:
            torch.manual_seed(40 + number)
            judge = PartJudge(kind, 32 + 8 * number).to(DEVICE)
            optimizer = torch.optim.AdamW(judge.parameters(), peak, weight_decay=0.05)
            known, begin = len(cuts[kind]) * 9 // 10, time.time()
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = peak * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / steps)
                rows = torch.randint(0, known, (batch,))
                x = degrade(cuts[kind][rows].to(DEVICE).float() / 127.5 - 1)
                with autocast():
                    said = judge(x)
                loss = part_loss(kind, said.float(), truth[kind][rows].to(DEVICE)).mean()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            facts = held_out(kind, judge.eval(), cuts[kind][known:], truth[kind][known:])
            print(json.dumps({"judge": number, "kind": kind, "seconds": time.time() - begin} | facts), flush=True)
            learnt[kind] = judge.state_dict()
        states.append(learnt)
        torch.save(states, path)


@torch.no_grad()
def held_out(kind: str, judge: nn.Module, cuts: Tensor, truth: Tensor) -> dict[str, float]:
    """How often a judge is right about cut-outs that it has not seen, and how far off in colour and place."""
    said = torch.cat([judge(some.to(DEVICE).float() / 127.5 - 1) for some in cuts.split(256)]).cpu()
    if kind == "mouth":
        there = truth[:, 2] > 0
        off = (said[there, :2] - truth[there, :2]).norm(dim=1).mean()
        return {"right": float(((said[:, 2] > 0) == there).float().mean()), "off": float(off)}
    if kind == "eyes":
        coloured = truth[:, 0] < NO_EYE - 1
        off = (said[coloured, -3:].sigmoid() - truth[coloured, 1:]).norm(dim=1).mean()
        return {"right": float((said[:, :-3].argmax(1) == truth[:, 0]).float().mean()), "off": float(off)}
    return {"right": float((said.argmax(1) == truth[:, 0]).float().mean())}


def load_judges(path: Path) -> list[dict[str, PartJudge]]:
    """The trained judges by kind, frozen."""
    loaded = []
    for number, states in enumerate(torch.load(path, weights_only=True, map_location="cpu")):
        judges = {kind: PartJudge(kind, 32 + 8 * number) for kind in KINDS}
        for kind, judge in judges.items():
            judge.load_state_dict(states[kind])
        loaded.append({kind: judge.to(DEVICE).eval().requires_grad_(False) for kind, judge in judges.items()})
    return loaded


class WholeEyes(nn.Module):
    """Cut-outs of eyes [n, 3, 24, 24] in [-1, 1] -> [n, 4]: the probability of being whole, and the iris, RGB in [0, 1]; the
    mean of what all judges say."""

    def __init__(self, judges: Sequence[nn.Module]) -> None:
        super().__init__()
        self.judges = nn.ModuleList(judges)

    def forward(self, eyes: Tensor) -> Tensor:
        said = torch.stack([judge(eyes) for judge in self.judges])
        whole = said[..., :-3].softmax(-1)[..., WHOLE : WHOLE + 1]
        return torch.cat([whole, said[..., -3:].sigmoid()], dim=-1).mean(0)


def export(work: Path, reader: Path) -> None:
    """Write what judges say of eyes beside the reader, for `personas.measures.whole_eyes`."""
    net = WholeEyes([judges["eyes"].cpu() for judges in load_judges(work / "parts.pt")]).eval()
    eye, file = torch.zeros(2, 3, SIDES["eyes"], SIDES["eyes"]), reader / NETWORK
    torch.onnx.export(net, (eye,), str(file), input_names=["eyes"], output_names=["said"], dynamo=False,
                      opset_version=17, dynamic_axes={"eyes": {0: "n"}, "said": {0: "n"}})  # fmt: skip
    halve(file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--renders", type=int, default=4000)
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    parser.add_argument("--reader", type=Path, help="a reader's folder: say there what eyes are, for the product")
    args = parser.parse_args()
    train(args.steps, args.renders, args.work)
    if args.reader:
        export(args.work, args.reader)
