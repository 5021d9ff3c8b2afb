"""Checkpoints of a persona's training that were kept: which is the best, and a persona as one of them draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from pipelines.errors import BadInput
from studio.domain.persona import MOST_SCALE, Persona, Sample
from studio.domain.values import Value, later_field
from studio.texts.texts import Texts

__all__ = ["Best", "DrawnAs", "best_checkpoint", "draw_as", "kept_checkpoints", "say_checkpoint", "say_drawn_as"]

_AS_NEAR = 0.01  # two samples' mean cosines that differ by less say nothing: another seed turns them round


class DrawnAs(Value):
    """How a persona is drawn: how strongly, and by which checkpoint (its steps; 0: all of the training)."""

    scale: float = Field(1.0, ge=0, le=MOST_SCALE)
    checkpoint: int = later_field(0, ge=0)


@dataclass(frozen=True)
class Best:
    """The checkpoint that a person would choose: `step` 0 is the end of the training. `why` it is: nothing is nearer
    ("nearest"), others are as near and this one learnt longest ("as_near"), or there is no other ("only").
    """

    step: int
    identity: float
    why: Literal["nearest", "as_near", "only"]


def kept_checkpoints(persona: Persona) -> tuple[Sample, ...]:
    """Return the samples of what can be drawn with: earlier checkpoints that were kept, and the end of the training."""
    return tuple(sample for sample in persona.samples if sample.lora is not None or sample is persona.samples[-1])


def best_checkpoint(persona: Persona) -> Best | None:
    """Return the best of those that were kept; None where the training drew no samples."""
    kept = kept_checkpoints(persona)
    if not kept:
        return None
    nearest = max(sample.identity for sample in kept)
    near = [sample for sample in kept if sample.identity >= nearest - _AS_NEAR]
    chosen = near[-1]
    step = 0 if chosen is persona.samples[-1] else chosen.step
    if len(kept) == 1:
        return Best(step, chosen.identity, "only")
    return Best(step, chosen.identity, "nearest" if len(near) == 1 else "as_near")


def draw_as(persona: Persona, how: DrawnAs) -> Persona:
    """Return the persona, drawn so. Raises BadInput `checkpoint_unknown` for one that was not kept.

    However `persona` is drawn already, the end of its training is found again.
    """
    lora = persona.samples[-1].lora if persona.checkpoint and persona.samples else None
    trained = persona.lora if lora is None else lora
    if how.checkpoint == 0 or (persona.samples and how.checkpoint == persona.samples[-1].step):
        return persona.model_copy(update={"lora": trained, "scale": how.scale, "checkpoint": 0})
    found = next((s for s in persona.samples if s.step == how.checkpoint and s.lora is not None), None)
    if found is None:
        known = [sample.step for sample in kept_checkpoints(persona)]
        raise BadInput("checkpoint_unknown", persona=persona.name, step=how.checkpoint, known=known)
    return persona.model_copy(update={"lora": found.lora, "scale": how.scale, "checkpoint": how.checkpoint})


def say_checkpoint(t: Texts, persona: Persona, checkpoint: int) -> str:
    """Return what a person calls a checkpoint: how far the training was, such as "50 % of the training"."""
    last = persona.samples[-1].step if persona.samples else 0
    if checkpoint in (0, last) or not last:
        return t("stage_of.end")
    return t("stage_of.share", share=round(100 * checkpoint / last))


def say_drawn_as(t: Texts, persona: Persona) -> str:
    """Return how the persona is drawn, where that is not as it was trained; else ""."""
    said = [] if persona.scale == 1.0 else [t("drawn_as.scale", scale=f"{persona.scale:g}")]
    said += [say_checkpoint(t, persona, persona.checkpoint)] if persona.checkpoint else []
    return ", ".join(said) if t.language == "en" else "，".join(said)
