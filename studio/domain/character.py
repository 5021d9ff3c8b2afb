"""A character: photos of one person that say who is shown, in a LoRA's place, and the consent of whom they show."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.domain.consent import ConsentForm, check_not_over
from studio.domain.values import FileKey, Value, later_field

__all__ = [
    "CLOTHES", "HEAD", "MOST_PHOTOS", "MOST_SCALE", "Character", "CharacterConsent", "CharacterPhoto", "Part", "Worn",
    "check_agreed", "parts_said", "wear",
]  # fmt: skip

MOST_PHOTOS, MOST_SCALE = 4, 1.5
HEAD: tuple[Part, ...] = ("whole", "face", "hair")
"""What a photo gives of the person where another one gives what they wear."""
CLOTHES: tuple[Part, ...] = ("torso", "legs", "shoes", "goods")

Part = Literal["whole", "face", "hair", "torso", "legs", "shoes", "goods"]
Scale = Annotated[float, Field(ge=0, le=MOST_SCALE)]


class CharacterPhoto(Value):
    """A photo of the person; `mask` is a picture, white where they are, None: they are found when it is read.

    `parts` are what it is for, and nothing else of it is seen: the clothes of somebody else, say; () is all of it.
    """

    picture: FileKey
    mask: FileKey | None = None
    parts: tuple[Part, ...] = later_field(())


class Worn(Value):
    """What is worn in photos, in the words of shots."""

    outfit: str = Field(min_length=1, max_length=100)
    outfit_colour: str = Field(min_length=1, max_length=100)


class Character(Value):
    """One to four `photos` of one person, in which they wear what `worn` says; None where nobody could read it.

    `strength` is how truly they are followed, 0 not at all; `scales` are those of parts of the person, by the parts'
    names, where the adapter reads parts (1 where none is named, 0: never seen). They count from `start` until `end`,
    shares of the way from noise to the picture.
    """

    photos: tuple[CharacterPhoto, ...] = Field(min_length=1, max_length=MOST_PHOTOS)
    scales: Mapping[str, Scale] = Field(default_factory=dict)
    strength: Scale = 1.0
    start: float = Field(0.0, ge=0, lt=1)
    end: float = Field(1.0, gt=0, le=1)
    worn: Worn | None = later_field(None)

    @model_validator(mode="after")
    def _check_span(self) -> Character:
        if self.end <= self.start:
            raise BadInput("character_span", start=self.start, end=self.end)
        return self

    @model_validator(mode="after")
    def _check_scales(self) -> Character:
        if unknown := sorted(set(self.scales) - set(get_args(Part))):
            raise BadInput("character_region_unknown", region=unknown[0], known=list(get_args(Part)))
        return self


def wear(shots: Sequence[Shot], worn: Worn | None, stated: Sequence[Mapping[str, str]] = ()) -> tuple[Shot, ...]:
    """Return the shots in what is worn in the photos; as they are where that is not known, and where what somebody
    `stated` of a shot, by field, names other clothes.
    """
    if worn is None:
        return tuple(shots)
    said = [{"outfit", "outfit_colour"} & set(cells) for cells in stated] + [set()] * len(shots)
    return tuple(
        shot if own else replace(shot, outfit=worn.outfit, outfit_colour=worn.outfit_colour)
        for shot, own in zip(shots, said, strict=False)
    )


def parts_said(shot: Shot, character: Character) -> tuple[Part, ...]:
    """Return the parts of the person that a shot's words decide, so that nothing of them is seen in the photos: clothes
    where the words name others than the photos show, and goods where they name any.
    """
    worn = character.worn
    other = worn is not None and (shot.outfit, shot.outfit_colour) != (worn.outfit, worn.outfit_colour)
    return (*(CLOTHES[:3] if other else ()), *(() if shot.goods == "nothing" else CLOTHES[3:]))


class CharacterConsent(Value):
    """`who` is in the photos and agreed to `scope`, until the day `expires`; None without an end."""

    who: str = Field(min_length=1, max_length=200)
    scope: str = Field(min_length=1, max_length=1000)
    expires: datetime.date | None = later_field(None)

    @classmethod
    def of(cls, form: ConsentForm) -> CharacterConsent:
        """Return what a consent's file says."""
        return cls.make(who=form.who, scope=form.scope, expires=form.expires)


def check_agreed(consent: CharacterConsent | None, today: datetime.date) -> None:
    """Raise BadInput where nobody agreed to be shown, or no longer does."""
    if consent is None:
        raise BadInput("character_no_consent")
    check_not_over(ConsentForm(consent.who, consent.scope, consent.expires), today)
