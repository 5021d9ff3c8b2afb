"""What a step of a training reads: which bucket, which of its rows, and how noisy they are, from the step's number.

Nothing here has a state: so a training that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pipelines.backbones import Backbone
from pipelines.families.model import Conditioning, Extras
from pipelines.training.buckets import turns_of_buckets
from pipelines.training.dataset import TrainingSet
from pipelines.training.losses import SigmaDensity, sample_sigmas

__all__ = ["Batches", "NoisyBatch", "Objective", "draw_noise", "seed_of"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batches:
    """Sets of one size each, and how they are drawn in `steps` steps.

    Rows that stand for the training's first `own` pictures are what is learnt, the others regularise. A set is drawn as
    often as it has pictures to learn, in batches of its own `batch`.
    """

    sets: tuple[TrainingSet, ...]
    own: int
    seed: int
    steps: int

    @cached_property
    def _turns(self) -> Rows:
        if len(self.sets) == 1:
            return np.zeros(self.steps, np.int64)
        return turns_of_buckets([self._split(one)[0] for one in self.sets], self.steps, self.seed)

    def _split(self, one: TrainingSet) -> tuple[int, int]:
        own = sum(row < self.own for row in one.rows)
        return own, len(one.rows) - own

    def of_step(self, step: int) -> tuple[TrainingSet, Rows]:
        """Return the set of a step and the rows [b] in it."""
        chosen = int(self._turns[step]) if step < self.steps else 0
        one, turn = self.sets[chosen], step
        if len(self.sets) > 1:
            turn = int((self._turns[:step] == chosen).sum())
        return one, _batch(*self._split(one), one.batch, self.seed, turn)


@dataclass(frozen=True, eq=False)
class NoisyBatch:
    """`noisy` = (1 − σ)·`clean` + σ·`noise`, states [b, …] of `size` (height, width); `sigmas` [b] after the shift.

    `rows` [b] are places in `of`; `own` [b] says which are to be learnt, `dropped` [b] whose caption is empty.
    """

    backbone: Backbone
    of: TrainingSet
    rows: torch.Tensor
    own: torch.Tensor
    clean: torch.Tensor
    noise: torch.Tensor
    sigmas: torch.Tensor
    dropped: torch.Tensor
    noisy: torch.Tensor
    conditioning: Conditioning

    @property
    def size(self) -> tuple[int, int]:
        return self.of.height, self.of.width

    @property
    def broad_sigmas(self) -> torch.Tensor:
        """Sigmas shaped as states are."""
        return self.sigmas.view(-1, *[1] * (self.clean.ndim - 1))

    def velocity(self) -> torch.Tensor:
        """What the transformer, as it is now, predicts for the batch."""
        kind, dtype = self.backbone.device.type, self.backbone.dtype
        with torch.autocast(kind, dtype=dtype, enabled=dtype != torch.float32):
            return self.backbone.model.velocity(self.noisy, self.sigmas, self.conditioning)


class Objective(Protocol):
    """A training's loss where it is not flow matching alone; `fingerprint` says all that it depends on."""

    @property
    def fingerprint(self) -> str: ...

    def __call__(self, batch: NoisyBatch) -> torch.Tensor: ...


def draw_noise(
    backbone: Backbone, batches: Batches, step: int, density: SigmaDensity, dropout: float, guidance: float
) -> tuple[NoisyBatch, torch.Generator]:
    """Return a step's batch, and the generator that drew it, for whatever is drawn next.

    All is drawn on the CPU in float32 and then moved, so that every device and dtype trains on the same samples.
    """
    device, model = backbone.device, backbone.model
    of, numbers = batches.of_step(step)
    count, rows = len(numbers), torch.from_numpy(numbers).to(device)
    generator = torch.Generator().manual_seed(seed_of(batches.seed, 1, step))
    x = of.states[rows]
    sigmas = sample_sigmas(count, density, generator)
    # the shift of the set's own number of tokens, where the family's schedule goes by it
    sigmas = model.shift(sigmas, math.prod(side // model.token_px for side in (of.height, of.width))).to(device)
    noise = torch.randn(x.shape, generator=generator).to(device)
    dropped = (torch.rand(count, generator=generator) < dropout).to(device)
    captions = of.caption_of[rows].masked_fill(dropped, 0)
    text = model.join([of.captions[i] for i in captions.tolist()])
    conditioning = model.condition(text, of.height, of.width, guidance, Extras())
    own = torch.tensor([of.rows[i] < batches.own for i in numbers.tolist()], device=device)
    noisy = torch.lerp(x, noise, sigmas.view(-1, *[1] * (x.ndim - 1)))
    return NoisyBatch(backbone, of, rows, own, x, noise, sigmas, dropped, noisy, conditioning), generator


def _batch(own: int, others: int, count: int, seed: int, turn: int) -> Rows:
    """The rows of one batch; its second half regularises where there is something to do so with, and of batches of one
    picture every second.
    """
    if not others or not own:
        return _rows(own or others, count, seed, turn)
    if count == 1:
        first = _rows((own, others)[turn % 2], 1, seed, turn // 2)
        return first + own * (turn % 2)
    half = count // 2
    return np.concatenate([_rows(own, half, seed, turn), own + _rows(others, count - half, seed, turn)])


def _rows(examples: int, count: int, seed: int, turn: int) -> Rows:
    """The rows of one batch: a stream of shuffled passes over the examples, cut into batches."""
    positions = range(turn * count, (turn + 1) * count)
    epochs: Sequence[int] = sorted({p // examples for p in positions})
    order: dict[int, np.ndarray[Any, np.dtype[np.int64]]] = {
        e: np.random.default_rng([seed, 2, e]).permutation(examples) for e in epochs
    }
    return np.array([order[p // examples][p % examples] for p in positions], np.int64)


def seed_of(seed: int, purpose: int, step: int) -> int:
    """A seed of its own for each purpose and step; neighbouring seeds give unrelated streams."""
    return int(np.random.SeedSequence([seed, purpose, step]).generate_state(1, np.uint64)[0] >> 1)
