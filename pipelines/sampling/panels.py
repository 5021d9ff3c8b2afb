"""In-context panels: several shots drawn as one picture with a joint caption, then cut apart.

Within one picture FLUX keeps a person and a place consistent by itself (In-Context LoRA, arXiv:2410.23775 §3.1, whose
caption form this follows). Panels that exist already can be given: their latents are kept, and the others are drawn
to go with them (the paper's conditioning by masking).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput
from pipelines.references.fill import FillReference
from pipelines.references.landmark import Landmark
from pipelines.references.protocol import Reference
from pipelines.sampling.request import DrawRequest, plan_batches

__all__ = ["GRIDS", "join_panels", "plan_panels", "split_panels"]

GRIDS = {2: (1, 2), 3: (1, 3), 4: (2, 2), 6: (2, 3), 9: (3, 3)}
"""Panels to (rows, columns)."""
_COUNT = {2: "TWO", 3: "THREE", 4: "FOUR", 6: "SIX", 9: "NINE"}
_ROWS = {1: ("",), 2: ("TOP-", "BOTTOM-"), 3: ("TOP-", "MIDDLE-", "BOTTOM-")}
_COLUMNS = {2: ("LEFT", "RIGHT"), 3: ("LEFT", "CENTER", "RIGHT")}

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def plan_panels(count: int, panels: int) -> tuple[tuple[int, ...], ...]:
    """Which of `count` shots are new in each joint picture of at most `panels`; later ones hold shot 0 as well. Pure.

    Raises BadInput where `panels` fits no grid. The last pictures are made smaller where fewer shots are left.
    """
    if panels not in GRIDS:
        raise BadInput("panels_fit_no_grid", panels=panels, known=list(GRIDS))
    groups: list[tuple[int, ...]] = []
    done = 0
    while done < count:
        given = 1 if groups else 0
        left = count - done + given
        size = max((n for n in GRIDS if n <= min(panels, left)), default=0)
        if size == 0:
            raise BadInput("panels_of_one_shot")
        groups.append(tuple(range(done, done + size - given)))
        done += size - given
    return tuple(groups)


def join_panels(requests: Sequence[DrawRequest], given: Sequence[Rgb] = ()) -> DrawRequest:
    """One request for all panels in reading order; the first `given` of them exist already and are kept.

    The first request's seed and scene reference are the joint picture's. Raises BadInput where the number fits no
    grid, nothing is left to draw, or the requests differ in size, steps, guidance, reference or strength.
    """
    count = len(requests)
    if count not in GRIDS:
        raise BadInput("panels_fit_no_grid", panels=count, known=list(GRIDS))
    if len(given) >= count:
        raise BadInput("panels_all_given")
    first, (rows, columns) = requests[0], GRIDS[count]
    alike = plan_batches([replace(r, references=_shared(r), strength=1.0) for r in requests], count)
    if len(alike) > 1 or any(
        (_shared(r), r.strength, _fills(r)) != (_shared(first), first.strength, _fills(first)) for r in requests
    ):
        raise BadInput("panels_differ")
    names = [row + column for row in _ROWS[rows] for column in _COLUMNS[columns]]
    panels = " ".join(f"[{name}] {request.prompt}" for name, request in zip(names, requests, strict=True))
    marks = [
        Landmark(picture, np.ones(picture.shape[:2], np.bool_), exact=False) if picture is not None else _kept(r)
        for picture, r in zip([*given, *[None] * (count - len(given))], requests, strict=True)
    ]
    joint = _join_landmarks(marks, (rows, columns), (first.height, first.width))
    kept: tuple[Reference, ...] = ()
    if joint is not None:
        kept = (FillReference(joint) if _fills(first) else joint,)
    return replace(
        first,
        prompt=f"[{_COUNT[count]}-PANEL] The same person in the same place in {count} pictures; {panels}",
        height=rows * first.height,
        width=columns * first.width,
        references=(*_shared(first), *kept),
    )


def split_panels(picture: Rgb, requests: Sequence[DrawRequest], given: Sequence[Rgb] = ()) -> list[Rgb]:
    """The panels in order, each uint8 [h, w, 3]: the given ones as they were, the drawn ones with their landmarks."""
    cut = _cut(picture, GRIDS[len(requests)])
    drawn = [
        panel if (mark := _kept(request)) is None else mark.finish(panel)
        for panel, request in zip(cut[len(given) :], requests[len(given) :], strict=True)
    ]
    return [*given, *drawn]


def _cut(picture: Rgb, grid: tuple[int, int]) -> list[Rgb]:
    """Return a joint picture's panels in reading order."""
    height, width = picture.shape[0] // grid[0], picture.shape[1] // grid[1]
    return [
        np.ascontiguousarray(picture[y * height : (y + 1) * height, x * width : (x + 1) * width])
        for y in range(grid[0])
        for x in range(grid[1])
    ]


def _fills(request: DrawRequest) -> bool:
    return any(isinstance(r, FillReference) for r in request.references)


def _kept(request: DrawRequest) -> Landmark | None:
    fill = next((r.landmark for r in request.references if isinstance(r, FillReference)), None)
    return request.landmark if fill is None else fill


def _shared(request: DrawRequest) -> tuple[Reference, ...]:
    """The references of the whole picture; what is kept is each panel's own."""
    return tuple(r for r in request.references if not isinstance(r, Landmark | FillReference))


def _join_landmarks(marks: Sequence[Landmark | None], grid: tuple[int, int], size: tuple[int, int]) -> Landmark | None:
    if all(mark is None for mark in marks):
        return None
    image = np.zeros((grid[0] * size[0], grid[1] * size[1], 3), np.uint8)
    mask = np.zeros(image.shape[:2], np.bool_)
    for k, mark in enumerate(marks):
        if mark is not None:
            top, left = k // grid[1] * size[0], k % grid[1] * size[1]
            place = slice(top, top + size[0]), slice(left, left + size[1])
            image[place], mask[place] = mark.image, mark.mask
    # pixels are put back panel by panel: across the border of two panels nothing may be blended
    return _Joint(image, mask, exact=False, marks=tuple(marks), grid=grid)


@dataclass(frozen=True, eq=False)
class _Joint(Landmark):
    """The landmarks of all panels; each is hidden by what its own panel shows."""

    marks: tuple[Landmark | None, ...] = ()
    grid: tuple[int, int] = (1, 1)

    @property
    def looks(self) -> bool:
        return any(mark is not None and mark.looks for mark in self.marks)

    def hidden(self, picture: Rgb) -> Mask:
        cut = _cut(picture, self.grid)
        rows = [
            np.zeros(panel.shape[:2], np.bool_) if mark is None else mark.hidden(panel)
            for mark, panel in zip(self.marks, cut, strict=True)
        ]
        columns = self.grid[1]
        return np.vstack([np.hstack(rows[k : k + columns]) for k in range(0, len(rows), columns)])
