"""The VAE: an `AutoencoderKL` with 16× smaller latents, trained on crops of the renders. `python -m miniature.vae`.

Loss: L1 and L2 in pixels, L1 of image gradients (edges of eyes and mouths weigh more than flat walls), more weight on heads,
and a light KL term. The edges join late: a blurred picture has the least edge error when it is flat, and early
training would stay there. Small crops around heads come as often as large ones: what a whole-body picture loses first
is its face, thirty pixels wide. Resumes from its checkpoint.

A head weighs the same whatever its size, so that a mouth three pixels wide counts. `miniature.likeness` goes on from here, once there is a recogniser.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL

from miniature.renders import FOLDER
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from personas.measures.regions import KEYPOINTS

LATENT_CHANNELS = 32
KL = 2e-6
LIKENESS = "likeness.pt"  # the VAE after `miniature.likeness`
CELL = 16  # pixels of a latent, each way
CHANNELS = (16, 32, 64, 128, 192)
HEAD = (3, 4)  # labels of face and hair
_CLOSE_UP_PX = 110.0


def build() -> AutoencoderKL:
    """The shipped architecture: five levels, so that a 256×192 picture is 16×12 latents of 32 channels."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=2,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=False,
        sample_size=256,
    )
    # Start almost without noise in the latents: at unit noise the first hundreds of steps learn only averages.
    torch.nn.init.constant_(vae.encoder.conv_out.bias[LATENT_CHANNELS:], -5.0)
    return vae


def _crops(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    per_head: NDArray[np.float32],
    rows: NDArray[np.int64],
    side: int,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random crops [n, 3, side, side] in [-1, 1] of these rows and their weights [n, 1, side, side].

    Half of them are around heads; crops smaller than 128 all are.
    """
    count = len(rows)
    pixels = np.empty((count, side, side, 3), np.uint8)
    heads = np.empty((count, side, side), bool)
    height, width = images.shape[1:3]
    stray = side // 6
    for i, row in enumerate(rows):
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        if i % 2 or side < 128:
            ys, xs = np.nonzero(labels[row][::4, ::4] == HEAD[0])
            if len(ys):
                top = int(np.clip(ys.mean() * 4 - side / 2 + rng.integers(-stray, stray + 1), 0, height - side))
                left = int(np.clip(xs.mean() * 4 - side / 2 + rng.integers(-stray, stray + 1), 0, width - side))
        pixels[i] = images[row, top : top + side, left : left + side]
        heads[i] = np.isin(labels[row, top : top + side, left : left + side], HEAD)
        if rng.random() < 0.5:
            pixels[i], heads[i] = pixels[i, :, ::-1], heads[i, :, ::-1]
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x, 1 + torch.from_numpy(heads)[:, None] * torch.from_numpy(per_head[rows])[:, None, None, None]


def head_weights(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a head's pixels weigh on top, [n]: 1.5 in a close-up, more the smaller it is, as 1 / its area."""
    top, chin = keypoints[:, KEYPOINTS.index("head_top"), 1], keypoints[:, KEYPOINTS.index("chin"), 1]
    tall = np.maximum(chin - top, 1)
    return (1.5 * np.clip((_CLOSE_UP_PX / tall) ** 2, 1, 9)).astype(np.float32)


def train(minutes: float, batch: int, folder: Path, out: Path, peak: float = 1.2e-3) -> None:
    """Train for `minutes` of wall clock (across resumes), learning rate warm-up then cosine to 2%."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    images = np.load(folder / "images.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy", mmap_mode="r")
    vae = build().to(DEVICE)
    average = Average(vae, 0.998)
    edge = ("encoder.conv_in", "decoder.conv_out")
    optimizer = Both(vae, lambda name, p: p.ndim == 4 and not name.startswith(edge), peak)
    step, spent, log = load_checkpoint(out / "checkpoint.pt", vae, average, optimizer)
    if spent < minutes * 60:
        (out / LIKENESS).unlink(missing_ok=True)  # of weights that are about to change
    per_head = head_weights(np.load(folder / "keypoints.npy"))
    rng = np.random.default_rng(1 + step)
    begin, errors = time.time() - spent, dict[int, list[float]]({128: [], 64: []})
    while (spent := time.time() - begin) < minutes * 60:
        ready = int((folder / "done.txt").read_text())
        progress = spent / (minutes * 60)
        rate = peak * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        optimizer.rate(rate)
        # The same number of pixels either way; heads at 64² count four times as often.
        side, count = ((128, batch), (64, batch * 4))[step % 2]
        rows = rng.choice(ready, count)
        x, weight = _crops(images, labels, per_head, rows, side, rng)
        x, weight = x.to(DEVICE, memory_format=torch.channels_last), weight.to(DEVICE)
        with autocast():
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample()).sample
        y = y.float()
        error, edges = pixel_losses(y, x, weight)
        join = min(1.0, max(0.0, progress - 0.2) / 0.2)
        loss = error + 0.7 * join * edges + KL * posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        average.update(vae)
        step += 1
        errors[side].append(F.mse_loss(y, x).item() / 4)
        if step % 50 == 0:
            large, small = (float(-10 * np.log10(np.mean(errors[k]))) for k in (128, 64))
            errors = {128: [], 64: []}
            log.append({"step": step, "loss": loss.item(), "psnr": large, "psnr_heads": small})
            print(json.dumps(log[-1] | {"minutes": spent / 60, "rate": rate}), flush=True)
        if step % 100 == 0:
            save_checkpoint(out / "checkpoint.pt", vae, average, optimizer, step, spent, log)
    save_checkpoint(out / "checkpoint.pt", vae, average, optimizer, step, spent, log)


def pixel_losses(y: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of pictures y for x [n, 3, h, w]: L1 and L2 in pixels; L1 of gradients. `weight` [n, 1, h, w]."""
    error = ((y - x).abs() * weight).mean() + ((y - x).square() * weight).mean()
    edges = [((y - x).diff(dim=d).abs() * weight.narrow(d, 1, weight.shape[d] - 1)).mean() for d in (2, 3)]
    return error, edges[0] + edges[1]


def trained(out: Path, likeness: bool = True) -> AutoencoderKL:
    """The averaged weights of the last checkpoint; those of `miniature.likeness`, where it was run and is wanted."""
    path = out / LIKENESS if likeness and (out / LIKENESS).exists() else out / "checkpoint.pt"
    vae = build()
    vae.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["average"])
    return vae.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=Path("build/vae"))
    parser.add_argument("--rate", type=float, default=1.2e-3)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train(args.minutes, args.batch, args.renders, args.out, args.rate)
