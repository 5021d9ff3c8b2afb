"""Plain values about published models: what they can do, what they are drawn with, what they are loaded from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Capabilities", "Part", "Schedule", "Variant"]


@dataclass(frozen=True)
class Schedule:
    """How a model's sigmas are moved: by `shift`, or, where it is `dynamic`, by the picture's number of tokens.

    Both are fields of diffusers' `FlowMatchEulerDiscreteScheduler`.
    """

    shift: float
    dynamic: bool = False


@dataclass(frozen=True)
class Capabilities:
    """Abilities of a model.

    `references_max` pictures can be shown to the model itself, each of at most `reference_px`² pixels (0: as large as
    they are given); `cfg`
    is classifier-free guidance with a negative prompt, `distilled_guidance` a guidance input. The companions redux,
    ip_adapter, fill, kontext and character exist for the family; whether they are installed is another question.
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
    character: bool = False

    @property
    def companions(self) -> frozenset[str]:
        """Return those of redux, ip-adapter, fill, kontext and character that exist for it."""
        names = ("redux", "ip_adapter", "fill", "kontext", "character")
        return frozenset(name.replace("_", "-") for name in names if getattr(self, name))

    @property
    def native(self) -> frozenset[str]:
        """Return its ways to show a picture without a companion: "references" where it reads them itself."""
        return frozenset(["references"] if self.references_max else [])

    @property
    def uses(self) -> tuple[str, ...]:
        """The studio's uses of it, as lists of models show them."""
        found: tuple[str, ...] = ("fusion", "persona training") if self.lora else ()
        found += ("references",) if self.references_max else ()
        found += tuple(
            name for name in ("redux", "ip-adapter", "fill", "kontext", "character") if name in self.companions
        )
        return found + (("landmark", "panels", "swap") if self.inpaint else ())


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One published model of a family and the defaults that it is drawn with; sizes in pixels.

    `distilled` models draw in few steps without classifier-free guidance; `train_on` names the sibling that their
    LoRAs are trained on, "" for the model itself. `licence` is an id of `pipelines.models.licences.LICENCES`.
    `schedule` matters to a single file whose other parts are another model's (None: the family's models share one).
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
    schedule: Schedule | None = None

    def is_sibling_of(self, other: Variant) -> bool:
        """Return whether one of the two is what the other's LoRAs are trained on: their files have the same layers."""
        return other.id == self.train_on or self.id == other.train_on

    @property
    def cfg_scale(self) -> float:
        """The classifier-free guidance that it is drawn with, 1 (off) where its guidance is an input or distilled."""
        return (
            1.0 if self.distilled or self.can.distilled_guidance or not self.can.cfg else max(self.guidance_scale, 1.0)
        )


@dataclass(frozen=True)
class Part:
    """One folder of weights of a diffusers folder.

    A large part comes to the device block by block where memory is short; a quantised one is also made smaller.
    `uncast` is a regular expression over names of its parameters: those keep their number type when it is stored as
    fp8; "" for none. `group_share` is how much of it is on the device at once when it comes block by block: two of its
    largest blocks, the next on its way, and what stands outside the blocks. FLUX.1 has 57 blocks.
    """

    name: str
    library: Literal["diffusers", "transformers"]
    is_text_encoder: bool = False
    is_large: bool = False
    is_quantised: bool = False
    uncast: str = ""
    group_share: float = 0.12
