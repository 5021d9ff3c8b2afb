"""A folder of pictures of one person as examples for a training: captions as they lie beside the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.errors import StudioError
from pipelines.text_files import plain_spaces, read_text_file, unquoted
from studio.library.picture_folders import list_pictures, load_pictures

__all__ = ["MIN_PICTURES", "TRIGGER", "TrainingFolder", "read_training_folder"]

TRIGGER = "ohwx"
MIN_PICTURES = 4


@dataclass(frozen=True, eq=False)
class TrainingFolder:
    """`rows` are pictures uint8 [h, w, 3] with their captions, `left_out` why other files of the folder are not."""

    rows: tuple[tuple[npt.NDArray[np.uint8], str], ...]
    left_out: tuple[StudioError, ...]


def read_training_folder(folder: Path, subject: str) -> TrainingFolder:
    """Read a folder; a picture without words beside it shows `subject`. Every caption has the trigger word.

    Raises BadInput for a caption in an unknown encoding, NotEnough for fewer than four pictures that can be used.
    """
    found = list_pictures(folder)
    found.check_enough(MIN_PICTURES)
    texts = {path: _tidy(read_text_file(file)) for path, file in found.captions.items()}
    loaded, left_out = load_pictures(found, MIN_PICTURES)
    usual = f"photo of {TRIGGER} {subject}"
    captions = [texts.get(picture.path) or usual for picture in loaded]
    rows = [
        (picture.image, caption if TRIGGER in caption else f"{TRIGGER} {caption}")
        for picture, caption in zip(loaded, captions, strict=True)
    ]
    return TrainingFolder(tuple(rows), left_out)


def _tidy(caption: str) -> str:
    return unquoted(plain_spaces(caption).strip())
