"""Pictures for the measurement of tastes: prompts with open fields, drawn plainly and to tastes, and what they show."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.bench import Bench, Embedding, Picture
from benchmarks.viper import ViperWish
from personas.donors import Donor
from personas.looks import find_category
from personas.measures.face import find_pack
from personas.shots import GOODS, WORDS, Shot, vary_shots
from personas.taste.attributes import load_attributes
from personas.taste.seen import pixels_of, words_of
from pipelines.lora import Lora, read_lora
from pipelines.models.weights import hash_weights
from pipelines.sampling.request import DrawRequest, identity_request

__all__ = ["Asked", "Easel", "Seen", "asked_of", "liked_words"]

LEAST_OPEN, PROMPTS = 2, 10
_EACH = 8  # drawn at once
_DRAWN_BY = tuple(f.name for f in fields(DrawRequest) if f.name not in ("loras", "references"))


@dataclass(frozen=True)
class Asked:
    """One prompt: a persona by its place in the list of donors, a shot, the names of its open fields, and a seed."""

    persona: int
    shot: Shot
    open: tuple[str, ...]
    seed: int
    behind: str = ""
    wish: ViperWish | None = None

    @property
    def stated(self) -> tuple[str, ...]:
        return tuple(name for name in WORDS if name not in self.open)


@dataclass(frozen=True)
class Seen:
    """A picture with what the shipped reader finds in it and its pixels say (`shown`), with what it was asked for and
    its pixels say (`known`: all that the scorer gets; of pixels both have the same), and its face."""

    picture: Picture
    read: dict[str, str]
    shown: dict[str, float]
    known: dict[str, float]
    face: Embedding | None


def asked_of(group: int, seed: int) -> tuple[Asked, ...]:
    """Return a group's prompts: of ten varied shots, two fields or more are open, as often two as all nine."""
    rng = random.Random(f"open {seed} {group}")
    shots = vary_shots(PROMPTS, seed + group, goods=("nothing",) * 2 + GOODS[1:])
    return tuple(
        Asked(
            group, shot, tuple(sorted(rng.sample(list(WORDS), rng.randint(LEAST_OPEN, len(WORDS))))), 1000 * group + n
        )
        for n, shot in enumerate(shots)
    )


def liked_words(weights: dict[str, float], sign: int) -> str:
    """Return words of all that is liked (1) or disliked (-1), the strongest first, as a prompt says them."""
    known = load_attributes().by_id
    plain, told = Shot(), list[str]()
    for one in sorted(weights, key=lambda name: -abs(weights[name])):
        value = known[one]
        if weights[one] * sign <= 0:
            continue
        if value.shot:
            told += _clauses(plain, value.field, value.shot[0])
        elif value.words:
            told.append(value.words)
    return ", ".join(told)


def _clauses(plain: Shot, field: str, word: str) -> list[str]:
    """Return the part of a prompt that a word makes."""
    if field == "outfit_colour":
        return [f"{word} clothes"]
    with_it, without = ({**asdict(plain), field: one} for one in (word, next(w for w in WORDS[field] if w != word)))
    others = Shot(**without).prompt("a person").split(", ")
    return [part for part in Shot(**with_it).prompt("a person").split(", ") if part not in others]


@dataclass(frozen=True)
class Easel:
    """Draws what is asked for, once: pictures are kept in a folder, so that a stopped measurement goes on."""

    bench: Bench
    donors: Sequence[Donor]

    def draw(self, asked: Sequence[Asked]) -> list[Seen]:
        """Return the pictures, read."""
        folder = self.bench.out / "taste-pictures"
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{self._key(one)}.png" for one in asked]
        missing = [n for n, file in enumerate(files) if not file.is_file()]
        for at in range(0, len(missing), _EACH):
            rows = missing[at : at + _EACH]
            for n, picture in zip(rows, self.bench.draw([self.request(asked[n]) for n in rows]), strict=True):
                _keep(files[n], picture)
        return [self._read(one, file) for one, file in zip(asked, files, strict=True)]

    def request(self, one: Asked) -> DrawRequest:
        donor = self._donor(one)
        text = one.shot.prompt(find_category(donor.category).subject, donor.trigger)
        loras = (_lora(donor.lora_path),)
        text = f"{text}, {one.behind}" if one.behind else text
        references = () if one.wish is None else (one.wish,)
        return identity_request(self.bench.studio.backbone.spec, text, one.seed, loras=loras, references=references)

    def _key(self, one: Asked) -> str:
        """Return the name of a picture: of all that it is drawn with, so that another model draws it anew."""
        request = self.request(one)
        numbers = {name: getattr(request, name) for name in _DRAWN_BY}
        wish = None if one.wish is None else asdict(one.wish)
        said = [self.bench.studio.backbone_sha256, hash_weights(self._donor(one).lora_path), numbers, wish]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]

    def _donor(self, one: Asked) -> Donor:
        return self.donors[one.persona % len(self.donors)]

    @cached_property
    def _readers(self) -> str:
        """The readers' fingerprint: other ones read anew."""
        settings = self.bench.studio.settings
        return hashlib.sha256(
            (hash_weights(Path(settings.reader)) + hash_weights(find_pack(settings.face_pack))).encode()
        ).hexdigest()[:12]

    def _read(self, one: Asked, file: Path) -> Seen:
        facts = file.with_suffix(f".{self._readers}.json")
        picture = np.asarray(Image.open(file).convert("RGB"))
        if not facts.is_file():
            (regions,) = self.bench.studio.regions.read([picture])
            face = self.bench.studio.faces.read(picture)
            told = {"read": dict(regions.attributes), "face": None if face is None else face.embedding.tolist()}
            facts.write_text(json.dumps(told))
        told = json.loads(facts.read_text())
        pixels = pixels_of(picture)
        embedding = None if told["face"] is None else np.array(told["face"], np.float32)
        return Seen(
            picture, told["read"], words_of(told["read"]) | pixels, words_of(asdict(one.shot)) | pixels, embedding
        )


@cache
def _lora(path: Path) -> Lora:
    return Lora(read_lora(path).layers)


def _keep(file: Path, picture: Picture) -> None:
    beside = file.with_suffix(".part.png")
    Image.fromarray(picture).save(beside)
    beside.replace(file)
