"""Chooses the pictures that come along to be commented on: `python -m benchmarks.taste_walk --out out`.

Of the plain pictures of ten groups of `benchmarks.taste_score` those that tell most of a taste of which nothing is
known, one after the other; they are written with the words of their shots to assets/miniature/walk.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.bench import Bench
from benchmarks.taste_pictures import Easel, asked_of
from benchmarks.taste_score import SEED
from personas.taste.scorer import fit_scorer, propose
from personas.taste.seen import SEEN, as_features
from studio.application import Studio
from studio.settings import ASSETS, Settings

_COUNT, _GROUPS = 24, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--groups", type=int, default=_GROUPS)
    args = parser.parse_args()
    bench = Bench(Studio(Settings(data=args.out / "score-data")), args.out)
    easel = Easel(bench, bench.donors)
    asked = [one for group in range(args.groups) for one in asked_of(group, SEED)]
    seen = easel.draw(asked)
    right = [n for n, one in enumerate(seen) if all(one.read[f] == getattr(asked[n].shot, f) for f in one.read)]
    features = as_features([seen[n].known for n in right])
    chosen = propose(fit_scorer(np.zeros((0, len(SEEN)))), features, _COUNT + 1)[:_COUNT]  # the last is one by chance
    folder, shots = ASSETS / "walk", {}
    folder.mkdir(exist_ok=True)
    for number, row in enumerate(chosen):
        name = f"{number:02d}.jpg"
        Image.fromarray(seen[right[row]].picture).save(folder / name, quality=90)
        shots[name] = asdict(asked[right[row]].shot)
    (folder / "shots.json").write_text(json.dumps(shots, indent=1) + "\n")
    bench.sheet("walk", [seen[right[row]].picture for row in chosen])


if __name__ == "__main__":
    main()
