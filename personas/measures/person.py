"""People in a photograph, by insightface's PersonAnalysis: how many there are, and where the one we mean is.

Its re-identification is no measure of a body for us: it knows people by their clothes, and ours change them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.errors import ModelMissing

__all__ = ["PersonReader", "person_of"]

_ROOT = Path("~/.insightface")
Box = tuple[float, float, float, float]


class PersonReader:
    """Holds the package: a folder, which must lie in one called `models`, or a name that insightface knows."""

    def __init__(self, name_or_folder: Path) -> None:
        """Raises ModelMissing; never downloads."""
        from insightface.app.person_analysis import PersonAnalysis

        given = name_or_folder.expanduser()
        folder = (_ROOT.expanduser() / "models" / given) if len(given.parts) == 1 else given.resolve()
        if folder.parent.name != "models" or not (folder / "manifest.json").is_file():
            raise ModelMissing("person_package_missing", folder=str(folder))
        self._analysis = PersonAnalysis(folder.name, str(folder.parent.parent))
        try:
            self._analysis.prepare()
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelMissing("person_package_unreadable", package=folder.name, reason=str(error)) from error

    def read(self, image: npt.NDArray[np.uint8]) -> list[Box]:
        """Boxes (x0, y0, x1, y1) in pixels of everybody whose body is seen in uint8 [h, w, 3] RGB."""
        found = self._analysis.get(np.ascontiguousarray(image[:, :, ::-1]))
        boxes = (tuple(float(v) for v in person.body_bbox) for person in found if person.body_bbox is not None)
        return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes]


def person_of(boxes: Sequence[Box], face: Box) -> Box | None:
    """Return the smallest of the boxes that hold the face's middle, None where none does."""
    x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    around = [b for b in boxes if b[0] <= x <= b[2] and b[1] <= y <= b[3]]
    return min(around, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]), default=None)
