"""A Qwen3 text encoder and its tokenizer with random weights: what FLUX.2-klein and Z-Image read prompts with.

Both are the real classes; `save_pretrained` of a pipeline that is made of them writes the folders `text_encoder` and
`tokenizer`, the chat template as the file chat_template.jinja, as transformers 5 does.
"""

from __future__ import annotations

import json

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM, Qwen3Model
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from tests.tiny import SENTENCES, scramble

__all__ = ["CHAT_TEMPLATE", "qwen3_encoder", "qwen3_tokenizer"]

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""Qwen3's own, for plain messages: without thinking an empty block of thoughts is put in front of the answer."""


def qwen3_tokenizer() -> Qwen2Tokenizer:
    """Return a byte-level BPE of the tests' sentences and the template's words; whatever else is read byte by byte."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    trained.train_from_iterator([*SENTENCES, "user\n", "assistant\n", "\n\n"] * 2, trainers.BpeTrainer(
        vocab_size=1200, min_frequency=1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))  # fmt: skip
    model = json.loads(trained.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], eos_token="<|im_end|>",
        pad_token="<|endoftext|>", model_max_length=4096,
    )  # fmt: skip
    tokenizer.add_tokens(list(_SPECIAL), special_tokens=True)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def qwen3_encoder(
    tokenizer: Qwen2Tokenizer, *, layers: int = 27, hidden: int = 16, causal: bool = True, seed: int = 30
) -> Qwen3ForCausalLM | Qwen3Model:
    """Return a Qwen3 of two heads, random but fixed: with its language head where `causal` (klein), else without.

    FLUX.2-klein reads hidden states 9, 18 and 27, so it needs 27 layers at least; Z-Image the last but one.
    """
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=4096,
        tie_word_embeddings=True, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )  # fmt: skip
    encoder = (Qwen3ForCausalLM if causal else Qwen3Model)(config)
    scramble(encoder, seed)
    return encoder
