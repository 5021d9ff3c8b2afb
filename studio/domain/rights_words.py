"""Where a picture or a persona comes from, in a person's words: for pages and terminal alike."""

from __future__ import annotations

from studio.domain.rights import ConsentFacts, Lineage
from studio.texts.texts import Texts

__all__ = ["say_consent", "say_lineage"]

_ROLES = frozenset({"backbone", "trained on", "fill", "kontext", "ip-adapter", "character"})


def say_lineage(texts: Texts, found: Lineage, *, ids: bool = True) -> list[str]:
    """Return whom and what it is made of, a sentence each, from what is seen down to people, models and words; `ids`:
    with what programs and logs call them.
    """
    lines, plain = [], "" if ids else "_plain"
    if found.post_set:
        lines.append(
            texts(f"rights.set{plain}", id=found.post_set, count=len(found.pictures), scene=texts.word(found.scene))
        )
        lines += [texts("rights.goods", name=found.goods)] if found.goods else []
        if found.photos_consent is not None:
            consent = say_consent(texts, found.photos_consent)
            lines.append(texts("rights.photos", count=len(found.photos), consent=consent))
        if (style := found.style) is not None:
            told = {"name": style.names.get(texts.language, style.id), "strength": f"{style.strength:g}"}
            consent = texts("rights.style_invented") if style.consent is None else say_consent(texts, style.consent)
            lines.append(texts("rights.style", **told, consent=consent))
    lines.append(texts(f"rights.persona{plain}", name=found.name, version=found.version, id=found.persona))
    if found.candidates:
        lines.append(texts(f"rights.design{plain}", id=found.design, count=found.candidates, kept=found.kept))
    if (new := found.novelty) is not None:
        told = {"nearest": f"{new.nearest:.2f}", "ceiling": f"{new.ceiling:.2f}", "chosen": f"{new.chosen or 0:.2f}"}
        lines.append(texts("rights.overridden" if new.is_overridden else "rights.new", **told))
    for donor in found.donors:
        told = {"name": donor.name, "share": f"{donor.share:.0%}", "licence": donor.licence}
        lines.append(texts("rights.donor", **told, consent=say_consent(texts, donor.consent)))
    for model in found.models:
        role = texts(f"rights.role.{model.role}") if model.role in _ROLES else model.role
        lines.append(texts("rights.model", role=role, name=model.name, licence=model.licence))
    lines += [texts("rights.unlabelled", date=day) for day in found.unlabelled]
    lines += [texts("rights.flagged", date=day) for day in found.flagged]
    return lines if found.is_free else [*lines, texts("rights.stopped")]


def say_consent(texts: Texts, consent: ConsentFacts) -> str:
    """Return who agreed to what until when, or why nothing holds."""
    if consent.state in ("invented", "gone", "none"):
        return texts(f"rights.state.{consent.state}")
    facts = {"who": consent.who, "scope": consent.scope, "until": consent.expires}
    said = "open" if consent.state == "holds" and not consent.expires else consent.state
    parts = [texts(f"rights.state.{said}", **facts)]
    parts += [] if consent.adult else [texts("rights.age_unsaid")]
    parts += [texts("rights.document", hash=consent.document[:12])] if consent.document else []
    return " · ".join(parts)
