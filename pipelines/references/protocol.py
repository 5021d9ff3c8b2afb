"""Protocol of references: what every kind answers, and what it may add to the conditions that a batch is drawn under.

A kind is one file and one line in `pipelines.references.catalogue.REFERENCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.model import ReferenceTokens, TextEmbeds
from pipelines.families.spec import BackboneSpec

__all__ = ["Conditions", "Follower", "Kept", "Reference", "Request"]

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Request(Protocol):
    """The part of a drawing's request that a reference may look at."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def strength(self) -> float: ...
    @property
    def references(self) -> tuple[Reference, ...]: ...


@dataclass(frozen=True, eq=False)
class Kept:
    """States [b, …] in the model's `state_dtype`: the pictures of which a part is kept, and 1 where they are drawn.

    `hidden`, one for each picture, says which pixels of what is kept a picture uint8 [h, w, 3] hides, bool [h, w]; None
    where nothing may be.
    """

    pictures: Tensor
    repaint: Tensor
    hidden: tuple[Callable[[Rgb], Mask] | None, ...] = ()


class Follower(Protocol):
    """A part of a reference that changes from step to step."""

    def follow(self, sigma: Tensor, share: float, is_plain: bool) -> None:
        """Be ready for a velocity at `sigma` [], after a `share` in [0, 1) of the steps; `is_plain` says that it is to
        be the model's own, as it is without whoever is shown.
        """


@dataclass(eq=False)
class Conditions:
    """All that a batch is drawn under. References add to it; `text` and `negative` hold one entry a picture.

    `negative` is empty where there is no classifier-free guidance. `installed` are entered while the batch is sampled,
    `followers` are told of each step of it.
    """

    drawing: Backbone
    text: list[TextEmbeds]
    negative: list[TextEmbeds]
    tokens: list[ReferenceTokens] = field(default_factory=list)
    channels: Tensor | None = None
    kept: Kept | None = None
    installed: list[AbstractContextManager[Any]] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)


class Reference(Protocol):
    """Something that a picture is drawn with besides its prompt; compared by identity.

    `kind` is its name in the table; `families` are the ids of the model families that can take it (none: all).
    """

    kind: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def show(cls, image: Rgb, scale: float) -> Reference:
        """Make one from a picture uint8 [h, w, 3] with people filled in; BadInput where a picture is not enough."""
        raise BadInput("reference_needs_more", kind=cls.kind)

    def key(self) -> Hashable | None:
        """Return what must agree with the others of its place in a batch; None where it is off, exactly."""

    def check(self, request: Request) -> None:
        """Raise BadInput where the request, or another reference in it, does not go with this one."""
        return

    def drawn_by(self, spec: BackboneSpec) -> str:
        """Return the role of the companion that draws with it, "" for the backbone itself. BadInput where none can."""
        return ""

    def encode(self, backbone: Backbone) -> Any:
        """Compute what `extend` needs; called once for each distinct reference of a batch."""

    @staticmethod
    def extend(conditions: Conditions, references: Sequence[Any], encoded: Sequence[Any]) -> None:
        """Add the contributions of a batch's references of one place, one for each picture."""

    def finish(self, picture: Rgb) -> Rgb:
        """Return the drawn picture uint8 [h, w, 3] with what only pixels can keep."""
        return picture
