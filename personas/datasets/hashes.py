"""Fingerprints that stay nearly the same when a picture is saved again, enlarged or cut a little. Pure.

dHash is the sign of the brightness step between neighbours in a copy of 9 × 8 pixels, pHash that of the lowest 8 × 8
cosines of a copy of 32 × 32 against their median (Krawetz, "Looks like it", 2011). Both have 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

__all__ = ["Fingerprint", "as_words", "fingerprint", "hamming"]

Grey = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Fingerprint:
    """`dhash` and `phash` of the picture, and of it seen in a mirror; each 16 hexadecimal digits."""

    dhash: str
    phash: str
    dhash_mirrored: str
    phash_mirrored: str


def fingerprint(grey: Grey) -> Fingerprint:
    """Return both hashes of a grey picture float32 [h, w], as it is and mirrored."""
    mirrored = np.ascontiguousarray(grey[:, ::-1])
    return Fingerprint(_dhash(grey), _phash(grey), _dhash(mirrored), _phash(mirrored))


def as_words(hashes: list[str]) -> Words:
    """Return hashes of 16 hexadecimal digits as uint64 [n]."""
    return np.array([int(one, 16) for one in hashes], np.uint64)


def hamming(one: np.uint64, others: Words) -> npt.NDArray[np.uint8]:
    """Return how many of 64 bits differ between a hash and each of others [n]: uint8 [n]."""
    return np.bitwise_count(one ^ others)


def _dhash(grey: Grey) -> str:
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return _digits(small[:, 1:] > small[:, :-1])


def _phash(grey: Grey) -> str:
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    low = dctn(small, norm="ortho")[:8, :8]
    return _digits(low > np.median(low.ravel()[1:]))  # the first is the mean brightness, far from all others


def _digits(bits: npt.NDArray[np.bool_]) -> str:
    return np.packbits(bits.ravel()).tobytes().hex()
