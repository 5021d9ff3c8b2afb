"""Backbones, for programs: those that are here, those that could be, and which one the studio draws with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, JsonValue

from pipelines.models.licences import USES, Permission, find_licence
from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.domain.installed import InstalledBackbone, list_installed, list_published
from studio.domain.licences import LicenceWarning, find_warnings, models_beside
from studio.library.users import Users, check_administrator
from studio.texts.errors import say_error
from studio.texts.licences import say_licence, say_warning
from studio.texts.texts import Texts, choose_language
from studio.workflows.choosing import ask_apart, check_loadable, choose_backbone

__all__ = ["LicenceSaid", "add_backbones", "say_warnings"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class LicenceSaid(_Answer):
    """What the licence of a `model` says of its `uses`, in the language that was asked for. Nothing is stopped by it.

    `permission` for a business is "no", "paid" (only with a paid licence), "limited" or "unknown".
    """

    model: str
    licence: str
    permission: Permission
    uses: list[str]
    message: str


class LicenceAnswers(_Answer):
    """A licence's three answers for a business, and the day on which it was read; `words` say it in a sentence."""

    id: str
    outputs: Permission
    running: Permission
    fine_tuning: Permission
    read_on: str | None
    first_hand: bool
    words: str


class Backbone(_Answer):
    """A backbone that is on this machine. `error` says why it cannot be loaded; `can` is what its family can do."""

    choice: BackboneChoice
    name: str
    chosen: bool
    family: str | None
    width: int | None
    licence: LicenceAnswers | None
    can: JsonValue
    companions: list[str]
    error: str | None


class Published(_Answer):
    """A published backbone that is not here; `fetch` is the command that gets it."""

    name: str
    family: str
    licence: LicenceAnswers
    bf16_bytes: float
    fetch: str


class Backbones(_Answer):
    """`given`: the environment or an option says what is drawn with, and nothing can be chosen. `chosen` is what the
    next job is drawn with.
    """

    chosen: BackboneChoice
    given: bool
    installed: list[Backbone]
    published: list[Published]


class Chosen(_Answer):
    """What the next job is drawn with, and what its licence forbids."""

    chosen: BackboneChoice
    warnings: list[LicenceSaid]


def add_backbones(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """Add the routes; where there are users, one of them chooses."""

    @api.get("/backbones")
    def backbones(request: Request) -> Backbones:
        """Return what the studio draws with, what it could draw with, and what could be fetched."""
        t, now = _texts(request), studio.choice
        return Backbones(
            chosen=now,
            given=studio.backbone_is_given,
            installed=[_say(t, row) for row in list_installed(studio.settings, now, studio.saved.read().places)],
            published=[
                Published(
                    name=model.id, family=model.family, licence=_answers(t, model.licence),
                    bf16_bytes=2 * model.parameters, fetch=f"persona-studio backbones fetch {model.id}",
                )
                for model in list_published(studio.settings)
            ],
        )  # fmt: skip

    @api.put("/backbones/chosen")
    def choose(choice: BackboneChoice, request: Request) -> Chosen:
        """Draw with another backbone from the next job on; what runs or waits goes on with its own."""
        check_administrator(Users(studio.records), studio.settings.owner, owner_of(request))
        choose_backbone(studio, choice, lambda settings: ask_apart(check_loadable, settings))
        (row,) = (one for one in list_installed(studio.settings, studio.choice) if one.chosen)
        warnings = () if row.facts is None else find_warnings(models_beside(row.facts), USES)
        return Chosen(chosen=studio.choice, warnings=say_warnings(_texts(request), warnings))


def say_warnings(t: Texts, warnings: tuple[LicenceWarning, ...]) -> list[LicenceSaid]:
    """Return warnings with their sentences."""
    return [LicenceSaid(**one.model_dump(mode="json"), message=say_warning(t, one)) for one in warnings]


def _say(t: Texts, row: InstalledBackbone) -> Backbone:
    facts = row.facts
    told = {"choice": row.choice, "name": row.name, "chosen": row.chosen}
    if facts is None:
        why = None if row.error is None else " ".join(say_error(row.error, t)).strip()
        return Backbone(**told, family=None, width=None, licence=None, can=None, companions=[], error=why)
    return Backbone(
        **told, family=facts.family, width=facts.width, licence=_answers(t, facts.licence), can=asdict(facts.can),
        companions=sorted(facts.companions), error=None,
    )  # fmt: skip


def _answers(t: Texts, licence: str) -> LicenceAnswers:
    known = find_licence(licence)
    return LicenceAnswers(
        id=licence, outputs=known.outputs, running=known.running, fine_tuning=known.fine_tuning,
        read_on=None if known.read_on is None else known.read_on.isoformat(), first_hand=known.first_hand,
        words=say_licence(t, licence),
    )  # fmt: skip


def _texts(request: Request) -> Texts:
    return Texts(choose_language(request.headers.get("accept-language", "")))
