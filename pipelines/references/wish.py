"""Wishes told to the model beside the prompt, as embeddings: tokens behind the text, or ViPer's formula.

"tokens": the words of what is liked, read by T5 and scaled by β, stand behind the prompt's tokens. "viper": the
prompt's embeddings plus β (E(liked) - E(disliked)), position by position and pooled, as ViPer's paper has it
(arXiv:2407.17365); it mixes words that have nothing to do with each other, and is here to be compared with. FLUX.1's.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadInput
from pipelines.families.flux1.model import PromptEmbeds
from pipelines.references.protocol import Conditions, Reference
from pipelines.references.redux import append_tokens

__all__ = ["USUAL_BETA", "WishMode", "WishReference", "viper_wish"]

WishMode = Literal["tokens", "viper"]
USUAL_BETA = 0.5
_VIPER_BETA = 0.85  # its code's


@dataclass(frozen=True, eq=False)
class WishReference(Reference):
    """What is liked and disliked in words, "" for nothing. `scale` is β in [0, 1]; 0 is exactly no wish."""

    kind: ClassVar[str] = "wish"
    families: ClassVar[tuple[str, ...]] = ("flux1",)

    liked: str
    disliked: str = ""
    mode: WishMode = "tokens"
    scale: float = USUAL_BETA

    def __post_init__(self) -> None:
        if not 0 <= self.scale <= 1:  # false for NaN too
            raise BadInput("guidance_out_of_range", name="wish", value=self.scale)

    def key(self) -> Hashable | None:
        """Wishes of one mode go together: tokens are as many as the model's prompts are long."""
        return None if self.scale == 0 or not (self.liked or self.disliked) else self.mode

    def encode(self, backbone: Backbone) -> tuple[PromptEmbeds, PromptEmbeds]:
        liked, disliked = (encode_prompt(backbone, text) for text in (self.liked, self.disliked))
        assert isinstance(liked, PromptEmbeds)
        assert isinstance(disliked, PromptEmbeds)
        return liked, disliked

    @staticmethod
    def extend(
        conditions: Conditions,
        references: Sequence[WishReference],
        encoded: Sequence[tuple[PromptEmbeds, PromptEmbeds]],
    ) -> None:
        """Guidance's negative side gets as many tokens, of scale 0: it is pushed towards the wish, too."""
        for i, (wish, (liked, disliked)) in enumerate(zip(references, encoded, strict=True)):
            text = conditions.text[i]
            assert isinstance(text, PromptEmbeds)
            if wish.mode == "viper":
                conditions.text[i] = PromptEmbeds(
                    text.prompt_embeds + wish.scale * (liked.prompt_embeds - disliked.prompt_embeds),
                    text.pooled + wish.scale * (liked.pooled - disliked.pooled),
                )
                continue
            conditions.text[i] = append_tokens(text, liked.prompt_embeds, wish.scale)
            if conditions.negative:
                conditions.negative[i] = append_tokens(conditions.negative[i], liked.prompt_embeds, 0.0)


def viper_wish(liked: str, disliked: str) -> WishReference:
    """Return the formula at the β of ViPer's code."""
    return WishReference(liked, disliked, "viper", _VIPER_BETA)
