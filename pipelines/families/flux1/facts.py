"""FLUX.1's facts, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.families.flux1.detection import layout_of
from pipelines.families.flux1.lora_fit import judge_lora
from pipelines.families.flux1.lora_names import LORA_WORDS, SPELLINGS
from pipelines.families.folders import bare_names
from pipelines.families.protocol import Part, Shapes, Variant, Verdict
from pipelines.families.spellings import LoraWords, Spellings
from pipelines.models.catalogue import MODELS

__all__ = ["FLUX1", "Flux1"]


@dataclass(frozen=True)
class Flux1:
    """FLUX.1-dev, -schnell, -Krea-dev and their fine-tunes; `pipelines.families.protocol.Family` says what each is."""

    id: str = "flux1"
    name: str = "FLUX.1"
    parts: tuple[Part, ...] = (
        Part("transformer", "diffusers", is_large=True, is_quantised=True),
        Part("text_encoder", "transformers", is_text_encoder=True),  # CLIP
        Part("text_encoder_2", "transformers", is_text_encoder=True, is_large=True),  # T5
        Part("vae", "diffusers"),
    )
    tokenizers: tuple[str, ...] = ("tokenizer", "tokenizer_2")
    needs_chat_template: bool = False
    # diffusers' DEFAULT_SKIP_MODULES_PATTERN and FluxTransformer2DModel's own. "norm" is more than norms: modulation
    # layers, a quarter of the parameters, are called norm1.linear.
    uncast: str = r"pos_embed|patch_embed|norm|^proj_in\.|^proj_out\."
    module: str = "pipelines.families.flux1.model"
    pipelines: tuple[str, ...] = ("FluxPipeline",)
    lora_spellings: Spellings = SPELLINGS
    lora_words: LoraWords = LORA_WORDS

    @property
    def companions(self) -> Mapping[str, str]:
        return {
            "FluxFill": "FLUX.1-Fill, a companion that only fills masks",
            "FluxKontext": "FLUX.1-Kontext, a companion that only edits pictures",
            "FluxPriorRedux": "FLUX.1-Redux, a companion that only reads pictures",
            "FluxControl": "FLUX.1-Canny or -Depth, a companion",
        }

    def detect_folder(self, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Variant | None:
        ours = index.get("_class_name") in self.pipelines
        return _variant(bool(transformer.get("guidance_embeds"))) if ours else None

    def detect_file(self, shapes: Shapes) -> Variant | None:
        if layout_of(shapes) is None:
            return None
        return _variant(any("guidance_in." in name or "guidance_embedder." in name for name in shapes))

    def hidden_width(self, transformer: Mapping[str, Any]) -> int:
        # where a folder leaves them out, diffusers' own defaults hold
        heads, each = transformer.get("num_attention_heads", 24), transformer.get("attention_head_dim", 128)
        return heads * each if isinstance(heads, int) and isinstance(each, int) else 0

    def hidden_width_of_file(self, shapes: Shapes) -> int:
        bare = bare_names(shapes)
        first = next((bare[name] for name in ("img_in.weight", "x_embedder.weight") if name in bare), "")
        return shapes[first][0] if first else 0

    def lora_fits(self, shapes: Shapes, metadata: Mapping[str, str], width: int = 0) -> Verdict:
        return judge_lora(shapes, width)


def _variant(guided: bool) -> Variant:
    """A fine-tune under a name of its own is drawn with as the model that it came from."""
    return MODELS["FLUX.1-dev" if guided else "FLUX.1-schnell"]


FLUX1 = Flux1()
