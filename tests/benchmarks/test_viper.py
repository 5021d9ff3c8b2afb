"""ViPer's formula, to the number."""

from __future__ import annotations

from typing import Any, cast

import torch

from benchmarks.viper import ViperWish
from pipelines.families.flux1.model import PromptEmbeds
from pipelines.references.protocol import Conditions


def embeds(seed: int) -> PromptEmbeds:
    rng = torch.Generator().manual_seed(seed)
    return PromptEmbeds(torch.randn(1, 4, 3, generator=rng), torch.randn(1, 2, generator=rng))


def test_what_is_liked_is_added_and_what_is_not_is_taken_away() -> None:
    wish = ViperWish("warm tones", "night")
    conditions = Conditions(cast(Any, None), [embeds(1)], [embeds(2)])
    wish.extend(conditions, [wish], [(embeds(3), embeds(4))])
    text, negative = cast(PromptEmbeds, conditions.text[0]), cast(PromptEmbeds, conditions.negative[0])
    for name in ("prompt_embeds", "pooled"):
        own, liked, disliked = (getattr(embeds(n), name) for n in (1, 3, 4))
        assert torch.allclose(getattr(text, name), own + 0.85 * (liked - disliked))
    assert torch.equal(negative.prompt_embeds, embeds(2).prompt_embeds)


def test_no_wish_is_exactly_off() -> None:
    assert ViperWish("", "").key() is None
    assert ViperWish("a").key() == ViperWish("", "b").key() is not None
