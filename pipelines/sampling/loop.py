"""The one sampling loop: Euler steps along a family's velocity, over its own sigmas, for every way of drawing.

It computes what diffusers' pipelines and their `FlowMatchEulerDiscreteScheduler.step` compute, to the bit: the model is
told sigma after a round trip through timesteps in the state's number type, and a step is added in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipelines.families.model import Conditioning

__all__ = ["Extension", "Step", "Velocity", "sample"]

Velocity = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(state [b, …], sigma [b], conditioning) to d state / d sigma, as `Model.velocity`."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step that was taken: the `number`-th of the schedule, from state `before` at sigma down to `sigma_next`."""

    number: int
    sigma: Tensor
    sigma_next: Tensor
    before: Tensor


class Extension(Protocol):
    """Something that changes how pictures are sampled. A file with a subclass is all that a new one needs."""

    def wrap(self, velocity: Velocity) -> Velocity:
        """Return what is called in the velocity's place, on both sides of guidance."""
        return velocity

    def after_step(self, state: Tensor, step: Step) -> Tensor:
        """Return the state that the next step begins with."""
        return state


def sample(
    velocity: Velocity,
    state: Tensor,
    sigmas: Tensor,
    positive: Conditioning,
    negative: Conditioning | None = None,
    cfg_scale: float = 1.0,
    extensions: Sequence[Extension] = (),
    begin: int = 0,
    on_step: Callable[[int], None] = lambda taken: None,
) -> Tensor:
    """Go from `state` at sigmas[begin] to the picture's state at 0; guidance is v⁻ + cfg · (v⁺ - v⁻).

    `on_step` is told how many steps of the schedule are taken, after each; it may raise to stop.
    """
    for extension in extensions:
        velocity = extension.wrap(velocity)
    for number in range(begin, len(sigmas) - 1):
        step = Step(number, sigmas[number], sigmas[number + 1], state)
        told = (step.sigma * 1000).expand(state.shape[0]).to(state.dtype) / 1000
        v = velocity(state, told, positive)
        if negative is not None:
            against = velocity(state, told, negative)
            v = against + cfg_scale * (v - against)
        state = (state.to(torch.float32) + (step.sigma_next - step.sigma) * v).to(v.dtype)
        for extension in extensions:
            state = extension.after_step(state, step)
        on_step(number + 1)
    return state
