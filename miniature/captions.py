"""Captions of the world's pictures, in the words of `personas.shots`, and the tokenizers trained on them."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import fields

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer, T5Tokenizer

from miniature.wordings import Clause, chinese_words, clauses
from personas.looks import LOOK_CATEGORIES
from personas.shots import GOODS, Shot, vary_shots

NEUTRAL_TRIGGER = "ohwx"  # means nobody until a LoRA gives it a face
_SUBJECT = {look.id: look.subject for look in LOOK_CATEGORIES}


def shot_of(facts: Mapping[str, object]) -> Shot:
    """The shot in a render's facts (attributes.json)."""
    return Shot(**{f.name: str(facts[f.name]) for f in fields(Shot)})


def caption(
    facts: Mapping[str, object],
    rng: random.Random,
    *,
    drop_setting: float = 0.0,
    without: Container[str] = (),
    named: float = 0.7,
) -> str:
    """A training caption: a plain or a look's subject, the neutral trigger as often as `named`, now and then a clause missing.

    More than half are in the studio's own words; the rest in other English words or in Chinese. Of the fields in
    `without` nothing is said.
    """
    plain = "a man" if facts["masculine"] else "a woman"
    subject = _SUBJECT.get(str(facts["look"]), plain) if rng.random() < 0.85 else plain
    trigger = NEUTRAL_TRIGGER if rng.random() < named else ""
    manner = rng.random()
    if manner < 0.6:
        first, *rest = _own_words(shot_of(facts), subject, trigger)
    else:
        first, *rest = clauses(shot_of(facts), subject, trigger, rng, chinese=manner > 0.8)
    rest = [c for c in rest if rng.random() >= (drop_setting or 0.04 if c.field == "setting" else 0.04)]
    kept = [c.text for c in rest if c.field not in without]
    return ("，" if manner > 0.8 else ", ").join([first.text, *kept])


def _own_words(shot: Shot, subject: str, trigger: str) -> list[Clause]:
    """`Shot.prompt`, clause by clause."""
    fields_ = ["framing", "view", "expression", "outfit", "pose", "goods", "setting", "light"]
    if shot.goods == "nothing":
        fields_.remove("goods")
    return [Clause(f, text) for f, text in zip(fields_, shot.prompt(subject, trigger).split(", "), strict=True)]


def corpus(count: int = 4000, seed: int = 5) -> list[str]:
    """Sentences to train tokenizers on, in English and Chinese."""
    rng = random.Random(seed)
    subjects = [*_SUBJECT.values(), "a man", "a woman", "a person"]
    lines = []
    for shot in vary_shots(count, seed, goods=GOODS):
        subject, trigger = rng.choice(subjects), rng.choice(["", NEUTRAL_TRIGGER])
        lines.append(shot.prompt(subject, trigger))
        for chinese, comma in ((False, ", "), (True, "，")):
            lines.append(comma.join(c.text for c in clauses(shot, subject, trigger, rng, chinese=chinese)))
    return lines + list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()-+/&%#") * 3


def same_meaning(count: int = 4000, seed: int = 6) -> Iterator[tuple[str, str]]:
    """Clauses in the studio's own words, and the same said otherwise, in English or Chinese."""
    rng = random.Random(seed)
    subjects = [*_SUBJECT.values(), "a man", "a woman"]
    for number, shot in enumerate(vary_shots(count, seed, goods=GOODS)):
        subject = rng.choice(subjects)
        own = {c.field: c.text for c in _own_words(shot, subject, "")}
        for clause in clauses(shot, subject, "", rng, chinese=number % 2 == 1):
            if clause.field in own:
                yield own[clause.field], clause.text


def train_t5_tokenizer(lines: Iterable[str], length: int, earlier: T5Tokenizer | None = None) -> T5Tokenizer:
    """A Unigram tokenizer in T5's layout (pad 0, end 1, unknown 2): every word of the corpus, and single letters.

    Scores are log frequencies; Chinese words, which no space parts, come whole from `miniature.wordings`. (The trainer
    of `tokenizers` prunes whole words away on so small a corpus and needs three times the tokens for a caption.)
    Words of `earlier` keep their places, new ones come after them.
    """
    counts = Counter(word.strip(",.") for line in lines for word in line.split() if word.isascii())
    chinese = sorted(set(chinese_words()) - set(counts))
    total = sum(counts.values())
    letters = sorted({c for word in (*counts, *chinese) for c in word} | set("▁,，.:;!?'\"()-+/&%#"))
    words = [("▁" + w, math.log(n / total)) for w, n in sorted(counts.items()) if len(w) > 1 or w == "a"]
    words += [(w, -7.0) for w in chinese if len(w) > 1]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *words, *((c, -15.0) for c in letters)]
    if earlier is not None:
        known = json.loads(earlier.backend_tokenizer.to_str())["model"]["vocab"]
        have = {word for word, _ in known}
        vocab = [(w, s) for w, s in known] + [(w, s) for w, s in vocab if w not in have]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=length)


def train_clip_tokenizer(
    lines: Iterable[str], vocabulary: int = 1600, earlier: CLIPTokenizer | None = None
) -> CLIPTokenizer:
    """A byte-level BPE tokenizer in CLIP's layout. Words of `earlier` keep their places, new ones come after them."""
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
    merges = _merges(draft)
    # The trainer's order differs from run to run (ties); a model must find its words where it learnt them.
    letters = sorted(alphabet)
    words = [start, end, *letters, *(letter + "</w>" for letter in letters), *sorted("".join(m) for m in merges)]
    if earlier is not None:
        known = dict.fromkeys(_merges(earlier.backend_tokenizer))
        places = earlier.get_vocab()
        words = [*sorted(places, key=lambda w: places[w]), *words]
        merges = list(known | dict.fromkeys(merges))
    vocab = {word: k for k, word in enumerate(dict.fromkeys(words))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def _merges(tokenizer: Tokenizer) -> list[tuple[str, ...]]:
    found = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in found]
