"""Measures what words of shots lean to, for guidance: `python -m benchmarks.taste_leans` writes leans.json anew.

480 renders of the miniature's world, of as many people in varied shots: ridge regression of what their pixels show
(`personas.taste.seen.pixels_of`) on the words of their shots, centred. A word's share is how much of an attribute it
adds to a picture, in [-1, 1]; shares under `_LEAST` are left out. Of two opposites one is written, with which the other
goes. Renders, and no picture that a benchmark judges.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.bench import render_shots
from miniature.renders import people
from personas.shots import GOODS, WORDS, vary_shots
from personas.taste.attributes import load_attributes
from personas.taste.guidance import LEANS_FILE
from personas.taste.seen import PIXELS, pixels_of

SEED, COUNT = 99, 480
_RIDGE = 3.0
_LEAST = 0.1


def measure_leans(count: int = COUNT) -> dict[str, dict[str, float]]:
    """Return by attribute the words ("field.word") that lean to it, the strongest first, with their shares."""
    identities, _ = people(count, SEED)
    shots = vary_shots(count, SEED, goods=("nothing",) * 2 + GOODS[1:])
    shown = [pixels_of(picture) for picture in render_shots(identities, shots, SEED)]
    names = [f"{field}.{word}" for field, words in WORDS.items() for word in words]
    said = np.array(
        [[float(getattr(shot, field) == word) for field, words in WORDS.items() for word in words] for shot in shots]
    )
    said -= said.mean(axis=0)
    measured = np.array([[one[name] for name in PIXELS] for one in shown])
    measured -= measured.mean(axis=0)
    shares = np.linalg.solve(said.T @ said + _RIDGE * np.eye(len(names)), said.T @ measured)

    known, found = load_attributes().by_id, dict[str, dict[str, float]]()
    for column, attribute in enumerate(PIXELS):
        if known[attribute].opposite in found:
            continue
        rows = sorted(zip(names, shares[:, column], strict=True), key=lambda row: -abs(row[1]))
        if leaning := {name: round(float(share), 2) for name, share in rows if abs(share) >= _LEAST}:
            found[attribute] = leaning
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=LEANS_FILE)
    args = parser.parse_args()
    rows = [f" {json.dumps(name)}: {json.dumps(words)}" for name, words in measure_leans().items()]
    args.out.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
