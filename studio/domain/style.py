"""A style: how pictures look, learnt from photographs, laid over posts whoever and whatever they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, JsonValue, field_validator

from studio.domain.consent import tidy
from studio.domain.dataset import DataSet, DatasetEdits
from studio.domain.names import MOST_NAME
from studio.domain.values import FileKey, IndexEntry, Request, Result, Seed, Sha256, later_field
from studio.texts.texts import LANGUAGES, Language

__all__ = ["MOST_STYLE_STRENGTH", "Style", "StyleRequest"]

MOST_STYLE_STRENGTH = 1.5

_Words = Mapping[Language, Annotated[str, Field(max_length=300)]]


class Style(Result):
    """A LoRA that moves how pictures look and not what they show.

    `names` and `learnt_from` are words in both languages; `pictures` is how many it was learnt from. `lora` is for
    models of `family` and hidden `width` (0: not known). It was trained for the model `backbone`, and for these
    `weights` alone (SHA-256s of that model's, and of what is trained in its place): what it does to others nobody
    knows. `recipe` is how it was trained, `dataset` the id of the data set that it was learnt from ("": none of this
    studio's), `sample` a picture drawn with it.
    """

    kind: ClassVar[str] = "style"

    names: _Words
    lora: FileKey
    learnt_from: _Words = Field(default_factory=dict)
    pictures: int = Field(0, ge=0)
    family: str = "flux1"
    width: int = 0
    backbone: str = ""
    weights: tuple[Sha256, ...] = ()
    licence: str = "unknown"
    recipe: Mapping[str, JsonValue] = Field(default_factory=dict)
    dataset: str = later_field("")
    sample: FileKey | None = later_field(None)

    @field_validator("names")
    @classmethod
    def _named(cls, names: _Words) -> _Words:
        if not all(names.get(language, "").strip() for language in LANGUAGES):
            raise ValueError(f"a name in each of {', '.join(LANGUAGES)}")
        return names

    def index_entry(self) -> IndexEntry:
        names = tuple(dict.fromkeys(self.names.values()))
        return IndexEntry({"name": names[0], "picture": self.sample or ""}, names)


class StyleRequest(Request):
    """A style that is learnt from the good pictures of a data set, as `edits` say it (None: those that stand when it
    begins). `name` "" is a neutral one with the beginning of the data set's id, `steps` 0 the usual number.
    """

    dataset: DataSet
    edits: DatasetEdits | None = None
    name: Annotated[str, BeforeValidator(tidy), Field(max_length=MOST_NAME)] = ""
    steps: int = Field(0, ge=0, le=20_000)
    seed: Seed = 1
