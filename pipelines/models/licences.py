"""Which licence a model says it has: in its card, or in the file of its weights."""

from __future__ import annotations

from pathlib import Path

from pipelines.models.headers import Header

__all__ = ["UNKNOWN", "read_card_licence", "read_file_licence"]

UNKNOWN = "unknown"


def read_card_licence(folder: Path) -> str:
    """`license_name` or `license` of the front matter of the model card (README.md), or "unknown"."""
    card = folder / "README.md"
    if not card.is_file():
        return UNKNOWN
    found: dict[str, str] = {}
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
    if lines and lines[0].strip() == "---":
        for line in lines[1:]:
            if line.strip() == "---":
                break
            name, colon, value = line.partition(":")
            if colon:
                found[name.strip()] = value.strip().strip("\"'")
    return found.get("license_name") or found.get("license") or UNKNOWN


def read_file_licence(header: Header) -> str:
    """Of modelspec's metadata or of a GGUF file's own, or "unknown"."""
    found = header.metadata.get("modelspec.license") or header.metadata.get("general.license")
    return found or UNKNOWN
