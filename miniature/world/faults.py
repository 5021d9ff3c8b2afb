"""People drawn wrong on purpose: what judges and readers of eyes, mouths and hands have to know."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from miniature.world.identity import colours

WHOLE, NO_PUPIL, NO_IRIS, NO_EYE = range(4)
FINGERS, PAW, STUMP = 5, 0, -1


@dataclass(frozen=True)
class Faults:
    """What is wrong with each of b people; keypoints say where all would be if nothing were.

    Pairs are the picture's left and right one: `irises` RGB in [0, 1] [b, 2, 3]; `eyes` [b, 2], one of `WHOLE` to
    `NO_EYE`; `fingers` [b, 2] of each hand from `FINGERS` down to `PAW` (a palm alone), or `STUMP`. `mouth` [b, 2]
    is how far right and down it slipped, in head heights; `mouthless` [b] is 0 or 1.
    """

    irises: Tensor
    eyes: Tensor
    mouth: Tensor
    mouthless: Tensor
    fingers: Tensor


def no_faults(identity: Tensor) -> Faults:
    """Return that nothing is wrong with these people [b, 26]."""
    b = len(identity)
    return Faults(
        colours(identity).eyes[:, None].expand(-1, 2, -1).contiguous(), torch.full((b, 2), WHOLE), torch.zeros(b, 2),
        torch.zeros(b), torch.full((b, 2), FINGERS),
    )  # fmt: skip


def sample_faults(identity: Tensor, generator: torch.Generator) -> Faults:
    """Draw faults for these people [b, 26]: about half of all eyes, mouths and hands are as they should be."""
    b = len(identity)

    def chance(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    strangers = identity[torch.randperm(b, generator=generator)].clone()
    strangers[:, :] = strangers + 0.3 * torch.randn(b, identity.shape[1], generator=generator)
    whole = no_faults(identity)
    irises = torch.where(chance(b, 2, 1) < 0.3, colours(strangers.clamp(-1, 1)).eyes[:, None], whole.irises)
    eyes = torch.where(chance(b, 2) < 0.35, torch.randint(NO_PUPIL, NO_EYE + 1, (b, 2), generator=generator), WHOLE)
    slip = (chance(b, 2) * 2 - 1) * torch.tensor([0.2, 0.1])
    mouth = torch.where(chance(b, 1) < 0.5, slip, 0.0)
    fewer = torch.randint(STUMP, FINGERS - 1, (b, 2), generator=generator)
    bad = torch.where(chance(b, 2) < 0.6, torch.where(chance(b, 2) < 0.5, PAW, STUMP), fewer)
    fingers = torch.where(chance(b, 2) < 0.5, bad, FINGERS)
    return Faults(irises, eyes, mouth, (chance(b) < 0.12).float(), fingers)
