"""The base once more, on from the weights that are there: `python -m miniature.base`.

`miniature.flux train` taught it from nothing, on two sizes and an earlier VAE's latents. Here it goes on: in six sizes
(`miniature.pieces`), on today's VAE's latents, and judged by all that people see first (`miniature.part_losses`,
`miniature.judges`), people whom no LoRA names as well as told ones: where little noise is left, the latents
themselves say who it is. `python -m miniature.earlier take-up` turns shipped weights into the checkpoint that it starts from,
`miniature.flux export` turns its checkpoint into shipped weights. It can be stopped at any time (SIGTERM saves first).
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, FluxPipeline

from miniature.captions import caption
from miniature.flux import Parts, Words, attention, is_hidden, tokenizers
from miniature.judges import load_judges, words_loss, words_of
from miniature.part_losses import PartLosses, Shown
from miniature.parts import KINDS, find_parts
from miniature.pieces import SIZES, Piece, load_pieces
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from miniature.vae import CELL, LATENT_CHANNELS
from pipelines.families.flux1.latents import pack, unpack
from pipelines.training.losses import flow_matching_loss, sample_sigmas

_SHARES = (0.46, 0.14, 0.1, 0.12, 0.08, 0.1)  # how often each of `SIZES` comes
_MICRO = 16  # pictures that go through together; a CPU keeps so many in its caches
_DECODED = 5  # faces, and as many hands, of each
_WITH_PHOTO = 0.35
_SAVE_EVERY_S = 600
_LOG_EVERY = 10


@dataclass(frozen=True)
class Sample:
    """Some pictures of one size, `rows` of `pieces` each: latents [n, 32, h, w] and all that is known of them."""

    latents: Tensor
    focus: Tensor
    photos: Tensor
    people: Tensor
    facts: list[dict[str, Any]]
    shown: Shown

    @property
    def grid(self) -> tuple[int, int]:
        return self.latents.shape[2] // 2, self.latents.shape[3] // 2


class Pictures:
    """All pieces, by size."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.by_size = {
            size: [p for p in pieces if tuple(p["latents"].shape[3:]) == (size[0] // CELL, size[1] // CELL)]
            for size in SIZES
        }
        self.facts = {id(p): json.loads(p["facts"]) for p in pieces}

    def draw(self, count: int, rng: random.Random) -> Sample:
        """`count` pictures of one size, each from any piece."""
        shares = [share * bool(self.by_size[size]) for size, share in zip(SIZES, _SHARES, strict=True)]
        size = rng.choices(SIZES, shares)[0]
        picks = [(p, rng.randrange(len(p["latents"]))) for p in rng.choices(self.by_size[size], k=count)]

        def column(name: str) -> Tensor:
            return torch.stack([p[name][row] for p, row in picks])

        stored, points = column("latents").float(), column("points")
        nothing = torch.zeros(count)
        shown = Shown(points, find_parts(points, *size), {k: column(k) for k in KINDS}, column("who").to(DEVICE),
                      nothing, nothing)  # fmt: skip
        return Sample(
            (stored[:, 0] + stored[:, 1] * torch.randn_like(stored[:, 1])).to(DEVICE), column("focus").to(DEVICE),
            column("photos"), column("people").to(DEVICE), [self.facts[id(p)][row] for p, row in picks], shown,
        )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a sample's pictures are asked for with: `text` [n, s, d], `pooled` [n, p], who is told of, who is asked for
    nothing (both bool [n])."""

    text: Tensor
    pooled: Tensor
    named: Tensor
    empty: Tensor


def ask(words: Words, parts: Parts, sample: Sample, rng: random.Random) -> Asked:
    """Captions, encoded; with Redux tokens of the place now and then, where half of the captions leave it out."""
    with_photo = rng.random() < _WITH_PHOTO
    drop = 0.5 if with_photo else 0.0
    texts = ["" if rng.random() < 0.1 else caption(f, rng, drop_setting=drop) for f in sample.facts]
    text, pooled, named = words.ask(parts, texts, sample.people, sample.photos if with_photo else None)
    return Asked(text, pooled, named, torch.tensor([not t for t in texts], device=DEVICE))


class Base:
    """Everything that a step needs: what learns, and who judges it."""

    def __init__(self, work: Path, assets: Path, judged: float) -> None:
        t5, clip = tokenizers(work)
        self.words, self.parts = Words(t5, clip), Parts(len(t5), len(clip), clip.eos_token_id).to(DEVICE)
        vae = AutoencoderKL.from_pretrained(assets / "flux" / "vae", torch_dtype=torch.float32).eval()
        # a judge of words needs a few thousand pictures to learn from: a training may start before
        self.judges = load_judges(work / "judges.pt") if (work / "judges.pt").exists() else []
        self.part_losses = PartLosses(work / "parts.pt", vae, assets / "faces", _DECODED)
        self.judged = judged

    def losses(self, sample: Sample, rng: random.Random) -> dict[str, Tensor]:
        """How wrong the guesses of one sample are, each loss with its weight; their sum is what to minimise."""
        count, (rows, columns) = len(sample.facts), sample.grid
        x0 = pack(sample.latents)
        sigma = sample_sigmas(count, "logit_normal", torch.Generator().manual_seed(rng.getrandbits(40))).to(DEVICE)
        noise, s = torch.randn_like(x0), sigma[:, None, None]
        with autocast(), attention():
            asked = ask(self.words, self.parts, sample, rng)
            velocity = self.parts.transformer(
                hidden_states=(1 - s) * x0 + s * noise, encoder_hidden_states=asked.text,
                pooled_projections=asked.pooled, timestep=sigma, return_dict=False,
                img_ids=FluxPipeline._prepare_latent_image_ids(count, rows, columns, DEVICE, torch.float32),
                txt_ids=torch.zeros(asked.text.shape[1], 3, device=DEVICE),
            )[0]  # fmt: skip
        focus = pack(sample.focus.float()[:, None].expand(-1, LATENT_CHANNELS, -1, -1))
        found = {"flow": flow_matching_loss(velocity, x0, noise, focus)}
        guess = unpack((1 - s) * x0 + s * noise - s * velocity.float(), rows, columns)
        weight = (1 - sigma) * ~asked.empty
        found["words"] = self.judged * words_loss(self.judges, guess, words_of(sample.facts), weight)
        # of somebody who is not told of, only the latents say who it is, once most of the noise is gone
        known = torch.where(asked.named, 1 - sigma, (1 - 2 * sigma).clamp(min=0))
        shown = Shown(sample.shown.points, sample.shown.places, sample.shown.cuts, sample.shown.who, 1 - sigma, known)
        judged = self.part_losses(guess, shown, np.random.default_rng(rng.getrandbits(40)))
        return found | {name: self.judged * loss for name, loss in judged.items()}


def train(
    steps: int, micros: int, pieces: Path, work: Path, assets: Path, peak: float, judged: float, seconds: float
) -> None:
    """Train until step `steps` across resumes, at most `seconds` now; `micros` × 16 pictures a step.

    The rate falls over the last half. `judged` is the weight of all that judges say.
    """
    base, pictures = Base(work, assets, judged), Pictures(load_pieces(pieces))
    average, optimizer = Average(base.parts, 0.996), Both(base.parts, is_hidden, peak)
    path, stop = work / "checkpoint.pt", list[int]()
    step, spent, log = load_checkpoint(path, base.parts, average, optimizer)
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    begin, saved, seen = time.time() - spent, time.time(), list[dict[str, float]]()
    end, used = time.time() + seconds, time.process_time()
    while step < steps and not stop and time.time() < end:
        rng = random.Random(step)
        torch.manual_seed(step + 1)
        optimizer.rate(peak * min(1.0, (step + 1) / 60) * min(1.0, 0.03 + 2 * (1 - step / steps)))
        optimizer.zero_grad()
        for _ in range(micros):
            found = base.losses(pictures.draw(_MICRO, rng), rng)
            (torch.stack(list(found.values())).sum() / micros).backward()  # type: ignore[no-untyped-call]
            seen.append({name: float(loss.detach()) for name, loss in found.items()})
        nn.utils.clip_grad_norm_(base.parts.parameters(), 1.0)
        optimizer.step()
        average.update(base.parts)
        step, spent = step + 1, time.time() - begin
        if step % _LOG_EVERY == 0:
            means = {name: round(float(np.mean([row[name] for row in seen])), 5) for name in seen[0]}
            cpu = round((time.process_time() - used) / _LOG_EVERY, 2)
            log.append({"step": step, "minutes": round(spent / 60, 2), "cpu_seconds_a_step": cpu} | means)
            print(json.dumps(log[-1]), flush=True)
            seen, used = [], time.process_time()
        if time.time() > saved + _SAVE_EVERY_S:
            save_checkpoint(path, base.parts, average, optimizer, step, spent, log)
            saved, pictures = time.time(), Pictures(load_pieces(pieces))
    save_checkpoint(path, base.parts, average, optimizer, step, spent, log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--micros", type=int, default=2, help="sixteen pictures each, in a step")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of this run")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--judged", type=float, default=0.2, help="weight of what a half-drawn picture must show")
    parser.add_argument("--pieces", type=Path, default=Path("build/pieces"))
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    train(args.steps, args.micros, args.pieces, args.work, args.assets, args.rate, args.judged, args.seconds)
