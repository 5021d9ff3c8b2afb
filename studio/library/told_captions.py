"""What a vision model said of pictures, kept by the picture's pixels and by all else that the answer depends on."""

from __future__ import annotations

import json
from typing import Any

from pipelines.files import write_whole
from studio.library.library import Library

__all__ = ["keep_told", "known_told"]


def known_told(library: Library, fingerprint: str, pixels: str) -> dict[str, Any] | None:
    """Return an answer that was kept, as JSON; None where there is none that can be read."""
    try:
        told = json.loads((library.captions / fingerprint / f"{pixels}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def keep_told(library: Library, fingerprint: str, pixels: str, told: dict[str, Any]) -> None:
    """Keep an answer. Raises OutOfDisk."""
    write_whole(library.captions / fingerprint / f"{pixels}.json", json.dumps(told, ensure_ascii=False).encode())
