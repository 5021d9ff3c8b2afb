"""Captions of the world's pictures, in the words of `personas.shots`, and the tokenizers trained on them."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer, T5Tokenizer

from personas.looks import LOOK_CATEGORIES
from personas.shots import Shot, vary_shots

NEUTRAL_TRIGGER = "ohwx"  # means nobody until a LoRA gives it a face
_SUBJECT = {look.id: look.subject for look in LOOK_CATEGORIES}


def shot_of(facts: Mapping[str, object]) -> Shot:
    """The shot in a render's facts (attributes.json)."""
    return Shot(**{f.name: str(facts[f.name]) for f in fields(Shot)})


def caption(facts: Mapping[str, object], rng: random.Random, *, drop_setting: float = 0.0) -> str:
    """A training caption: a plain or a look's subject, sometimes the neutral trigger, now and then a clause missing."""
    plain = "a man" if facts["masculine"] else "a woman"
    subject = _SUBJECT.get(str(facts["look"]), plain) if rng.random() < 0.85 else plain
    trigger = NEUTRAL_TRIGGER if rng.random() < 0.7 else ""
    text = shot_of(facts).prompt(subject, trigger)
    first, *clauses = text.split(", ")
    setting = 4  # its place among the clauses of Shot.prompt
    kept = [
        c for i, c in enumerate(clauses)
        if rng.random() >= (drop_setting if i == setting and drop_setting else 0.04)
    ]  # fmt: skip
    return ", ".join([first, *kept])


def corpus(count: int = 4000, seed: int = 5) -> list[str]:
    """Sentences to train tokenizers on."""
    rng = random.Random(seed)
    subjects = [*_SUBJECT.values(), "a man", "a woman", "a person"]
    lines = [s.prompt(rng.choice(subjects), rng.choice(["", NEUTRAL_TRIGGER])) for s in vary_shots(count, seed)]
    return lines + list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()-+/&%#") * 3


def train_t5_tokenizer(lines: Iterable[str], length: int) -> T5Tokenizer:
    """A Unigram tokenizer in T5's layout (pad 0, end 1, unknown 2): every word of the corpus, and single letters.

    Scores are log frequencies. (The trainer of `tokenizers` prunes whole words away on so small a corpus and needs
    three times the tokens for a caption.)
    """
    counts = Counter(word.strip(",.") for line in lines for word in line.split())
    total = sum(counts.values())
    letters = sorted(set("".join(counts)) | set("▁,.:;!?'\"()-+/&%#"))
    words = [("▁" + w, math.log(n / total)) for w, n in sorted(counts.items()) if len(w) > 1 or w == "a"]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5Tokenizer(vocab=[*special, *words, *((c, -15.0) for c in letters)], extra_ids=0, model_max_length=length)


def train_clip_tokenizer(lines: Iterable[str], vocabulary: int = 768) -> CLIPTokenizer:
    """A byte-level BPE tokenizer in CLIP's layout."""
    start, end = "<|startoftext|>", "<|endoftext|>"
    draft = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=end))
    draft.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    draft.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[start, end], initial_alphabet=alphabet, end_of_word_suffix="</w>"
    )
    draft.train_from_iterator(lines, trainer)
    model = json.loads(draft.to_str())["model"]
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in model["merges"]]
    # The trainer's order differs from run to run (ties); a model must find its words where it learnt them.
    letters = sorted(alphabet)
    words = [start, end, *letters, *(letter + "</w>" for letter in letters), *sorted("".join(m) for m in merges)]
    vocab = {word: k for k, word in enumerate(dict.fromkeys(words))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
