"""A scene pack: a place with all that posts in it begin with, in one file that people pass on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.domain.captions import MOST_VOICE
from studio.domain.names import MOST_NAME, check_name
from studio.domain.posts import MOST_SHOTS
from studio.domain.scene import Crop
from studio.domain.values import Value

__all__ = ["PACK_VERSION", "PackManifest", "ScenePack"]

PACK_VERSION = 1
_Word = Annotated[str, Field(min_length=1, max_length=200)]


class ScenePack(Value):
    """What a set in a place begins with.

    `shots` are rows of a Shot's fields. What a row leaves out is as usual, but for the light, which is the pack's
    `light`, and for what is held, which are the `props` in turn. `voice` describes how captions are written.
    """

    light: Literal["day", "dusk", "night"] = "day"
    props: tuple[_Word, ...] = Field((), max_length=20)
    shots: tuple[Mapping[str, _Word], ...] = Field((), max_length=MOST_SHOTS)
    voice: str = Field("", max_length=MOST_VOICE)

    @model_validator(mode="after")
    def _check(self) -> ScenePack:
        self.plan_shots()
        return self

    def plan_shots(self) -> tuple[Shot, ...]:
        """Return the shots whole. Raises BadInput for a word or a field that this studio does not know."""
        planned = []
        for number, row in enumerate(self.shots):
            prop = self.props[number % len(self.props)] if self.props else "nothing"
            told = {"light": self.light, "goods": prop} | dict(row)
            if unknown := sorted(told.keys() - Shot.__dataclass_fields__.keys()):
                raise BadInput("pack_field_unknown", number=number + 1, field=unknown[0][:40])
            planned.append(Shot(**told))
        return tuple(planned)


class PackManifest(Value):
    """The typed part of a pack's file, beside its photo and its mask: `name` and `crops` are the scene's."""

    kind: Literal["scene-pack"] = "scene-pack"
    version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=MOST_NAME)
    crops: tuple[Crop, ...] = ()
    pack: ScenePack = ScenePack()

    @model_validator(mode="after")
    def _check(self) -> PackManifest:
        check_name(self.name)
        return self
