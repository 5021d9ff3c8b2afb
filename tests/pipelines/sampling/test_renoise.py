"""Renoising: the formula, and the step at which it happens."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.sampling.loop import Step
from pipelines.sampling.renoise import Renoise, fresh_noise, renoise


def test_renoising_replaces_a_share_of_the_noise_and_keeps_its_variance() -> None:
    torch.manual_seed(1)
    clean, noise = torch.randn(2, 4000, 8) * 0.3, torch.randn(2, 4000, 8)
    before, now = 0.7, 0.6
    earlier, later = ((1 - s) * clean + s * noise for s in (before, now))
    fresh = fresh_noise(later, [3, 4])
    amount = 0.6
    found = (renoise(earlier, later, before, now, amount, fresh) - (1 - now) * clean) / now
    torch.testing.assert_close(found, math.sqrt(1 - amount**2) * noise + amount * fresh, atol=1e-4, rtol=1e-4)
    assert float(found.std()) == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(renoise(earlier, later, before, now, 0.0, fresh), later, atol=1e-5, rtol=1e-5)
    assert torch.equal(fresh_noise(later[1:], [4])[0], fresh[1])


@pytest.mark.parametrize(("steps", "at"), [(6, 2), (5, 1), (2, 0), (1, None)])
def test_it_happens_once_in_the_middle_and_never_at_the_end(steps: int, at: int | None) -> None:
    extension, sigmas = Renoise(0.5, [3], steps), torch.linspace(1, 0, steps + 1)
    state = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    changed = [
        i
        for i in range(steps)
        if not torch.equal(extension.after_step(state, Step(i, sigmas[i], sigmas[i + 1], state * 1.1)), state)
    ]
    assert changed == ([] if at is None else [at])
