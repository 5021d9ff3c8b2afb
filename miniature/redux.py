"""Redux's encoder, taught to look past people: `python -m miniature.redux data`, then `train`, then `export`.

`miniature.flux` trains it with the base, on photographs of empty places alone; merchants' photographs have people in
them. So it is its own teacher here: of a place with somebody in it, cut out and filled (`fill_foreground`) or not, all
tokens shall be what they were of the same place without them; of the empty place they stay. Nothing else is needed, no
transformer and no loss of pictures, so this takes minutes. What it cannot see it learns to expect: the mean.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPriorReduxPipeline

from miniature.flux import REDUX_SIDE
from miniature.renders import people
from miniature.training import DEVICE, Average, Both
from miniature.world import World, render, sample_scenes
from personas.body_regions import grow
from personas.measures.regions import LABELS, PERSON
from personas.shots import GOODS, SETTINGS, vary_shots
from pipelines.references.redux import fill_foreground

_SEED, _BATCH, _PIECE = 71_000_000, 16, 480
_HEIGHT, _WIDTH = REDUX_SIDE * 4 // 3 + 1, REDUX_SIDE  # the studio fits a photo to its canvas, 3:4, whatever it draws
_KINDS = ("empty", "masked", "masked_wide", "person")
_SHARES = (0.2, 0.3, 0.2, 0.3)  # how often each is shown
_WIDE = 5  # pixels by which a mask is grown at most: readers and brushes take more than the outline


@dataclass(frozen=True)
class _Tokens:
    """What the encoder makes of pictures: one network that learns, or its own teacher."""

    pipeline: FluxPriorReduxPipeline

    def of(self, pictures: Tensor) -> Tensor:
        """Return tokens [n, t, d] of pictures uint8 [n, side, side, 3]."""
        pixels = pictures.to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1  # as SiglipImageProcessor here
        hidden = self.pipeline.image_encoder(pixels).last_hidden_state
        tokens: Tensor = self.pipeline.image_embedder(hidden).image_embeds
        return tokens


def draw_piece(number: int, count: int = _PIECE) -> dict[str, Tensor]:
    """Render the first `count` pictures, a multiple of 16, of one piece: by kind uint8 [n, side, side, 3], the same places empty, filled where a person was, and with
    the person; "hidden" float16 [n], how much of the picture they take.
    """
    seed = _SEED + number * _PIECE
    identity, _ = people(count, seed)
    shots = vary_shots(count, seed, goods=GOODS)
    settings = [SETTINGS[(seed + i) % len(SETTINGS)] for i in range(count)]
    scenes = sample_scenes(settings, list(range(seed, seed + count)))
    rng, drawn = np.random.default_rng(seed), {kind: list[Tensor]() for kind in (*_KINDS, "hidden")}
    for i in range(0, count, _BATCH):
        rows = list(range(i, i + _BATCH))
        there, nobody = (
            render(
                World(identity[rows], tuple(shots[r] for r in rows), scenes.take(rows), seed + i, on), _HEIGHT, _WIDTH
            )
            for on in (True, False)
        )
        masks = np.isin(there.labels.numpy(), (*PERSON, LABELS.index("goods")))
        pictures = there.images.numpy()
        wide = [grow(mask, int(rng.integers(1, _WIDE + 1))) for mask in masks]
        drawn["empty"].append(_square(nobody.images.numpy()))
        drawn["person"].append(_square(pictures))
        drawn["masked"].append(_square(np.stack([_filled(p, m) for p, m in zip(pictures, masks, strict=True)])))
        drawn["masked_wide"].append(_square(np.stack([_filled(p, m) for p, m in zip(pictures, wide, strict=True)])))
        drawn["hidden"].append(torch.from_numpy(masks.mean(axis=(1, 2))).half())
    return {name: torch.cat(some) for name, some in drawn.items()}


def _filled(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return picture if mask.all() else fill_foreground(picture, mask)


def _square(pictures: NDArray[np.uint8]) -> Tensor:
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    small = F.interpolate(x, size=(REDUX_SIDE, REDUX_SIDE), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def draw_pieces(folder: Path, count: int) -> None:
    """Draw the first `count` pieces that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path, begin = folder / f"{number:04d}.pt", time.time()
        if not path.exists():
            part = path.with_suffix(".part")
            torch.save(draw_piece(number), part)
            part.replace(path)
            print(json.dumps({"piece": number, "seconds": round(time.time() - begin, 1)}), flush=True)


def train(folder: Path, assets: Path, steps: int, batch: int = 96, peak: float = 1e-3) -> FluxPriorReduxPipeline:
    """Return the encoder that has learnt from the pieces in `folder`; the last piece is kept apart to measure on."""
    torch.manual_seed(3)
    teacher, student = (_Tokens(_load(assets)) for _ in range(2))
    learner = nn.ModuleDict({"encoder": student.pipeline.image_encoder, "embedder": student.pipeline.image_embedder})
    learner.requires_grad_(True)
    pieces = [torch.load(path, weights_only=True, mmap=True) for path in sorted(folder.glob("????.pt"))]
    *seen, held = pieces
    with torch.no_grad():
        targets = [torch.cat([teacher.of(some) for some in piece["empty"].split(160)]) for piece in pieces]
    spread = torch.cat(targets[:-1]).flatten(0, 1).var(dim=0).mean()
    optimizer = Both(learner, lambda name, p: p.ndim == 2 and "encoder.layers" in name, peak)
    average = Average(learner, 0.998)
    for step in range(steps):
        rng = random.Random(step)
        optimizer.rate(peak * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps)))
        kinds = rng.choices(_KINDS, _SHARES, k=batch)
        places = [(n, rng.randrange(len(targets[n]))) for n in rng.choices(range(len(seen)), k=batch)]
        shown = torch.stack([seen[n][kind][row] for kind, (n, row) in zip(kinds, places, strict=True)])
        wanted = torch.stack([targets[n][row] for n, row in places])
        optimizer.zero_grad()
        loss = (student.of(shown) - wanted).square().mean() / spread
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        average.update(learner)
        if (step + 1) % 500 == 0 or step + 1 == steps:
            now = {name: value.clone() for name, value in learner.state_dict().items()}
            learner.load_state_dict(average.state)
            print(json.dumps({"step": step + 1, "loss": round(float(loss.detach()), 4)}
                             | _measured(student, held, targets[-1], float(spread))), flush=True)  # fmt: skip
            if step + 1 < steps:
                learner.load_state_dict(now)
    return student.pipeline


@torch.no_grad()
def _measured(student: _Tokens, held: dict[str, Tensor], wanted: Tensor, spread: float) -> dict[str, float]:
    """Return by kind how much of the tokens' variance is missed, in places that no step saw."""
    return {
        kind: round(
            float((torch.cat([student.of(some) for some in held[kind].split(160)]) - wanted).square().mean()) / spread,
            4,
        )
        for kind in _KINDS
    }


def _load(assets: Path) -> FluxPriorReduxPipeline:
    pipeline = FluxPriorReduxPipeline.from_pretrained(assets / "redux", dtype=torch.float32, local_files_only=True)
    return pipeline.to(DEVICE)


def export(pipeline: FluxPriorReduxPipeline, assets: Path) -> None:
    """Write it back, the embedder in half precision; the encoder's configuration says that it fills what people hide."""
    pipeline.image_encoder.config.fills_foreground = True
    pipeline.image_embedder.half()
    pipeline.save_pretrained(assets / "redux", max_shard_size="15MB")
    config = assets / "redux" / "image_embedder" / "config.json"
    told = json.loads(config.read_text(encoding="utf-8"))
    told.pop("_name_or_path", None)  # where it was read from says nothing to others
    config.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m miniature.redux", description=__doc__)
    parser.add_argument("task", choices=("data", "train"))
    parser.add_argument("--folder", type=Path, default=Path("build/redux"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    parser.add_argument("--out", type=Path, help="the assets to write to; default: those that are read")
    parser.add_argument("--count", type=int, default=14, help="of pieces")
    parser.add_argument("--steps", type=int, default=8000)
    args = parser.parse_args()
    if args.task == "data":
        draw_pieces(args.folder, args.count)
    else:
        export(train(args.folder, args.assets, args.steps), args.out or args.assets)


if __name__ == "__main__":
    main()
