"""Candidates: one person in many shots, drawn, measured, judged and laid out on a contact sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from personas.contact_sheet import draw_contact_sheet
from personas.gates import Gates
from personas.measures.face import pairwise_mean
from personas.selection import Selection, select_candidates
from personas.shots import Shot
from pipelines.lora import Lora
from pipelines.progress import Progress, Stage, StageProgress
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.domain.measured import StoredMeasures, read_measures, write_measures
from studio.domain.report import StudioStage
from studio.texts.texts import Texts
from studio.workflows import Run
from studio.workflows.drawing import draw_all, judged, measure_pictures

__all__ = ["Candidates", "draw_candidates", "say_report"]


@dataclass(frozen=True)
class Candidates:
    """Store keys of the pictures in the order of their shots, and what was measured on each."""

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    pictures: tuple[str, ...]
    measures: tuple[StoredMeasures, ...]
    shots: tuple[Shot, ...]

    def __add__(self, other: Candidates) -> Candidates:
        return Candidates(
            self.prompts + other.prompts, self.seeds + other.seeds, self.pictures + other.pictures,
            self.measures + other.measures, self.shots + other.shots,
        )  # fmt: skip

    def take(self, rows: Sequence[int]) -> Candidates:
        """Some of them."""
        columns = (self.prompts, self.seeds, self.pictures, self.measures, self.shots)
        return Candidates(*(tuple(column[i] for i in rows) for column in columns))  # type: ignore[arg-type]

    @property
    def consistency(self) -> float:
        """Mean cosine of all pairs of faces; a pair with a missing face counts 0."""
        return pairwise_mean([None if m.face is None else np.asarray(m.face, np.float32) for m in self.measures])

    def select(self, gates: Gates, donors: Mapping[str, Sequence[float]], seed: int, **more: Any) -> Selection:
        """See `select_candidates`, also for `more`; `donors` maps a donor's id to their mean face."""
        kinds = [f"{shot.framing} {shot.view}" for shot in self.shots]
        faces = {donor: np.asarray(face, np.float32) for donor, face in donors.items()}
        rows = [judged(m, shot) for m, shot in zip(self.measures, self.shots, strict=True)]
        return select_candidates(rows, gates, faces, seed=seed, kinds=kinds, **more)

    def contact_sheet(self, studio: Studio, selection: Selection) -> str:
        """The key of a PNG."""
        sheet = io.BytesIO()
        draw_contact_sheet([studio.store.get_picture(k) for k in self.pictures], selection.verdicts).save(sheet, "PNG")
        return studio.store.put(sheet.getvalue())


def draw_candidates(
    studio: Studio,
    run: Run,
    stage: Stage,
    lora: Lora,
    prompts: Sequence[str],
    seeds: Sequence[int],
    shots: Sequence[Shot],
    progress: Progress,
) -> Candidates:
    """Every batch is drawn, and measured, as a step of its own."""
    spec = studio.backbone.spec
    requests = [identity_request(spec, p, s, loras=(lora,)) for p, s in zip(prompts, seeds, strict=True)]
    drawn = draw_all(studio, run, stage, requests, progress)
    measures: dict[int, StoredMeasures] = {}
    for number, batch in enumerate(drawn.batches):
        progress.check_cancelled()
        pictures = [drawn.pictures[i] for i in batch]
        key = run(f"{stage} measures-{number}", partial(_measure, studio, pictures))
        measures |= zip(batch, read_measures(studio.store.get_json(key)), strict=True)
        progress.tell(StageProgress(Stage(StudioStage.MEASURES, stage.subject), len(measures), len(requests)))
    in_order = tuple(measures[i] for i in range(len(requests)))
    return Candidates(tuple(prompts), tuple(seeds), drawn.pictures, in_order, tuple(shots))


def _measure(studio: Studio, pictures: list[str]) -> str:
    return studio.store.put_json(write_measures(measure_pictures(studio, pictures)))


def say_report(selection: Selection) -> dict[str, Any]:
    """Return the selection's report with the reasons in words, too, for whoever opens the file."""
    report, words = selection.report(), Texts("en")
    rows = [row | {"why": [words.word(reason) for reason in row["reasons"]]} for row in report["candidates"]]
    return report | {"candidates": rows}
