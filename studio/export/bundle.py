"""Bundles: a zip of numbered pictures, ready for a platform, that can be verified and drawn again.

pictures/01.jpg …, captions.txt (title, body, a caption per picture),
contact_sheet.jpg, manifest.json (written last: a bundle without one is no bundle).
The zip's bytes depend on its content alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from personas.recipes import Recipe
from pipelines.errors import BadInput, OutOfDisk
from studio.domain.platforms import check_fits_platform, find_platform
from studio.export.manifest import (
    DonorFacts,
    DrawFacts,
    Drawing,
    FixFacts,
    Manifest,
    ManifestPersona,
    ManifestPost,
    SceneFacts,
    Upscaling,
    read_manifest,
)
from studio.export.provenance import Label, encode_labelled, stamp

__all__ = [
    "BundlePost", "fit_for_platform", "pixels_sha256", "produce_id", "sheet_id", "verify_bundle", "write_bundle",
]  # fmt: skip

_EPOCH = (2026, 1, 1, 0, 0, 0)  # a zip entry must have a date; a fixed one keeps the bytes a function of the content
_SHEET_COLUMNS = 3


@dataclass(frozen=True, eq=False)
class BundlePost:
    """One drawn picture, uint8 [h, w, 3], with its facts; `composite` = a landmark's real pixels are in it."""

    image: npt.NDArray[np.uint8]
    prompt: str
    caption: str
    seed: int
    num_inference_steps: int
    guidance_scale: float
    true_cfg_scale: float
    shot: dict[str, str]
    scores: dict[str, float | None]
    composite: bool
    origin: tuple[int, int] | None = None
    fixes: tuple[FixFacts, ...] = ()
    identity_guidance: bool = False


def pixels_sha256(image: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of shape and pixels, so that two encodings of one picture agree."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def produce_id(drawn_sha256: str) -> str:
    """Return what a picture's label calls it: all that a published picture says of where it came from."""
    return drawn_sha256[:32]


def sheet_id(posts: Sequence[ManifestPost]) -> str:
    """Return what the label of their contact sheet calls it."""
    return produce_id(hashlib.sha256("".join(post.drawn_sha256 for post in posts).encode()).hexdigest())


def fit_for_platform(image: npt.NDArray[np.uint8], upscaling: Upscaling) -> Image.Image:
    """The picture in the platform's exact size: covers the canvas (Lanczos), the middle kept. Deterministic."""
    if upscaling.method != "lanczos":
        raise BadInput("upscaling_method_unknown", method=upscaling.method)
    picture = Image.fromarray(image)
    scale = max(upscaling.height / picture.height, upscaling.width / picture.width)
    size = (max(upscaling.width, round(picture.width * scale)), max(upscaling.height, round(picture.height * scale)))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - upscaling.width) // 2, (size[1] - upscaling.height) // 2
    return picture.crop((left, top, left + upscaling.width, top + upscaling.height))


def write_bundle(
    path: Path,
    posts: Sequence[BundlePost],
    *,
    persona: ManifestPersona,
    recipe: Recipe,
    donors: Sequence[DonorFacts],
    scene: SceneFacts,
    draw: DrawFacts,
    platform: str,
    software: dict[str, str],
    drawings: Sequence[Drawing] = (),
    title: str = "",
    body: str = "",
    producer: str = "Persona Studio",
) -> Manifest:
    """Write the zip and return its manifest. Raises BadInput (platform, number of pictures, text), OutOfDisk."""
    target = find_platform(platform)
    check_fits_platform(target, len(posts), title, body)
    upscaling = Upscaling(height=target.height or draw.height, width=target.width or draw.width)
    suffix = "jpg" if target.format == "JPEG" else "png"
    files: dict[str, bytes] = {}
    listed: list[ManifestPost] = []

    def tell(posts: Sequence[ManifestPost], persona: ManifestPersona, files: dict[str, str]) -> Manifest:
        return Manifest(
            persona=persona, recipe=recipe, donors=tuple(donors), scene=scene, platform=platform, title=title,
            body=body, draw=draw, upscaling=upscaling, posts=tuple(posts), drawings=tuple(drawings), software=software,
            files=files,
        )  # fmt: skip

    faceless = persona.model_copy(update={"enrolment": ()})
    for number, post in enumerate(posts, 1):
        name = f"pictures/{number:02d}.{suffix}"
        drawn = pixels_sha256(post.image)
        told = {f.name: getattr(post, f.name) for f in fields(post) if f.name in ManifestPost.model_fields}
        row = ManifestPost(file=name, sha256="", drawn_sha256=drawn, **told)
        label = Label(producer, produce_id(drawn), post.composite)
        # an archive tells all, a published picture only that it was made by a model
        recipe_text = ""
        if target.embeds_recipe:
            recipe_text = tell([row], faceless, {}).model_dump_json(exclude={"persona": {"enrolment"}})
        fitted = fit_for_platform(post.image, upscaling)
        files[name] = _encode(fitted, target.format, label, target.max_bytes, recipe_text)
        listed.append(row.model_copy(update={"sha256": hashlib.sha256(files[name]).hexdigest()}))
    lines = "".join(f"{p.file.split('/')[1]}\t{_one_line(p.caption)}\n" for p in listed)
    text = "\n".join(part for part in (_one_line(title), body.strip()) if part)
    files["captions.txt"] = (f"{text}\n\n{lines}" if text else lines).encode()
    sheet_label = Label(producer, sheet_id(listed), any(post.composite for post in posts))
    files["contact_sheet.jpg"] = _contact_sheet([post.image for post in posts], sheet_label)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = tell(listed, persona, hashes)
    files["manifest.json"] = manifest.model_dump_json(indent=2).encode()
    _write_zip(path, files)
    return manifest


def verify_bundle(path: Path) -> tuple[str, ...]:
    """Return what is wrong with a bundle's files, one sentence each; empty if every hash holds. Raises BadInput."""
    manifest = read_manifest(path)
    wrong: list[str] = []
    with zipfile.ZipFile(path) as bundle:
        names = set(bundle.namelist()) - {"manifest.json"}
        wrong += [f"{name} is missing." for name in sorted(set(manifest.files) - names)]
        wrong += [f"{name} is not in the manifest." for name in sorted(names - set(manifest.files))]
        for name in sorted(names & set(manifest.files)):
            try:
                same = hashlib.sha256(bundle.read(name)).hexdigest() == manifest.files[name]
            except zipfile.BadZipFile:
                same = False
            if not same:
                wrong.append(f"{name} was changed.")
    return tuple(wrong)


def _encode(image: Image.Image, kind: Any, label: Label, max_bytes: int, recipe: str) -> bytes:
    stamped = stamp(image)
    for quality in (95, 90, 85, 75, 60):
        data = encode_labelled(stamped, kind, label, quality, recipe)
        if len(data) <= max_bytes:
            return data
    raise BadInput("picture_over_platform_size", most=max_bytes)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _contact_sheet(images: Sequence[npt.NDArray[np.uint8]], label: Label) -> bytes:
    height, width = images[0].shape[:2]
    columns, rows = min(_SHEET_COLUMNS, len(images)), -(-len(images) // _SHEET_COLUMNS)
    strip = round(0.13 * min(width * columns, height * rows)) + 8  # room for the label, which hides nobody's feet
    sheet = Image.new("RGB", (width * columns, height * rows + strip), "white")
    for i, image in enumerate(images):
        sheet.paste(Image.fromarray(image), (i % _SHEET_COLUMNS * width, i // _SHEET_COLUMNS * height))
    return encode_labelled(stamp(sheet), "JPEG", label, 90)


def _write_zip(path: Path, files: dict[str, bytes]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w") as bundle:
            for name, data in files.items():
                # pictures are compressed already
                how = zipfile.ZIP_DEFLATED if name.endswith((".txt", ".json")) else zipfile.ZIP_STORED
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = 0o644 << 16
                bundle.writestr(entry, data, how)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfDisk("no_room_for_file", file=path.name) from error
        raise
