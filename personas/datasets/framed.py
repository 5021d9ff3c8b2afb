"""Facts of the part of a picture that a training is shown: what a crop cuts off is not said. Pure."""

from __future__ import annotations

from personas.datasets.facts import PictureFacts

__all__ = ["Window", "keep_boxes", "seen_in"]

Window = tuple[float, float, float, float]
"""x0, y0, x1, y1 in shares of a picture."""

_EDGE = 0.02  # of a side: so little changes no framing
_ABOVE, _BESIDE, _BELOW = 0.5, 0.25, 0.1  # of a face's height and width, for the hair around it


def keep_boxes(facts: PictureFacts) -> tuple[Window, ...]:
    """Return what no crop may cut: head and goods where a reader saw them, else the face with room for its hair."""
    if facts.keep or facts.face is None:
        return facts.keep
    x0, y0, x1, y1 = facts.face.box
    wide, tall = x1 - x0, y1 - y0
    box = (x0 - _BESIDE * wide, y0 - _ABOVE * tall, x1 + _BESIDE * wide, y1 + _BELOW * tall)
    return ((max(0.0, box[0]), max(0.0, box[1]), min(1.0, box[2]), min(1.0, box[3])),)


def seen_in(facts: PictureFacts, window: Window, *, whole: bool = True) -> PictureFacts:
    """Return the facts as they are of a window of the picture, for framing and words; `whole` is False where goods may
    be cut off. What is measured of pixels stays that of the whole picture.

    Where something is cut off above or below, the framing follows from the face's size in the window, and from joints
    only where they were out of the picture before.
    """
    x0, y0, x1, y1 = window
    lost = {"framing"} if y0 > _EDGE or y1 < 1 - _EDGE else set()
    lost |= set() if whole else {"goods"}
    if not lost and x0 <= _EDGE and x1 >= 1 - _EDGE:
        return facts
    faces = tuple(
        face.model_copy(update={"box": _moved(face.box, window)})
        for face in facts.faces
        if x0 < (face.box[0] + face.box[2]) / 2 < x1 and y0 < (face.box[1] + face.box[3]) / 2 < y1
    )
    changed: dict[str, object] = {"faces": faces, "keep": tuple(_moved(box, window) for box in facts.keep)}
    changed["words"] = {name: word for name, word in facts.words.items() if name not in lost}
    if y1 < 1 - _EDGE and facts.feet:
        changed["feet"] = None
    return facts.model_copy(update=changed)


def _moved(box: Window, window: Window) -> Window:
    x0, y0, x1, y1 = window
    wide, tall = x1 - x0, y1 - y0
    return (box[0] - x0) / wide, (box[1] - y0) / tall, (box[2] - x0) / wide, (box[3] - y0) / tall
