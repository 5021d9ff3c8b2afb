"""Wishes beside the prompt: tokens behind the text, or ViPer's formula, to the number."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from pipelines.errors import BadInput
from pipelines.families.flux1.model import PromptEmbeds
from pipelines.references.protocol import Conditions
from pipelines.references.wish import WishReference, viper_wish


def embeds(seed: int) -> PromptEmbeds:
    rng = torch.Generator().manual_seed(seed)
    return PromptEmbeds(torch.randn(1, 4, 3, generator=rng), torch.randn(1, 2, generator=rng))


def extended(wish: WishReference) -> tuple[PromptEmbeds, PromptEmbeds]:
    conditions = Conditions(cast(Any, None), [embeds(1)], [embeds(2)])
    wish.extend(conditions, [wish], [(embeds(3), embeds(4))])
    return cast(PromptEmbeds, conditions.text[0]), cast(PromptEmbeds, conditions.negative[0])


def test_tokens_stand_behind_the_text_at_their_scale_and_guidance_pushes_towards_them() -> None:
    text, negative = extended(WishReference("warm tones", scale=0.25))
    assert torch.equal(text.prompt_embeds, torch.cat([embeds(1).prompt_embeds, 0.25 * embeds(3).prompt_embeds], dim=1))
    assert torch.equal(text.pooled, embeds(1).pooled)
    assert negative.prompt_embeds.shape == text.prompt_embeds.shape
    assert not negative.prompt_embeds[:, 4:].any()


def test_vipers_formula_adds_what_is_liked_and_takes_away_what_is_not() -> None:
    wish = viper_wish("warm tones", "night")
    text, negative = extended(wish)
    for name in ("prompt_embeds", "pooled"):
        own, liked, disliked = (getattr(embeds(n), name) for n in (1, 3, 4))
        assert torch.allclose(getattr(text, name), own + 0.85 * (liked - disliked))
    assert torch.equal(negative.prompt_embeds, embeds(2).prompt_embeds)


def test_no_wish_is_exactly_off_and_modes_do_not_share_a_batch() -> None:
    assert WishReference("warm tones", scale=0.0).key() is None
    assert WishReference("", "").key() is None
    assert WishReference("a").key() != viper_wish("a", "b").key()
    for scale in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="guidance_out_of_range"):
            WishReference("a", scale=scale)
