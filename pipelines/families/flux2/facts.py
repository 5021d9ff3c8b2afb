"""FLUX.2's facts, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.families.flux2.detection import layout_of, transformer_config
from pipelines.families.flux2.lora_fit import judge_lora
from pipelines.families.flux2.lora_names import LORA_WORDS, SPELLINGS
from pipelines.families.folders import bare_names
from pipelines.families.protocol import Companion, Shapes, Verdict
from pipelines.families.spellings import LoraWords, Spellings
from pipelines.models.catalogue import MODELS
from pipelines.models.headers import Header
from pipelines.models.sources import Source
from pipelines.models.variants import Part, Variant

if TYPE_CHECKING:
    from pipelines.families.model import Loader

__all__ = ["FLUX2", "Flux2"]

# diffusers' DEFAULT_SKIP_MODULES_PATTERN and Flux2Transformer2DModel's own; modulation is shared by all blocks and cast
_UNCAST = r"pos_embed|patch_embed|norm|^proj_in\.|^proj_out\."
# what is no linear layer, norms, and a head that is tied to the embeddings or never read
_UNCAST_TEXT = r"norm|embed_tokens|lm_head"
_GROUP_SHARE = 0.25  # klein-4B: three of its five double blocks are 19 %, and 5 % stand outside the blocks
_KV = "Flux2KleinKVPipeline"
_WIDTH_9B = 4096  # hidden; 4B has 3072


@dataclass(frozen=True)
class Flux2:
    """FLUX.2-klein, -klein-base and -dev and their fine-tunes; `pipelines.families.protocol.Family` says what each is.

    The weights of a distilled model and of its base have the same names and shapes. A folder says which it is in its
    model_index.json (`is_distilled`); a single file by its name or its header, else it is what the folder of its other
    parts is (`pipelines.families.catalogue.detect_source`).
    """

    id: str = "flux2"
    name: str = "FLUX.2"
    parts: tuple[Part, ...] = (
        Part("transformer", "diffusers", is_large=True, is_quantised=True, uncast=_UNCAST, group_share=_GROUP_SHARE),
        Part(  # Qwen3, or Mistral 3
            "text_encoder",
            "transformers",
            is_text_encoder=True,
            is_large=True,
            is_quantised=True,
            uncast=_UNCAST_TEXT,
        ),
        Part("vae", "diffusers"),
    )
    tokenizers: tuple[str, ...] = ("tokenizer",)
    needs_chat_template: bool = True
    pipelines: tuple[str, ...] = ("Flux2KleinPipeline", _KV, "Flux2Pipeline")
    companions: tuple[Companion, ...] = ()
    lora_spellings: Spellings = SPELLINGS
    lora_words: LoraWords = LORA_WORDS

    def detect_folder(self, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Variant | None:
        kind = index.get("_class_name")
        if kind not in self.pipelines:
            return None
        if kind == "Flux2Pipeline":
            return MODELS["FLUX.2-dev"]
        if kind == _KV:
            return MODELS["FLUX.2-klein-9B-KV"]
        return _klein(self.hidden_width(transformer), bool(index.get("is_distilled", False)))

    def detect_file(self, shapes: Shapes) -> Variant | None:
        if layout_of(shapes) is None:
            return None
        if any("guidance_in." in name or "guidance_embedder." in name for name in shapes):
            return MODELS["FLUX.2-dev"]
        return _klein(self.hidden_width_of_file(shapes), distilled=True)

    def choose_variant(self, variant: Variant, names: Sequence[str], scheduler: Mapping[str, Any]) -> Variant:
        """A folder's `is_distilled` is surer than its name, and a scheduler says nothing."""
        return variant

    def hidden_width(self, transformer: Mapping[str, Any]) -> int:
        # where a folder leaves them out, diffusers' own defaults hold
        heads, each = transformer.get("num_attention_heads", 48), transformer.get("attention_head_dim", 128)
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
        from pipelines.families.flux2 import model

        return model


def _klein(width: int, distilled: bool) -> Variant:
    size = "9B" if width >= _WIDTH_9B else "4B"
    return MODELS[f"FLUX.2-klein-{size}" if distilled else f"FLUX.2-klein-base-{size}"]


FLUX2 = Flux2()
