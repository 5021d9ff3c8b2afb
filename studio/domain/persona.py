"""A persona: the LoRA that a design was consolidated into, or photos of somebody. And its face put into pictures."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from personas.looks import find_category
from personas.recipes import Recipe
from pipelines.errors import BadInput
from studio.domain.character import Character, CharacterConsent, check_agreed
from studio.domain.design import Design, UsedDonor
from studio.domain.names import MOST_NAME
from studio.domain.values import (
    FileKey,
    IndexEntry,
    LeftOutPicture,
    NamedPicture,
    Owner,
    Request,
    Result,
    Seed,
    Value,
    later_field,
)

__all__ = [
    "MOST_SCALE", "ConsolidateRequest", "Consolidation", "Persona", "Round", "Sample", "Swap", "SwapFault",
    "SwapRequest", "SwappedPicture",
]  # fmt: skip

MOST_SCALE = 2.0


class Consolidation(Value):
    """How a persona was trained: a ConsolidateRequest without its design, with whatever name it was given."""

    name: str
    seed: Seed
    owner: Owner
    steps: int
    rounds: int
    pool: int
    keep: int
    identity_loss: float | None


def _tidied(name: object) -> object:
    return " ".join(name.split()) if isinstance(name, str) else name


class ConsolidateRequest(Request):
    """A persona of that name: a LoRA of a design, or, without any training, a `character`, photos of somebody of the
    look `category` who agreed to it (`character_consent`). What follows the name is of a LoRA's training: `steps` and
    `pool` 0 leave the default; `rounds` is at most how many.

    `identity_loss` weighs what the face recogniser says of the pictures in training, 0 leaves it out, None is the
    backbone's default. Each round chooses the best `keep` of `pool` times as many pictures as the design had
    candidates: a LoRA repeats what its pictures differ in, so they must agree, and only many can be agreed on strictly.
    """

    design: Design | None = None
    character: Character | None = later_field(None)
    character_consent: CharacterConsent | None = later_field(None)
    category: str = later_field("")
    name: Annotated[str, BeforeValidator(_tidied), Field(min_length=1, max_length=MOST_NAME)]
    seed: Seed = 1
    steps: int = Field(0, ge=0, le=20_000)
    rounds: int = Field(1, ge=1, le=5)
    pool: int = Field(0, ge=0, le=100)
    keep: int = Field(24, ge=1, le=1000)
    identity_loss: float | None = Field(None, ge=0, le=10)

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("printable characters only")
        return name

    @model_validator(mode="after")
    def _check_origin(self) -> ConsolidateRequest:
        """Raises BadInput where there is neither a design nor photos, or both, and for a look that nobody knows."""
        if (self.design is None) == (self.character is None):
            raise BadInput("persona_of_what")
        if self.character is not None:
            find_category(self.category)
        return self

    def check_before(self) -> None:
        """Raises BadInput where nobody agreed to be shown in the photos that the persona is made of."""
        if self.character is not None and self.character_consent is None:  # what was said since, the records know
            check_agreed(None, datetime.date.today())

    @property
    def mixed(self) -> Design:
        """Return the design that a LoRA is trained of."""
        assert self.design is not None, "a persona of photos has none"
        return self.design

    @property
    def consolidation(self) -> Consolidation:
        return Consolidation(**{name: getattr(self, name) for name in Consolidation.model_fields})


class Round(Value):
    """A round of training: how many it chose from and kept, with both mean cosines; or `why` it ended the rounds."""

    drawn: int = 0
    kept: int = 0
    consistency: float | None = None
    kept_consistency: float | None = None
    contact_sheet: FileKey | None = None
    why: str = ""


class Sample(Value):
    """Pictures drawn at a checkpoint; `identity` is the pictures' mean cosine to the enrolment.

    `lora` draws the persona as it was then; None where that checkpoint was not kept.
    """

    step: int
    pictures: tuple[FileKey, ...]
    identity: float
    lora: FileKey | None = later_field(None)


class Persona(Result):
    """A person that stays the same: `lora` draws them, `enrolment` (a unit vector) says who they are.

    `scale` is how strongly `lora` draws, and `checkpoint` after how many steps of the training it was kept, 0 for
    all of them (`studio.domain.checkpoints`). `version` counts a name's personas. `backbone` is the model that
    draws them and made all measures, `trained_on` the one that `lora` was trained on, a distilled backbone's
    sibling; both are "" in personas from before there was a difference. One that is made of photos has no LoRA but a
    `character`, and the consent of whom they show. `losses` is JSON in the store, `config` the
    training's resolved settings. What follows `lora` is not known of a persona that a bundle tells of.
    """

    kind: ClassVar[str] = "consolidate"

    name: str
    version: int
    trigger: str
    subject: str
    enrolment: tuple[float, ...]
    recipe: Recipe
    donors: tuple[UsedDonor, ...]
    lora: FileKey | None = None
    design: str = ""
    backbone: str = ""
    trained_on: str = ""
    request: Consolidation | None = None
    rounds: tuple[Round, ...] = ()
    losses: FileKey | None = None
    config: Mapping[str, JsonValue] = Field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    scale: float = later_field(1.0, ge=0, le=MOST_SCALE)
    checkpoint: int = later_field(0, ge=0)
    character: Character | None = later_field(None)
    character_consent: CharacterConsent | None = later_field(None)

    @property
    def pictures(self) -> tuple[FileKey, ...]:
        """Return pictures of the persona alone that were drawn while it was trained, the last ones first."""
        return tuple(dict.fromkeys(key for sample in reversed(self.samples) for key in sample.pictures))

    def index_entry(self) -> IndexEntry:
        sheets = [r.contact_sheet for r in self.rounds if r.contact_sheet is not None]
        facts: dict[str, str | int] = {
            "name": self.name,
            "version": self.version,
            "picture": next(iter((*self.pictures, *reversed(sheets))), ""),
        }
        return IndexEntry(facts, (self.name, self.recipe.category), (f"person:{self.name}",), faces=self.pictures)


SwapFault = Literal["identity", "old_face", "old_hair", "look"]
"""It does not show the persona; it still shows who was there; a rim of the old hair is left."""


class SwapRequest(Request):
    """The persona's face put into `pictures`. `strength` in [0.05, 1]: more of the persona, less of the old face.

    `hair` swaps the hair, too; `any_look` also swaps in pictures that are none that the model could have drawn.
    """

    persona: Persona
    pictures: tuple[NamedPicture, ...] = Field(min_length=1, max_length=200)
    seed: Seed = 1
    strength: float = Field(0.8, ge=0.05, le=1)
    hair: bool = True
    any_look: bool = later_field(False)


class SwappedPicture(Value):
    """Cosines to the enrolment before and after; `moved` is how far the landmarks went, in heights of the face.

    `old_face` is the new face's cosine to the one that was there, `old_hair` the share of the old hair's edge where it
    still is to be seen, in [0, 1]; None where there is none to compare, where the hair was not to change, and in
    results of before they were measured. `other_look`: the picture is none that the backbone could have drawn, so what
    was drawn into it is seen; None where the backbone does not say what it draws. `faults` are the scores that say that
    the swap did not work (`studio.domain.swap_scores`); None where nobody judged it.
    """

    name: str
    before: FileKey
    picture: FileKey
    seed: int
    identity_before: float
    identity: float
    moved: float | None
    old_face: float | None = None
    old_hair: float | None = None
    other_look: bool | None = None
    faults: tuple[SwapFault, ...] | None = None


class Swap(Result):
    """Pictures with the face of the persona of this id; `left_out` are those in which none could be put."""

    kind: ClassVar[str] = "swap"

    persona: str
    pictures: tuple[SwappedPicture, ...]
    left_out: tuple[LeftOutPicture, ...] = ()
