"""Files and texts as strangers bring them: whole ones of every kind, and what becomes of them when they are damaged.

Everything follows from a seed and a number, so that an input can be made again by itself.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import save

from benchmarks.faults import prepare
from personas.recipes import plan_recipe
from personas.shots import Shot
from pipelines.pictures import open_picture
from studio.application import Studio
from studio.domain.persona import Persona
from studio.domain.scene import Scene
from studio.domain.scene_pack import ScenePack
from studio.export.bundle import BundlePost, write_bundle
from studio.export.manifest import DonorFacts, DrawFacts, ManifestPersona, SceneFacts
from studio.library.backup import back_up
from studio.library.results import find_result
from studio.library.scene_packs import write_pack

__all__ = ["KINDS", "Whole", "make_input"]

KINDS = ("picture", "lora", "bundle", "pack", "backup", "recipe", "text")
ESCAPES = ("fuzz-escaped", "/tmp/fuzz-escaped", "../fuzz-escaped", "../../../fuzz-escaped", "..\\fuzz-escaped",
           "C:\\fuzz-escaped", "a/../../fuzz-escaped", "/fuzz-escaped", "files/../../../fuzz-escaped")  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 7, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1, 2**64, -(2**63),
            10**30, 0.0, -0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"))  # fmt: skip
_WORDS = ("", " ", "\0", "a" * 300, "💇🏽‍♀️" * 40, "\ud800", "﷽" * 50, "e" + "\u0301" * 500, "\u202e", "\r\n", "<b>",
          "'\"", "=cmd|'/C calc'!A0", "{0}", "%s%n", "../", "A" * 70_000, "0" * 5000, "1e999", "null", "NaN",
          "真" * 200,
          "[" * 3000, "#" * 500, "{{7*7}}", "http://127.0.0.1/", *ESCAPES)  # fmt: skip


class Whole:
    """Whole inputs of every kind; `studio` gets a persona and a scene that some of them are of."""

    def __init__(self, studio: Studio, scratch: Path) -> None:
        persona_id, scene_id = prepare(studio)
        persona = find_result(studio.records, studio.store, "me", Persona, persona_id)
        scene = find_result(studio.records, studio.store, "me", Scene, scene_id)
        self.pictures = _pictures()
        self.loras = _loras()
        bundle = scratch / "bundle.zip"
        _write_bundle(bundle, studio, persona, scene)
        self.bundles = [bundle.read_bytes()]
        self.packs = [write_pack(studio.library, scene, ScenePack.make())]
        backup = scratch / "backup.zip"
        back_up(studio.library, backup)
        self.backups = [backup.read_bytes()]
        self.recipes = _recipes(self.bundles[0])
        for one in (bundle, backup):
            one.unlink()


def make_input(whole: Whole, kind: str, seed: int, number: int) -> bytes:
    """Return the input of this number."""
    dice = random.Random(f"{seed} {kind} {number}")
    if kind == "text":
        return make_text(dice).encode("utf-8", "surrogatepass")
    return _DAMAGE[kind](dice, whole)


def make_text(dice: random.Random) -> str:
    """Return what somebody may type or paste."""
    parts = []
    for _ in range(dice.choice((1, 1, 2, 5))):
        how = dice.random()
        if how < 0.4:
            parts.append(dice.choice(_WORDS))
        elif how < 0.7:
            parts.append("".join(chr(dice.randrange(0x110000)) for _ in range(dice.randrange(40))))
        else:
            parts.append(
                dice.choice(("too dark", "更亮一点", "not so stiff, but smiling", "1.5", "红色连衣裙, 咖啡馆"))
            )
    return dice.choice((" ", "", ",", "\n")).join(parts)


def damage_bytes(dice: random.Random, data: bytes) -> bytes:
    """Flip, cut, double, move or overwrite parts, some times."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        if not out:
            return bytes(dice.randrange(256) for _ in range(dice.randrange(64)))
        at, how = dice.randrange(len(out)), dice.randrange(6)
        if how == 0:
            out[at] ^= 1 << dice.randrange(8)
        elif how == 1:
            del out[at:]
        elif how == 2:
            del out[at : at + dice.randrange(1, 64)]
        elif how == 3:
            out[at:at] = out[at : at + dice.randrange(1, 512)]
        elif how == 4:
            width = dice.choice((1, 2, 4, 8))
            out[at : at + width] = bytes([dice.choice((0, 1, 127, 128, 255))]) * width
        else:
            out[at : at + 8] = bytes(dice.randrange(256) for _ in range(8))
    return bytes(out)


def damage_json(dice: random.Random, value: Any, depth: int = 0) -> Any:
    """Return a JSON value of which a part is another, has another name, is missing or stands too deep."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name, told = dice.choice(list(value)), dict(value)
        how = dice.randrange(6)
        if how == 0:
            del told[name]
        elif how == 1:
            told[dice.choice(_WORDS)] = told[name]
        else:
            told[name] = damage_json(dice, told[name], depth + 1)
        return told
    if isinstance(value, list) and value and dice.random() < 0.8:
        at, items = dice.randrange(len(value)), list(value)
        if dice.randrange(4) == 0:
            return items * dice.choice((2, 50))
        items[at] = damage_json(dice, items[at], depth + 1)
        return items
    how = dice.randrange(5)
    if how == 0:
        return dice.choice(_NUMBERS)
    if how == 1:
        return dice.choice(_WORDS)
    if how == 2:
        return dice.choice((None, True, False, [], {}, [[]], {"": {}}))
    if how == 3:
        deep: Any = value
        for _ in range(dice.choice((3, 200, 900))):
            deep = [deep] if dice.randrange(2) else {"a": deep}
        return deep
    return [value, value]


def _dump(value: Any) -> bytes:
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"[" * 5000 + b"]" * 5000


def _pictures() -> list[bytes]:
    """One of each format that is taken, with what cameras and other programs write into them."""
    import pi_heif

    pi_heif.register_heif_opener()
    grain = np.random.default_rng(1).integers(0, 255, (72, 80, 3)).astype(np.uint8)
    image, found = Image.fromarray(grain), []
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    text = PngInfo()
    text.add_text("parameters", "a cat\nNegative prompt: b\nSteps: 20, Seed: 1, Size: 64x48")
    text.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    for how, told in (
        ("JPEG", {"exif": exif, "quality": 90}), ("JPEG", {"progressive": True, "dpi": (72, 72)}),
        ("PNG", {"pnginfo": text, "exif": exif}), ("WEBP", {"lossless": True, "exif": exif}), ("WEBP", {"quality": 60}),
        ("AVIF", {"quality": 60, "exif": exif}),
    ):  # fmt: skip
        out = io.BytesIO()
        image.save(out, how, **told)
        found.append(out.getvalue())
    for mode in ("L", "LA", "RGBA", "P", "I;16", "1", "CMYK"):
        out = io.BytesIO()
        picture = Image.fromarray(grain[..., 0].astype(np.uint16)) if mode == "I;16" else image.convert(mode)
        picture.save(out, "JPEG" if mode == "CMYK" else "PNG")
        found.append(out.getvalue())
    for one in found:
        open_picture(one, "whole")  # or they would test nothing
    return found


def _loras() -> list[bytes]:
    numbers = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    kohya = {
        f"lora_unet_double_blocks_0_img_attn_qkv.{part}": numbers if part == "lora_down.weight" else numbers.T.copy()
        for part in ("lora_down.weight", "lora_up.weight")
    } | {"lora_unet_double_blocks_0_img_attn_qkv.alpha": np.array(4.0, np.float32)}
    peft = {
        f"transformer.transformer_blocks.0.attn.to_q.lora_{part}.weight": numbers if part == "A" else numbers.T.copy()
        for part in "AB"
    }
    return [save(kohya, {"modelspec.title": "a", "ss_network_dim": "4"}), save(peft, {"alpha_pattern": '{"a": 4}'})]


def _write_bundle(path: Path, studio: Studio, persona: Persona, scene: Scene) -> None:
    shot = Shot(framing="close-up", view="left", expression="smiling", outfit="dress", outfit_colour="red")
    grain = np.random.default_rng(2)
    posts = [
        BundlePost(grain.integers(0, 255, (96, 72, 3)).astype(np.uint8), f"prompt {i}", "hi", 100 + i, 16, 0.0, 2.0,
                   asdict(shot), {"identity": 0.9}, True)
        for i in range(2)
    ]  # fmt: skip
    recipe = plan_recipe(studio.donors("sweet"), "sweet", seed=1, ceiling=1.0, equalise=False).recipe
    write_bundle(
        path, posts, recipe=recipe, platform="archive", software={},
        persona=ManifestPersona(**{name: getattr(persona, name) for name in ManifestPersona.model_fields}),
        donors=[DonorFacts(id="d", name="mei", mix_weight=1.0, licence="Apache-2.0", consent="invented")],
        scene=SceneFacts(name="cafe", sha256=scene.sha256, photo=scene.photo, landmark=scene.landmark or "", scale=0.8),
        draw=DrawFacts(backbone="miniature", backbone_sha256="0", batch_size=8, batches=((0, 1),), dtype="float32",
                       precision="fp32", offload="none", device="cpu", threads=1, height=96, width=72),
    )  # fmt: skip


def _recipes(bundle: bytes) -> list[bytes]:
    """Pictures that say what they were made from: the archive's own, and A1111's."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as opened:
        found = [opened.read(name) for name in opened.namelist() if name.endswith((".png", ".jpg"))]
    return found + [_pictures()[2]]


def _damage_picture(dice: random.Random, whole: Whole) -> bytes:
    data = dice.choice(whole.pictures)
    if data.startswith(b"\x89PNG") and dice.random() < 0.7:
        return _damage_png(dice, data)
    return damage_bytes(dice, data)


def _damage_png(dice: random.Random, data: bytes) -> bytes:
    """Damage a chunk's content and let its checksum be right, or else nobody reads further."""
    out, at, chunks = bytearray(data[:8]), 8, []
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    which = dice.randrange(len(chunks))
    for number, (name, content) in enumerate(chunks):
        if number == which:
            how = dice.randrange(5)
            if how == 0 and name == b"IHDR":
                sizes = [dice.choice((0, 1, 72, 80, 6000, 40_000, 2**31 - 1)) for _ in range(2)]
                content = struct.pack(">II", *sizes) + content[8:]
            elif how == 1:
                name = dice.choice((b"tEXt", b"iTXt", b"zTXt", b"iCCP", b"eXIf", b"PLTE", b"tRNS", b"acTL", b"IEND"))
            elif how == 2:
                content = zlib.compress(bytes(dice.choice((100, 10_000, 20_000_000))))
            else:
                content = damage_bytes(dice, content)
            for _ in range(dice.choice((0, 0, 0, 1, 300))):
                out += _chunk(name, content[:2000])
        out += _chunk(name, content)
    return bytes(out)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _damage_lora(dice: random.Random, whole: Whole) -> bytes:
    data = dice.choice(whole.loras)
    if dice.random() < 0.3:
        return damage_bytes(dice, data)
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    for _ in range(dice.choice((1, 1, 3))):
        header = damage_json(dice, header)
    told = _dump(header)
    said = len(told) if dice.random() < 0.9 else dice.choice([n for n in _NUMBERS if isinstance(n, int)]) % 2**64
    return struct.pack("<Q", said) + told + rest


def _damage_zip(dice: random.Random, data: bytes, listing: str) -> bytes:
    """Damage the bytes of a zip, or an entry's name, content or size, or the JSON that lists what is in it."""
    if dice.random() < 0.25:
        return damage_bytes(dice, data)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    out, which, how = io.BytesIO(), dice.choice(list(files)), dice.randrange(6)
    with zipfile.ZipFile(out, "w") as written:
        for name, content in files.items():
            deflated = zipfile.ZIP_DEFLATED if dice.random() < 0.5 else zipfile.ZIP_STORED
            if name == listing and how in (0, 1, 2):
                value = json.loads(content)
                for _ in range(dice.choice((1, 2))):
                    value = damage_json(dice, value)
                content = _dump(value)
                if how == 2:
                    content = content.replace(b"files/", dice.choice(ESCAPES).replace("\\", "/").encode() + b"/")
            elif name == which:
                if how == 3:
                    name = dice.choice((*ESCAPES, "a" * 300, "", "é\0", listing))
                elif how == 4:
                    content, deflated = bytes(dice.choice((1000, 30_000_000))), zipfile.ZIP_DEFLATED
                else:
                    content = damage_bytes(dice, content)
            entry = zipfile.ZipInfo(name or "x", (2026, 1, 1, 0, 0, 0))
            entry.external_attr = dice.choice((0o644, 0o120777, 0o4777)) << 16  # a link, a program
            written.writestr(entry, content, deflated)
            if how == 5 and dice.random() < 0.2:
                written.writestr(entry, content)
    return out.getvalue()


def _damage_recipe(dice: random.Random, whole: Whole) -> bytes:
    data = dice.choice(whole.recipes)
    return _damage_png(dice, data) if data.startswith(b"\x89PNG") else damage_bytes(dice, data)


_DAMAGE: dict[str, Callable[[random.Random, Whole], bytes]] = {
    "picture": _damage_picture,
    "lora": _damage_lora,
    "bundle": lambda dice, whole: _damage_zip(dice, dice.choice(whole.bundles), "manifest.json"),
    "pack": lambda dice, whole: _damage_zip(dice, dice.choice(whole.packs), "pack.json"),
    "backup": lambda dice, whole: _damage_zip(dice, dice.choice(whole.backups), "backup.json"),
    "recipe": _damage_recipe,
}
