"""Finished pictures, counted: sharpness at the platform's size, the face before and after, seconds, print on goods."""

from __future__ import annotations

import io
import shutil
import subprocess
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.bench import Bench, Picture, render_shots
from benchmarks.statistics import Score, mean_score
from miniature.renders import people
from personas.shots import FRAMINGS, Shot, vary_shots
from pipelines.finishing.finisher import Finisher
from pipelines.finishing.kept import goods_layer, lay_kept
from pipelines.references.cutout import Cutout
from pipelines.references.goods import place_goods
from pipelines.sampling.request import request_from
from studio.workflows.shown import stand

__all__ = [
    "FINISHED",
    "POST",
    "WORD",
    "edge_width",
    "finished_faces",
    "product_text",
    "read_text",
    "sharp",
    "text_goods",
]

FINISHED: dict[str, tuple[str, float]] = {
    "sharp": ("≤", 1.3),
    "finish_identity": ("≥", 0.99),
    "finish_seconds": ("≤", 1.5),
    "product_text": ("≥", 1.0),
}
POST = (1440, 1080)
WORD = "LUMINA"
_SEED = 6_000_000
_QUALITY = 90


def edge_width(picture: Picture) -> float:
    """The median width in pixels of strong edges along rows, each over its whole rise (Marziliano et al., 2002)."""
    grey = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    slope = np.diff(grey, axis=1)
    strong = np.abs(slope) >= np.quantile(np.abs(slope), 0.995)
    widths = list[int]()
    ys, xs = np.nonzero(strong)
    for y, x in list(zip(ys, xs, strict=True))[:: max(1, len(ys) // 4000)]:
        row, sign = slope[y], np.sign(slope[y, x])
        first = last = int(x)
        while first > 0 and row[first - 1] * sign > 0.5:
            first -= 1
        while last < len(row) - 1 and row[last + 1] * sign > 0.5:
            last += 1
        widths.append(last - first + 1)
    return float(np.median(widths))


def _finisher(bench: Bench) -> Finisher:
    finisher = bench.studio.finisher
    assert finisher is not None, "the backbone has no upscaler"
    return finisher


def _drawn(bench: Bench, shots: tuple[Shot, ...], seed: int) -> list[Picture]:
    spec = bench.studio.backbone.spec
    return bench.draw([request_from(spec, s.prompt("a woman"), seed + i) for i, s in enumerate(shots)])


def sharp(bench: Bench) -> dict[str, Score]:
    """Edges of finished pictures over those of renders at the platform's size; `_smooth` without finishing."""
    count, finisher = bench.count(8, 2), _finisher(bench)
    shots = vary_shots(count, _SEED + 9, lights=("day",))
    identity, _ = people(max(count, 8), _SEED + 9)
    drawn = _drawn(bench, shots, _SEED + 900)
    ideal = np.mean([edge_width(p) for p in render_shots(identity[:count], shots, _SEED + 9, *POST)])
    large = [finisher.finish(p, *POST) for p in drawn]
    smooth = [np.asarray(Image.fromarray(p).resize(POST[::-1], Image.Resampling.LANCZOS)) for p in drawn]
    for name, pictures in (("finished", large), ("smooth", smooth)):
        bench.sheet(f"sharp-{name}", [p[::2, ::2] for p in pictures], 4)
    return {
        "sharp": mean_score([edge_width(p) / float(ideal) for p in large]),
        "sharp_smooth": mean_score([edge_width(p) / float(ideal) for p in smooth]),
    }


def finished_faces(bench: Bench) -> dict[str, Score]:
    """The face after finishing over before, by the recogniser that no training knows; and seconds a picture.

    Both are looked at in the size that posts are measured in; `_large` is finished over smoothly enlarged, both large:
    a recogniser sees another face in one that is enlarged at all (cosine .94).
    """
    finisher, reader = _finisher(bench), bench.readers["_second"]
    shots = vary_shots(bench.count(40), _SEED + 20)
    alike, alike_large, seconds = list[float](), list[float](), list[float]()
    for picture in _drawn(bench, shots, _SEED + 2000):
        begin = time.perf_counter()
        large = finisher.finish(picture, *POST)
        seconds.append(time.perf_counter() - begin)
        smooth = np.asarray(Image.fromarray(picture).resize(POST[::-1], Image.Resampling.LANCZOS))
        small = np.asarray(Image.fromarray(large).resize(picture.shape[1::-1], Image.Resampling.BOX))
        for before, after, found in ((picture, small, alike), (smooth, large, alike_large)):
            was, face = reader.read(before), reader.read(after)
            if was is not None:
                found.append(0.0 if face is None else float(was.embedding @ face.embedding))
    return {
        "finish_identity": mean_score(alike),
        "finish_identity_large": mean_score(alike_large),
        "finish_seconds": mean_score(seconds),
    }


def text_goods(word: str = WORD) -> Cutout:
    """A tin with a word on it, as a photo of some hundred pixels shows it."""
    image = Image.new("RGB", (480, 640), (178, 40, 46))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 210, 480, 430), fill=(246, 240, 226))
    pen.text((240, 320), word, font=ImageFont.load_default(104), fill=(30, 30, 34), anchor="mm")
    for y in (60, 560):
        pen.rectangle((0, y, 480, y + 24), fill=(226, 178, 70))
    return Cutout(np.asarray(image), np.ones((640, 480), np.bool_))


def read_text(picture: Picture) -> str:
    """Return what tesseract reads in a picture uint8 [h, w, 3]; a program beside, which only measuring uses."""
    program = shutil.which("tesseract")
    assert program is not None, "apt-get install tesseract-ocr"
    file = io.BytesIO()
    Image.fromarray(picture).resize((picture.shape[1] * 2, picture.shape[0] * 2), Image.Resampling.BICUBIC).save(
        file, "PNG"
    )
    said = subprocess.run([program, "-", "-", "--psm", "6"], input=file.getvalue(), capture_output=True, check=True)
    return said.stdout.decode("utf-8", "replace")


def product_text(bench: Bench) -> dict[str, Score]:
    """Whether OCR reads the word on goods in exported posts of every framing; `_drawn` where they are only enlarged.

    Only where tesseract is installed. It looks at the goods and what is around them.
    """
    if shutil.which("tesseract") is None:
        print("product_text: not measured, tesseract is not installed (apt-get install tesseract-ocr)", flush=True)
        return {}
    count, finisher, spec, goods = bench.count(9, 3), _finisher(bench), bench.studio.backbone.spec, text_goods()
    shots = tuple(
        replace(s, framing=FRAMINGS[i % len(FRAMINGS)], goods="nothing")
        for i, s in enumerate(vary_shots(count, _SEED + 30))
    )
    size, blank = (spec.height, spec.width), np.zeros((spec.height, spec.width, 3), np.uint8)
    kept = [place_goods(goods, stand(None, s), blank) for s in shots]
    drawn = bench.draw([
        request_from(spec, s.prompt("a woman"), _SEED + 3000 + i, references=(k,))
        for i, (s, k) in enumerate(zip(shots, kept, strict=True))
    ])  # fmt: skip
    read, before, shown = list[float](), list[float](), list[Picture]()
    for shot, mask, picture in zip(shots, (k.mask for k in kept), drawn, strict=True):
        place = stand(None, shot)
        large = finisher.finish(picture, *POST)
        exported = _as_jpeg(lay_kept(large, picture, [goods_layer(goods, place, size, POST)]))
        shown.append(exported[::2, ::2])
        for pictures, found in ((exported, read), (_as_jpeg(large), before)):
            found.append(float(WORD in read_text(_around(pictures, mask)).upper()))
    bench.sheet("product-text", shown, 3)
    return {"product_text": mean_score(read), "product_text_drawn": mean_score(before)}


def _as_jpeg(picture: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
    return np.asarray(Image.open(file).convert("RGB"))


def _around(picture: Picture, mask: NDArray[np.bool_]) -> Picture:
    """Return what of the large picture lies around a mask of the drawn one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    scale, edge = picture.shape[0] / mask.shape[0], 4
    top, bottom = max(0, rows[0] - edge) * scale, (rows[-1] + edge) * scale
    left, right = max(0, columns[0] - edge) * scale, (columns[-1] + edge) * scale
    return np.ascontiguousarray(picture[int(top) : int(bottom), int(left) : int(right)])
