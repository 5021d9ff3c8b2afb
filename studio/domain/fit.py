"""Whether something that was made on one backbone can be drawn with another, and why not, in the same words
everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from personas.donors import Donor
from pipelines.errors import BadInput
from pipelines.families.catalogue import family_name
from studio.domain.capabilities import BackboneFacts

__all__ = ["MadeOn", "made_on_donor", "misfit"]


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
