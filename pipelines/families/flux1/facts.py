"""FLUX.1's facts, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.families.flux1.companion_facts import COMPANIONS
from pipelines.families.flux1.detection import layout_of, transformer_config
from pipelines.families.flux1.lora_fit import judge_lora
from pipelines.families.flux1.lora_names import LORA_WORDS, SPELLINGS
from pipelines.families.folders import bare_names
from pipelines.families.protocol import Companion, Shapes, Verdict
from pipelines.families.spellings import LoraWords, Spellings
from pipelines.models.catalogue import MODELS
from pipelines.models.headers import Header
from pipelines.models.sources import Source
from pipelines.models.variants import Part, Variant

if TYPE_CHECKING:
    from pipelines.families.model import Loader

__all__ = ["FLUX1", "Flux1"]

# diffusers' DEFAULT_SKIP_MODULES_PATTERN and FluxTransformer2DModel's own. "norm" is more than norms: modulation
# layers, a quarter of the parameters, are called norm1.linear.
_UNCAST = r"pos_embed|patch_embed|norm|^proj_in\.|^proj_out\."


@dataclass(frozen=True)
class Flux1:
    """FLUX.1-dev, -schnell, -Krea-dev and their fine-tunes; `pipelines.families.protocol.Family` says what each is."""

    id: str = "flux1"
    name: str = "FLUX.1"
    parts: tuple[Part, ...] = (
        Part("transformer", "diffusers", is_large=True, is_quantised=True, uncast=_UNCAST),
        Part("text_encoder", "transformers", is_text_encoder=True),  # CLIP
        Part("text_encoder_2", "transformers", is_text_encoder=True, is_large=True),  # T5
        Part("vae", "diffusers"),
    )
    tokenizers: tuple[str, ...] = ("tokenizer", "tokenizer_2")
    needs_chat_template: bool = False
    pipelines: tuple[str, ...] = ("FluxPipeline",)
    companions: tuple[Companion, ...] = COMPANIONS
    lora_spellings: Spellings = SPELLINGS
    lora_words: LoraWords = LORA_WORDS

    def detect_folder(self, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Variant | None:
        ours = index.get("_class_name") in self.pipelines
        return _variant(bool(transformer.get("guidance_embeds"))) if ours else None

    def detect_file(self, shapes: Shapes) -> Variant | None:
        if layout_of(shapes) is None:
            return None
        return _variant(any("guidance_in." in name or "guidance_embedder." in name for name in shapes))

    def choose_variant(self, variant: Variant, names: Sequence[str], scheduler: Mapping[str, Any]) -> Variant:
        return variant

    def hidden_width(self, transformer: Mapping[str, Any]) -> int:
        # where a folder leaves them out, diffusers' own defaults hold
        heads, each = transformer.get("num_attention_heads", 24), transformer.get("attention_head_dim", 128)
        return heads * each if isinstance(heads, int) and isinstance(each, int) else 0

    def hidden_width_of_file(self, shapes: Shapes) -> int:
        bare = bare_names(shapes)
        first = next((bare[name] for name in ("img_in.weight", "x_embedder.weight") if name in bare), "")
        return shapes[first][0] if first and shapes[first] else 0

    def config_of_file(self, header: Header, source: Source) -> dict[str, Any]:
        return transformer_config(header, source)

    def lora_fits(self, shapes: Shapes, metadata: Mapping[str, str], width: int = 0) -> Verdict:
        return judge_lora(shapes, width)

    def loader(self) -> Loader:
        from pipelines.families.flux1 import model

        return model


def _variant(guided: bool) -> Variant:
    """A fine-tune under a name of its own is drawn with as the model that it came from."""
    return MODELS["FLUX.1-dev" if guided else "FLUX.1-schnell"]


FLUX1 = Flux1()
