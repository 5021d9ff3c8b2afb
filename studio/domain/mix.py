"""Mixing by hand: mix weights that always sum to 1 while one of them is moved, locked or muted. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from personas.donors import Donor
from personas.recipes import Recipe, make_recipe, plan_recipe
from pipelines.errors import BadInput

__all__ = ["Mix", "less_of", "mix_as_json", "mix_from_json", "move_weight", "mute", "recipe_of_mix", "roll"]

_MIN_DONORS = 3
_MARGIN = 0.04  # under the ceiling: the candidates' mean is not quite that of eight pictures
_LESS, _EVENINGS = 0.95, 20


@dataclass(frozen=True)
class Mix:
    """`weights` are of `donors` (ids), in the same order. `seed` is what they were drawn with, 0 if set by hand."""

    category: str
    donors: tuple[str, ...]
    weights: tuple[float, ...]
    seed: int
    locked: frozenset[str] = frozenset()
    muted: frozenset[str] = frozenset()

    @property
    def drawn(self) -> tuple[tuple[str, float], ...]:
        """Return the part of it that a picture shows: donors and their weights, and no locks."""
        return tuple((d, w) for d, w in zip(self.donors, self.weights, strict=True) if w > 0)


def mix_as_json(mix: Mix) -> dict[str, object]:
    return asdict(mix) | {"locked": sorted(mix.locked), "muted": sorted(mix.muted)}


def mix_from_json(saved: dict[str, Any], donors: Collection[str]) -> Mix | None:
    """A mix that was kept; None where one of its donors (ids) is not among these any more."""
    if not saved or not set(saved["donors"]) <= set(donors):
        return None
    return Mix(
        str(saved["category"]), tuple(saved["donors"]), tuple(saved["weights"]), int(saved["seed"]),
        frozenset(saved["locked"]), frozenset(saved["muted"]),
    )  # fmt: skip


def move_weight(mix: Mix, donor: str, weight: float) -> Mix:
    """One weight is set, the others share the rest in proportion; locked and muted ones stay as they are."""
    if donor not in mix.donors or donor in mix.locked | mix.muted or not math.isfinite(weight):
        return mix
    at = mix.donors.index(donor)
    fixed = math.fsum(w for d, w in zip(mix.donors, mix.weights, strict=True) if d in mix.locked and d != donor)
    free = [i for i, d in enumerate(mix.donors) if i != at and d not in mix.locked and d not in mix.muted]
    room = max(0.0, 1.0 - fixed)
    value = min(max(weight, 0.0), room) if free else room
    return replace(mix, weights=_share(mix.weights, {at: value}, free, room - value), seed=0)


def mute(mix: Mix, donor: str) -> Mix:
    """Leave a donor out, or let it in again with an equal share; the others make room in proportion."""
    if donor not in mix.donors:
        return mix
    at = mix.donors.index(donor)
    if donor in mix.muted:
        back = replace(mix, muted=mix.muted - {donor})
        return move_weight(back, donor, 1 / (len(mix.donors) - len(back.muted)))
    left = [d for d in mix.donors if d not in mix.muted and d != donor]
    if len(left) < _MIN_DONORS:
        raise BadInput("mix_needs_donors", needed=_MIN_DONORS)
    free = [i for i, d in enumerate(mix.donors) if d in left and d not in mix.locked]
    free = free or [i for i, d in enumerate(mix.donors) if d in left]
    rest = 1.0 - math.fsum(w for i, w in enumerate(mix.weights) if i not in free and i != at)
    return replace(
        mix,
        weights=_share(mix.weights, {at: 0.0}, free, rest),
        seed=0,
        muted=mix.muted | {donor},
        locked=mix.locked - {donor},
    )


def roll(donors: Sequence[Donor], category: str, seed: int, ceiling: float, locked: Mix | None = None) -> Mix:
    """Random donors and weights; what is locked in `locked` keeps its donor and weight. Raises as `plan_recipe`."""
    recipe = plan_recipe(donors, category, min(4, max(_MIN_DONORS, len(donors))), seed=seed, ceiling=ceiling).recipe
    held = {} if locked is None else {
        d: w for d, w in zip(locked.donors, locked.weights, strict=True) if d in locked.locked
    }  # fmt: skip
    fresh = {d: w for d, w in zip(recipe.donors, recipe.mix_weights, strict=True) if d not in held}
    if not held:
        return Mix(category, recipe.donors, recipe.mix_weights, seed)
    fresh = dict(list(fresh.items())[: max(0, len(recipe.donors) - len(held))])
    room, total = 1.0 - math.fsum(held.values()), math.fsum(fresh.values())
    drawn = {d: w / total * room for d, w in fresh.items()}
    both = {**held, **drawn}
    return Mix(category, tuple(both), tuple(both.values()), 0, frozenset(held))


def less_of(mix: Mix, donor: str, similarity: float, ceiling: float) -> Mix:
    """Return the mix with so much less of one donor that it should be new: its face was measured to have this cosine
    `similarity` to theirs, which grows with their share of the weights' length, and comes to some way under `ceiling`.

    The others share what is left in proportion, more evenly where one of them would come too near then. A mix without
    this donor, or of them alone, stays as it is.
    """
    weights = dict(mix.drawn)
    if donor not in weights or len(weights) < 2 or similarity <= 0:
        return mix
    aim = max(ceiling - _MARGIN, 1 / math.sqrt(len(weights)))
    nearness = min(weights[donor] / math.hypot(*weights.values()) * min(aim / similarity, _LESS), aim)
    others = {other: weight / (1 - weights[donor]) for other, weight in weights.items() if other != donor}
    for _ in range(_EVENINGS):
        ratio = math.hypot(*others.values()) * nearness / math.sqrt(1 - nearness**2)
        share = ratio / (1 + ratio)
        lessened = {other: (1 - share) * weight for other, weight in others.items()} | {donor: share}
        if max(lessened.values()) / math.hypot(*lessened.values()) <= aim:
            break
        others = {other: 0.7 * weight + 0.3 / len(others) for other, weight in others.items()}
    return replace(
        mix, weights=tuple(lessened.get(d, 0.0) for d in mix.donors), seed=0, locked=frozenset(),
        muted=frozenset(d for d in mix.donors if d not in lessened),
    )  # fmt: skip


def recipe_of_mix(mix: Mix, donors: Sequence[Donor]) -> Recipe:
    """As strong as one donor, like a drawn recipe. Muted donors take no part. Raises BadInput."""
    by_id = {donor.id: donor for donor in donors}
    if any(donor not in by_id for donor, _ in mix.drawn):
        raise BadInput("donor_gone")
    used = [(by_id[d], w) for d, w in mix.drawn]
    weights = [w for _, w in used]
    total = math.fsum(weights)
    weights = weights if abs(total - 1) < 1e-9 else [w / total for w in weights]
    scale = 1 / math.hypot(*weights)
    return make_recipe([d for d, _ in used], weights, mix.category, seed=mix.seed, equalise=True, scale=scale)


def _share(weights: Sequence[float], fixed: dict[int, float], free: Collection[int], rest: float) -> tuple[float, ...]:
    """`rest` over the `free` ones in proportion to what they had, equally where they had nothing."""
    had = math.fsum(weights[i] for i in free)
    shares = {i: (weights[i] / had if had > 1e-9 else 1 / len(free)) * rest for i in free}
    return tuple({**fixed, **shares}.get(i, w) for i, w in enumerate(weights))
