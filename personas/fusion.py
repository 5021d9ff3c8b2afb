"""Fusion: a new face as a weighted mix of several donors' LoRAs.

Identity LoRAs of one recipe form a linear space in which a random mix is a new person ("weights2weights",
arXiv:2406.09413). The mix is the exact sum of the ΔW, so nothing of it depends on how the LoRAs were
factored.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from personas.donors import Donor, check_consent, with_consent
from personas.looks import find_category
from pipelines.errors import BadInput, NotEnough
from pipelines.lora import (
    LoraLayer,
    LoraMetadata,
    concatenate,
    inner_product,
    norms,
    read_lora,
    recompress,
    write_lora,
)

__all__ = [
    "FusedLora",
    "Recipe",
    "RecipePlan",
    "WrittenFusion",
    "fuse_donors",
    "make_recipe",
    "plan_recipe",
    "predicted_similarity",
    "write_fusion",
]

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


@dataclass(frozen=True, eq=False)
class FusedLora:
    """The exact mix. `scales` are what each donor's ΔW was multiplied by (mix weight, equalisation, scale).

    `similarities` are the cosines of the fused ΔW to each donor's ΔW: how near the mix is to a donor in
    weight space.
    """

    recipe: Recipe
    layers: tuple[LoraLayer, ...]
    scales: tuple[float, ...]
    similarities: tuple[float, ...]


@dataclass(frozen=True)
class WrittenFusion:
    """`lost_energy` is the share of ‖ΔW‖² that recompression dropped, 0 for the exact concatenation."""

    path: Path
    sha256: str
    rank: int
    lost_energy: float


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
            "Add donors, or use a smaller k.",
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


def fuse_donors(recipe: Recipe, donors: Sequence[Donor], today: datetime.date | None = None) -> FusedLora:
    """Read the recipe's donors among `donors` and sum them exactly. Donors of weight 0 are not even read.

    Raises BadInput (a donor of the recipe is not there), ConsentMissing, BadLora.
    """
    known = {donor.id: donor for donor in donors}
    if missing := [donor_id for donor_id in recipe.donors if donor_id not in known]:
        raise BadInput(f"The recipe names the donor {missing[0]}, which is not here.", "Add that donor's LoRA file.")
    live = [(known[i], weight) for i, weight in zip(recipe.donors, recipe.mix_weights, strict=True) if weight > 0.0]
    for donor, _ in live:
        check_consent(donor, today or datetime.date.today())
    stacks = [_read_donor(donor) for donor, _ in live]
    weights = [weight for _, weight in live]
    strengths = [norms(layers) for layers in stacks]
    # equal strengths, and the mean strength of the mix kept; one donor alone gets a factor of exactly 1
    mean = math.fsum(w * n for w, n in zip(weights, strengths, strict=True)) / math.fsum(weights)
    factors = [mean / n for n in strengths] if recipe.equalise and len(live) > 1 else [1.0] * len(live)
    scales = [recipe.scale * w * factor for w, factor in zip(weights, factors, strict=True)]
    layers = concatenate(stacks, scales)
    fused_norm = norms(layers)
    cosines = [
        inner_product(layers, one) / (fused_norm * n) if fused_norm > 0.0 else 0.0
        for one, n in zip(stacks, strengths, strict=True)
    ]
    by_id = {donor.id: pair for (donor, _), pair in zip(live, zip(scales, cosines, strict=True), strict=True)}
    pairs = [by_id.get(donor_id, (0.0, 0.0)) for donor_id in recipe.donors]
    return FusedLora(recipe, layers, tuple(scale for scale, _ in pairs), tuple(cosine for _, cosine in pairs))


def write_fusion(
    path: Path | str,
    fused: FusedLora,
    donors: Sequence[Donor],
    *,
    title: str,
    trigger: str = "",
    rank: int | None = None,
) -> WrittenFusion:
    """Save the mix as one ordinary LoRA file: the exact concatenation, or recompressed to `rank`.

    The file says what it was merged from, and carries every licence of its donors.
    """
    layers, lost = (fused.layers, 0.0) if rank is None else recompress(fused.layers, rank)
    used = {donor.id: donor for donor in donors}
    merged = [(used[i], scale) for i, scale in zip(fused.recipe.donors, fused.scales, strict=True) if scale != 0.0]
    metadata = LoraMetadata(
        title=title,
        trigger_phrase=trigger,
        license=", ".join(sorted({donor.licence for donor, _ in merged})),
        description="An exact weighted sum of LoRAs." if rank is None else f"Recompressed, {lost:.3%} of energy lost.",
        merged_from=tuple((f"{donor.name} ({donor.id})", scale) for donor, scale in merged),
        training={"persona_recipe": json.dumps(asdict(fused.recipe), sort_keys=True)},
    )
    sha256 = write_lora(path, layers, metadata)
    return WrittenFusion(Path(path), sha256, max(layer.rank for layer in layers), lost)


def _read_donor(donor: Donor) -> tuple[LoraLayer, ...]:
    file = read_lora(donor.lora_path)
    if not file.sha256.startswith(donor.id):
        raise BadInput(f"The LoRA file of the donor {donor.name} was changed.", "Load the donors again.")
    return file.layers


def _without_consent(count: int) -> str:
    return f" ({count} more have no valid consent)" if count else ""
