"""A model family's facts, told without torch: how it is detected, what its parts are, how its LoRA files are spelled,
what it can do. The loaded model is the other half (`pipelines/families/model.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pipelines.families.spellings import LoraWords, Spellings

__all__ = ["Capabilities", "Family", "Part", "Shapes", "Variant", "Verdict"]

Shapes = Mapping[str, tuple[int, ...]]
"""Tensors by name with their shapes, as a file's header has them."""


@dataclass(frozen=True)
class Capabilities:
    """What can be asked of a model.

    `references_max` pictures can be shown to the model itself, each of about `reference_px` pixels along a side; `cfg`
    is classifier-free guidance with a negative prompt, `distilled_guidance` a guidance input. The companions redux,
    ip_adapter, fill and kontext exist for the family; whether they are installed is another question.
    """

    references_max: int = 0
    reference_px: int = 0
    lora: bool = False
    inpaint: bool = False
    cfg: bool = False
    distilled_guidance: bool = False
    redux: bool = False
    ip_adapter: bool = False
    fill: bool = False
    kontext: bool = False

    @property
    def companions(self) -> frozenset[str]:
        """Those of redux, ip-adapter, fill and kontext that exist for it."""
        names = ("redux", "ip_adapter", "fill", "kontext")
        return frozenset(name.replace("_", "-") for name in names if getattr(self, name))

    @property
    def uses(self) -> tuple[str, ...]:
        """The studio's uses of it, as lists of models show them."""
        found: tuple[str, ...] = ("fusion", "persona training") if self.lora else ()
        found += ("references",) if self.references_max else ()
        found += tuple(name for name in ("redux", "ip-adapter", "fill", "kontext") if name in self.companions)
        return found + (("landmark", "panels", "swap") if self.inpaint else ())


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One published model of a family and the defaults that it is drawn with; sizes in pixels.

    `distilled` models draw in few steps without classifier-free guidance; `train_on` names the sibling that their
    LoRAs are trained on, "" for the model itself. `licence` is an id of `pipelines.models.licences.LICENCES`.
    """

    id: str
    family: str
    licence: str
    distilled: bool = False
    num_inference_steps: int = 28
    guidance_scale: float = 3.5
    max_sequence_length: int = 512
    height: int = 1024
    width: int = 768
    train_on: str = ""
    can: Capabilities = Capabilities()


@dataclass(frozen=True)
class Part:
    """One folder of weights of a diffusers folder.

    A large part comes to the device block by block where memory is short; a quantised one is also made smaller.
    """

    name: str
    library: Literal["diffusers", "transformers"]
    is_text_encoder: bool = False
    is_large: bool = False
    is_quantised: bool = False


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

    `parts` are all folders of weights, `tokenizers` the folders of tokenizers. `uncast` is a regular expression over
    parameter names that keep their number type when a quantised part is stored as fp8. `pipelines` are the
    `_class_name`s of the folders that are its backbones; `companions` {beginning of a folder's `_class_name`: what it
    is} of models that go with a backbone and are none. `module` is the family's other half, imported with torch when a
    backbone is planned or loaded: a module with the functions of `pipelines.backbones.FamilyModule`.
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
    def uncast(self) -> str: ...
    @property
    def module(self) -> str: ...
    @property
    def pipelines(self) -> tuple[str, ...]: ...
    @property
    def companions(self) -> Mapping[str, str]: ...
    @property
    def lora_spellings(self) -> Spellings: ...
    @property
    def lora_words(self) -> LoraWords: ...

    def detect_folder(self, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Variant | None:
        """Return the variant that a model_index.json and a transformer's config.json tell of; None: not this family."""

    def detect_file(self, shapes: Shapes) -> Variant | None:
        """Return the variant whose transformer a single file holds; None: not this family."""

    def hidden_width(self, transformer: Mapping[str, Any]) -> int:
        """Return the transformer's hidden width from its config.json; 0 if it cannot be told."""

    def hidden_width_of_file(self, shapes: Shapes) -> int:
        """Return the same from a single file's shapes."""

    def lora_fits(self, shapes: Shapes, metadata: Mapping[str, str], width: int = 0) -> Verdict:
        """Judge a LoRA file by names and shapes (what the header's strings say of the base model is judged before, by
        `pipelines.families.catalogue.judge_lora`); `width` 0 accepts any hidden width.
        """
