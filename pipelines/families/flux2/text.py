"""Prompts as FLUX.2 reads them: one user's message through the chat template, three hidden states side by side.

klein reads Qwen3's states 9, 18 and 27 without its thinking, dev Mistral 3's 10, 20 and 30 behind a system message.
All tokens up to the greatest length are attended to, padding too, so that the length is part of what is drawn.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import Flux2KleinPipeline, Flux2Pipeline
from diffusers.pipelines.flux2.pipeline_flux2 import format_input

from pipelines.families.prompts import cut_words

__all__ = ["encode", "in_template"]

_LOG = logging.getLogger(__name__)


@torch.no_grad()
def encode(pipeline: Flux2KleinPipeline | Flux2Pipeline, prompt: str, length: int, device: torch.device) -> Tensor:
    """Return [1, length, 3 d] in the text encoder's number type; a warning says which words are cut."""
    written, tokenizer = in_template(pipeline, prompt)
    if cut := cut_words(tokenizer, written, prompt, length):
        name = "Mistral 3" if isinstance(pipeline, Flux2Pipeline) else "Qwen3"
        _LOG.warning("The prompt is too long for %s, which reads %d tokens and not: %s", name, length, cut)
    embeds, _ = pipeline.encode_prompt(prompt=[prompt], device=device, max_sequence_length=length)
    return torch.as_tensor(embeds)


def in_template(pipeline: Flux2KleinPipeline | Flux2Pipeline, prompt: str) -> tuple[str, Any]:
    """Return the prompt inside its template, as the pipeline writes it, and the tokenizer that reads it."""
    if isinstance(pipeline, Flux2Pipeline):
        processor = pipeline.tokenizer
        messages = format_input([prompt], pipeline.system_message)[0]
        return str(processor.apply_chat_template(messages, tokenize=False)), processor.tokenizer
    written = pipeline.tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return str(written), pipeline.tokenizer
