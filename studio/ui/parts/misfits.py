"""People and donors that the backbone cannot draw: shown greyed, with the reason, and not to be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from personas.donors import Donor
from pipelines.references.catalogue import find_kind
from studio.domain.capabilities import backbone_facts
from studio.domain.checkpoints import say_drawn_as
from studio.domain.design import Design
from studio.domain.fit import MadeOn, made_on_donor, misfit
from studio.domain.persona import Persona
from studio.library.made_on import made_on_persona
from studio.texts.errors import say_error
from studio.ui.context import Ui
from studio.ui.parts.html import link

__all__ = ["design_reason", "donor_reasons", "persona_reason", "show_misfits", "split_people"]

_Choices = list[tuple[str, str]]


def design_reason(ui: Ui, design: Design, name: str) -> str:
    """Return why a persona of a design, which is called `name`, cannot be trained with now; "" where it can."""
    made = MadeOn(design.recipe.family, design.recipe.width)
    why = misfit(backbone_facts(ui.studio.settings), name, made)
    return "" if why is None else ui.t.error(why)


def persona_reason(ui: Ui, persona: Persona) -> str:
    """Return why a persona's LoRA cannot be drawn with now; "" where it can."""
    why = misfit(backbone_facts(ui.studio.settings), persona.name, made_on_persona(ui.studio.store, persona))
    return "" if why is None else say_error(why, ui.t)[0]


def donor_reasons(ui: Ui, donors: Sequence[Donor]) -> dict[str, str]:
    """Return by id why donors cannot be mixed now; those that can are left out."""
    facts = backbone_facts(ui.studio.settings)
    found = {donor.id: misfit(facts, donor.name, made_on_donor(donor)) for donor in donors}
    return {key: say_error(why, ui.t)[0] for key, why in found.items() if why is not None}


def split_people(ui: Ui, people: Sequence[Persona], by_picture: bool = False) -> tuple[_Choices, str]:
    """Return the personas that can be chosen, as a dropdown's choices, and the others as HTML with their reasons.

    `by_picture`: where the backbone reads pictures itself, one of a persona says who is shown, whatever it was made on.
    """
    t, facts = ui.t, backbone_facts(ui.studio.settings)
    ways = () if facts is None else facts.can.native
    reads = by_picture and any("person" in find_kind(way).roles for way in ways)
    choices: _Choices = []
    greyed: list[tuple[str, str]] = []
    for persona in people:
        how = say_drawn_as(t, persona)
        name = f"{persona.name} · {t('version')} {persona.version}" + (f" · {how}" if how else "")
        why = persona_reason(ui, persona)
        if why and not reads:
            greyed.append((name, why))
        else:
            choices.append((f"{name} · {t('person.only_picture')}" if why else name, persona.id))
    return choices, show_misfits(ui, greyed)


def show_misfits(ui: Ui, greyed: Sequence[tuple[str, str]]) -> str:
    """Return names with their reasons as a list, and what can be done; "" for none."""
    if not greyed:
        return ""
    rows = "".join(f"<li><strong>{escape(name)}</strong>: {escape(why)}</li>" for name, why in greyed)
    how = link(ui.t("misfits.choose"), ui.url("settings"), big=False)
    return f"<div class='st-soft st-greyed'>{escape(ui.t('posts.misfits'))}<ul class='st-list'>{rows}</ul>{how}</div>"
