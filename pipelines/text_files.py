"""The one reader of text from outside: captions, consents, requests, words of a picture's metadata.

An encoding is read where the bytes tell it (a byte-order mark, UTF-8, the zeros of UTF-16), and never guessed: GBK,
Big5 and Latin-1 look alike, and a wrong guess would put nonsense into a training or a false name under a consent.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput

__all__ = ["decode_text", "decode_utf16", "parse_json", "plain_spaces", "read_text_file", "text_sense", "unquoted"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\u200e\u200f]")
_HYPHENS = str.maketrans(dict.fromkeys("‐‑‒–—―−﹣－", "-"))
_OPENING = "“”„‟＂«»"
_STRUCTURE = str.maketrans("，：｛｝［］", ",:{}[]")
_PAIRS = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』", "«": "»"}


def read_text_file(path: Path) -> str:
    """Return a text file's words. Raises BadInput where it cannot be opened, or in what encoding it is is not known."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput("text_file_not_opened", file=path.name, reason=error.strerror or str(error)) from error
    return decode_text(data, path.name)


def decode_text(data: bytes, name: str) -> str:
    """Return the text of a file's bytes, without its byte-order mark and with plain line ends.

    `name` is what the file is called. Raises BadInput for what is neither UTF-8 nor UTF-16.
    """
    coding = next((coding for mark, coding in _MARKS if data.startswith(mark)), "")
    try:
        text = decode_utf16(data) if not coding and b"\0" in data else data.decode(coding or "utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("text_not_utf8", file=name) from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def decode_utf16(data: bytes) -> str:
    """Return UTF-16 in the byte order of its mark, else in the one that makes more sense of all of it.

    Raises UnicodeDecodeError where neither order is UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    whole = data[: len(data) // 2 * 2]
    readings, failure = [], None
    for order in ("utf-16-be", "utf-16-le"):
        try:
            readings.append(whole.decode(order))
        except UnicodeDecodeError as error:
            failure = error
    if not readings:
        assert failure is not None
        raise failure
    return max(readings, key=text_sense)


def text_sense(text: str) -> int:
    """How much a text looks like words: ASCII and marks count most, Chinese less, what nobody writes against it."""
    score = 0
    for c in text[:20_000]:
        if c.isascii():
            score += 4 if c.isprintable() or c in "\n\r\t" else -4
        elif "\u3000" <= c <= "\u30ff" or "\uff00" <= c <= "\uffef" or "\u00a0" <= c <= "\u024f":
            score += 3
        elif "\u4e00" <= c <= "\u9fff" or unicodedata.category(c) == "So":
            score += 1
        else:
            score -= 2
    return score


def plain_spaces(text: str) -> str:
    """Return the text with every kind of space as a plain one, hyphens as "-", and without invisible characters."""
    shown = _INVISIBLE.sub("", text).translate(_HYPHENS)
    return "".join(" " if c not in "\n\t" and unicodedata.category(c) == "Zs" else c for c in shown)


def unquoted(text: str) -> str:
    """Return the text without one pair of quotes around all of it."""
    text = text.strip()
    if len(text) > 1 and _PAIRS.get(text[0]) == text[-1] and text[-1] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def parse_json(text: str) -> Any:
    """Return the value of JSON as people type it: also with typographic quotes and full-width signs between values,
    and with a comma behind the last one. Raises ValueError.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        first = error
    try:
        return json.loads(_typed(text))
    except (ValueError, RecursionError):
        raise ValueError(str(first)) from first


def _typed(text: str) -> str:
    """Mend what stands between strings; what stands in them stays."""
    out: list[str] = []
    at = 0
    while at < len(text):
        sign = text[at]
        if sign == '"' or sign in _OPENING:
            at, said = _string(text, at)
            out.append(said)
            continue
        sign = " " if unicodedata.category(sign) == "Zs" or _INVISIBLE.match(sign) else sign.translate(_STRUCTURE)
        if sign in "}]":
            while out and (not out[-1].strip() or out[-1] == ","):
                out.pop()
        out.append(sign)
        at += 1
    return "".join(out)


def _string(text: str, start: int) -> tuple[int, str]:
    """Return where the string that opens at `start` ends, and the string as JSON."""
    closing = '"' if text[start] == '"' else _OPENING
    end = start + 1
    while end < len(text) and text[end] not in closing:
        end += 2 if text[end] == "\\" and closing == '"' else 1
    if end >= len(text):
        return end, text[start:]
    inside = text[start + 1 : end]
    return end + 1, f'"{inside}"' if closing == '"' else json.dumps(inside, ensure_ascii=False)
