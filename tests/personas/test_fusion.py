"""Recipes and fusion: the same seed gives the same face, and the sum is exact."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from personas.donors import Consent, Donor
from personas.fusion import fuse_donors, mix_donors
from personas.recipes import make_recipe, plan_recipe, predicted_similarity
from pipelines.errors import BadInput, ConsentMissing, NotEnough, UnknownCategory
from pipelines.lora import concatenate, norms, read_lora
from tests.loras import float64_delta, tiny_transformer, write_donor

TODAY = datetime.date(2026, 11, 20)
STRENGTHS = (1.0, 2.0, 0.5, 4.0, 1.5)


@pytest.fixture(scope="module")
def donors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Donor, ...]:
    """Five sweet donors of different rank and strength, and two of another category."""
    folder = tmp_path_factory.mktemp("donors")
    transformer = tiny_transformer()
    sweet = [
        write_donor(folder, transformer, f"sweet{i}", i, strength=strength, rank=3 + i)
        for i, strength in enumerate(STRENGTHS)
    ]
    others = [write_donor(folder, transformer, f"ceo{i}", 50 + i, "ceo") for i in range(2)]
    return (*sweet, *others)


def expected_sum(donors: tuple[Donor, ...], scales: tuple[float, ...]) -> dict[str, np.ndarray]:
    total: dict[str, np.ndarray] = {}
    for donor, scale in zip(donors, scales, strict=True):
        for module, matrix in float64_delta(read_lora(donor.lora_path).layers).items():
            total[module] = total.get(module, 0.0) + scale * matrix
    return total


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_plan_is_a_function_of_its_seed(donors: tuple[Donor, ...]) -> None:
    plans = [plan_recipe(order, "sweet", seed=7, ceiling=0.8, today=TODAY) for order in (donors, donors[::-1])]
    assert plans[0] == plans[1]
    recipe = plans[0].recipe
    assert len(set(recipe.donors)) == 4
    assert math.fsum(recipe.mix_weights) == pytest.approx(1.0, abs=1e-9)
    sweet = {donor.id for donor in donors if donor.category == "sweet"}
    assert set(recipe.donors) <= sweet
    others = {plan_recipe(donors, "sweet", seed=seed, ceiling=0.8, today=TODAY).recipe.id for seed in range(20)}
    assert len(others) == 20


def test_lopsided_draws_are_redrawn(donors: tuple[Donor, ...]) -> None:
    ceiling = 0.62  # k = 4 cannot go below 0.5
    plans = [
        plan_recipe(donors, "sweet", seed=seed, ceiling=ceiling, concentration=1.0, today=TODAY) for seed in range(30)
    ]
    assert all(plan.predicted_similarity < ceiling for plan in plans)
    assert any(plan.redraws > 0 for plan in plans)
    for plan in plans:
        weights = np.array(plan.recipe.mix_weights)
        assert plan.predicted_similarity == pytest.approx(weights.max() / np.linalg.norm(weights))
    loose = [plan_recipe(donors, "sweet", seed=seed, ceiling=1.1, concentration=1.0, today=TODAY) for seed in range(30)]
    assert all(plan.redraws == 0 for plan in loose)
    assert max(plan.predicted_similarity for plan in loose) > ceiling  # redrawing did something


def test_predicted_similarity_is_the_cosine_of_a_linear_mix_of_unrelated_donors() -> None:
    weights = (0.5, 0.3, 0.2)
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 3)))[0].T
    mix = np.array(weights) @ axes
    assert predicted_similarity(weights) == pytest.approx(float(mix @ axes[0] / np.linalg.norm(mix)))
    assert predicted_similarity([0.25] * 4) == pytest.approx(1 / math.sqrt(4))


def test_plans_that_cannot_be(donors: tuple[Donor, ...]) -> None:
    with pytest.raises(BadInput, match=r"mix_donors_too_few.*needed=3"):
        plan_recipe(donors, "sweet", k=2, seed=1, ceiling=0.9, today=TODAY)
    with pytest.raises(BadInput, match="novelty_ceiling_too_low") as caught:
        plan_recipe(donors, "sweet", k=4, seed=1, ceiling=0.5, today=TODAY)
    assert caught.value.fields["needed"] == 5
    with pytest.raises(NotEnough, match=r"donors_too_few.*k=6"):
        plan_recipe(donors, "sweet", k=6, seed=1, ceiling=0.9, today=TODAY)
    with pytest.raises(NotEnough, match=r"donors_too_few.*k=3"):
        plan_recipe(donors, "ceo", k=3, seed=1, ceiling=0.9, today=TODAY)
    with pytest.raises(UnknownCategory):
        plan_recipe(donors, "gothic", seed=1, ceiling=0.9, today=TODAY)
    for concentration in (0.0, -1.0, math.nan):
        with pytest.raises(BadInput, match="concentration_invalid"):
            plan_recipe(donors, "sweet", seed=1, ceiling=0.9, concentration=concentration, today=TODAY)
    with pytest.raises(NotEnough, match="mix_draws_too_similar"):
        plan_recipe(donors, "sweet", seed=1, ceiling=0.5000001, today=TODAY)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((0.5, 0.6, -0.1), r"mix_weight_invalid.*-0\.1"),
        ((0.5, math.nan, 0.5), "mix_weight_invalid"),
        ((math.inf, 0.5, 0.5), "mix_weight_invalid"),
        ((1.0, 1.0, 2.0), "mix_weights_sum.*total=4"),
        ((0.0, 0.0, 0.0), "mix_weights_sum.*total=0"),
        ((0.5, 0.5), "mix_weight_count_differs.*donors=3"),
    ],
)
def test_bad_weights(donors: tuple[Donor, ...], weights: tuple[float, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make_recipe(donors[:3], weights, "sweet")


def test_recipe_id_is_made_from_its_content(donors: tuple[Donor, ...]) -> None:
    base = make_recipe(donors[:3], (0.5, 0.25, 0.25), "sweet")
    assert base == make_recipe(donors[:3], (0.5, 0.25, 0.25), "甜美系")
    changed = [
        make_recipe(donors[:3], (0.25, 0.5, 0.25), "sweet"),
        make_recipe(donors[1:4], (0.5, 0.25, 0.25), "sweet"),
        make_recipe(donors[:3], (0.5, 0.25, 0.25), "sweet", equalise=True),
        make_recipe(donors[:3], (0.5, 0.25, 0.25), "sweet", scale=1.1),
    ]
    assert len({base.id, *(recipe.id for recipe in changed)}) == 5
    with pytest.raises(BadInput, match="recipe_donor_twice"):
        make_recipe([donors[0], donors[0]], (0.5, 0.5), "sweet")
    with pytest.raises(BadInput, match="mix_scale_invalid"):
        make_recipe(donors[:3], (0.5, 0.25, 0.25), "sweet", scale=math.nan)


def test_fused_is_the_float64_weighted_sum(donors: tuple[Donor, ...]) -> None:
    recipe = make_recipe(donors[:3], (0.5, 0.3, 0.2), "sweet", scale=1.25)
    fused = fuse_donors(recipe, donors, TODAY)
    assert fused.scales == pytest.approx((0.625, 0.375, 0.25))
    expected = expected_sum(donors[:3], (0.625, 0.375, 0.25))
    found = float64_delta(fused.layers)
    assert found.keys() == expected.keys()
    assert max(relative(found[module], expected[module]) for module in expected) <= 1e-6


@pytest.mark.parametrize("equalise", [False, True])
def test_mixes_that_are_not_summed_have_the_same_sum_and_share_their_donors(
    donors: tuple[Donor, ...], equalise: bool
) -> None:
    recipes = [
        make_recipe(donors[:3], weights, "sweet", equalise=equalise, scale=1.25)
        for weights in ((0.5, 0.3, 0.2), (0.2, 0.8, 0.0))
    ]
    mixes = mix_donors(recipes, donors, TODAY)
    assert [len(mix) for mix in mixes] == [3, 2]
    assert all(one.layers is other.layers for one, other in zip(*mixes, strict=False))
    for recipe, mix in zip(recipes, mixes, strict=True):
        summed = concatenate([lora.layers for lora in mix], [lora.scale for lora in mix])
        for layer, wanted in zip(summed, fuse_donors(recipe, donors, TODAY).layers, strict=True):
            assert layer.up.equal(wanted.up)
            assert layer.down.equal(wanted.down)


def test_equalised_donors_weigh_alike(donors: tuple[Donor, ...]) -> None:
    third = [1 / 3, 1 / 3, 1 / 3]
    plain = fuse_donors(make_recipe(donors[1:4], third, "sweet"), donors, TODAY)
    even = fuse_donors(make_recipe(donors[1:4], third, "sweet", equalise=True), donors, TODAY)
    strengths = [norms(read_lora(donor.lora_path).layers) for donor in donors[1:4]]
    shares = [scale * strength for scale, strength in zip(even.scales, strengths, strict=True)]
    assert shares == pytest.approx([float(np.mean(strengths)) / 3] * 3)
    # random ΔW are nearly orthogonal: even shares are about 1/√3 from each, uneven ones are led by the
    # strongest
    assert even.similarities == pytest.approx((3**-0.5,) * 3, abs=0.1)
    assert max(plain.similarities) > 0.85
    expected = expected_sum(donors[1:4], even.scales)
    found = float64_delta(even.layers)
    assert max(relative(found[module], expected[module]) for module in expected) <= 1e-6


@pytest.mark.parametrize("equalise", [False, True])
def test_weights_one_and_zero_are_donor_one_bit_for_bit(donors: tuple[Donor, ...], equalise: bool) -> None:
    alone = {layer.module: layer for layer in read_lora(donors[0].lora_path).layers}
    fused = fuse_donors(make_recipe(donors[:2], (1.0, 0.0), "sweet", equalise=equalise), donors, TODAY)
    assert fused.scales == (1.0, 0.0)
    assert len(fused.layers) == len(alone)
    for layer in fused.layers:
        other = alone[layer.module]
        assert layer.alpha == other.alpha
        assert layer.up.equal(other.up)
        assert layer.down.equal(other.down)


def test_donor_of_weight_zero_needs_no_file(donors: tuple[Donor, ...], tmp_path: Path) -> None:
    gone = replace(donors[1], lora_path=tmp_path / "gone.safetensors")
    fuse_donors(make_recipe([donors[0], gone], (1.0, 0.0), "sweet"), [donors[0], gone], TODAY)


def test_fusion_stops_at_revoked_consent_unknown_donors_and_changed_files(
    donors: tuple[Donor, ...], tmp_path: Path
) -> None:
    recipe = make_recipe(donors[:3], (0.5, 0.25, 0.25), "sweet")
    with pytest.raises(BadInput, match="recipe_donor_missing"):
        fuse_donors(recipe, donors[1:], TODAY)
    consent = Consent.model_validate({**donors[0].consent.model_dump(), "revoked": True})
    revoked = replace(donors[0], consent=consent)
    with pytest.raises(ConsentMissing, match="consent_revoked"):
        fuse_donors(recipe, (revoked, *donors[1:]), TODAY)
    plan = plan_recipe((revoked, *donors[1:]), "sweet", seed=3, ceiling=0.9, today=TODAY)
    assert revoked.id not in plan.recipe.donors
    with pytest.raises(NotEnough, match="donors_with_consent_too_few"):
        plan_recipe((revoked, *donors[1:]), "sweet", k=5, seed=3, ceiling=0.9, today=TODAY)
    other = replace(donors[0], lora_path=donors[4].lora_path)
    with pytest.raises(BadInput, match="donor_lora_changed"):
        fuse_donors(recipe, (other, *donors[1:]), TODAY)
