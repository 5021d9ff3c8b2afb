"""Roles of the reference pictures that a model reads itself: their order, their names in a prompt, their size.

Nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

__all__ = ["ROLES", "Role", "name_references", "reference_size"]

Role = Literal["scene", "person", "goods"]
ROLES: tuple[Role, ...] = ("scene", "person", "goods")
"""The order in which pictures are numbered, so that a prompt's numbers do not depend on how they were listed."""


_STOPS = tuple(".!?…。！？")


def name_references(prompt: str, roles: Sequence[Role], goods: str = "the product") -> str:
    """Return the prompt with each picture named by its number, from 1; `roles` are the pictures', in their order.

    The wording is that of FLUX.2's own documentation, "the person from image 1 is petting the cat from image 2"
    (help.bfl.ai, "How do I reference specific images when editing with FLUX.2?"). `goods` is what the goods are called.
    """
    if not roles:
        return prompt

    def images(role: Role) -> str:
        return " and ".join(f"image {number}" for number, own in enumerate(roles, 1) if own == role)

    who = f"The person from {images('person')}" if "person" in roles else "The person"
    where = f"is in the place from {images('scene')}" if "scene" in roles else "is shown"
    beside = f" with {goods} from {images('goods')}" if "goods" in roles else ""
    stop = "" if prompt.rstrip().endswith(_STOPS) else "."
    return f"{prompt}{stop} {who} {where}{beside}"


def reference_size(height: int, width: int, side_px: int, unit: int) -> tuple[int, int]:
    """Return the size (height, width) in which a picture is read: multiples of `unit` px, at most `side_px`² px.

    The aspect is kept as far as the multiples let it, and nothing is enlarged beyond one unit. `side_px` 0 sets no
    bound.
    """
    scale = min(1.0, side_px / math.sqrt(height * width)) if side_px else 1.0
    return max(1, int(height * scale / unit)) * unit, max(1, int(width * scale / unit)) * unit
