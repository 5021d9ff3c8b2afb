"""Texts that AUTOMATIC1111's web UI and its relatives (Forge, SD.Next, Civitai, Fooocus) write into pictures.

AUTOMATIC1111/stable-diffusion-webui, modules/infotext_utils.py: the prompt, "Negative prompt:", then a line of
`key: value` pairs that begins with "Steps:". Extensions add lines of their own behind it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

__all__ = [
    "ForeignLora", "ForeignPicture", "clean_text", "lora_name", "merge_loras", "parse_parameters", "read_digest",
    "read_scale", "read_seed",
]  # fmt: skip

_MOST_TEXT = 20_000
_MAX_PAIRS, _MAX_KEY, _MAX_JSON = 200, 61, 20
_MAX_LORAS = 50
_LINE_OF_ITS_OWN = re.compile(r"([A-Z][A-Za-z ]{1,40}): ?(.*)")
_TAG = re.compile(r"<lora:([^<>:]{1,200})(?::(-?[0-9.]{1,8}))?[^<>]{0,100}>")


@dataclass(frozen=True)
class ForeignLora:
    """`hash` in hex of 8 to 64 digits, "" where the file tells none; `scale` None where it tells none."""

    name: str
    hash: str = ""
    scale: float | None = None


@dataclass(frozen=True)
class ForeignPicture:
    """What another tool says that a picture was made from. Words, without control characters; seed None: not told."""

    prompt: str
    negative: str = ""
    seed: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    loras: tuple[ForeignLora, ...] = ()


def parse_parameters(text: str) -> ForeignPicture:
    """Read A1111's `parameters`. Raises ValueError where the text is none."""
    lines = clean_text(text).strip().split("\n")
    at = _settings_line(lines)
    pairs = {} if at is None else dict(islice(_pairs(lines[at]), _MAX_PAIRS))
    body = lines[:at]
    split = next((i for i, line in enumerate(body) if line.startswith("Negative prompt:")), len(body))
    prompt = "\n".join(body[:split]).strip()
    negative = "\n".join(body[split:]).removeprefix("Negative prompt:").strip()
    if at is not None:
        pairs |= _lines_behind(lines[at + 1 :])
    if not prompt and not pairs:
        raise ValueError("no parameters")
    seed = read_seed(pairs.pop("Seed", None))
    loras = merge_loras(
        _weighed(prompt), _digests(pairs.get("Lora hashes", "")), _of_hashes(pairs.get("Hashes", "")),
        _of_resources(pairs.get("Civitai resources", "")),
    )  # fmt: skip
    return ForeignPicture(prompt, negative, seed, pairs, loras)


def clean_text(text: str) -> str:
    """Return untrusted words without control characters, of a length that a page can show."""
    kept = "".join(c for c in text[:_MOST_TEXT] if c == "\n" or unicodedata.category(c)[0] != "C")
    return kept if len(text) <= _MOST_TEXT else f"{kept}…"


def read_seed(value: object) -> int | None:
    """Return a seed that is written as a number or as digits; None for all else."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def lora_name(value: object) -> str:
    """Return a LoRA's name without folders and ending."""
    name = clean_text(str(value)).replace("\\", "/").rpartition("/")[2].strip()
    return name.removesuffix(".safetensors")[:200]


def merge_loras(*lists: list[ForeignLora]) -> tuple[ForeignLora, ...]:
    """Return one LoRA a name, with all that any list says of it; at most 50."""
    found: dict[str, ForeignLora] = {}
    for lora in (one for some in lists for one in some):
        known = found.get(lora.name, ForeignLora(lora.name))
        scale = known.scale if lora.scale is None else lora.scale
        found[lora.name] = ForeignLora(lora.name, known.hash or lora.hash, scale)
    return tuple(found.values())[:_MAX_LORAS]


def _settings_line(lines: list[str]) -> int | None:
    """Return which line is the settings: the last that begins like them, else the last of all, if it is pairs.

    A line of fewer than three pairs is still prompt, as A1111 itself decides.
    """
    last = len(lines) - 1
    begins = [i for i, line in enumerate(lines) if line.lstrip().startswith("Steps:")]
    return next((i for i in (*reversed(begins[-20:]), last) if len(list(islice(_pairs(lines[i]), 3))) == 3), None)


def _lines_behind(lines: list[str]) -> dict[str, str]:
    """Read what extensions add, such as "Template: …": a line is a setting, and goes on until the next one begins."""
    found: dict[str, str] = {}
    key = ""
    for line in lines[:_MAX_PAIRS]:
        begins = _LINE_OF_ITS_OWN.fullmatch(line)
        if begins:
            key = begins[1]
            found[key] = begins[2].strip()
        elif key and line.strip():
            found[key] += f"\n{line.strip()}"
    return found


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Yield a line's `key: value` pairs from left to right; a value in quotes may hold commas, and so may JSON.

    By hand, because a regular expression that skips what is no pair tries a long line again from each of its places.
    """
    at, tries = 0, _MAX_JSON
    while (colon := line.find(":", at)) >= 0:
        start = colon
        while start > max(at, colon - _MAX_KEY) and (line[start - 1].isalnum() or line[start - 1] in "_ /-"):
            start -= 1
        key = line[start:colon].lstrip(" /-").rstrip()
        at = colon + 1
        if key:
            tries -= line[at : at + 2].strip()[:1] in ("{", "[")
            value, at = _value(line, at, tries >= 0)
            yield key, value


def _value(line: str, at: int, try_json: bool) -> tuple[str, int]:
    """Return the value that begins at `at`, without its quotes, and where the next pair may begin."""
    while at < len(line) and line[at].isspace():
        at += 1
    if line[at : at + 1] == '"':
        end = at + 1
        while end < len(line) and line[end] != '"':
            end += 2 if line[end] == "\\" else 1
        if end < len(line) and line[end + 1 : end + 2] in ("", ","):
            return line[at + 1 : end].strip(), end + 2
    if try_json and line[at : at + 1] in ("{", "["):
        try:
            end = json.JSONDecoder().raw_decode(line, at)[1]
        except (ValueError, RecursionError):
            end = at
        if end > at and line[end : end + 1] in ("", ","):
            return line[at:end], end + 1
    comma = line.find(",", at)
    end = len(line) if comma < 0 else comma
    return line[at:end].strip().strip('"'), end + 1


def _weighed(prompt: str) -> list[ForeignLora]:
    return [
        ForeignLora(lora_name(tag[1]), scale=read_scale(tag[2])) for tag in islice(_TAG.finditer(prompt), _MAX_LORAS)
    ]


def _digests(text: str) -> list[ForeignLora]:
    """Read A1111's `Lora hashes`."""
    found = []
    for part in text.split(","):
        name, colon, digest = part.rpartition(":")
        name = lora_name(name.rpartition(":")[2])
        if colon and name and (known := read_digest(digest)):
            found.append(ForeignLora(name, known))
    return found[:_MAX_LORAS]


def _of_hashes(text: str) -> list[ForeignLora]:
    """Read A1111's `Hashes`: {"model": digest, "lora:NAME": digest}."""
    told = _json(text)
    if not isinstance(told, dict):
        return []
    rows = [(key[5:], read_digest(str(digest))) for key, digest in told.items() if key.casefold().startswith("lora:")]
    return [ForeignLora(lora_name(name), digest) for name, digest in rows if name]


def _of_resources(text: str) -> list[ForeignLora]:
    """Read Civitai's `Civitai resources`: [{"type": "lora", "weight": 0.8, "modelName": …}]."""
    told = _json(text)
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    loras = [row for row in rows if str(row.get("type", "")).casefold() in ("lora", "locon", "lycoris")]
    named = [(row.get("modelName") or row.get("modelVersionName") or "", row.get("weight")) for row in loras]
    return [ForeignLora(lora_name(name), scale=read_scale(weight)) for name, weight in named if name]


def read_digest(text: str) -> str:
    """Return a hash in hex of 8 to 64 digits, "" for what is none."""
    digest = text.strip().lower().removeprefix("0x")
    return digest if 8 <= len(digest) <= 64 and not digest.strip("0123456789abcdef") else ""


def read_scale(value: object) -> float | None:
    """Return how strongly a LoRA was applied; None for what is no number below 1000."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if abs(number) < 1000 else None


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
