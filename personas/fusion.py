"""Fusion: a new face as a weighted mix of several donors' LoRAs.

Identity LoRAs of one recipe form a linear space in which a random mix is a new person ("weights2weights",
arXiv:2406.09413). The mix is the exact sum of the ΔW, so nothing of it depends on how the LoRAs were
factored.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass

from personas.donors import Donor, check_consent
from personas.recipes import Recipe
from pipelines.errors import BadInput
from pipelines.families.catalogue import family_name
from pipelines.lora import Lora, LoraLayer, concatenate, inner_product, norms, read_lora

__all__ = ["FusedLora", "fuse_donors", "mix_donors"]


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


def fuse_donors(recipe: Recipe, donors: Sequence[Donor], today: datetime.date | None = None) -> FusedLora:
    """Read the recipe's donors among `donors` and sum them exactly. Donors of weight 0 are not even read.

    Raises BadInput (a donor of the recipe is not there), ConsentMissing, BadLora.
    """
    live = _live_donors(recipe, donors, today)
    stacks = [_read_donor(donor) for donor, _ in live]
    strengths = [norms(layers) for layers in stacks]
    scales = _scales(recipe, strengths, [weight for _, weight in live])
    layers = concatenate(stacks, scales)
    fused_norm = norms(layers)
    cosines = [
        inner_product(layers, one) / (fused_norm * n) if fused_norm > 0.0 else 0.0
        for one, n in zip(stacks, strengths, strict=True)
    ]
    by_id = {donor.id: pair for (donor, _), pair in zip(live, zip(scales, cosines, strict=True), strict=True)}
    pairs = [by_id.get(donor_id, (0.0, 0.0)) for donor_id in recipe.donors]
    return FusedLora(recipe, layers, tuple(scale for scale, _ in pairs), tuple(cosine for _, cosine in pairs))


def mix_donors(
    recipes: Sequence[Recipe], donors: Sequence[Donor], today: datetime.date | None = None
) -> tuple[tuple[Lora, ...], ...]:
    """Return what `fuse_donors` sums, unsummed: each donor's own LoRA at its scale, for every recipe.

    A donor's file is read once, and all recipes share its layers, so that they can be drawn in one batch. Raises what
    `fuse_donors` raises.
    """
    read: dict[str, tuple[tuple[LoraLayer, ...], float]] = {}
    mixes = []
    for recipe in recipes:
        live = _live_donors(recipe, donors, today)
        for donor, _ in live:
            if donor.id not in read:
                layers = _read_donor(donor)
                read[donor.id] = layers, norms(layers)
        scales = _scales(recipe, [read[donor.id][1] for donor, _ in live], [weight for _, weight in live])
        mixes.append(tuple(Lora(read[d.id][0], scale) for (d, _), scale in zip(live, scales, strict=True)))
    return tuple(mixes)


def _live_donors(recipe: Recipe, donors: Sequence[Donor], today: datetime.date | None) -> list[tuple[Donor, float]]:
    """The recipe's donors and their weights, those of weight 0 left out."""
    known = {donor.id: donor for donor in donors}
    if missing := [donor_id for donor_id in recipe.donors if donor_id not in known]:
        raise BadInput("recipe_donor_missing", donor=missing[0])
    live = [(known[i], weight) for i, weight in zip(recipe.donors, recipe.mix_weights, strict=True) if weight > 0.0]
    for donor, _ in live:
        check_consent(donor, today or datetime.date.today())
    if len(families := sorted({family_name(donor.family) for donor, _ in live})) > 1:
        raise BadInput("donors_of_several_families", families=families)
    return live


def _scales(recipe: Recipe, strengths: Sequence[float], weights: Sequence[float]) -> list[float]:
    """What each donor's ΔW is multiplied by: equal strengths, and the mean strength of the mix kept; one donor alone
    gets a factor of exactly 1.
    """
    mean = math.fsum(w * n for w, n in zip(weights, strengths, strict=True)) / math.fsum(weights)
    is_equal = recipe.equalise and len(weights) > 1
    factors = [mean / n for n in strengths] if is_equal else [1.0] * len(weights)
    return [recipe.scale * w * factor for w, factor in zip(weights, factors, strict=True)]


def _read_donor(donor: Donor) -> tuple[LoraLayer, ...]:
    file = read_lora(donor.lora_path, donor.family)
    if not file.sha256.startswith(donor.id):
        raise BadInput("donor_lora_changed", donor=donor.name)
    return file.layers
