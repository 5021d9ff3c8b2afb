"""ViPer's formula, to be compared with: what is liked and disliked moves the prompt's embeddings.

The prompt's embeddings plus β (E(liked) - E(disliked)), position by position and pooled, as ViPer's paper has it
(arXiv:2407.17365). It mixes words that have nothing to do with each other; the studio draws nothing by it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipelines.backbones import Backbone, encode_prompt
from pipelines.families.flux1.model import PromptEmbeds
from pipelines.references.protocol import Conditions, Reference

__all__ = ["ViperWish"]

_BETA = 0.85  # its code's


@dataclass(frozen=True, eq=False)
class ViperWish(Reference):
    """What is liked and disliked in words, "" for nothing."""

    kind: ClassVar[str] = "viper"
    families: ClassVar[tuple[str, ...]] = ("flux1",)

    liked: str
    disliked: str = ""

    def key(self) -> Hashable | None:
        """Wishes go together; none is exactly off."""
        return self.kind if self.liked or self.disliked else None

    def encode(self, backbone: Backbone) -> tuple[PromptEmbeds, PromptEmbeds]:
        liked, disliked = (encode_prompt(backbone, text) for text in (self.liked, self.disliked))
        assert isinstance(liked, PromptEmbeds)
        assert isinstance(disliked, PromptEmbeds)
        return liked, disliked

    @staticmethod
    def extend(
        conditions: Conditions,
        references: Sequence[ViperWish],
        encoded: Sequence[tuple[PromptEmbeds, PromptEmbeds]],
    ) -> None:
        """Move the prompts' embeddings; the negative prompt stays."""
        for i, (liked, disliked) in enumerate(encoded):
            text = conditions.text[i]
            assert isinstance(text, PromptEmbeds)
            conditions.text[i] = PromptEmbeds(
                text.prompt_embeds + _BETA * (liked.prompt_embeds - disliked.prompt_embeds),
                text.pooled + _BETA * (liked.pooled - disliked.pooled),
            )
