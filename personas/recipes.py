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
    """Who is mixed and how much. `mix_weights` are ≥ 0 and sum to 1; `scale` is the mix's strength.

    `equalise` brings the donors to one ‖ΔW‖ before weighting, so that none dominates by having been trained
    longer. `seed` is what the weights were drawn with, 0 for weights given by hand.
    """

    id: str
    category: str
    donors: tuple[str, ...]
    mix_weights: tuple[float, ...]
    seed: int
    equalise: bool
    scale: float = 1.0


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
        raise BadInput(f"There are {len(ids)} donors and {len(weights)} mix weights.", "Give every donor one weight.")
    if len(set(ids)) != len(ids):
        raise BadInput("A donor is named twice in one recipe.", "Name each donor once and add up its weights.")
    if bad := [weight for weight in weights if not math.isfinite(weight) or weight < 0.0]:
        raise BadInput(f"{bad[0]} is no mix weight.", "Mix weights are numbers from 0 to 1 that sum to 1.")
    total = math.fsum(weights)
    if abs(total - 1.0) > _SUM_TOLERANCE:
        hint = ", ".join(f"{weight / total:.4g}" for weight in weights) if total > 0 else "equal weights"
        raise BadInput(f"The mix weights sum to {total:.6g}, not to 1.", f"Use {hint}.")
    if not math.isfinite(scale) or scale <= 0.0:
        raise BadInput(f"{scale} is no strength for a mix.", "Use 1.0, or a little more or less.")
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
    return Recipe(digest[:16], look, ids, weights, int(seed), bool(equalise), float(scale))


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
        raise BadInput(
            f"A new face needs at least {_MIN_DONORS} donors, not {k}: fewer leave it too near to one.",
            f"Use k = {_MIN_DONORS} or more.",
        )
    if not (math.isfinite(concentration) and concentration > 0.0):
        raise BadInput(f"{concentration} is no concentration.", "Use a number over 0; 4 is the default.")
    floor = 1.0 / math.sqrt(k)
    if not ceiling > floor:
        raise BadInput(
            f"A mix of {k} donors cannot come under a cosine of {floor:.3f} to its strongest one, and the "
            f"ceiling is {ceiling:.3f}.",
            f"Use more than {math.floor(1 / ceiling**2)} donors." if ceiling > 0.0 else "",
        )
    there = sorted((donor for donor in donors if donor.category == look.id), key=lambda donor: donor.id)
    pool = with_consent(there, today or datetime.date.today())
    if len(pool) < k:
        raise NotEnough(
            f"There are {len(pool)} usable donors in {look.id} ({look.name_zh}), and the recipe needs {k}"
            f"{_without_consent(len(there) - len(pool))}.",
            "Add donors, or mix fewer.",
        )
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
    raise NotEnough(
        f"None of {_MAX_REDRAWS} draws of {k} mix weights came under the novelty ceiling {ceiling:.3f}.",
        "Use more donors or a higher concentration.",
    )


def _without_consent(count: int) -> str:
    return f" ({count} more have no valid consent)" if count else ""
