"""Styles that an owner's posts can be drawn in: those that come along and their own; and which fit the backbone."""

from __future__ import annotations

import datetime

from pipelines.errors import BadInput, ConsentMissing, StudioError
from pipelines.families.sources import find_source
from pipelines.models.weights import hash_weights, mark_weights
from studio.domain.capabilities import backbone_facts
from studio.domain.dataset import DataSet
from studio.domain.fit import style_misfit
from studio.domain.rights import ConsentFacts
from studio.domain.style import Style
from studio.library.consents import check_dataset, dataset_consent
from studio.library.library import Library
from studio.library.marks import marks_of
from studio.library.results import find_result, results_of
from studio.library.shipped_styles import shipped_styles
from studio.settings import Settings

__all__ = ["as_kept", "check_style", "find_style", "style_consent", "style_reason", "styles_of", "why_not"]

_QUICK_BYTES = 1e9  # of weights: larger ones are compared when they draw, not while somebody waits


def styles_of(library: Library, owner: str) -> list[Style]:
    """Return the styles that come along, then the owner's own that are not in the trash, the newest first."""
    own = results_of(library.records, library.store, owner, Style)
    return [*shipped_styles(), *(one for one in own if not _is_trashed(library, owner, one.id))]


def find_style(library: Library, owner: str, key: str) -> Style | None:
    """Return the style of this id, which the owner may draw with; None for "", one that is not theirs, or trashed."""
    if not key or _is_trashed(library, owner, key):
        return None
    try:
        return find_result(library.records, library.store, owner, Style, key)
    except BadInput:
        return None


def style_consent(library: Library, owner: str, style: Style) -> ConsentFacts | None:
    """Return what the consent for the photos that a style was learnt from says today; None where nobody had to be
    asked.
    """
    if not style.dataset:
        return None
    try:
        dataset = find_result(library.records, library.store, owner, DataSet, style.dataset)
    except BadInput:
        return ConsentFacts(state="gone")
    found = dataset_consent(library.records, owner, dataset, datetime.date.today())
    try:
        check_dataset(library.records, owner, dataset)
    except ConsentMissing:
        # where the data set's own consent holds, that of one of its photos was withdrawn
        return found.model_copy(update={"state": "revoked"}) if found.state == "holds" else found
    return found


def as_kept(library: Library, owner: str, style: Style) -> Style:
    """Return a style as it was learnt, by its LoRA, whatever a request says of it; as it is where it is no longer
    kept.
    """
    known = [*shipped_styles(), *results_of(library.records, library.store, owner, Style)]
    return next((one for one in known if one.lora == style.lora), style)


def check_style(library: Library, owner: str, style: Style) -> None:
    """Raise ConsentMissing where who is in the photos that a style was learnt from no longer agrees."""
    if not style.dataset:
        return
    try:
        dataset = find_result(library.records, library.store, owner, DataSet, style.dataset)
    except BadInput as error:
        if error.code != "not_found":
            raise
        return  # nobody can withdraw what is no longer here
    check_dataset(library.records, owner, dataset)


def why_not(library: Library, settings: Settings, owner: str, style: Style) -> StudioError | None:
    """Return why an owner's posts cannot be drawn in a style now: the backbone, or a consent; None where they can."""
    try:
        check_style(library, owner, style)
    except ConsentMissing as error:
        return error
    return style_reason(settings, style)


def style_reason(settings: Settings, style: Style) -> BadInput | None:
    """Return why posts cannot be drawn in a style with the backbone of the settings; None where they can, and where
    only drawing will tell: large weights are not read here.
    """
    facts = backbone_facts(settings)
    return None if facts is None else style_misfit(facts, style, _weights(settings))


def _weights(settings: Settings) -> str:
    try:
        place = find_source(settings.backbone, settings.base, settings.models).path
        size = sum(size for _, size, _ in mark_weights(place))
    except (StudioError, OSError):
        return ""
    return hash_weights(place) if 0 < size <= _QUICK_BYTES else ""


def _is_trashed(library: Library, owner: str, key: str) -> bool:
    return bool(marks_of(library.records, owner, f"{Style.kind}:{key}").get("trashed"))
