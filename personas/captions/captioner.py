"""Captioners: whoever says what pictures show. One measures, one asks a vision model; who asks knows neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from personas.captions.measured import describe
from personas.captions.schema import CaptionFacts
from personas.datasets.facts import PictureFacts
from pipelines.errors import StudioError

__all__ = ["Captioner", "Described", "MeasuredCaptioner", "ToDescribe"]


@dataclass(frozen=True, eq=False)
class ToDescribe:
    """A picture uint8 [h, w, 3] RGB, and what was measured of it."""

    picture: npt.NDArray[np.uint8]
    facts: PictureFacts


@dataclass(frozen=True)
class Described:
    """`told` is what the picture shows, None where `failed` says why nobody knows. `raw` is the answer as it came."""

    told: CaptionFacts | None
    failed: StudioError | None = None
    seconds: float = 0.0
    tokens: int = 0
    raw: str = ""


class Captioner(Protocol):
    """Says what pictures show. `fingerprint` changes with everything that an answer depends on but the picture."""

    @property
    def fingerprint(self) -> str: ...

    def describe(self, pictures: Sequence[ToDescribe]) -> list[Described]:
        """Return facts, or a reason, for each picture; raises only for what concerns all of them."""
        ...


class MeasuredCaptioner:
    """Says what was measured: less than a vision model, and nothing false."""

    fingerprint = "measured-1"

    def describe(self, pictures: Sequence[ToDescribe]) -> list[Described]:
        """See `Captioner`; it never fails."""
        return [Described(describe(one.facts)) for one in pictures]
