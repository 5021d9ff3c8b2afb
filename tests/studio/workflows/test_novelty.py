"""Whether a face is new is known on eight pictures, by the same number everywhere, and a refused mix is mended."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personas.novelty import early_ceiling
from pipelines.errors import NotEnough
from pipelines.progress import Event
from studio.application import Studio
from studio.domain.design import DesignRequest, PreviewRequest
from studio.domain.mix import Mix, less_of, recipe_of_mix
from studio.domain.report import MixesShown, PicturesDrawn, Report
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.design import design_persona
from studio.workflows.preview import _draw, preview_recipes

CEILING = 0.81


def nearness(mix: Mix) -> dict[str, float]:
    weights = dict(mix.drawn)
    return {donor: weight / math.hypot(*weights.values()) for donor, weight in weights.items()}


@pytest.mark.parametrize("weights", [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2), (0.6, 0.2, 0.1, 0.1), (0.45, 0.45, 0.1)])
@pytest.mark.parametrize("similarity", [0.82, 0.9, 0.99])
def test_there_is_so_much_less_of_a_donor_that_the_mix_should_be_new(
    weights: tuple[float, ...], similarity: float
) -> None:
    donors = tuple("abcd"[: len(weights)])
    mix = Mix("sweet", (*donors, "z"), (*weights, 0.0), 7, locked=frozenset("a"), muted=frozenset("z"))
    less = less_of(mix, "a", similarity, CEILING)
    assert math.fsum(less.weights) == pytest.approx(1)
    assert min(weight for _, weight in less.drawn) > 0
    assert [donor for donor, _ in less.drawn] == list(donors)
    before, after = nearness(mix), nearness(less)
    assert after["a"] < before["a"]
    assert similarity * after["a"] / before["a"] < CEILING
    assert max(after.values()) < CEILING
    assert (less.seed, less.muted) == (0, frozenset("z"))


def test_a_mix_that_cannot_be_mended_stays() -> None:
    mix = Mix("sweet", ("a", "b"), (1.0, 0.0), 1)
    assert less_of(mix, "a", 0.9, CEILING) == mix
    assert less_of(mix, "nobody", 0.9, CEILING) == mix


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def check_cancelled(self) -> None:
        return


@pytest.mark.journey
def test_what_a_preview_shows_is_what_a_design_is_refused_by_and_less_mends_it(tmp_path: Path) -> None:
    """On the miniature: one source face nearly alone. Forty-eight candidates are not drawn for it."""
    studio = Studio(Settings(data=tmp_path, threads=1))
    donors, ceiling = studio.fitting_donors("sweet"), early_ceiling(studio.calibration)
    mix = Mix("sweet", tuple(donor.id for donor in donors[:3]), (0.9, 0.06, 0.04), 0)
    shown = Told()
    preview = preview_recipes(studio, PreviewRequest.make(recipes=(recipe_of_mix(mix, donors),)), run_directly, shown)
    near: dict[str, Any] = dict(preview.recipes[0].similarity)
    worst = max(near, key=lambda donor: near[donor])
    assert (worst, preview.pictures, preview.ceiling) == (donors[0].id, 8, ceiling)
    assert near[worst] >= ceiling
    mixes = [event.mixes for event in shown.events if isinstance(event, MixesShown)]
    assert [bool(rows[0].similarity) for rows in mixes] == [False, True]  # the picture is there before its measure
    assert not [event for event in shown.events if isinstance(event, PicturesDrawn)]  # nobody asked for the others
    assert Report().after(MixesShown(mixes[0]), 0.0).mixes == mixes[0]

    told = Told()
    asked = DesignRequest.make(category="sweet", candidates=48, recipe=recipe_of_mix(mix, donors))
    with pytest.raises(NotEnough, match="not_novel") as refused:
        design_persona(studio, asked, run_directly, told)
    facts = refused.value.fields
    assert (facts["similarity"], facts["donor_id"], facts["ceiling"]) == (near[worst], worst, ceiling)
    assert (facts["donor"], tuple(facts["weights"])) == (donors[0].name, mix.weights)
    assert not [event for event in told.events if isinstance(event, PicturesDrawn)]

    less = less_of(mix, facts["donor_id"], facts["similarity"], facts["ceiling"])
    again = preview_recipes(studio, PreviewRequest.make(recipes=(recipe_of_mix(less, donors),)), run_directly)
    assert max(value for value in again.recipes[0].similarity.values() if value is not None) < ceiling


def test_mixes_that_are_previewed_together_look_as_they_do_alone(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path, threads=1))
    donors = studio.fitting_donors("sweet")
    ids = tuple(donor.id for donor in donors[:4])
    weights = ((0.7, 0.1, 0.1, 0.1), (0.1, 0.1, 0.1, 0.7), (0.4, 0.6, 0.0, 0.0))
    recipes = [recipe_of_mix(Mix("sweet", ids, row, 0), donors) for row in weights]
    shown = Told()
    together = _draw(studio, recipes, (11, 12), shown)
    alone = [_draw(studio, [recipe], (11, 12), shown)[0] for recipe in recipes]
    for keys, others in zip(together, alone, strict=True):
        for key, other in zip(keys, others, strict=True):
            one, two = (studio.store.get_picture(k).astype(np.int64) for k in (key, other))
            assert np.abs(one - two).mean() < 1  # as near as batches of other sizes are in low precision
    first, second = (studio.store.get_picture(row[0]).astype(np.int64) for row in together[:2])
    assert np.abs(first - second).mean() > 4
