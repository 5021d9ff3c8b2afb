"""Warnings of licences: what a job would do with a model that the model's licence forbids a business, or does not say.

A warning is said once, before the work, and stops nobody: who has bought a licence knows better than the studio.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from pipelines.models.licences import Permission, Use, find_licence
from pipelines.references.catalogue import find_kind
from studio.domain.capabilities import BackboneFacts
from studio.domain.values import Value

__all__ = ["LicenceWarning", "LicensedModel", "find_warnings", "models_beside", "sternest"]

_STERNNESS: tuple[Permission, ...] = get_args(Permission)


@dataclass(frozen=True)
class LicensedModel:
    """A model that a job uses, and its licence's id. A LoRA is not asked about where its licence is not known: a
    person brought it, and its card in the library says so.
    """

    name: str
    licence: str
    is_lora: bool = False


class LicenceWarning(Value):
    """`model` of this `licence`: for a business `uses` are paid, limited, forbidden ("no"), or not known."""

    model: str
    licence: str
    permission: Permission
    uses: tuple[Use, ...]

    @property
    def forbids(self) -> bool:
        """Whether no money can buy it: said more strongly."""
        return self.permission == "no"


def find_warnings(models: Iterable[LicensedModel], uses: Sequence[Use]) -> tuple[LicenceWarning, ...]:
    """Return what is to be said before `models` are used so, the sternest first; nothing twice."""
    found = {warning: None for model in models for warning in _warnings_of(model, uses)}
    return tuple(sorted(found, key=lambda warning: -_STERNNESS.index(warning.permission)))


def sternest(answers: Iterable[Permission]) -> Permission:
    """Return the sternest of these answers; "unknown" where there is none."""
    return max(answers, key=_STERNNESS.index, default="unknown")


def models_beside(facts: BackboneFacts, ways: Iterable[str] = ()) -> tuple[LicensedModel, ...]:
    """Return the backbone, and those of its companions that `ways` (kinds of reference) use."""
    needed = dict.fromkeys(need for way in ways for need in find_kind(way).needs)
    beside = [facts.companions[need] for need in needed if need in facts.companions]
    return (LicensedModel(facts.id, facts.licence), *(LicensedModel(c.name, c.licence) for c in beside))


def _warnings_of(model: LicensedModel, uses: Sequence[Use]) -> Iterator[LicenceWarning]:
    licence = find_licence(model.licence)
    for permission in _STERNNESS[1:]:
        asked = tuple(use for use in uses if licence.allows(use) == permission)
        if asked and not (model.is_lora and permission == "unknown"):
            yield LicenceWarning(model=model.name, licence=model.licence, permission=permission, uses=asked)
