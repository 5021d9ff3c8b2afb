"""Labels that say that a picture was made by a model: for eyes (a corner text) and for machines (metadata).

China: labels of AI-generated content in force since 2025-09-01 (GB 45438-2025): visible text at least 5% of the
shorter side high, and an implicit `AIGC` record. EU: IPTC DigitalSourceType (AI Act, Art. 50). Written after the
pixels, because a plain re-save drops metadata, and before the signature (`studio.export.content_credentials`).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal
from xml.sax.saxutils import escape

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipelines.assets import ASSETS
from pipelines.picture_labels import split_labels
from studio.texts.texts import Language

__all__ = [
    "DRAWN_CHUNK",
    "LABEL_WORDS",
    "PARAMETERS_CHUNK",
    "RECIPE_CHUNK",
    "Label",
    "LabelSize",
    "aigc_record",
    "encode_finished",
    "encode_labelled",
    "find_stamp",
    "label_size",
    "read_label",
    "read_source_type",
    "source_type",
    "stamp",
]

VISIBLE_SHARE = 0.05
_ALIKE, _BRIGHT = 0.6, 225.0  # at least, of a label that is found again: correlation, and its letters' mean light
RECIPE_CHUNK = "PersonaStudio"
PARAMETERS_CHUNK = "parameters"  # which AUTOMATIC1111 and its relatives read
DRAWN_CHUNK = "PersonaStudioDrawn"
_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
LABEL_WORDS: Mapping[Language, str] = {"zh": "AI生成", "en": "AI-generated"}
_FONT = ASSETS / "fonts" / "label.otf"  # these words' letters and no others


@dataclass(frozen=True)
class LabelSize:
    """Ground of a visible label in pixels, and how far it stays from the picture's edges."""

    width: int
    height: int
    margin: int


@dataclass(frozen=True)
class Label:
    """`produce_id` names the picture at its producer; `composite` = real pixels (a scene's landmark) are in it."""

    producer: str
    produce_id: str
    composite: bool


def aigc_record(label: Label) -> str:
    """The implicit record as JSON of strings, in the standard's field names."""
    return json.dumps(
        {
            "Label": "1",
            "ContentProducer": label.producer,
            "ProduceID": label.produce_id,
            "ReservedCode1": "",
            "ContentPropagator": "",
            "PropagateID": "",
            "ReservedCode2": "",
        },
        ensure_ascii=False,
    )


def label_size(canvas: tuple[int, int], language: Language) -> LabelSize:
    """Return how large a label is on a canvas (height, width): its letters are at least 5% of the shorter side high."""
    left, top, right, bottom = _font(min(canvas), language).getbbox(LABEL_WORDS[language])
    pad = _pad(min(canvas))
    return LabelSize(round(right - left) + 2 * pad, round(bottom - top) + 2 * pad, 2 * pad)


def stamp(image: Image.Image, language: Language, place: tuple[int, int]) -> Image.Image:
    """The picture with the visible label, the left upper corner of its ground at `place` (x, y)."""
    font, words, side = _font(min(image.size), language), LABEL_WORDS[language], min(image.size)
    size, pad = label_size((image.height, image.width), language), _pad(side)
    left, top, _, _ = font.getbbox(words)
    stamped, (x, y) = image.copy(), place
    draw = ImageDraw.Draw(stamped, "RGBA")
    draw.rectangle((x, y, x + size.width - 1, y + size.height - 1), fill=(0, 0, 0, 110))
    draw.text((x + pad - left, y + pad - top), words, font=font, fill=(255, 255, 255, 255))
    return stamped


def find_stamp(image: npt.NDArray[np.uint8]) -> Language | None:
    """Return the language of the visible label in a picture uint8 [h, w, 3], None where there is none.

    It is looked for as `stamp` writes it, at any height of the left and right margins.
    """
    height, width = image.shape[:2]
    light = np.asarray(image, np.float32).mean(axis=2)
    for language in LABEL_WORDS:
        size = label_size((height, width), language)
        if size.height > height or size.width + size.margin > width:
            continue
        letters = _letters((height, width), language)
        for left in (width - size.width - size.margin, size.margin):
            strip = light[:, left : left + size.width]
            likeness = cv2.matchTemplate(strip, letters, cv2.TM_CCOEFF_NORMED)[:, 0]
            top = int(np.argmax(likeness))
            lettered = strip[top : top + size.height][letters > 250]
            if likeness[top] > _ALIKE and lettered.mean() > _BRIGHT:
                return language
    return None


def _letters(canvas: tuple[int, int], language: Language) -> npt.NDArray[np.float32]:
    """A label's letters, white on black, on its own ground."""
    size, pad = label_size(canvas, language), _pad(min(canvas))
    font, words = _font(min(canvas), language), LABEL_WORDS[language]
    left, top, _, _ = font.getbbox(words)
    ground = Image.new("L", (size.width, size.height))
    ImageDraw.Draw(ground).text((pad - left, pad - top), words, font=font, fill=255)
    return np.asarray(ground, np.float32)


def _pad(side: int) -> int:
    return round(side * 0.012) + 1


@cache
def _font(side: int, language: Language) -> ImageFont.FreeTypeFont:
    """The size of a font is more than the height of its letters: it grows until those are high enough."""
    size = least = round(side * VISIBLE_SHARE) + 1
    while True:
        font = ImageFont.truetype(_FONT, size)
        _, top, _, bottom = font.getbbox(LABEL_WORDS[language])
        if bottom - top >= least:
            return font
        size += 1


def encode_labelled(
    image: Image.Image,
    kind: Literal["JPEG", "PNG"],
    label: Label | None,
    quality: int = 95,
    texts: Mapping[str, str] | None = None,
) -> bytes:
    """The file with its labels: XMP in both kinds, and a text chunk `AIGC` in PNG. Same input, same bytes.

    None is for a picture of which nothing was drawn. `texts` {keyword: text} are a PNG's further chunks; that of
    RECIPE_CHUNK is compressed.
    """
    out, xmp = io.BytesIO(), b"" if label is None else _xmp(label)
    if kind == "JPEG":
        image.save(out, "JPEG", quality=quality, subsampling=0, **({"xmp": xmp} if xmp else {}))
        return out.getvalue()
    chunks = PngImagePlugin.PngInfo()
    if label is not None:
        chunks.add_itxt("AIGC", aigc_record(label))
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
    for keyword, text in (texts or {}).items():
        if keyword == RECIPE_CHUNK:
            chunks.add_itxt(keyword, text, zip=True)
        else:
            chunks.add_text(keyword, text)
    image.save(out, "PNG", pnginfo=chunks)
    return out.getvalue()


def encode_finished(image: Image.Image, drawn: str) -> bytes:
    """The PNG of a finished picture; by `drawn`, the drawn one's key, the studio that made it knows it again."""
    out, chunks = io.BytesIO(), PngImagePlugin.PngInfo()
    chunks.add_text(DRAWN_CHUNK, drawn)
    image.save(out, "PNG", pnginfo=chunks, compress_level=4)
    return out.getvalue()


def source_type(composite: bool) -> str:
    """Return IPTC's word (a URI of its NewsCodes) for how a picture came about, as XMP and C2PA say it."""
    return f"{_IPTC}{'compositeWithTrainedAlgorithmicMedia' if composite else 'trainedAlgorithmicMedia'}"


def _xmp(label: Label) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<TC260:AIGC>{escape(aigc_record(label))}</TC260:AIGC>"
        f"<Iptc4xmpExt:DigitalSourceType>{source_type(label.composite)}</Iptc4xmpExt:DigitalSourceType>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def read_label(data: bytes) -> dict[str, str] | None:
    """The implicit record of a picture file, None where it has none."""
    labels = split_labels(data)[1]
    text = labels.texts.get("AIGC")
    if text is None:
        packet = labels.xmp.decode("utf-8", "replace")
        start, end = packet.find("<TC260:AIGC>"), packet.find("</TC260:AIGC>")
        if start < 0 or end < 0:
            return None
        escaped = packet[start + len("<TC260:AIGC>") : end]
        text = escaped.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    record = json.loads(text)
    return record if isinstance(record, dict) else None


def read_source_type(data: bytes) -> str:
    """Return the last word of a file's IPTC DigitalSourceType, "" where its XMP has none."""
    packet = split_labels(data)[1].xmp.decode("utf-8", "replace")
    found = re.search(r"DigitalSourceType(?:>|=\")[^<\"]{0,200}?/(\w{1,80})[<\"]", packet)
    return found[1] if found else ""
