"""How FLUX.2-klein reads a prompt: chat template, padding, three hidden states; what is cut is said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.families.flux2.text import encode, in_template
from pipelines.families.model import Extras
from pipelines.families.prompts import cut_words
from tests.tiny_flux2 import DEV_SEQUENCE, SEQUENCE, flux2, write_dev

PROMPT = "a young woman, smiling"


def cut_of(pipeline: Any, prompt: str, length: int) -> str:
    written, tokenizer = in_template(pipeline, prompt)
    return cut_words(tokenizer, written, prompt, length)


def test_three_hidden_states_of_the_whole_length_side_by_side(backbone: Backbone) -> None:
    pipeline = flux2(backbone).pipeline
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    written = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    ids = tokenizer(written).input_ids
    padded = torch.tensor([ids + [tokenizer.convert_tokens_to_ids("<|endoftext|>")] * (SEQUENCE - len(ids))])
    attended = torch.tensor([[1] * len(ids) + [0] * (SEQUENCE - len(ids))])
    with torch.no_grad():
        states = encoder(padded, attention_mask=attended, output_hidden_states=True).hidden_states
    text = backbone.model.encode_text(PROMPT)
    assert text.shape == (1, SEQUENCE, 3 * encoder.config.hidden_size)
    assert not text.requires_grad
    torch.testing.assert_close(text, torch.cat([states[k] for k in (9, 18, 27)], dim=2), atol=0, rtol=0)


def test_the_length_is_part_of_what_is_drawn(backbone: Backbone) -> None:
    """Padding is attended to by the transformer, so two lengths are two recipes."""
    model = flux2(backbone)
    noise, sigma = model.noise(1, 96, 64), torch.tensor([0.7])
    answers = []
    for length in (32, SEQUENCE):
        text = encode(model.pipeline, PROMPT, length, model.device)
        with torch.no_grad():
            answers.append(model.velocity(noise, sigma, model.condition(text, 96, 64, 1.0, Extras())))
    assert not torch.allclose(answers[0], answers[1], atol=1e-4)


def test_words_that_are_cut_are_named(backbone: Backbone, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = flux2(backbone).pipeline
    long = f"{PROMPT}, " * 8 + "wearing a red dress"
    cut = cut_of(pipeline, long, SEQUENCE)
    assert cut
    assert long.endswith(cut)
    written = pipeline.tokenizer(f"<|im_start|>user\n{long.removesuffix(cut)}").input_ids
    assert len(written) == SEQUENCE
    with caplog.at_level(logging.WARNING):
        whole = backbone.model.encode_text(long)
    (said,) = [r.getMessage() for r in caplog.records if "too long" in r.getMessage()]
    assert said == f"The prompt is too long for Qwen3, which reads {SEQUENCE} tokens and not: {cut}"
    assert torch.equal(whole, backbone.model.encode_text(f"{long} and much more behind it"))
    caplog.clear()
    backbone.model.encode_text(PROMPT)
    assert not [r for r in caplog.records if "too long" in r.getMessage()]


def test_dev_reads_a_system_message_and_mistrals_states(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backbone = load_backbone(resolve_backbone(write_dev(tmp_path / "dev")), "cpu", torch.float32)
    pipeline = flux2(backbone).pipeline
    tokenizer, encoder = pipeline.tokenizer.tokenizer, pipeline.text_encoder
    written = f"<s>[SYSTEM_PROMPT]{pipeline.system_message}[/SYSTEM_PROMPT][INST]{PROMPT}[/INST]"
    ids = tokenizer(written, add_special_tokens=False).input_ids
    assert len(ids) < DEV_SEQUENCE
    rest = DEV_SEQUENCE - len(ids)
    padded = torch.tensor([ids + [tokenizer.pad_token_id] * rest])
    with torch.no_grad():
        states = encoder(
            input_ids=padded, attention_mask=torch.tensor([[1] * len(ids) + [0] * rest]), output_hidden_states=True
        ).hidden_states
    text = backbone.model.encode_text(PROMPT)
    torch.testing.assert_close(text, torch.cat([states[k] for k in (10, 20, 30)], dim=2), atol=0, rtol=0)
    with caplog.at_level(logging.WARNING, "pipelines"):
        backbone.model.encode_text(f"{PROMPT}, " * 40)
    assert "too long for Mistral 3" in caplog.text
    assert cut_of(pipeline, PROMPT, len(ids) - 2) == "smiling"


def test_the_templates_own_end_is_no_word_of_the_prompt(backbone: Backbone) -> None:
    pipeline = flux2(backbone).pipeline
    count = len(pipeline.tokenizer(f"<|im_start|>user\n{PROMPT}").input_ids)
    assert cut_of(pipeline, PROMPT, count) == ""
    assert cut_of(pipeline, PROMPT, count - 1) == "smiling"
    assert cut_of(pipeline, "", 1) == ""
