"""See what of the vocabulary a picture shows: what it was asked to show, and what its pixels say. Pure.

A value in [0, 1] goes with an attribute's id. Of a shot's words each is shown (1) or not (0). Of pixels a measure m
(mean lightness, its spread, mean chroma, mean b* for warmth, edges) becomes σ((m - usual) / spread) at its high end
(`tone.bright`) and 1 minus that at its low end; a palette's colour is its share of the pixels, 1 from a third on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.special import expit

from personas.measures.colours import COLOUR_LAB
from personas.measures.scene import to_lab
from personas.shots import WORDS
from personas.taste.attributes import load_attributes

__all__ = ["PIXELS", "SEEN", "SHOWN", "as_features", "pixels_of", "words_of"]

Floats = npt.NDArray[np.float64]
_SIDE = 64  # pixels are read in a copy of this width: tones, not details
_SHARE = 1 / 3  # of a picture that one colour has where it is all of its palette

# usual value and spread (mean and standard deviation over 160 renders of the miniature's world), high end, low end
_MEASURES: Mapping[str, tuple[float, float, str, str]] = {
    "lightness": (52.5, 11.0, "tone.bright", "tone.dark"),
    "contrast": (15.0, 3.5, "tone.high-contrast", "tone.low-contrast"),
    "chroma": (30.0, 6.7, "tone.vivid", "tone.muted"),
    "warmth": (4.7, 16.0, "tone.warm", "tone.cool"),
    "edges": (4.75, 1.1, "composition.busy", "composition.simple"),
}

PIXELS: tuple[str, ...] = (
    *(end for *_, high, low in _MEASURES.values() for end in (high, low)),
    *(f"palette.{name}" for name in COLOUR_LAB),
)  # fmt: skip
"""Attributes that pixels show."""
SHOWN: tuple[str, ...] = tuple(a.id for a in load_attributes().by_id.values() if a.shot)
"""Attributes that a shot's words show."""
SEEN: tuple[str, ...] = (*SHOWN, *PIXELS)
"""All attributes that can be seen, in the order of `as_features`."""


def words_of(shot: Mapping[str, str]) -> dict[str, float]:
    """Return what a shot's words, by field, show: 1 or 0 for each attribute of a field that has one of its words."""
    of_field = _by_field()
    return {
        one: float(shot[field] in words)
        for field, rows in of_field.items()
        if shot.get(field) in WORDS[field]
        for one, words in rows
    }


def pixels_of(picture: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Return what the pixels of a picture uint8 [h, w, 3] show."""
    height, width = picture.shape[:2]
    small = Image.fromarray(picture).resize((_SIDE, max(1, round(_SIDE * height / width))), Image.Resampling.BOX)
    lab = to_lab(np.asarray(small))
    light = lab[..., 0]
    measured = {
        "lightness": float(light.mean()),
        "contrast": float(light.std()),
        "chroma": float(np.hypot(lab[..., 1], lab[..., 2]).mean()),
        "warmth": float(lab[..., 2].mean()),
        "edges": float(np.abs(np.diff(light, axis=1)).mean() + np.abs(np.diff(light, axis=0)).mean()),
    }
    found: dict[str, float] = {}
    for name, (usual, spread, high, low) in _MEASURES.items():
        share = float(expit(1.7 * (measured[name] - usual) / spread))
        found |= {high: share, low: 1 - share}
    centres = np.array(list(COLOUR_LAB.values()), np.float64)
    far = np.linalg.norm((lab.reshape(-1, 1, 3) - centres) * (0.7, 1.0, 1.0), axis=2)
    shares = np.bincount(far.argmin(axis=1), minlength=len(centres)) / len(far)
    return found | {f"palette.{name}": min(1.0, float(s) / _SHARE) for name, s in zip(COLOUR_LAB, shares, strict=True)}


def as_features(seen: Sequence[Mapping[str, float]]) -> Floats:
    """Return rows [n, d] in the order of SEEN; what is not known of a picture is the mean of those of which it is."""
    rows = np.array([[one.get(name, np.nan) for name in SEEN] for one in seen], np.float64).reshape(-1, len(SEEN))
    known = np.isfinite(rows)
    count = np.maximum(known.sum(axis=0), 1)
    usual = np.where(known, rows, 0.0).sum(axis=0) / count
    return np.where(known, rows, usual)


@cache
def _by_field() -> Mapping[str, tuple[tuple[str, frozenset[str]], ...]]:
    return {
        name: tuple((v.id, frozenset(v.shot)) for v in field.values.values() if v.shot)
        for name, field in load_attributes().fields.items()
        if name in WORDS
    }
