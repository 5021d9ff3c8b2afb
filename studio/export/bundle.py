"""Bundles: a zip of numbered pictures, ready for a platform, that can be verified and drawn again.

pictures/01.jpg …, captions.txt (title, body, tags, a caption per picture),
contact_sheet.jpg, manifest.json (written last: a bundle without one is no bundle). A zip of pictures and captions only
ends there: it tells nobody what they were made from. The zip's bytes depend on its content alone, but for signatures:
no two are the same.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from personas.recipes import Recipe
from pipelines.errors import OutOfDisk
from pipelines.files import ZIP_ERRORS
from pipelines.references.cutout import Cutout
from studio.domain.bundle import Part
from studio.domain.platforms import Platform, check_fits_platform, find_platform, tag_text
from studio.export.content_credentials import ContentCredentials
from studio.export.framing import Content, frame_picture
from studio.export.manifest import (
    ContentCheck,
    DonorFacts,
    DrawFacts,
    Drawing,
    FinishingFacts,
    FixFacts,
    Manifest,
    ManifestPersona,
    ManifestPost,
    SceneFacts,
    Upscaling,
    read_manifest,
)
from studio.export.parameters import write_parameters
from studio.export.pictures import encode_for_platform, encode_white
from studio.export.provenance import PARAMETERS_CHUNK, RECIPE_CHUNK, Label, encode_labelled, label_size, stamp

__all__ = [
    "BundlePost", "PRODUCER", "label_of", "pixels_sha256", "produce_id", "sheet_id", "verify_bundle", "write_bundle",
    "write_white",
]  # fmt: skip

PRODUCER = "Persona Studio"

_EPOCH = (2026, 1, 1, 0, 0, 0)  # a zip entry must have a date; a fixed one keeps the bytes a function of the content
_SHEET_COLUMNS = 3


@dataclass(frozen=True, eq=False)
class BundlePost:
    """One drawn picture, uint8 [h, w, 3], with its facts; `composite` = a landmark's real pixels are in it.

    `masks`, bool [h, w], say where what matters is: crop and label respect it. `large` is the finished picture, of any
    size, and `finishing` what made it; None where the drawn one is exported.
    """

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
    layered: bool = False
    reader_sha256: str = ""
    masks: Mapping[Part, npt.NDArray[np.bool_]] = field(default_factory=dict)
    large: npt.NDArray[np.uint8] | None = None
    finishing: FinishingFacts | None = None

    @property
    def shown(self) -> npt.NDArray[np.uint8]:
        """Return the picture that is exported."""
        return self.image if self.large is None else self.large

    @property
    def content(self) -> Content:
        return Content(self.image.shape[0], self.image.shape[1], self.masks)


def pixels_sha256(image: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of shape and pixels, so that two encodings of one picture agree."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def produce_id(drawn_sha256: str) -> str:
    """Return what a picture's label calls it: all that a published picture says of where it came from."""
    return drawn_sha256[:32]


def sheet_id(posts: Sequence[ManifestPost]) -> str:
    """Return what the label of their contact sheet calls it."""
    return produce_id(hashlib.sha256("".join(post.drawn_sha256 for post in posts).encode()).hexdigest())


def label_of(image: npt.NDArray[np.uint8], composite: bool, producer: str = PRODUCER) -> Label:
    """Return what the label of a drawn picture tells machines."""
    return Label(producer, produce_id(pixels_sha256(image)), composite)


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
    tags: Sequence[str] = (),
    content: Literal["bundle", "pictures"] = "bundle",
    producer: str = PRODUCER,
    credentials: ContentCredentials | None = None,
    unlabelled: bool = False,
    content_check: ContentCheck | None = None,
) -> Manifest:
    """Write the zip and return its manifest, which stands in the zip of a whole bundle only. `credentials` sign each
    picture; `unlabelled` leaves away the label that is seen; `content_check` is what was found in them before.

    Raises BadInput (platform, number of pictures, text, signature), OutOfDisk.
    """
    target = find_platform(platform)
    check_fits_platform(target, len(posts), title, body, tags)
    if unlabelled:
        target = target.model_copy(update={"label": "hidden"})
    upscaling = Upscaling(height=target.height or draw.height, width=target.width or draw.width)
    suffix = "jpg" if target.format == "JPEG" else "png"
    files: dict[str, bytes] = {}
    listed: list[ManifestPost] = []

    def tell(
        posts: Sequence[ManifestPost], persona: ManifestPersona, files: dict[str, str], told_check: ContentCheck | None
    ) -> Manifest:
        return Manifest(
            persona=persona, recipe=recipe, donors=tuple(donors), scene=scene, platform=platform, title=title,
            body=body, tags=tuple(tags), draw=draw, upscaling=upscaling, posts=tuple(posts),
            drawings=tuple(drawings), software=software, content_check=told_check, files=files,
        )  # fmt: skip

    faceless = persona.model_copy(update={"enrolment": ()})
    for number, post in enumerate(posts, 1):
        name = f"pictures/{number:02d}.{suffix}"
        framing = frame_picture(post.content, target)
        told = {f.name: getattr(post, f.name) for f in fields(post) if f.name in ManifestPost.model_fields}
        row = ManifestPost(
            file=name, sha256="", drawn_sha256=pixels_sha256(post.image), window=framing.box(post.content),
            label=framing.corner, **told,
        )  # fmt: skip
        # an archive tells all, a published picture only that it was made by a model
        texts: dict[str, str] = {}
        if target.embeds_recipe and content == "bundle":
            alone = tell([row], faceless, {}, None if content_check is None else content_check.of_one(number - 1))
            recipe_text = alone.model_dump_json(exclude={"persona": {"enrolment"}})
            texts = {RECIPE_CHUNK: recipe_text, PARAMETERS_CHUNK: write_parameters(row, draw)}
        label = label_of(post.image, post.composite, producer)
        files[name] = encode_for_platform(
            post.shown, framing, target, label, texts, post.content.size, credentials
        )  # fmt: skip
        listed.append(row.model_copy(update={"sha256": hashlib.sha256(files[name]).hexdigest()}))
    files["captions.txt"] = _captions(title, body, tags, [(p.file, p.caption) for p in listed])
    if content == "bundle":
        sheet_label = Label(producer, sheet_id(listed), any(post.composite for post in posts))
        sheet = _contact_sheet([post.image for post in posts], target, sheet_label)
        files["contact_sheet.jpg"] = (
            sheet if credentials is None else credentials.sign(sheet, "JPEG", sheet_label.composite)
        )
    manifest = tell(
        listed, persona, {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}, content_check
    )
    if content == "bundle":
        files["manifest.json"] = manifest.model_dump_json(indent=2).encode()
    _write_zip(path, files)
    return manifest


def write_white(path: Path, goods: Cutout, platform: Platform, title: str, body: str, tags: Sequence[str]) -> None:
    """Write a zip of the goods alone on pure white: their own photo, of which no manifest tells anything.

    Raises as `write_bundle`.
    """
    check_fits_platform(platform, 1, title, body, tags)
    files = {"pictures/01.jpg": encode_white(goods, platform)}
    if text := _captions(title, body, tags, ()):
        files["captions.txt"] = text
    _write_zip(path, files)


def verify_bundle(path: Path) -> tuple[str, ...]:
    """Return what is wrong with a bundle's files, one sentence each; empty if every hash holds. Raises BadInput."""
    manifest = read_manifest(path)
    wrong: list[str] = []
    with zipfile.ZipFile(path) as bundle:
        names = set(bundle.namelist()) - {"manifest.json"}
        wrong += [f"{name} is missing." for name in sorted(set(manifest.files) - names)]
        wrong += [f"{name} is not in the manifest." for name in sorted(names - set(manifest.files))]
        for name in sorted(names & set(manifest.files)):
            found = hashlib.sha256()
            try:
                with bundle.open(name) as stream:
                    while block := stream.read(1 << 20):  # what the zip says of its size may be a lie
                        found.update(block)
                same = found.hexdigest() == manifest.files[name]
            except ZIP_ERRORS:
                same = False
            if not same:
                wrong.append(f"{name} was changed.")
    return tuple(wrong)


def _captions(title: str, body: str, tags: Sequence[str], captions: Sequence[tuple[str, str]]) -> bytes:
    """A file to copy from: what goes with all pictures, then each one's name and caption."""
    text = "\n".join(part for part in (_one_line(title), body.strip(), tag_text(tags)) if part)
    text = "\n".join(map(_no_formula, text.split("\n")))
    lines = "".join(f"{file.split('/')[1]}\t{_no_formula(_one_line(caption))}\n" for file, caption in captions)
    return (f"{text}\n\n{lines}" if text else lines).encode()


def _no_formula(line: str) -> str:
    """Return a line that is text in a spreadsheet, too, where one that begins so is computed and may start programs."""
    return f" {line}" if line.startswith(("=", "+", "-", "@")) else line


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _contact_sheet(images: Sequence[npt.NDArray[np.uint8]], platform: Platform, label: Label) -> bytes:
    height, width = images[0].shape[:2]
    columns, rows = min(_SHEET_COLUMNS, len(images)), -(-len(images) // _SHEET_COLUMNS)
    strip = round(0.13 * min(width * columns, height * rows)) + 8  # room for the label, which hides nobody's feet
    sheet = Image.new("RGB", (width * columns, height * rows + strip), "white")
    for i, image in enumerate(images):
        sheet.paste(Image.fromarray(image), (i % _SHEET_COLUMNS * width, i // _SHEET_COLUMNS * height))
    size = label_size((sheet.height, sheet.width), platform.language)
    place = sheet.width - size.width - size.margin, sheet.height - size.height - size.margin
    return encode_labelled(stamp(sheet, platform.language, place), "JPEG", label, 90)


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
