"""The kinds of reference, one row each: what a page and a command offer, told without torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pipelines.errors import BadInput
from pipelines.references.roles import ROLES, Role

if TYPE_CHECKING:
    from pipelines.references.protocol import Reference

__all__ = ["REFERENCES", "ReferenceKind", "Words", "current_id", "find_kind", "first_way", "kinds_that"]

Use = Literal["show", "keep", "person"]


@dataclass(frozen=True)
class Words:
    """Words of a kind: what it is called, what it does, and which model it needs ("" for none)."""

    name: str
    what: str
    model: str = ""


@dataclass(frozen=True)
class ReferenceKind:
    """A kind shows a picture of a place to the model, keeps a part of one, or says which person is shown.

    `classes` of `module` make references of this kind, the first of them from a picture alone (`Reference.show`).
    `needs` are abilities of which the backbone must have one: what the model itself can do (`Capabilities.native`), or
    a companion beside it ("redux", "ip-adapter", "fill", "kontext"); none: any backbone will do. `most_scale` is the
    end of its strength; 0: it is shown or not, there is no more or less. `roles` are what its pictures can show.
    `formerly` are ids that it had in earlier versions: what they stored is still read. `words` are by language.
    """

    id: str
    use: Use
    module: str
    classes: tuple[str, ...]
    words: Mapping[str, Words]
    needs: tuple[str, ...] = ()
    most_scale: float = 1.0
    roles: tuple[Role, ...] = ("scene",)
    formerly: tuple[str, ...] = ()

    def is_able(self, abilities: Collection[str]) -> bool:
        """Return whether a backbone with these abilities can be drawn with it."""
        return not self.needs or not set(self.needs).isdisjoint(abilities)

    def load(self) -> tuple[type[Reference], ...]:
        """Import its classes; with them comes torch."""
        module = import_module(self.module)
        return tuple(getattr(module, name) for name in self.classes)


REFERENCES: tuple[ReferenceKind, ...] = (
    ReferenceKind(
        "redux", "show", "pipelines.references.redux", ("ReduxReference", "ReduxReferences"), needs=("redux",),
        words={
            "en": Words(
                "The style of the place", "Colours, light and things of the photo, arranged anew in every post.",
                "FLUX.1-Redux",
            ),
            "zh": Words("地点的风格", "沿用照片的色彩、光线和物件，每张重新布置。", "FLUX.1-Redux"),
        },
    ),
    ReferenceKind(
        "ip-adapter", "show", "pipelines.references.ip_adapter", ("IpAdapterReference",), needs=("ip-adapter",),
        most_scale=2.0,
        words={
            "en": Words(
                "A hint of the place", "The photo guides the mood; your words decide more. Strength up to 2.",
                "an IP-Adapter",
            ),
            "zh": Words("地点的氛围", "照片引导整体氛围，文字作用更大。强度可到 2。", "IP-Adapter"),
        },
    ),
    ReferenceKind(
        "references", "show", "pipelines.references.native", ("NativeReferences",), needs=("references", "kontext"),
        most_scale=0.0, roles=ROLES, formerly=("kontext",),
        words={
            "en": Words(
                "The very same room", "The model sees the photo itself and puts the person into the place as it is.",
                "FLUX.2 or FLUX.1-Kontext",
            ),
            "zh": Words("同一个房间", "模型直接看到照片，把人物放进原来的地点。", "FLUX.2 或 FLUX.1-Kontext"),
        },
    ),
    ReferenceKind(
        "inpaint", "keep", "pipelines.references.landmark", ("Landmark",),
        words={
            "en": Words("Draw around them", "The drawing model draws around what is kept."),
            "zh": Words("在周围绘制", "由绘图模型在保留部分的周围绘制。"),
        },
    ),
    ReferenceKind(
        "fill", "keep", "pipelines.references.fill", ("FillReference",), needs=("fill",),
        words={
            "en": Words(
                "Fill around them", "A model made for it draws around what is kept.", "FLUX.1-Fill"
            ),
            "zh": Words("在周围填充", "由专门的模型在保留部分的周围绘制。", "FLUX.1-Fill"),
        },
    ),
    ReferenceKind(
        "character", "person", "pipelines.references.character", ("CharacterReference",), needs=("character",),
        most_scale=1.5, roles=(),
        words={
            "en": Words(
                "The person of photos", "One to four photos say who is shown, without any training.",
                "InstantCharacter",
            ),
            "zh": Words("照片里的人", "用一到四张照片说明画的是谁，无需训练。", "InstantCharacter"),
        },
    ),
)  # fmt: skip


def kinds_that(use: Use) -> tuple[str, ...]:
    """Return the ids of the kinds of this use."""
    return tuple(kind.id for kind in REFERENCES if kind.use == use)


def first_way(ways: Collection[str]) -> str | None:
    """Return the first kind among these ids that shows a picture; None where none of them does."""
    return next((kind for kind in kinds_that("show") if kind in ways), None)


def current_id(identifier: object) -> object:
    """Return today's id of a kind that was called so in an earlier version; anything else as it is."""
    return next((kind.id for kind in REFERENCES if identifier in kind.formerly), identifier)


def find_kind(identifier: str) -> ReferenceKind:
    """Return the kind of this id; raises BadInput for an unknown one."""
    for kind in REFERENCES:
        if kind.id == identifier:
            return kind
    raise BadInput("unknown_reference_kind", kind=identifier, known=[kind.id for kind in REFERENCES])
