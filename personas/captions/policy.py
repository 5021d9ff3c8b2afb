"""What a caption of a person, a style or goods says and leaves out. Pure.

A fact that is the same in every picture and that no caption says becomes part of the trigger word. So face, eyes, skin
and age are never said of a person; hair, facial hair and build only where somebody says so; and clothes, goods, place,
light, expression and view always are, or the person would only ever be drawn in them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from personas.captions.schema import CaptionFacts, Face, Garment, Hair, Person

__all__ = ["SWITCHES", "Policy", "Switch", "apply_policy"]

Switch = Literal["hair", "facial_hair", "build"]
SWITCHES: tuple[Switch, ...] = ("hair", "facial_hair", "build")


class Policy(BaseModel):
    """`trigger` is the word that a training ties to what is learnt, `subject` the noun that stays, such as "young
    woman". `say` are facts that are said though they are the person's own, because they change in the set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Literal["person", "style", "goods"] = "person"
    trigger: str = Field("ohwx", max_length=40)
    subject: str = Field("person", max_length=60)
    say: tuple[Switch, ...] = ()


def apply_policy(facts: CaptionFacts, policy: Policy) -> CaptionFacts:
    """Return the facts that may be said."""
    if policy.of == "style":
        return facts.model_copy(update={"style": type(facts.style)()})
    if policy.of == "goods":
        return facts.model_copy(update={"goods": None})
    face = facts.face
    return facts.model_copy(
        update={
            "hair": facts.hair if "hair" in policy.say else Hair(),
            "face": face if "facial_hair" in policy.say else Face(**(face.model_dump() | {"facial_hair": None})),
            "person": Person(build=facts.person.build) if "build" in policy.say else Person(),
            "garments": tuple(one for one in facts.garments if _is_worn(one)),
        }
    )


def _is_worn(garment: Garment) -> bool:
    return garment.type is not None or garment.colour is not None
