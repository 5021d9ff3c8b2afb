"""Z-Image's facts, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.families.protocol import Companion, Shapes, Verdict
from pipelines.families.spellings import LoraWords, Spellings
from pipelines.families.z_image.detection import entrance, layout_of, says_turbo, says_undone, transformer_config
from pipelines.families.z_image.lora_fit import judge_lora
from pipelines.families.z_image.lora_names import LORA_WORDS, SPELLINGS
from pipelines.models.catalogue import MODELS
from pipelines.models.headers import Header
from pipelines.models.sources import Source
from pipelines.models.variants import Part, Variant

if TYPE_CHECKING:
    from pipelines.families.model import Loader

__all__ = ["Z_IMAGE", "ZImage"]

# diffusers' DEFAULT_SKIP_MODULES_PATTERN and ZImageTransformer2DModel's own, and the tokens to pad with, which belong
# to no layer
_UNCAST = r"pos_embed|patch_embed|norm|^proj_in\.|^proj_out\.|t_embedder|cap_embedder|pad_token$"


@dataclass(frozen=True)
class ZImage:
    """Z-Image, Z-Image-Turbo and their fine-tunes; `pipelines.families.protocol.Family` says what each is."""

    id: str = "z-image"
    name: str = "Z-Image"
    parts: tuple[Part, ...] = (
        Part("transformer", "diffusers", is_large=True, is_quantised=True, uncast=_UNCAST),
        Part(  # Qwen3
            "text_encoder",
            "transformers",
            is_text_encoder=True,
            is_large=True,
            is_quantised=True,
            uncast=r"norm|embed_tokens",
        ),
        Part("vae", "diffusers"),
    )
    tokenizers: tuple[str, ...] = ("tokenizer",)
    needs_chat_template: bool = True
    pipelines: tuple[str, ...] = ("ZImagePipeline",)
    companions: tuple[Companion, ...] = (
        Companion("", "Z-Image-Omni / Z-Image-Edit", "ZImageOmni"),
        Companion("", "Z-Image", "ZImage"),  # a pipeline that reads a picture or a ControlNet, too
    )
    lora_spellings: Spellings = SPELLINGS
    lora_words: LoraWords = LORA_WORDS

    def detect_folder(self, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Variant | None:
        return MODELS["Z-Image"] if index.get("_class_name") in self.pipelines else None

    def detect_file(self, shapes: Shapes) -> Variant | None:
        return MODELS["Z-Image"] if layout_of(shapes) else None

    def choose_variant(self, variant: Variant, names: Sequence[str], scheduler: Mapping[str, Any]) -> Variant:
        turbo = says_turbo(names, scheduler)
        if turbo is None:
            return variant
        known, quick = MODELS["Z-Image"], MODELS["Z-Image-Turbo"]
        if turbo:
            return quick
        # what Turbo became again when its distillation was undone is published on Turbo's other parts
        return replace(known, schedule=quick.schedule) if says_undone(names) else known

    def hidden_width(self, transformer: Mapping[str, Any]) -> int:
        width = transformer.get("dim", 3840)  # diffusers' default
        return width if isinstance(width, int) else 0

    def hidden_width_of_file(self, shapes: Shapes) -> int:
        return next(iter(entrance(shapes)), 0)

    def config_of_file(self, header: Header, source: Source) -> dict[str, Any]:
        return transformer_config(header, source)

    def lora_fits(self, shapes: Shapes, metadata: Mapping[str, str], width: int = 0) -> Verdict:
        return judge_lora(shapes, width)

    def loader(self) -> Loader:
        from pipelines.families.z_image import model

        return model


Z_IMAGE = ZImage()
