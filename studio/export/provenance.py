"""Labels that say that a picture was made by a model: for eyes (a corner text) and for machines (metadata).

China: labels of AI-generated content in force since 2025-09-01 (GB 45438-2025): visible text at least 5% of the
shorter side high, and an implicit `AIGC` record. EU: IPTC DigitalSourceType (AI Act, Art. 50). Written last, because
a plain re-save drops metadata.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipelines.picture_labels import split_labels

__all__ = ["RECIPE_CHUNK", "Label", "aigc_record", "encode_labelled", "read_label", "stamp"]

VISIBLE_SHARE = 0.05
RECIPE_CHUNK = "PersonaStudio"
_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_CJK_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)


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


def stamp(image: Image.Image) -> Image.Image:
    """The picture with the visible label in its lower right corner.

    "AI生成" where the machine has a Chinese font, else "AI". Letters are at least 5% of the shorter side high.
    """
    text, font = _label_font(round(min(image.size) * VISIBLE_SHARE) + 1)
    stamped = image.copy()
    draw = ImageDraw.Draw(stamped, "RGBA")
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = round(min(image.size) * 0.012) + 1
    x, y = image.width - (right - left) - 3 * pad, image.height - (bottom - top) - 3 * pad
    draw.rectangle((x - pad, y - pad, x + right - left + pad, y + bottom - top + pad), fill=(0, 0, 0, 110))
    draw.text((x - left, y - top), text, font=font, fill=(255, 255, 255, 255))
    return stamped


@cache
def _label_font(letter_px: int) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    for path in _CJK_FONTS:
        if Path(path).is_file():
            return "AI生成", ImageFont.truetype(path, letter_px)
    # The size of a font is more than the height of its capitals: grow it until those are high enough.
    size = letter_px
    while True:
        font = ImageFont.load_default(size)
        box = font.getbbox("AI")
        if box[3] - box[1] >= letter_px:
            return "AI", font
        size += 1


def encode_labelled(
    image: Image.Image, kind: Literal["JPEG", "PNG"], label: Label, quality: int = 95, recipe: str = ""
) -> bytes:
    """The file with its labels: XMP in both kinds, and a text chunk `AIGC` in PNG. Same input, same bytes.

    A `recipe` is kept in a PNG's chunk of its own, RECIPE_CHUNK, compressed.
    """
    source = "compositeWithTrainedAlgorithmicMedia" if label.composite else "trainedAlgorithmicMedia"
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<TC260:AIGC>{escape(aigc_record(label))}</TC260:AIGC>"
        f"<Iptc4xmpExt:DigitalSourceType>{_IPTC}{source}</Iptc4xmpExt:DigitalSourceType>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    out = io.BytesIO()
    if kind == "JPEG":
        image.save(out, "JPEG", quality=quality, subsampling=0, xmp=xmp.encode())
    else:
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("AIGC", aigc_record(label))
        chunks.add_itxt("XML:com.adobe.xmp", xmp)
        if recipe:
            chunks.add_itxt(RECIPE_CHUNK, recipe, zip=True)
        image.save(out, "PNG", pnginfo=chunks)
    return out.getvalue()


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
