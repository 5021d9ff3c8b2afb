"""Who somebody is: a point in [-1, 1]^26, and what each of its numbers means.

Only adults live here: no number makes a person a child.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TRAITS = (
    "face_width", "jaw_width", "chin_length", "eye_size", "eye_gap", "eye_height", "eye_tilt",
    "brow_thickness", "brow_tilt", "nose_length", "nose_width", "lip_fullness", "mouth_width",
    "skin_tone", "skin_hue", "hair_colour", "hair_shine", "hair_length", "hair_volume", "fringe", "parting",
    "eye_colour", "blush", "build", "height", "masculine",
)  # fmt: skip
IDENTITY_DIM = len(TRAITS)

_SKIN = ((250, 222, 200), (240, 200, 168), (222, 172, 132), (180, 124, 86), (124, 82, 58))
_HAIR = (
    (28, 24, 30), (62, 40, 30), (104, 62, 38), (140, 56, 36), (196, 110, 50), (228, 190, 110), (222, 214, 204),
    (226, 132, 160), (96, 104, 190), (44, 110, 116),
)  # fmt: skip
_EYES = ((70, 44, 28), (128, 92, 44), (70, 124, 70), (66, 118, 180), (120, 132, 150), (132, 88, 168))

# Means and spreads that make a look category; what is not named is drawn from the whole range.
_LOOKS: dict[str, dict[str, tuple[float, float]]] = {
    "sweet": {
        "masculine": (-0.85, 0.1), "eye_size": (0.5, 0.4), "jaw_width": (-0.2, 0.5), "chin_length": (-0.3, 0.5),
        "hair_length": (0.4, 0.5), "fringe": (0.4, 0.5), "blush": (0.6, 0.3), "build": (-0.4, 0.4),
    },
    "mature": {
        "masculine": (-0.75, 0.15), "eye_size": (-0.2, 0.4), "eye_tilt": (0.5, 0.4), "jaw_width": (-0.3, 0.5),
        "lip_fullness": (0.5, 0.4), "hair_length": (0.6, 0.4), "fringe": (-0.5, 0.4), "height": (0.4, 0.4),
    },
    "ceo": {
        "masculine": (0.9, 0.1), "jaw_width": (0.4, 0.5), "brow_thickness": (0.5, 0.4), "eye_size": (-0.3, 0.4),
        "hair_length": (-0.85, 0.12), "fringe": (-0.6, 0.3), "height": (0.6, 0.3), "build": (0.3, 0.4),
    },
    "boyish": {
        "masculine": (0.55, 0.15), "eye_size": (0.4, 0.4), "jaw_width": (-0.2, 0.5), "chin_length": (-0.3, 0.4),
        "hair_length": (-0.6, 0.2), "fringe": (0.6, 0.4), "build": (-0.3, 0.4), "blush": (0.2, 0.4),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Colours:
    """RGB in [0, 1], each [b, 3]."""

    skin: Tensor
    hair: Tensor
    eyes: Tensor
    lips: Tensor


def sample_identities(count: int, generator: torch.Generator) -> Tensor:
    """`count` random adults, [count, 26] in [-1, 1]; half of them women."""
    identity = torch.rand(count, IDENTITY_DIM, generator=generator) * 2 - 1
    masculine = TRAITS.index("masculine")
    sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    identity[:, masculine] = sign * (0.4 + 0.6 * torch.rand(count, generator=generator))
    length = TRAITS.index("hair_length")
    # Short hair for most men, long for most women; the exceptions stay possible.
    typical = torch.where(sign > 0, -0.75, 0.25) + 0.25 * torch.randn(count, generator=generator)
    usual = torch.rand(count, generator=generator) < 0.85
    identity[:, length] = torch.where(usual, typical, identity[:, length]).clamp(-1, 1)
    return identity


def look_identities(look: str, count: int, generator: torch.Generator) -> Tensor:
    """`count` random people of one look category ("sweet", "mature", "ceo", "boyish"), [count, 26]."""
    identity = sample_identities(count, generator)
    for trait, (mean, spread) in _LOOKS[look].items():
        drawn = mean + spread * (torch.rand(count, generator=generator) * 2 - 1)
        identity[:, TRAITS.index(trait)] = drawn.clamp(-1, 1)
    return identity


def trait(identity: Tensor, name: str) -> Tensor:
    """One number of each person, shaped [b, 1, 1] so that it meets pixels."""
    return identity[:, TRAITS.index(name), None, None]


def colours(identity: Tensor) -> Colours:
    """The colours of skin, hair, eyes and lips."""
    skin = _along(_SKIN, identity[:, TRAITS.index("skin_tone")] * 0.9)
    hue = identity[:, TRAITS.index("skin_hue"), None] * torch.tensor([0.02, -0.01, -0.035])
    skin = (skin + hue).clamp(0, 1)
    hair = _along(_HAIR, identity[:, TRAITS.index("hair_colour")])
    eyes = _along(_EYES, identity[:, TRAITS.index("eye_colour")])
    pale = 0.5 + 0.5 * identity[:, TRAITS.index("masculine"), None]
    lips = skin * torch.tensor([0.86, 0.55, 0.55]) * (1 - pale) + skin * torch.tensor([0.84, 0.68, 0.64]) * pale
    return Colours(skin, hair, eyes, lips)


def _along(stops: tuple[tuple[int, int, int], ...], position: Tensor) -> Tensor:
    """Colours along a palette, position in [-1, 1] -> [b, 3]."""
    palette = torch.tensor(stops) / 255
    at = (position.clamp(-1, 1) * 0.5 + 0.5) * (len(stops) - 1)
    low = at.floor().long().clamp(max=len(stops) - 2)
    return torch.lerp(palette[low], palette[low + 1], (at - low)[:, None])
