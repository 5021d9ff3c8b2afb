"""Licences: what a business may do with a model; one table, with the day on which each licence was read; and
which licence a model says it has, in its card or in the file of its weights.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.models.headers import Header

__all__ = ["LICENCES", "UNKNOWN", "Licence", "Permission", "find_licence", "read_card_licence", "read_file_licence"]

UNKNOWN = "unknown"
Permission = Literal["yes", "no", "paid", "limited", "unknown"]


@dataclass(frozen=True)
class Licence:
    """May a merchant sell the pictures, run the model for their business, and fine-tune it for that?

    "paid" is only with a paid licence, "limited" only under the conditions that `words`, one sentence for a person who
    is no lawyer, names. `read_on` is the day on which the text was read, None where it never was; `first_hand` says
    that it was the licence itself and not what somebody wrote about it.
    """

    id: str
    outputs: Permission
    running: Permission
    fine_tuning: Permission
    words: str
    read_on: datetime.date | None = None
    first_hand: bool = True


_ALL = "Running, fine-tuning and selling the pictures are all allowed."
_BFL = (
    "The pictures may be used commercially; running or fine-tuning the model for a business needs a paid licence from "
    "Black Forest Labs."
)
_FIRST, _SECOND = datetime.date(2026, 11, 20), datetime.date(2026, 11, 22)
LICENCES = {
    licence.id: licence
    for licence in (
        Licence("apache-2.0", "yes", "yes", "yes", _ALL, _FIRST),
        Licence("mit", "yes", "yes", "yes", _ALL, _FIRST),
        Licence("flux-1-dev-non-commercial-license", "yes", "paid", "paid", _BFL, _FIRST),
        Licence("flux-non-commercial-license", "yes", "paid", "paid", _BFL, _SECOND),
        Licence(
            "flux-kommunity-license", "limited", "limited", "limited",
            "Allowed to businesses that earn less than US$ 5 million a year, with a content filter and a notice that "
            "the pictures are made by AI.", _SECOND, first_hand=False,
        ),
        Licence(
            "krea-2-community-license", "limited", "limited", "limited",
            "Allowed to businesses that earn less than US$ 1 million a year, with a content filter.", _SECOND,
        ),
        Licence(
            "qwen-research", "no", "no", "no", "For research only: no business may use the model or its pictures.",
            _SECOND, first_hand=False,
        ),
    )
}  # fmt: skip
_NOT_KNOWN = "The folder names no licence: read the model's own card before you sell anything made with it."


def find_licence(identifier: str) -> Licence:
    """Return the licence of a model card's id; one of unknown terms where the studio has not read it."""
    unknown = Licence(identifier, "unknown", "unknown", "unknown", _NOT_KNOWN, first_hand=False)
    return LICENCES.get(identifier.lower(), unknown)


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
    """Return the licence of modelspec's metadata or of a GGUF file's own, or "unknown"."""
    found = header.metadata.get("modelspec.license") or header.metadata.get("general.license")
    return found or UNKNOWN
