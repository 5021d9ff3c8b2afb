"""The colour of eyes in the miniature's pictures, for the reader's folder: `python -m miniature.eyes`.

A small network learns from heads of every size, half of them as the VAE makes them, looked at where the shipped reader
would look, as surely as it does. It tells the colour that eyes have, whatever light falls on them, and how far off that
may be (Kendall and Gal, arXiv:1703.04977). What is told at all, `calibrate` decides on people who were held out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from miniature.faces.halve import halve
from miniature.parts import degrade
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from miniature.world.identity import colours
from personas.measures.eyes import EYE_SIDE, UNIT, cut_eyes
from personas.measures.scene import to_lab
from personas.shots import vary_shots

_SEED, _HELD = 8_000_000, 8_500_000
_HEIGHTS = (80, 96, 112, 144, 192)  # of a close-up, in pixels: heads from those of full bodies up
_SLIP = np.array([0.02, 0.018], np.float32)  # of keypoints, in head heights: as the shipped reader's on renders
_TOLD = 0.95  # of the eyes of renders

Cuts = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""Cut-outs [n, 2, 24, 24, 6] and the colours of their people's eyes, CIELAB in UNITs [n, 3]."""


def _layer(into: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1), nn.GroupNorm(4, out), nn.SiLU())


class EyesNet(nn.Module):
    """Cut-outs [n, 6, 24, 24] in [-1, 1], an eye and its face -> CIELAB in UNITs and the logarithm of how far off, [n, 4]."""

    def __init__(self) -> None:
        super().__init__()
        widths = ((6, 16, 1), (16, 24, 2), (24, 32, 2), (32, 16, 1))
        self.body = nn.Sequential(*(_layer(*width) for width in widths), nn.Flatten())
        self.out = nn.Sequential(nn.Linear(16 * (EYE_SIDE // 4) ** 2, 16), nn.SiLU(), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.body(x))
        return found


def draw_eyes(count: int, seed: int, vae: nn.Module) -> Cuts:
    """Render `count` heads, four of one size a time, every other four through the VAE."""
    rows = list(_draw(count, seed, vae))
    return np.stack([cuts for cuts, _ in rows]), np.stack([own for _, own in rows])


def _draw(count: int, seed: int, vae: nn.Module) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    rng = np.random.default_rng(seed)
    identity, _ = people(count, seed)
    own = to_lab((colours(identity).eyes.numpy() * 255).round().astype(np.uint8)).astype(np.float32) / UNIT
    shots = vary_shots(count, seed, framings=("close-up",))
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + count)))
    for i in range(0, count, 4):
        some = list(range(i, min(i + 4, count)))
        height = int(rng.choice(_HEIGHTS))
        drawn = render(World(identity[some], tuple(shots[r] for r in some), scenes.take(some), seed + i), height, height * 3 // 4 // 4 * 4)  # fmt: skip
        images = drawn.images if i % 8 else _through(vae, drawn.images)
        points = drawn.keypoints.numpy()
        tall = np.abs(points[:, 6, 1] - points[:, 5, 1])[:, None, None]
        points[..., :2] += rng.standard_normal(points[..., :2].shape).astype(np.float32) * _SLIP * tall
        for k, picture in enumerate(images.numpy()):
            cuts = cut_eyes(picture, points[k])
            if cuts is not None:
                yield cuts, own[some[k]]


@torch.no_grad()
def _through(vae: nn.Module, images: Tensor) -> Tensor:
    """Pictures uint8 [n, h, w, 3] encoded and decoded; the edge goes on to whole cells."""
    height, width = images.shape[1:3]
    x = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    x = nn.functional.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate")
    y = vae.decode(vae.encode(x).latent_dist.sample()).sample  # type: ignore[operator]
    back: Tensor = ((y.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    return back[:, :height, :width]


def train(cuts: Cuts, steps: int, batch: int = 64, peak: float = 3e-3) -> EyesNet:
    """Gaussian likelihood of the colour, one deviation for its three numbers; a colour error alone in the first third."""
    torch.manual_seed(80)
    net, (eyes, own) = EyesNet(), (torch.from_numpy(part) for part in cuts)
    optimizer = torch.optim.AdamW(net.parameters(), peak, weight_decay=0.05)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = peak * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / steps)
        rows, which = torch.randint(0, len(eyes), (batch,)), torch.randint(0, 2, (batch,))
        x = degrade_both(eyes[rows, which].permute(0, 3, 1, 2).float() / 127.5 - 1)
        said = net(x)
        off = (said[:, :3] - own[rows]).square().sum(1)
        loss = off.mean() if step < steps // 3 else (0.5 * off * torch.exp(-2 * said[:, 3]) + 3 * said[:, 3]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 200 == 199:
            print(
                json.dumps({"step": step + 1, "off": float(off.mean().sqrt() * UNIT), "loss": float(loss)}), flush=True
            )
    return net.eval()


def degrade_both(x: Tensor) -> Tensor:
    """Blur eyes [n, 6, s, s] as half-drawn pictures are; light changes eye and face alike, or it would be no light."""
    light = 0.05 * torch.randn(len(x), 3, 1, 1)
    parts = [degrade(part, light) for part in x.split(3, dim=1)]
    return torch.cat(parts, dim=1)


def export(net: EyesNet, folder: Path) -> None:
    """Write the network in half precision."""
    torch.onnx.export(net, (torch.zeros(2, 6, EYE_SIDE, EYE_SIDE),), str(folder / "eyes.onnx"), input_names=["cuts"],
                      output_names=["colour"], dynamic_axes={"cuts": {0: "n"}, "colour": {0: "n"}},
                      opset_version=17, dynamo=False)  # fmt: skip
    halve(folder / "eyes.onnx")
    _shorten(folder / "eyes.onnx")


def _shorten(file: Path) -> None:
    """Give all that a network is made of short names: they are a sixth of so small a file."""
    model = onnx.load(file)
    graph = model.graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    short: dict[str, str] = {}

    def name(long: str) -> str:
        return long if not long or long in ends else short.setdefault(long, f"{len(short):x}")

    for node in graph.node:
        node.name, node.doc_string = "", ""
        for names in (node.input, node.output):
            renamed = [name(one) for one in names]
            del names[:]
            names.extend(renamed)
    for tensor in graph.initializer:
        tensor.name = name(tensor.name)
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, file)


def calibrate(net: EyesNet, held: Cuts) -> dict[str, float]:
    """Return what is told: nearly all of the eyes of people who were held out, by how far off it says it is, and by how
    far the two eyes of one face are apart.
    """
    cuts, own = held
    with torch.no_grad():
        flat = torch.from_numpy(cuts.reshape(-1, *cuts.shape[2:])).permute(0, 3, 1, 2).float() / 127.5 - 1
        said = net(flat).numpy().reshape(len(cuts), 2, 4)
    colours_, off = said[..., :3] * UNIT, np.exp(said[..., 3]).max(axis=1) * UNIT
    wrong = np.linalg.norm(colours_.mean(axis=1) - own * UNIT, axis=1)
    apart = np.linalg.norm(colours_[:, 0] - colours_[:, 1], axis=1)
    told = {"most_off": float(np.quantile(off, _TOLD)), "most_apart": float(np.quantile(apart, _TOLD))}
    print(json.dumps(told | {"off": float(np.median(wrong)), "off_of_19_in_20": float(np.quantile(wrong, 0.95))}))
    return {name: round(value, 1) for name, value in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--renders", type=int, default=1920)
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(args.assets / "flux" / "vae", local_files_only=True).float().eval()
    net = train(draw_eyes(args.renders, _SEED, vae), args.steps)
    export(net, args.assets / "reader")
    told = calibrate(net, draw_eyes(400, _HELD, vae))
    (args.assets / "reader" / "eyes.json").write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
