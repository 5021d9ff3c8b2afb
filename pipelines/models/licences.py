"""Licences: what a business may do with a model; one table, with the day on which each licence was read; and
which licence a model says it has, in its card or in the file of its weights. Their sentences are made at the edge.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pipelines.models.headers import Header

__all__ = [
    "LICENCES", "UNKNOWN", "USES", "Licence", "Permission", "Use", "find_licence", "read_card_licence",
    "read_file_licence",
]  # fmt: skip

UNKNOWN = "unknown"
Permission = Literal["yes", "limited", "unknown", "paid", "no"]
"""From the mildest to the sternest."""
Use = Literal["outputs", "running", "fine_tuning"]
USES: tuple[Use, ...] = get_args(Use)


@dataclass(frozen=True)
class Licence:
    """May a merchant sell the pictures, run the model for their business, and fine-tune it for that?

    "paid" is only with a paid licence, "limited" only under the licence's conditions, "unknown" where its text does not
    say. `read_on` is the day on which the text was read, None where it never was; `first_hand` says that it was the
    licence itself and not what somebody wrote about it.
    """

    id: str
    outputs: Permission
    running: Permission
    fine_tuning: Permission
    read_on: datetime.date | None = None
    first_hand: bool = True

    def allows(self, use: Use) -> Permission:
        """Return the answer for one use."""
        answer: Permission = getattr(self, use)
        return answer


_FIRST, _SECOND, _THIRD = datetime.date(2026, 11, 20), datetime.date(2026, 11, 22), datetime.date(2026, 11, 30)
LICENCES = {
    licence.id: licence
    for licence in (
        Licence("apache-2.0", "yes", "yes", "yes", _FIRST),
        Licence("mit", "yes", "yes", "yes", _FIRST),
        Licence("flux-1-dev-non-commercial-license", "yes", "paid", "paid", _THIRD),
        Licence("flux-non-commercial-license", "yes", "paid", "paid", _SECOND),
        Licence("flux-kommunity-license", "limited", "limited", "limited", _SECOND, first_hand=False),
        Licence("krea-2-community-license", "limited", "limited", "limited", _SECOND),
        Licence("qwen-research", "no", "no", "no", _SECOND, first_hand=False),
        # InstantCharacter's repository: academic use, research and education alone
        Licence("instantcharacter-academic", "no", "no", "no", _THIRD, first_hand=False),
        # of LoRA files and adapters; it says nothing of pictures
        Licence("cc-by-nc-4.0", "unknown", "no", "no", _THIRD),
    )
}


def find_licence(identifier: str) -> Licence:
    """Return the licence of a model card's id; one of unknown terms where the studio has not read it."""
    unknown = Licence(identifier, "unknown", "unknown", "unknown", first_hand=False)
    return LICENCES.get(identifier.strip().lower(), unknown)


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
