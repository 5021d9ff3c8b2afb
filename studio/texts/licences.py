"""Licences in a person's words: three answers, the day on which the text was read, and warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.models.licences import LICENCES, USES, Licence, Permission, find_licence

if TYPE_CHECKING:
    from pipelines.models.licences import Use
    from studio.domain.licences import LicenceWarning
    from studio.texts.texts import Texts

__all__ = ["say_answer", "say_answers", "say_licence", "say_permission", "say_read_on", "say_warning"]


def say_permission(t: Texts, permission: Permission) -> str:
    """Return one answer."""
    return t(f"licence.permission.{permission}")


def say_answers(t: Texts, licence: str) -> str:
    """Return the three answers in one sentence; where none is known, that the model's card must be read."""
    known = find_licence(licence)
    if known.id not in LICENCES:
        return t("licence.not_known")
    return ("; " if t.language == "en" else "；").join(say_answer(t, licence, use) for use in USES)


def say_answer(t: Texts, licence: str, use: Use) -> str:
    """Return the answer for one use, with what it is the answer to."""
    colon = ": " if t.language == "en" else "："
    return f"{t(f'licence.use.{use}')}{colon}{say_permission(t, find_licence(licence).allows(use))}"


def say_licence(t: Texts, licence: str) -> str:
    """Return what a licence allows a business, in a sentence for a person who is no lawyer."""
    known = find_licence(licence)
    return t(f"licence.of.{known.id}") if known.id in LICENCES else t("licence.not_known")


def say_read_on(t: Texts, licence: Licence) -> str:
    """Return when, and in whose words, the licence was read."""
    if licence.read_on is None:
        return t("licence.never_read")
    return t("licence.read_on" if licence.first_hand else "licence.read_about_on", date=licence.read_on.isoformat())


def say_warning(t: Texts, warning: LicenceWarning) -> str:
    """Return the warning, with what to do."""
    comma = ", " if t.language == "en" else "、"
    uses = comma.join(t(f"licence.use.{use}") for use in warning.uses)
    return t(f"licence.warning.{warning.permission}", model=warning.model, licence=warning.licence, uses=uses)
