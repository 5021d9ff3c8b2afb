"""All that an exported picture's file says of where it comes from, read back: signature, records for machines, the
label for eyes, what it was made from; and whether it is still the file that was exported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.errors import BadInput
from pipelines.picture_labels import split_labels
from pipelines.pictures import is_picture, read_picture
from studio.export.content_credentials import CredentialsFound, read_credentials
from studio.export.manifest import ContentCheck, parse_manifest
from studio.export.provenance import RECIPE_CHUNK, find_stamp, read_label, read_source_type
from studio.library.library import Library
from studio.library.records import WHOLE, ExportedRecord
from studio.texts.texts import Language

__all__ = ["PictureProvenance", "is_picture_file", "verify_picture"]

_MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class PictureProvenance:
    """`produce_id` is that of the AIGC record, `producer` who it names, both "" without one; `source` the last word of
    IPTC's DigitalSourceType; `visible` the language of the label that is seen, None without one. `persona` is what the
    file's own recipe, or the studio that exported it, says that it shows. `as_last_exported`: it is byte for byte what
    this studio last exported of the picture. `content_check` is what was found in it before, None where nobody tells.
    """

    credentials: CredentialsFound
    producer: str = ""
    produce_id: str = ""
    source: str = ""
    visible: Language | None = None
    has_recipe: bool = False
    persona: str = ""
    as_last_exported: bool = False
    content_check: ContentCheck | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether it tells machines that a model made it."""
        return bool(self.produce_id or self.source or self.credentials.source)

    @property
    def is_fine(self) -> bool:
        """Whether it is labelled and nothing in it was changed, as far as can be told."""
        return self.is_labelled and self.credentials.state in ("none", "valid")


def is_picture_file(path: Path) -> bool:
    """Return whether a file begins as a picture. Raises BadInput where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return is_picture(stream.read(32))
    except OSError as error:
        raise BadInput("file_not_opened", file=path.name, reason=error.strerror or str(error)) from error


def verify_picture(path: Path, library: Library | None = None, owner: str = "") -> PictureProvenance:
    """Read a picture's file; `library` is that of the studio that may have exported it. Raises BadInput, BadPicture."""
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise BadInput("file_too_large", file=path.name, most_mb=_MOST_BYTES // 1_000_000)
    data = path.read_bytes()
    pixels = np.asarray(read_picture(data, path.name).convert("RGB"))
    try:
        label = read_label(data) or {}
    except (ValueError, RecursionError):
        label = {}
    recipe, produce_id = split_labels(data)[1].texts.get(RECIPE_CHUNK), str(label.get("ProduceID", ""))
    persona, same, check = "", False, None
    if recipe is not None:
        try:
            told = parse_manifest(recipe)
            persona, check = told.persona.name, told.content_check
        except (ValueError, BadInput, RecursionError):
            recipe = None
    if library is not None and (exported := library.records.get(ExportedRecord, produce_id[:64], owner)):
        manifest = parse_manifest(library.store.get(exported.manifest))
        persona, check = manifest.persona.name, manifest.content_check
        if exported.number != WHOLE:
            check = None if check is None else check.of_one(exported.number)
            same = manifest.posts[exported.number].sha256 == hashlib.sha256(data).hexdigest()
    return PictureProvenance(
        read_credentials(data), str(label.get("ContentProducer", "")), produce_id, read_source_type(data),
        find_stamp(pixels), recipe is not None, persona, same, check,
    )  # fmt: skip
