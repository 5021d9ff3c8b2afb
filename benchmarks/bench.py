"""What the miniature's measurements share: drawing, rendering, reading, and pictures for people to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from benchmarks.statistics import Score
from miniature.world import World, render, sample_scenes
from personas.donors import Donor
from personas.looks import find_category
from personas.measures.face import FaceReader, mean_embedding
from personas.shots import Shot, vary_shots
from pipelines.lora import Lora, read_lora
from pipelines.sampling.draw import draw
from pipelines.sampling.request import DrawRequest, identity_request
from studio.application import Studio
from studio.settings import ASSETS

Picture = NDArray[np.uint8]
Embedding = NDArray[np.float32]


@dataclass(frozen=True)
class Bench:
    """What the measurements share. `scale` in (0, 1] makes every sample smaller (tests); 1 is the whole benchmark."""

    studio: Studio
    out: Path
    scale: float = 1.0

    def count(self, full: int, least: int = 8) -> int:
        return max(least, round(full * self.scale))

    def draw(self, requests: Sequence[DrawRequest]) -> list[Picture]:
        return [p for _, p in draw(self.studio.backbone, requests, self.studio.settings.batch_size)]

    def shots(
        self, shots: Sequence[Shot], subject: str, trigger: str, seed: int, loras: tuple[Lora, ...] = ()
    ) -> list[Picture]:
        spec = self.studio.backbone.spec
        return self.draw(
            [identity_request(spec, s.prompt(subject, trigger), seed + i, loras=loras) for i, s in enumerate(shots)]
        )

    def embeddings(self, pictures: Sequence[Picture], reader: FaceReader | None = None) -> list[Embedding | None]:
        reader = reader or self.studio.faces
        return [None if (f := reader.read(p)) is None else f.embedding for p in pictures]

    @cached_property
    def readers(self) -> dict[str, FaceReader]:
        """The recogniser that trainings are judged by, and one that none of them has met: key's end -> reader."""
        return {"": self.studio.faces, "_second": FaceReader(ASSETS / "faces_second")}

    def sheet(self, name: str, pictures: Sequence[Picture], columns: int = 12) -> None:
        """Keep pictures side by side, for people to look at."""
        some = list(pictures[: columns * 4])
        height, width = some[0].shape[:2]
        page = Image.new("RGB", (columns * width, -(-len(some) // columns) * height), "white")
        for i, picture in enumerate(some):
            page.paste(Image.fromarray(picture), (i % columns * width, i // columns * height))
        page.save(self.out / f"{name}.png")

    @cached_property
    def donors(self) -> tuple[Donor, ...]:
        return self.studio.donors()

    @cached_property
    def donor_faces(self) -> dict[str, Embedding]:
        """Every donor's mean face, as the novelty gate sees it: eight close pictures."""
        shots = vary_shots(8, 5, framings=("close-up", "half-body"), settings=("studio",), lights=("day",))
        faces = {}
        for d in self.donors:
            own = (Lora(read_lora(d.lora_path).layers),)
            drawn = self.shots(shots, find_category(d.category).subject, d.trigger, 700, own)
            found = [e for e in self.embeddings(drawn) if e is not None]
            faces[d.id] = mean_embedding(np.stack(found))
        return faces


def render_shots(
    identity: torch.Tensor, shots: Sequence[Shot], seed: int, height: int = 256, width: int = 192
) -> list[Picture]:
    """Renders of identities [n, 26], one per shot, in places of their own."""
    scenes = sample_scenes([s.setting for s in shots], [seed + i for i in range(len(shots))])
    pictures: list[Picture] = []
    for i in range(0, len(shots), 4):
        rows = list(range(i, min(i + 4, len(shots))))
        world = World(identity[rows], tuple(shots[r] for r in rows), scenes.take(rows), seed + i)
        pictures += list(render(world, height, width).images.numpy())
    return pictures


def plot_recall(path: Path, curves: dict[str, NDArray[np.float64]]) -> None:
    """R(τ): the share of pictures whose cosine to the enrolment is at least τ."""
    width, height, edge = 480, 320, 36
    page = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(page)
    pen.rectangle((edge, 12, width - 12, height - edge), outline=(150, 150, 150))
    for (name, values), colour in zip(curves.items(), ((30, 90, 200), (200, 60, 40)), strict=False):
        points = [
            (edge + t * (width - edge - 12), height - edge - float((values >= t).mean()) * (height - edge - 12))
            for t in np.linspace(0, 1, 101)
        ]
        pen.line(points, fill=colour, width=2)
        pen.text((edge + 8, 20 + 14 * list(curves).index(name)), name, fill=colour)
    pen.text((width // 2 - 40, height - 24), "cosine τ, 0 to 1", fill=(60, 60, 60))
    page.save(path)


def tell_scores(out: Path, name: str, scores: Mapping[str, Score], targets: Mapping[str, tuple[str, float]]) -> None:
    """Write all scores to the file `name` in `out`, and print them in a table, with what is wanted and if it holds.

    `targets` are a sign ("≥" or "≤") and a limit for some of them.
    """
    (out / name).write_text(json.dumps({k: asdict(s) for k, s in scores.items()}, indent=1) + "\n")
    table = Table("measure", "value", "95%", "n", "wanted", "holds")
    for key, s in scores.items():
        sign, limit = targets.get(key, ("", 0.0))
        holds = "" if not sign else "yes" if (s.value >= limit if sign == "≥" else s.value <= limit) else "MISSED"
        wanted = f"{sign} {limit:g}" if sign else ""
        table.add_row(key, f"{s.value:.3f}", f"{s.low:.3f} to {s.high:.3f}", str(s.n), wanted, holds)
    Console().print(table)
