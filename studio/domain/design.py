"""A design: a mix of donors, its candidates, and which of them are one person. And a preview of several mixes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from personas.gates import CHOOSABLE, THRESHOLDS
from personas.looks import find_category
from personas.recipes import Recipe
from personas.selection import MIN_KEPT
from personas.shots import Shot
from pipelines.errors import BadInput
from studio.domain.guidance import Guidance
from studio.domain.thresholds import thresholds_schema
from studio.domain.values import (
    FileKey,
    IndexEntry,
    LeftOutPicture,
    NamedPicture,
    Request,
    Result,
    Seed,
    Value,
    later_field,
)

__all__ = [
    "Design", "DesignRequest", "Preview", "PreviewRequest", "PreviewedRecipe", "RejectedRecipe", "UsedDonor",
    "check_recipe",
]  # fmt: skip

_SUM_TOLERANCE = 1e-6


def check_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe. Raises ValueError for weights that are no shares of 1, one for each donor."""
    weights = recipe.mix_weights
    if not weights or len(weights) != len(recipe.donors) or len(set(recipe.donors)) != len(recipe.donors):
        raise ValueError("donors ≠ mix_weights")
    if any(not math.isfinite(w) or w < 0 for w in weights) or abs(math.fsum(weights) - 1) > _SUM_TOLERANCE:
        raise ValueError("mix_weights ≥ 0, Σ = 1")
    if not (math.isfinite(recipe.scale) and recipe.scale > 0):
        raise ValueError("scale > 0")
    return recipe


CheckedRecipe = Annotated[Recipe, AfterValidator(check_recipe)]


class DesignRequest(Request):
    """A new face. `category` is a look category; `donors` how many are mixed; `candidates` how many are drawn.

    `recipes` is how many mixes are tried until one is new enough; `gates` are thresholds that replace defaults.
    A `recipe` of one's own is the only one tried. `templates` are pictures that the face is put into: more candidates.
    `guided` says what the candidates wear and where they are to their owner's taste, shot by shot, and why.
    """

    category: str = Field(max_length=40)
    seed: Seed = 1
    donors: int = Field(4, ge=3, le=32)
    candidates: int = Field(48, ge=2, le=1000)
    equalise: bool = True
    recipes: int = Field(8, ge=1, le=100)
    gates: Annotated[Mapping[str, float], WithJsonSchema(thresholds_schema())] = Field(default_factory=dict)
    templates: tuple[NamedPicture, ...] = Field((), max_length=200)
    recipe: CheckedRecipe | None = None
    guided: Guidance | None = later_field(None)

    @model_validator(mode="after")
    def _check(self) -> DesignRequest:
        find_category(self.category)
        if unknown := sorted(self.gates.keys() - THRESHOLDS.keys()):
            raise BadInput("unknown_threshold", threshold=unknown[0], known=list(CHOOSABLE))
        return self

    def check_before(self) -> None:
        """Raise BadInput for fewer candidates than a face is found on, however well they agree."""
        if (count := self.candidates + len(self.templates)) < MIN_KEPT:
            raise BadInput("candidates_drawn_too_few", count=count, wanted=MIN_KEPT)


class UsedDonor(Value):
    """A donor of a design as it was then: `consent` is who gave it."""

    id: str
    name: str
    licence: str
    consent: str


class RejectedRecipe(Value):
    """A mix that came too near to a donor."""

    attempt: int
    why: str


class Design(Result):
    """Candidates of one mix. Columns go with `pictures`; `kept` are row numbers, `enrolment` the kept faces' mean.

    `held` and `dropped` are rows that a person chose by hand. `donor_faces` maps donors' ids to their mean faces;
    `measures` (a row for each picture) and `report` are JSON in the store.
    """

    kind: ClassVar[str] = "design"

    request: DesignRequest
    recipe: Recipe
    redraws: int
    predicted_similarity: float
    donors: tuple[UsedDonor, ...]
    trigger: str
    subject: str
    shots: tuple[Shot, ...]
    prompts: tuple[str, ...]
    seeds: tuple[Seed, ...]
    pictures: tuple[FileKey, ...]
    measures: FileKey
    consistency: float
    kept: tuple[int, ...]
    enrolment: tuple[float, ...]
    donor_faces: Mapping[str, tuple[float, ...]]
    report: FileKey
    novelty_max: float
    novelty_ceiling: float
    contact_sheet: FileKey
    rejected: tuple[RejectedRecipe, ...] = ()
    held: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    left_out: tuple[LeftOutPicture, ...] = ()

    def index_entry(self) -> IndexEntry:
        look = self.recipe.category
        facts: dict[str, str | int] = {
            "name": look,
            "kept": len(self.kept),
            "count": len(self.pictures),
            "picture": self.contact_sheet,
        }
        kept = tuple(self.pictures[i] for i in self.kept)
        return IndexEntry(facts, (look, *(donor.name for donor in self.donors)), faces=kept)


class PreviewRequest(Request):
    """Recipes of one category, each drawn once per seed of `seeds`."""

    recipes: tuple[CheckedRecipe, ...] = Field(min_length=1, max_length=24)
    seeds: tuple[Seed, ...] = Field((11,), min_length=1, max_length=16)


class PreviewedRecipe(Value):
    """`similarity` maps donors' ids to the cosine of the mix's face to theirs, None where no face was found."""

    recipe: Recipe
    pictures: tuple[FileKey, ...]
    similarity: Mapping[str, float | None]


class Preview(Result):
    """Mixes before one of them becomes a design; `ceiling` is what a design refuses by before its
    candidates are drawn (`personas.novelty.early_ceiling`), `pictures` on how many the similarity
    was measured: 1 in older studios, which compared single faces.
    """

    kind: ClassVar[str] = "preview"

    ceiling: float
    pictures: int = 1
    recipes: tuple[PreviewedRecipe, ...]
