"""What a picture's file says beside its pixels: orientation, colour profile, texts. Read apart from the pixels, so that
no oddity of a label ever stops a picture whose pixels are whole.

Layouts: JPEG segments (ITU-T T.81, B.1; EXIF 2.3; ICC.1:2010, B.4), PNG chunks (PNG 3rd edition, 11; iCCP, eXIf,
tEXt, zTXt, iTXt), WebP's RIFF chunks (RFC 9649). EXIF itself is a TIFF directory (TIFF 6.0, 2).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

__all__ = ["USER_COMMENT", "Labels", "read_exif", "read_orientation", "split_labels"]

USER_COMMENT = 0x9286
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # beside the critical chunks: transparency, and that it moves
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_JPEG_PIXELS = (0xE0, 0xEE)  # JFIF, and Adobe's word on which colours these are
_MAX_TEXT, _MAX_TEXTS, _MAX_PROFILE = 8_000_000, 32_000_000, 16_000_000
_MAX_TAGS, _MAX_VALUE = 500, 8_000_000


@dataclass(frozen=True)
class Labels:
    """`exif` is a TIFF block, `xmp` an XML packet, `profile` an ICC profile, each b"" where the file has none."""

    exif: bytes = b""
    xmp: bytes = b""
    profile: bytes = b""
    chunks: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def orientation(self) -> int:
        """How the picture must be turned to stand upright, 1 to 8 as in EXIF; 1 where that is not known."""
        exif = self.exif or _raw_exif(self.texts.get("Raw profile type exif", ""))
        return read_orientation(exif, self.xmp)

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The texts of a PNG by their keywords. What cannot be unpacked, or is larger than 8 MB, is left out."""
        found: dict[str, str] = {}
        left = _MAX_TEXTS
        for kind, data in self.chunks:
            read = _read_text(kind, data, min(left, _MAX_TEXT))
            if read is not None:
                left -= len(read[1])
                found.setdefault(*read)
        return found


def split_labels(data: bytes) -> tuple[bytes, Labels]:
    """Return the file without its labels, and the labels. What is no JPEG, PNG or WebP is returned as it is."""
    if data.startswith(_PNG):
        return _split_png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _split_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return data, _webp_labels(data)
    return data, Labels()


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation of an EXIF block, else of an XMP packet; 1 where neither tells."""
    said = read_exif(exif).get(_ORIENTATION, b"")
    big = exif.removeprefix(b"Exif\0\0").startswith(b"MM")
    number = int.from_bytes(said[:2], "big" if big else "little") if len(said) >= 2 else 0
    if 1 <= number <= 8:
        return number
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1


def read_exif(block: bytes) -> dict[int, bytes]:
    """Return the raw values of an EXIF block's first directory and of its Exif directory, by their tags.

    A value that lies outside the block is left out; so is a directory that does.
    """
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    if not order or len(block) < 8:
        return {}
    found: dict[int, bytes] = {}
    pending = [struct.unpack_from(f"{order}I", block, 4)[0]]
    for start in pending:
        for tag, value in _read_directory(block, order, start):
            if tag == _EXIF_IFD and len(value) == 4 and len(pending) == 1:
                pending.append(struct.unpack(f"{order}I", value)[0])
            else:
                found.setdefault(tag, value)
    return found


def _read_directory(block: bytes, order: str, start: int) -> Iterator[tuple[int, bytes]]:
    if start + 2 > len(block):
        return
    (count,) = struct.unpack_from(f"{order}H", block, start)
    for entry in range(start + 2, start + 2 + 12 * min(count, _MAX_TAGS), 12):
        if entry + 12 > len(block):
            return
        tag, kind, number = struct.unpack_from(f"{order}HHI", block, entry)
        size = number * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}.get(kind, 0)
        at = entry + 8 if size <= 4 else struct.unpack_from(f"{order}I", block, entry + 8)[0]
        if 0 < size <= _MAX_VALUE and at + size <= len(block):
            yield tag, block[at : at + size]


def _split_jpeg(data: bytes) -> tuple[bytes, Labels]:
    """Segments up to the first scan; what cannot be followed is left to the decoder."""
    kept, labels, profile, at = [data[:2]], Labels(), {}, 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return data, Labels()
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : end]
        if (0xE0 <= marker <= 0xEF or marker == 0xFE) and marker not in _JPEG_PIXELS:
            if body.startswith(b"Exif\0\0") and not labels.exif:
                labels = replace(labels, exif=body[6:])
            elif body.startswith(b"http://ns.adobe.com/xap/1.0/\0") and not labels.xmp:
                labels = replace(labels, xmp=body[29:])
            elif body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
                profile[body[12]] = body[14:]
        else:
            kept.append(data[at:end])
        at = end
    whole = b"".join(profile[number] for number in sorted(profile))
    return b"".join((*kept, data[at:])), replace(labels, profile=whole)


def _split_png(data: bytes) -> tuple[bytes, Labels]:
    kept, labels, texts, at = [_PNG], Labels(), [], len(_PNG)
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        body = data[at + 8 : at + 8 + size]
        if not kind[:1].islower() or kind in _PNG_PIXELS:
            kept.append(data[at:end])
        elif kind == b"eXIf":
            labels = replace(labels, exif=body)
        elif kind == b"iCCP":
            labels = replace(labels, profile=_unpack(body.partition(b"\0")[2][1:], _MAX_PROFILE) or b"")
        elif kind in _PNG_TEXTS:
            texts.append((kind, body))
        at = end
        if kind == b"IEND":
            break
    labels = replace(labels, chunks=tuple(texts))
    packet = next((body for kind, body in texts if kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0")), b"")
    return b"".join(kept), replace(labels, xmp=packet)


def _webp_labels(data: bytes) -> Labels:
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"EXIF", b"XMP ", b"ICCP"):
            found.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return Labels(found.get(b"EXIF", b""), found.get(b"XMP ", b""), found.get(b"ICCP", b""))


def _read_text(kind: bytes, data: bytes, most: int) -> tuple[str, str] | None:
    """Return (keyword, text) of a PNG's chunk."""
    name, null, rest = data.partition(b"\0")
    if not null or not 1 <= len(name) <= 79:
        return None
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    elif packed:
        rest = rest[1:]
    text = _unpack(rest, most) if packed else rest if len(rest) <= most else None
    if text is None:
        return None
    if kind == b"iTXt":
        return name.decode("latin-1"), text.decode("utf-8", "replace")
    try:  # the standard says Latin-1, and many tools write UTF-8 all the same
        return name.decode("latin-1"), text.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1"), text.decode("latin-1")


def _unpack(data: bytes, most: int) -> bytes | None:
    """Return what zlib packed; None for what is damaged or would be larger."""
    try:
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(data, most + 1)
    except zlib.error:
        return None
    return found if len(found) <= most else None


def _raw_exif(text: str) -> bytes:
    """ImageMagick's text: the word "exif", a length, then hexadecimal lines."""
    try:
        return bytes.fromhex("".join(text.split()[2:]))
    except ValueError:
        return b""
