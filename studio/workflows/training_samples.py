"""Samples: the same few pictures drawn at every checkpoint of a training, and how much they are the person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from personas.shots import Shot
from pipelines.lora import Lora
from pipelines.progress import Progress
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from pipelines.training.checkpoints import write_atomically
from studio.application import Studio

__all__ = ["Sampler"]

_SHOTS = (Shot(framing="close-up", expression="smiling"), Shot(framing="half-body", view="left", outfit="dress"))


class Sampler:
    """Draws at a checkpoint, with `mix` and what has been learnt on top of it until then.

    What was drawn is kept in `folder` across resumes.
    """

    def __init__(
        self,
        studio: Studio,
        design: dict[str, Any],
        mix: Lora,
        enrolment: Sequence[float],
        folder: Path,
        progress: Progress,
    ) -> None:
        self._studio, self._file, self._progress = studio, folder / "samples.json", progress
        self._enrolment = np.asarray(enrolment, np.float32)
        self._requests = [
            request_from(studio.backbone.spec, shot.prompt(design["subject"], design["trigger"]), 900 + i, loras=(mix,))
            for i, shot in enumerate(_SHOTS)
        ]
        self.rows: list[dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else []

    def __call__(self, steps: int) -> None:
        """One row: `step`, the pictures' keys, and `identity`, their mean cosine to the enrolment (no face: 0).

        Without identity guidance: what is being learnt cannot be paused, so a persona's own pictures are nearer.
        """
        pictures = draw_batch(self._studio.backbone, self._requests, lambda *_: self._progress.check_cancelled())
        faces = self._studio.faces.read_many(pictures)
        alike = [0.0 if face is None else float(self._enrolment @ face.embedding) for face in faces]
        row = {
            "step": steps,
            "pictures": [self._studio.store.put_picture(picture) for picture in pictures],
            "identity": float(np.mean(alike)),
        }
        # a run that was killed after a checkpoint may come by it again
        self.rows = [r for r in self.rows if r["step"] < steps] + [row]
        write_atomically(self._file, json.dumps(self.rows).encode())
        self._progress.step("samples", len(self.rows), len(self.rows), samples=json.dumps(self.rows))
