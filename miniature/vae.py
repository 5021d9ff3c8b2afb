"""The VAE: an `AutoencoderKL` with 16× smaller latents, trained on crops of the renders. `python -m miniature.vae`.

Loss: L1 and L2 in pixels, L1 of image gradients (edges of eyes and mouths weigh more than flat walls), more weight on heads,
and a light KL term. The edges join late: a blurred picture has the least edge error when it is flat, and early
training would stay there. Small crops around heads come as often as large ones: what a whole-body picture loses first
is its face, thirty pixels wide. Resumes from its checkpoint.

With `--keep-latents` only the decoder goes on learning: what was trained on the latents stays right. It starts from the
averaged weights and sees small faces more often.
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

LATENT_CHANNELS = 32
CHANNELS = (16, 32, 64, 128, 192)
_HEAD = (3, 4)  # labels of face and hair
_SMALL_FACES = {"close-up": 0.2, "half-body": 0.3, "full-body": 0.5}  # how often a trained decoder sees which


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
    images: NDArray[np.uint8], labels: NDArray[np.uint8], rows: NDArray[np.int64], side: int, rng: np.random.Generator
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
            ys, xs = np.nonzero(labels[row][::4, ::4] == _HEAD[0])
            if len(ys):
                top = int(np.clip(ys.mean() * 4 - side / 2 + rng.integers(-stray, stray + 1), 0, height - side))
                left = int(np.clip(xs.mean() * 4 - side / 2 + rng.integers(-stray, stray + 1), 0, width - side))
        pixels[i] = images[row, top : top + side, left : left + side]
        heads[i] = np.isin(labels[row, top : top + side, left : left + side], _HEAD)
        if rng.random() < 0.5:
            pixels[i], heads[i] = pixels[i, :, ::-1], heads[i, :, ::-1]
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x, 1 + 1.5 * torch.from_numpy(heads)[:, None].float()


def train(
    minutes: float, batch: int, folder: Path, out: Path, peak: float = 1.2e-3, keep_latents: bool = False
) -> None:
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
    if keep_latents:
        if not any(row.get("decoder") for row in log):  # a broken-off run goes on with its own weights
            vae.load_state_dict(average.state)
        vae.encoder.requires_grad_(False)
        framings = [f["framing"] for f in json.loads((folder / "attributes.json").read_text())]
        likely = np.array([_SMALL_FACES[f] for f in framings[: int((folder / "done.txt").read_text())]])
        likely /= likely.sum()
    rng = np.random.default_rng(1 + step)
    begin, errors = time.time() - spent, dict[int, list[float]]({128: [], 64: []})
    while (spent := time.time() - begin) < minutes * 60:
        ready = int((folder / "done.txt").read_text())
        progress = spent / (minutes * 60)
        rate = peak * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        optimizer.rate(rate)
        # The same number of pixels either way; heads at 64² count four times as often.
        side, count = ((128, batch), (64, batch * 4))[step % 4 > 0 if keep_latents else step % 2]
        rows = rng.integers(0, ready, count) if not keep_latents else rng.choice(len(likely), count, p=likely)
        x, weight = _crops(images, labels, rows, side, rng)
        x, weight = x.to(DEVICE, memory_format=torch.channels_last), weight.to(DEVICE)
        with autocast():
            with torch.set_grad_enabled(not keep_latents):
                posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample()).sample
        y = y.float()
        error = ((y - x).abs() * weight).mean() + ((y - x).square() * weight).mean()
        edges = sum(((y - x).diff(dim=d).abs() * weight.narrow(d, 1, side - 1)).mean() for d in (2, 3))
        join = 1.0 if keep_latents else min(1.0, max(0.0, progress - 0.2) / 0.2)
        loss = error + 0.7 * join * edges + 2e-6 * posterior.kl().mean()
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
            row = {"step": step, "loss": loss.item(), "psnr": large, "psnr_heads": small}
            log.append(row | {"decoder": float(keep_latents)})
            print(json.dumps(log[-1] | {"minutes": spent / 60, "rate": rate}), flush=True)
        if step % 100 == 0:
            save_checkpoint(out / "checkpoint.pt", vae, average, optimizer, step, spent, log)
    save_checkpoint(out / "checkpoint.pt", vae, average, optimizer, step, spent, log)


def trained(out: Path) -> AutoencoderKL:
    """The averaged weights of the last checkpoint."""
    vae = build()
    vae.load_state_dict(torch.load(out / "checkpoint.pt", weights_only=True, map_location="cpu")["average"])
    return vae.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=Path("build/vae"))
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--keep-latents", action="store_true", help="train the decoder alone")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train(args.minutes, args.batch, args.renders, args.out, args.rate, args.keep_latents)
