"""Whether something that was made on one backbone can be drawn with another, and why not, in the same words
everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from personas.donors import Donor
from pipelines.errors import BadInput
from pipelines.families.catalogue import family_name
from studio.domain.capabilities import BackboneFacts
from studio.domain.style import Style

__all__ = ["MadeOn", "made_on_donor", "misfit", "style_misfit"]


@dataclass(frozen=True)
class MadeOn:
    """What a LoRA was made for: `family` by its id, `width` the hidden width (0: not known), and the `backbone` that it
    was made on ("": not known).
    """

    family: str
    width: int = 0
    backbone: str = ""


def made_on_donor(donor: Donor) -> MadeOn:
    """Return what a donor's LoRA was made for."""
    return MadeOn(donor.family, donor.lora_width)


def misfit(facts: BackboneFacts | None, name: str, made: MadeOn) -> BadInput | None:
    """Return why `name` cannot be drawn with the backbone; None where it can, or where there is none to ask."""
    if facts is None or facts.fits(made.family, made.width):
        return None
    whose = family_name(made.family)
    if made.family != facts.family:
        told = made.backbone or whose
        return BadInput("made_on_other_family", name=name, made_on=told, backbone=facts.id, family=facts.family_name)
    return BadInput(
        "made_on_other_width", name=name, made_on=whose, width=made.width, backbone=facts.id, drawing_width=facts.width
    )


def style_misfit(facts: BackboneFacts | None, style: Style, weights: str = "") -> BadInput | None:
    """Return why posts cannot be drawn in a style with the backbone, whose weights have this SHA-256 ("": not looked
    at, and so not compared); None where they can, or where there is no backbone to ask.
    """
    if facts is None:
        return None
    fits, known = facts.fits(style.family, style.width), weights and style.weights
    if fits and (not known or weights in style.weights):
        return None
    name = dict(style.names)
    if fits and style.backbone == facts.id:
        return BadInput("style_of_other_weights", name=name, backbone=facts.id)
    made_on = style.backbone or family_name(style.family)
    return BadInput("style_of_other_model", name=name, made_on=made_on, backbone=facts.id)
