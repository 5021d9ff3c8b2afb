"""The mean faces of source faces, measured once: numbers in files beside the library, one each, named by the donor's id
and by all that they depend on.
"""

from __future__ import annotations

import json

from pipelines.files import write_whole
from studio.library.library import Library

__all__ = ["keep_face", "known_face"]


def known_face(library: Library, donor: str, key: str) -> list[float] | None:
    """Return a mean face that was kept; None where there is none that can be read."""
    try:
        told = json.loads((library.faces / f"{donor}-{key}.json").read_bytes())
        return [float(value) for value in told]
    except (OSError, ValueError, TypeError):
        return None


def keep_face(library: Library, donor: str, key: str, face: list[float]) -> None:
    """Keep a mean face. Raises OutOfDisk."""
    library.faces.mkdir(parents=True, exist_ok=True)
    write_whole(library.faces / f"{donor}-{key}.json", json.dumps(face).encode())
