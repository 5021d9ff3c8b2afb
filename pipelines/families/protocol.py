"""A model family's facts, told without torch: how it is detected, what its parts are, how its LoRA files are spelled,
what it can do. The loaded model is the other half (`pipelines/families/model.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipelines.families.spec import BackboneSpec
from pipelines.families.spellings import LoraWords, Spellings
from pipelines.models.headers import Header
from pipelines.models.sources import Source
from pipelines.models.variants import Part, Variant

if TYPE_CHECKING:
    from pipelines.families.model import Loader

__all__ = ["Companion", "Family", "Shapes", "Verdict"]

Shapes = Mapping[str, tuple[int, ...]]
"""Tensors by name with their shapes, as a file's header has them."""


@dataclass(frozen=True)
class Companion:
    """A model that goes with a family's backbones and is none itself.

    `role` is its key in `BackboneSpec.companions` ("" for one that the studio does not use), `pipeline` the beginning
    of its folder's `_class_name`, and `name` its own, for a person. Beside a backbone it lies in a folder of one
    of `names` that holds the file `holds`. Where its transformer draws in the backbone's place, `model` is its id in
    `pipelines.models.catalogue.MODELS`, and `check` raises BadInput for a folder that does not fit the backbone.
    """

    role: str
    name: str
    pipeline: str
    names: tuple[str, ...] = ()
    holds: str = ""
    model: str = ""
    check: Callable[[BackboneSpec, Path], None] | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a LoRA file is for a family: yes, other family (`family` names it), other width, ambiguous, or unknown.

    `width` is the hidden width that it was made for, 0 if it cannot be told. `families` are the ids between which an
    ambiguous file leaves the choice.
    """

    fits: Literal["yes", "other family", "other width", "ambiguous", "unknown"]
    family: str = ""
    width: int = 0
    families: tuple[str, ...] = ()


class Family(Protocol):
    """The facts of one family; one row of `pipelines.families.catalogue.FAMILIES`.

    `parts` are all folders of weights, the first of them "transformer", and `tokenizers` the folders of tokenizers.
    `pipelines` are the `_class_name`s of the folders that are its backbones.
    """

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def parts(self) -> tuple[Part, ...]: ...
    @property
    def tokenizers(self) -> tuple[str, ...]: ...
    @property
    def needs_chat_template(self) -> bool: ...
    @property
    def pipelines(self) -> tuple[str, ...]: ...
    @property
    def companions(self) -> tuple[Companion, ...]: ...
    @property
    def lora_spellings(self) -> Spellings: ...
    @property
    def lora_words(self) -> LoraWords: ...

    def detect_folder(self, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Variant | None:
        """Return the variant that a model_index.json and a transformer's config.json tell of; None: not this family."""

    def detect_file(self, shapes: Shapes) -> Variant | None:
        """Return the variant whose transformer a single file holds; None: not this family."""

    def choose_variant(self, variant: Variant, names: Sequence[str], scheduler: Mapping[str, Any]) -> Variant:
        """Return which one it is of the variants whose weights have the same names and shapes as those of `variant`.

        `names` are what its files are called and call themselves, the surest first, and `scheduler` is its folder's
        scheduler_config.json, empty where it is not known.
        """

    def hidden_width(self, transformer: Mapping[str, Any]) -> int:
        """Return the transformer's hidden width from its config.json; 0 if it cannot be told."""

    def hidden_width_of_file(self, shapes: Shapes) -> int:
        """Return the same from a single file's shapes."""

    def config_of_file(self, header: Header, source: Source) -> dict[str, Any]:
        """Return what a single file's shapes say of its transformer, as fields of its class's config.json.

        Raises BadInput where it is incomplete, or where the parts in `source.base` do not go with it.
        """

    def lora_fits(self, shapes: Shapes, metadata: Mapping[str, str], width: int = 0) -> Verdict:
        """Judge a LoRA file by names and shapes (what the header's strings say of the base model is judged before, by
        `pipelines.families.catalogue.judge_lora`); `width` 0 accepts any hidden width.
        """

    def loader(self) -> Loader:
        """Import and return the module that holds the loaded half: torch comes only here."""
