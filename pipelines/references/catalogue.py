"""The kinds of reference, one row each: what a page and a command offer, told without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pipelines.errors import BadInput

if TYPE_CHECKING:
    from pipelines.references.protocol import Reference

__all__ = ["REFERENCES", "ReferenceKind", "Words", "find_kind", "kinds_that"]

Use = Literal["show", "keep"]


@dataclass(frozen=True)
class Words:
    """Words of a kind: what it is called, what it does, and which model it needs ("" for none)."""

    name: str
    what: str
    model: str = ""


@dataclass(frozen=True)
class ReferenceKind:
    """A kind shows a picture to the model, or keeps a part of one.

    `classes` of `module` make references of this kind, the first of them from a picture alone (`Reference.show`).
    `needs` is what must lie beside the backbone ("redux", "ip-adapter", "fill", "kontext"; "" for nothing).
    `most_scale` is the end of its strength; 0: it is shown or not, there is no more or less. `words` are by language.
    """

    id: str
    use: Use
    module: str
    classes: tuple[str, ...]
    words: Mapping[str, Words]
    needs: str = ""
    most_scale: float = 1.0

    def load(self) -> tuple[type[Reference], ...]:
        """Import its classes; with them comes torch."""
        module = import_module(self.module)
        return tuple(getattr(module, name) for name in self.classes)


REFERENCES: tuple[ReferenceKind, ...] = (
    ReferenceKind(
        "redux", "show", "pipelines.references.redux", ("ReduxReference", "ReduxReferences"), needs="redux",
        words={
            "en": Words(
                "The style of the place", "Colours, light and things of the photo, arranged anew in every post.",
                "FLUX.1-Redux",
            ),
            "zh": Words("地点的风格", "沿用照片的色彩、光线和物件,每张重新布置。", "FLUX.1-Redux"),
        },
    ),
    ReferenceKind(
        "ip-adapter", "show", "pipelines.references.ip_adapter", ("IpAdapterReference",), needs="ip-adapter",
        most_scale=2.0,
        words={
            "en": Words(
                "A hint of the place", "The photo guides the mood; your words decide more. Strength up to 2.",
                "an IP-Adapter",
            ),
            "zh": Words("地点的氛围", "照片引导整体氛围,文字作用更大。强度可到 2。", "IP-Adapter"),
        },
    ),
    ReferenceKind(
        "kontext", "show", "pipelines.references.kontext", ("ContextReference",), needs="kontext", most_scale=0.0,
        words={
            "en": Words(
                "The very same room", "The photo is edited: the person is put into the place as it is.",
                "FLUX.1-Kontext",
            ),
            "zh": Words("同一个房间", "在原照片上编辑:把人物放进原来的地点。", "FLUX.1-Kontext"),
        },
    ),
    ReferenceKind(
        "inpaint", "keep", "pipelines.references.landmark", ("Landmark",),
        words={
            "en": Words("Draw around them", "The backbone draws around what is kept."),
            "zh": Words("在周围绘制", "由主模型在保留部分的周围绘制。"),
        },
    ),
    ReferenceKind(
        "fill", "keep", "pipelines.references.fill", ("FillReference",), needs="fill",
        words={
            "en": Words(
                "Fill around them (FLUX.1-Fill)", "A model made for it draws around what is kept.", "FLUX.1-Fill"
            ),
            "zh": Words("在周围填充(FLUX.1-Fill)", "由专门的模型在保留部分的周围绘制。", "FLUX.1-Fill"),
        },
    ),
)  # fmt: skip


def kinds_that(use: Use) -> tuple[str, ...]:
    """Return the ids of the kinds that show a picture, or keep a part of one."""
    return tuple(kind.id for kind in REFERENCES if kind.use == use)


def find_kind(identifier: str) -> ReferenceKind:
    """Return the kind of this id; raises BadInput for an unknown one."""
    for kind in REFERENCES:
        if kind.id == identifier:
            return kind
    raise BadInput("unknown_reference_kind", kind=identifier, known=[kind.id for kind in REFERENCES])
