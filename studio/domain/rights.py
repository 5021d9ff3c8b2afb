"""Rights: of whom and of what a persona or a post is made, what these people agreed to, and what licences say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from studio.domain.values import Value
from studio.texts.texts import Language

__all__ = [
    "ConsentFacts", "ConsentState", "Descendants", "DonorRights", "Lineage", "ModelRights", "NoveltyFacts",
    "StyleRights",
]  # fmt: skip

ConsentState = Literal["holds", "revoked", "over", "invented", "gone", "none"]
"""It holds; it was withdrawn; it ended; nobody had to be asked; its record is no longer here; there is none."""


class ConsentFacts(Value):
    """`who` agreed to `scope` until `expires` (ISO date, "" no end); `document` is the SHA-256 of what was signed, ""
    where nobody named it, `adult` that they are of age, None where nobody said so.
    """

    state: ConsentState
    who: str = ""
    scope: str = ""
    expires: str = ""
    document: str = ""
    adult: bool | None = None


class DonorRights(Value):
    """A source face: its share of the mix in [0, 1], its file's SHA-256 ("" where it is gone), licence and consent."""

    id: str
    name: str
    share: float
    file: str
    licence: str
    consent: ConsentFacts


class ModelRights(Value):
    """A model that drew, by its role ("backbone", "fill", "character", …); `sha256` "" where it is not known."""

    role: str
    name: str
    licence: str
    sha256: str = ""


class StyleRights(Value):
    """The style that posts were drawn in and how much of it; `consent` of whom it was learnt from, None where nobody
    had to be asked.
    """

    id: str
    names: Mapping[Language, str]
    strength: float
    licence: str
    sha256: str
    consent: ConsentFacts | None = None


class NoveltyFacts(Value):
    """The greatest cosine to a donor, the studio's ceiling for it, and the one that a person chose instead (None)."""

    nearest: float
    ceiling: float
    chosen: float | None = None

    @property
    def is_overridden(self) -> bool:
        """Whether a person let the face be nearer to a donor than the studio does."""
        return self.chosen is not None and self.chosen > self.ceiling


class Lineage(Value):
    """From a picture back to people and licences. Of a persona alone, `post_set` is "" and so is all that only posts
    have. `pictures` are the set's keys, `scene_sha256` that of the photo, `goods` what they are called. `unlabelled`
    and `flagged` are when its owner gave their word for an export without the label that is seen, and for pictures that
    the content check would have stopped.
    """

    persona: str
    name: str
    version: int
    design: str
    recipe: str
    candidates: int = 0
    kept: int = 0
    novelty: NoveltyFacts | None = None
    donors: tuple[DonorRights, ...]
    models: tuple[ModelRights, ...] = ()
    post_set: str = ""
    pictures: tuple[str, ...] = ()
    scene: str = ""
    scene_sha256: str = ""
    goods: str = ""
    photos: tuple[str, ...] = ()
    photos_consent: ConsentFacts | None = None
    style: StyleRights | None = None
    unlabelled: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        """Whether new work may be made of it today, as far as consents say."""
        consents = [donor.consent for donor in self.donors]
        style = None if self.style is None else self.style.consent
        consents += [one for one in (self.photos_consent, style) if one is not None]
        return all(consent.state not in ("revoked", "over") for consent in consents)


class Descendants(Value):
    """Personas that a donor is mixed into, sets of posts that show them or a photo of the donor, and data sets with
    such a photo, by their ids.
    """

    personas: tuple[str, ...]
    post_sets: tuple[str, ...]
    datasets: tuple[str, ...] = ()
