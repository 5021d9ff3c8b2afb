"""Which blocks of an IP-Adapter carry a place: `python -m benchmarks.ip_adapter_sweep --backbone FOLDER --photo FILE`.

The same shots with the same seeds are drawn without the adapter, with all of its blocks, and with each block alone.
Writes a table (ip-adapter-sweep.md), a contact sheet (.png, one row each) and ip-adapter-sweep.json with

    scene      how alike the background and the photo's are (`scene_similarity`)
    identity   cosine of the face to the same shot's without the adapter: what the adapter leaves of the person
    prompt     share of what was asked for that is seen (`attributes_obeyed`)

each a mean over the shots that it can be read in, or null.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from personas.measures.prompt import attributes_obeyed
from personas.measures.scene import scene_similarity
from personas.shots import vary_shots
from pipelines.adapters.ip_adapter import adapter_of
from pipelines.pictures import fit_to_canvas, load_scene
from pipelines.references.ip_adapter import IpAdapterReference, block_scales
from pipelines.references.redux import fill_foreground
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from
from studio.application import Studio
from studio.settings import ASSETS, Settings
from studio.texts.terminal import in_words
from studio.workflows.redux_dials import clear_person

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class SweepRow:
    """`blocks` in the words of `block_scales`, "off" and "all" besides."""

    blocks: str
    scene: float | None
    identity: float | None
    prompt: float | None


def sweep(
    studio: Studio, photo: Path, scale: float = 1.0, shots: int = 4, seed: int = 1, subject: str = "a woman"
) -> tuple[list[SweepRow], list[list[Picture]]]:
    """The rows, and each row's pictures. Raises ModelMissing where the backbone has no IP-Adapter."""
    backbone = studio.backbone
    count = len(adapter_of(backbone).processors)
    canvas = fit_to_canvas(load_scene(photo).image, backbone.spec.height, backbone.spec.width)
    person = studio.regions.read([canvas])[0].person
    shown = fill_foreground(canvas, clear_person(canvas, person))
    asked = vary_shots(shots, seed, framings=("half-body", "full-body"), lights=("day",))
    rows: list[SweepRow] = []
    sheet: list[list[Picture]] = []
    faces: list[NDArray[np.float32] | None] = []
    for name in ("off", "all", *map(str, range(count))):
        scales = (0.0,) * count if name == "off" else block_scales("" if name == "all" else name, scale, count)
        reference = IpAdapterReference((shown,), scales)
        requests = [
            request_from(backbone.spec, s.prompt(subject, with_setting=False), seed + i, references=(reference,))
            for i, s in enumerate(asked)
        ]
        pictures = [p for _, p in draw(backbone, requests, studio.settings.batch_size)]
        seen = studio.regions.read(pictures)
        found = [None if (face := studio.faces.read(p)) is None else face.embedding for p in pictures]
        faces = faces or found
        rows.append(SweepRow(
            name,
            _mean([scene_similarity(p, r.person, canvas, person) for p, r in zip(pictures, seen, strict=True)]),
            _mean([None if a is None or b is None else float(a @ b) for a, b in zip(faces, found, strict=True)]),
            _mean([attributes_obeyed(s, r.attributes) for s, r in zip(asked, seen, strict=True)]),
        ))  # fmt: skip
        sheet.append(pictures)
    return rows, sheet


def write_sweep(out: Path, rows: Sequence[SweepRow], sheet: Sequence[Sequence[Picture]]) -> str:
    """Write table, contact sheet and JSON into `out`; the table."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "ip-adapter-sweep.json").write_text(json.dumps([asdict(r) for r in rows], indent=1) + "\n")
    lines = ["| blocks | scene | identity | prompt |", "|---|---|---|---|"]
    lines += [f"| {r.blocks} | " + " | ".join(map(_said, (r.scene, r.identity, r.prompt))) + " |" for r in rows]
    table = "\n".join(lines)
    (out / "ip-adapter-sweep.md").write_text(table + "\n")
    Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in sheet])).save(out / "ip-adapter-sweep.png")
    return table


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _said(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--backbone", default="miniature")
    parser.add_argument("--photo", type=Path, default=ASSETS / "scenes" / "cafe.png", help="of the place")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    studio = Studio(Settings(data=args.out / "sweep-data", backbone=args.backbone))
    print(write_sweep(args.out, *sweep(studio, args.photo, args.scale, args.shots, args.seed)))


if __name__ == "__main__":
    with in_words():
        main()
