"""What other tools say of their pictures: A1111's texts, JSON of Fooocus, SwarmUI and InvokeAI, ComfyUI's graph.

A format is decided by a parse that succeeds whole, and what no parse understands is never shown as if it were a
prompt. SwarmUI: `sui_image_params`; Fooocus: keys of its own scheme; InvokeAI: `invokeai_metadata`; NovelAI: `Comment`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.picture_labels import USER_COMMENT, Labels, read_exif
from pipelines.text_files import decode_utf16, text_sense
from studio.export.a1111 import (
    ForeignLora,
    ForeignPicture,
    clean_text,
    lora_name,
    merge_loras,
    parse_parameters,
    read_digest,
    read_scale,
    read_seed,
)
from studio.export.comfyui import is_graph, read_graph

__all__ = ["read_foreign"]

_CHUNKS = ("parameters", "invokeai_metadata", "sd-metadata", "prompt", "Comment", "generation_data")
_IMAGE_DESCRIPTION, _MAKE, _MODEL = 0x010E, 0x010F, 0x0110
_MOST_JSON, _MAX_SETTINGS = 8_000_000, 100
_LOOKS_LIKE_JSON = re.compile(r"\s*(\{\s*[\"'}]|\[\s*[\[{\"'\]])")
_XMP_TEXTS = re.compile(r"<(exif:UserComment|dc:description)>(.{1,200000}?)</\1>", re.DOTALL)
_TAGS = re.compile(r"<[^<>]{1,200}>")
_PROMPTS = ("prompt", "positiveprompt", "c")
_NEGATIVES = ("negativeprompt", "negative", "uc")
_SEEDS = ("seed", "noiseseed", "imageseed")
_INSIDE = ("suiimageparams", "image", "metadata", "coremetadata")


def read_foreign(labels: Labels) -> ForeignPicture | None:
    """Return what a picture's labels say; None where they hold nothing that a tool of this kind writes.

    Raises ValueError where they hold something that cannot be read.
    """
    seen = False
    for said in _candidates(labels):
        seen = True
        try:
            found = _parse(said)
        except (ValueError, RecursionError):
            continue
        if found is not None:
            return found
    if seen:
        raise ValueError("no known words")
    return None


def _candidates(labels: Labels) -> Iterator[str]:
    """Yield the texts that may be it, the likeliest first."""
    texts = labels.texts
    for name in _CHUNKS:
        text = texts.get(name, "")
        if (name == "parameters" and text.strip()) or _is_telling(text):
            yield text
    if "prompt" in texts and "seed" in texts and not _LOOKS_LIKE_JSON.match(texts["prompt"]):  # a chunk a value
        yield json.dumps({name: text[:20_000] for name, text in texts.items()})
    exif = read_exif(labels.exif)
    if _is_telling(comment := _user_comment(exif.get(USER_COMMENT, b""))):
        yield comment
    for tag in (_MODEL, _MAKE, _IMAGE_DESCRIPTION):  # ComfyUI's in WebP: "prompt:{…}"
        text = exif.get(tag, b"").rstrip(b"\0").decode("utf-8", "replace")
        name, _, rest = text.partition(":")
        if name.casefold() == "prompt" and _LOOKS_LIKE_JSON.match(rest):
            yield rest
        elif tag == _IMAGE_DESCRIPTION and _is_telling(text):
            yield text
    packet = labels.xmp.decode("utf-8", "replace")
    for found in _XMP_TEXTS.finditer(packet):
        text = _TAGS.sub("", found[2]).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
        text = text.replace("&#xA;", "\n").replace("&amp;", "&").strip()
        if _is_telling(text):
            yield text


def _is_telling(text: str) -> bool:
    """Whether a text that may be anything (a camera's comment) looks as if a tool of this kind wrote it."""
    return "Steps:" in text or _LOOKS_LIKE_JSON.match(text) is not None


def _parse(text: str) -> ForeignPicture | None:
    """Return what one text says. Raises ValueError where it is none of the known kinds."""
    if not _LOOKS_LIKE_JSON.match(text):
        return parse_parameters(text)
    if len(text) > _MOST_JSON:
        raise ValueError("too long")
    told = json.loads(text)
    if is_graph(told):
        return read_graph(told)
    if isinstance(told, dict):
        return _read_object(told)
    raise ValueError("no object")


def _read_object(told: Mapping[str, Any]) -> ForeignPicture:
    """Read JSON whose keys say what they are. Raises ValueError where there is neither a prompt nor a seed."""
    values = {_plain(key): value for key, value in told.items()}
    outer: Mapping[str, Any] = {}
    nested = next((found for key in _INSIDE if isinstance(found := values.get(key), dict)), None)
    if nested is not None:
        values |= {_plain(name): value for name, value in nested.items()}
        outer, told = told, {**_plain_values(told), **nested}
    prompt = next((_prompt(values[key]) for key in _PROMPTS if values.get(key)), "")
    negative = next((_prompt(values[key]) for key in _NEGATIVES if values.get(key)), "")
    seed = next((found for key in _SEEDS if (found := read_seed(values.get(key))) is not None), None)
    if not prompt and seed is None:
        raise ValueError("no prompt")
    in_prompt = parse_parameters(prompt).loras if prompt else ()
    loras = merge_loras(list(in_prompt), _loras(values), _swarm_models(outer))
    return ForeignPicture(prompt, negative, seed, _settings(told), loras)


def _plain_values(told: Mapping[str, Any]) -> dict[str, object]:
    """Return what of an object is plain."""
    return {key: value for key, value in told.items() if not isinstance(value, dict | list)}


def _plain(key: object) -> str:
    return "".join(c for c in str(key).casefold() if c.isalnum())


def _prompt(value: Any) -> str:
    """Return a prompt that is a text, or (InvokeAI's first format) a list of weighed texts."""
    if isinstance(value, list):
        parts = [row.get("prompt") if isinstance(row, dict) else row for row in value]
        value = " ".join(part for part in parts if isinstance(part, str))
    return clean_text(value).strip() if isinstance(value, str) else ""


def _loras(values: Mapping[str, Any]) -> list[ForeignLora]:
    """Read [[name, weight, hash]], [{"model": {"name"}, "weight"}], or names beside `loraweights`."""
    rows = values.get("loras") or values.get("lora") or []
    weights = values.get("loraweights") or []
    found = []
    for number, row in enumerate(rows[:50] if isinstance(rows, list) else []):
        name, weight, digest = "", None, ""
        if isinstance(row, str):
            name, weight = row, weights[number] if isinstance(weights, list) and number < len(weights) else None
        elif isinstance(row, list) and row:
            name, weight, digest = [*row, None, ""][:3] if len(row) < 3 else row[:3]
        elif isinstance(row, dict):
            model = row.get("model") or row.get("lora") or row
            name = model.get("name") or model.get("model_name") or "" if isinstance(model, dict) else model
            digest = model.get("hash", "") if isinstance(model, dict) else ""
            weight = row.get("weight", row.get("strength"))
        if isinstance(name, str) and name:
            found.append(ForeignLora(lora_name(name), read_digest(str(digest)), read_scale(weight)))
    return found


def _swarm_models(told: Mapping[str, Any]) -> list[ForeignLora]:
    """Read SwarmUI's list of the models' hashes."""
    rows = told.get("sui_models")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    loras = [row for row in rows[:50] if "lora" in str(row.get("param", "")).casefold()]
    return [ForeignLora(lora_name(row.get("name", "")), read_digest(str(row.get("hash", "")))) for row in loras]


def _settings(told: Mapping[str, Any]) -> dict[str, str]:
    """Return what else is plain: numbers, words, and names of models."""
    known = {*_PROMPTS, *_NEGATIVES, *_SEEDS, "fullprompt", "fullnegativeprompt"}
    found: dict[str, str] = {}
    for key, value in told.items():
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            value = value["name"]
        if isinstance(value, str | int | float) and _plain(key) not in known and len(found) < _MAX_SETTINGS:
            found[clean_text(str(key))[:60]] = " ".join(clean_text(str(value)).split())[:300]
    return found


def _user_comment(value: bytes) -> str:
    """EXIF 2.3, 4.6.5: eight bytes name the code. "UNICODE" is UTF-16 of either order, and with some tools UTF-8."""
    code, rest = value[:8], value[8:]
    if code != b"UNICODE\0":
        body = rest if code in (b"ASCII\0\0\0", b"\0" * 8, b"JIS\0\0\0\0\0") else value
        return body.rstrip(b"\0").decode("utf-8", "replace")
    readings = []
    for decode in (decode_utf16, bytes.decode):
        try:
            readings.append(decode(rest).rstrip("\0"))
        except UnicodeDecodeError:
            continue
    return max(readings, key=text_sense, default="")
