"""Following: references whose part in a picture changes from step to step are told where the sampling is."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipelines.families.model import Conditioning
from pipelines.references.protocol import Follower
from pipelines.sampling.loop import Extension, Step, Velocity

__all__ = ["Following"]


class Following(Extension):
    """Tells the followers before each velocity; `plain` is the conditioning that is to be the model's own, if any.

    `begin` is the number of the first step that is taken, `sigmas` are those of all.
    """

    def __init__(
        self, followers: Sequence[Follower], sigmas: Tensor, begin: int, plain: Conditioning | None = None
    ) -> None:
        self._followers, self._sigmas, self._number, self._plain = followers, sigmas, begin, plain

    def wrap(self, velocity: Velocity) -> Velocity:
        def followed(state: Tensor, sigma: Tensor, conditioning: Conditioning) -> Tensor:
            share = self._number / (len(self._sigmas) - 1)
            is_plain = self._plain is not None and conditioning is self._plain
            for follower in self._followers:
                follower.follow(self._sigmas[self._number], share, is_plain)
            return velocity(state, sigma, conditioning)

        return followed

    def after_step(self, state: Tensor, step: Step) -> Tensor:
        self._number = step.number + 1
        return state
