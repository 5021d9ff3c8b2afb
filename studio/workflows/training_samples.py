"""Samples: the same few pictures drawn at every checkpoint of a training, and how much they are the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from personas.shots import Shot
from pipelines.backbones import Backbone
from pipelines.lora import Lora, LoraLayer
from pipelines.progress import Progress, Stage, StageProgress, tell_steps
from pipelines.sampling.draw import draw_in_parts
from pipelines.sampling.request import request_from
from pipelines.training.checkpoints import write_atomically
from studio.application import Studio
from studio.domain.design import Design
from studio.domain.persona import Sample
from studio.domain.report import SamplesDrawn, StudioStage
from studio.domain.values import FileKey

__all__ = ["Sampler"]

_SAMPLES = TypeAdapter(tuple[Sample, ...])
_SHOTS = (Shot(framing="close-up", expression="smiling"), Shot(framing="half-body", view="left", outfit="dress"))


class Sampler:
    """Draws at a checkpoint, with `mix` and what has been learnt on top of it until then.

    `trainer` is what is trained; where another model draws, the learnt layers are put on that. What was drawn is kept
    in `folder` across resumes.
    """

    def __init__(
        self,
        studio: Studio,
        trainer: Backbone,
        design: Design,
        mix: Lora,
        enrolment: Sequence[float],
        folder: Path,
        progress: Progress,
    ) -> None:
        self._studio, self._trainer, self._progress = studio, trainer, progress
        self._file, self._mix = folder / "samples.json", mix
        self._enrolment = np.asarray(enrolment, np.float32)
        self._requests = [
            request_from(studio.backbone.spec, shot.prompt(design.subject, design.trigger), 900 + i, loras=(mix,))
            for i, shot in enumerate(_SHOTS)
        ]
        known = self._file.read_bytes() if self._file.exists() else b"[]"
        self.rows: tuple[Sample, ...] = _SAMPLES.validate_json(known)

    def __call__(self, steps: int, layers: tuple[LoraLayer, ...]) -> None:
        """One row: `step`, the pictures' keys, and `identity`, their mean cosine to the enrolment (no face: 0).

        Without identity guidance: what is being learnt cannot be paused, so a persona's own pictures are nearer.
        """
        stage = Stage(StudioStage.SAMPLES)
        self._progress.tell(StageProgress(stage, 0, 1))
        pictures = self._draw(layers, stage)
        faces = self._studio.faces.read_many(pictures)
        alike = [0.0 if face is None else float(self._enrolment @ face.embedding) for face in faces]
        keys = tuple(FileKey(self._studio.store.put_picture(picture)) for picture in pictures)
        row = Sample(step=steps, pictures=keys, identity=float(np.mean(alike)))
        # a run that was killed after a checkpoint may come by it again
        self.rows = (*(r for r in self.rows if r.step < steps), row)
        write_atomically(self._file, _SAMPLES.dump_json(self.rows))
        self._progress.tell(SamplesDrawn(self.rows))
        self._progress.tell(StageProgress(stage, 1, 1))

    def _draw(self, layers: tuple[LoraLayer, ...], stage: Stage) -> list[npt.NDArray[np.uint8]]:
        backbone, on_step = self._studio.backbone, tell_steps(self._progress, stage)
        if self._trainer is backbone:  # what is learnt is on it already
            return draw_in_parts(backbone, self._requests, on_step)
        requests = [replace(request, loras=(self._mix, Lora(layers))) for request in self._requests]
        self._trainer.lora_stack.pause()  # the text encoders are one and the same, and the mix comes onto them again
        try:
            return draw_in_parts(backbone, requests, on_step)
        finally:
            self._trainer.lora_stack.resume()
            backbone.trained_on()  # it has its turn again
