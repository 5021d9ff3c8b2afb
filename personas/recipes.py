"""Recipes: which donors are mixed and how much. Numbers only, so that a page can plan one without loading torch.

Identity LoRAs of one recipe form a linear space in which a random mix is a new person ("weights2weights",
arXiv:2406.09413).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personas.donors import Donor, with_consent
from personas.looks import find_category
from pipelines.errors import BadInput, NotEnough

__all__ = ["Recipe", "RecipePlan", "make_recipe", "plan_recipe", "predicted_similarity"]

_MIN_DONORS = 3  # two donors leave one of them at a cosine of at least 1/√2
_MAX_REDRAWS = 10_000
_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Recipe:
    """Recipe: who is mixed and how much. `mix_weights` are ≥ 0 and sum to 1; `scale` is the mix's strength.

    `equalise` brings the donors to one ‖ΔW‖ before weighting, so that none dominates by having been trained
    longer. `seed` is what the weights were drawn with, 0 for weights given by hand. `family` and `width` are those of
    the donors' LoRAs, `width` 0 where it is not known; recipes from before there was a choice are of FLUX.1.
    """

    id: str
    category: str
    donors: tuple[str, ...]
    mix_weights: tuple[float, ...]
    seed: int
    equalise: bool
    scale: float = 1.0
    family: str = "flux1"
    width: int = 0


@dataclass(frozen=True)
class RecipePlan:
    """A drawn recipe, how many draws were thrown away, and the predicted cosine to the strongest donor."""

    recipe: Recipe
    redraws: int
    predicted_similarity: float


def make_recipe(
    donors: Sequence[Donor],
    mix_weights: Sequence[float],
    category: str,
    *,
    seed: int = 0,
    equalise: bool = False,
    scale: float = 1.0,
) -> Recipe:
    """A recipe of these donors and weights.

    Raises BadInput for weights that are negative, no numbers, or do not sum to 1.
    """
    weights = tuple(float(weight) for weight in mix_weights)
    ids = tuple(donor.id for donor in donors)
    if len(ids) != len(weights) or not ids:
        raise BadInput("mix_weight_count_differs", donors=len(ids), weights=len(weights))
    if len(set(ids)) != len(ids):
        raise BadInput("recipe_donor_twice")
    if bad := [weight for weight in weights if not math.isfinite(weight) or weight < 0.0]:
        raise BadInput("mix_weight_invalid", weight=bad[0])
    total = math.fsum(weights)
    if abs(total - 1.0) > _SUM_TOLERANCE:
        instead = [f"{weight / total if total > 0 else 1 / len(weights):.4g}" for weight in weights]
        raise BadInput("mix_weights_sum", total=total, weights=instead)
    if not math.isfinite(scale) or scale <= 0.0:
        raise BadInput("mix_scale_invalid", scale=scale)
    look = find_category(category).id
    content = {
        "category": look,
        "donors": ids,
        "mix_weights": weights,
        "seed": int(seed),
        "equalise": bool(equalise),
        "scale": float(scale),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    family, width = donors[0].family, max(donor.lora_width for donor in donors)
    return Recipe(digest[:16], look, ids, weights, int(seed), bool(equalise), float(scale), family, width)


def predicted_similarity(mix_weights: Sequence[float]) -> float:
    """w_max / ‖w‖₂: a mix's cosine to its strongest donor, if donors are unrelated and equally strong."""
    return max(mix_weights) / math.sqrt(math.fsum(weight * weight for weight in mix_weights))


def plan_recipe(
    donors: Sequence[Donor],
    category: str,
    k: int = 4,
    *,
    seed: int,
    ceiling: float,
    concentration: float = 4.0,
    equalise: bool = True,
    scale: float | None = None,
    today: datetime.date | None = None,
) -> RecipePlan:
    """Draw k donors of a category and their Dirichlet weights from a seed; same donors and seed, same plan.

    Lopsided weights are drawn again until the predicted cosine to the strongest donor is under `ceiling` (the
    recogniser's novelty ceiling). `concentration` is Dirichlet's: higher is more even. Donors without a
    consent that holds `today` (default: the day it is) take no part.

    A `scale` of None makes the mix as strong as a donor: the sum of unrelated ΔW of one norm, weighted by w, has only
    ‖w‖₂ of that norm (half of it for four), and a person so faint differs from picture to picture.
    """
    look = find_category(category)
    if k < _MIN_DONORS:
        raise BadInput("mix_donors_too_few", needed=_MIN_DONORS, k=k)
    if not (math.isfinite(concentration) and concentration > 0.0):
        raise BadInput("concentration_invalid", concentration=concentration)
    if not ceiling > 0.0:
        raise BadInput("novelty_ceiling_not_positive", ceiling=ceiling)
    floor = 1.0 / math.sqrt(k)
    if not ceiling > floor:
        raise BadInput(
            "novelty_ceiling_too_low", k=k, floor=floor, ceiling=ceiling, needed=math.floor(1 / ceiling**2) + 1
        )
    there = sorted((donor for donor in donors if donor.category == look.id), key=lambda donor: donor.id)
    pool = with_consent(there, today or datetime.date.today())
    if len(pool) < k:
        without = len(there) - len(pool)
        if without:
            raise NotEnough("donors_with_consent_too_few", count=len(pool), look=look.id, k=k, without=without)
        raise NotEnough("donors_too_few", count=len(pool), look=look.id, k=k)
    rng = np.random.default_rng(seed)
    chosen = [pool[int(index)] for index in rng.choice(len(pool), size=k, replace=False)]
    for redraws in range(_MAX_REDRAWS):
        draw = rng.dirichlet(np.full(k, concentration))
        weights = [float(weight) for weight in draw / draw.sum()]
        predicted = predicted_similarity(weights)
        if predicted < ceiling:
            strength = 1 / math.hypot(*weights) if scale is None else scale
            recipe = make_recipe(chosen, weights, look.id, seed=seed, equalise=equalise, scale=strength)
            return RecipePlan(recipe, redraws, predicted)
    raise NotEnough("mix_draws_too_similar", draws=_MAX_REDRAWS, k=k, ceiling=ceiling)
