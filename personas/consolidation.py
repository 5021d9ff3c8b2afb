"""Consolidation: one persona LoRA from the kept candidates, and the enrolment that says who the person is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.backbones import Backbone
from pipelines.lora import Lora, LoraLayer, concatenate
from pipelines.progress import SILENT, Progress
from pipelines.training.lora import AtCheckpoint, LoraTrainingConfig, TrainingExample, train_lora
from pipelines.training.pictures import PictureLoss

__all__ = [
    "PersonaLora", "Portraits", "default_batch", "default_config", "default_pool", "join_layers", "persona_config",
    "train_persona",
]  # fmt: skip

_SMALL = 1024  # narrower transformers are small models


@dataclass(frozen=True, eq=False)
class Portraits:
    """Pictures uint8 [h, w, 3] on the backbone's canvas, their captions, and bool [h, w] where face and hair are."""

    images: Sequence[npt.NDArray[np.uint8]]
    captions: Sequence[str]
    heads: Sequence[npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class PersonaLora:
    """The trained layers, ready to be applied or written, and the loss of every step."""

    layers: tuple[LoraLayer, ...]
    losses: tuple[float, ...]


def persona_config(
    backbone: Backbone, seed: int, steps: int = 0, identity_loss: float | None = None
) -> LoraTrainingConfig:
    """How a persona is trained; `steps` 0 and an `identity_loss` of None leave the default.

    The identity loss is on by default where it was measured, on small models
    (docs/decisions/2026-11-22-identity-loss.md).
    """
    config = default_config(backbone, seed)
    weight = (2.0 if _is_small(backbone) else 0.0) if identity_loss is None else identity_loss
    return config.model_copy(update={"steps": steps or config.steps, "picture_weight": weight})


def default_config(backbone: Backbone, seed: int) -> LoraTrainingConfig:
    """For a LoRA of one person, whoever it is.

    A small model learns a person in a few hundred quick steps at a high rate; FLUX.1 needs more, gentler ones.
    """
    values = (
        {"learning_rate": 1.5e-3, "steps": 240, "checkpoint_every": 60, "focus": 1.5}
        if _is_small(backbone)
        else {"learning_rate": 2e-4, "steps": 1000, "checkpoint_every": 100}
    ) | {"batch_size": default_batch(backbone.model.width)}
    return LoraTrainingConfig.model_validate(
        {"rank": backbone.spec.lora_rank, "seed": seed, "caption_dropout": 0.05, **values}
    )


def default_batch(width: int) -> int:
    """How many pictures a step is trained on, of a model whose transformer is so wide."""
    return 8 if width < _SMALL else 2


def default_pool(backbone: Backbone) -> int:
    """How many times a design's candidates are drawn to choose from: what agrees best of many agrees more."""
    return 10 if _is_small(backbone) else 3


def _is_small(backbone: Backbone) -> bool:
    return bool(backbone.model.width < _SMALL)


def train_persona(
    backbone: Backbone,
    mix: Lora,
    kept: Portraits,
    others: Portraits,
    identity: PictureLoss | None,
    config: LoraTrainingConfig,
    folder: Path,
    progress: Progress = SILENT,
    at_checkpoint: AtCheckpoint = lambda steps, layers: None,
) -> PersonaLora:
    """Train on the `kept` pictures; resumes from `folder`. `backbone` is what trains (`Backbone.trained_on`).

    `identity` (an `IdentityLoss`) judges them and `others`, rows of both one after the other: good pictures that are
    not quite the person. From them, too, the LoRA is led to the person's face, so it learns the face in far more shots
    than were kept, while all else stays as it was.

    `mix`, the fused LoRA that drew them, is on the backbone meanwhile: what is learnt is added to it, and the persona
    is their sum, with both ranks. A mix of donors has learnt from true pictures how one face looks in any shot; a LoRA
    that starts from nothing must learn that from drawn ones and obeys its captions less.
    Heads weigh more in the loss. Captions say all that may vary
    (clothes, place, light) and leave out who it is, so that the trigger learns just that. See `train_lora` for errors
    and `at_checkpoint`.
    """
    trained = train_lora(
        backbone,
        _examples(kept),
        config,
        folder,
        progress,
        at_checkpoint,
        regularisation=_examples(others),
        judge=identity,
        mix=(mix,),
    )
    return PersonaLora(join_layers(mix, trained.layers), trained.losses)


def join_layers(mix: Lora, learnt: tuple[LoraLayer, ...]) -> tuple[LoraLayer, ...]:
    """Return what draws a persona: what was `learnt` on top of `mix`, with both ranks."""
    return concatenate([mix.layers, learnt], [mix.scale, 1.0])


def _examples(portraits: Portraits) -> list[TrainingExample]:
    return [TrainingExample(*row) for row in zip(portraits.images, portraits.captions, portraits.heads, strict=True)]
