"""Lineage: from a picture, a set or a persona back to people, files and licences, as the records have it."""

from __future__ import annotations

import datetime
from pathlib import Path

from personas.donors import Donor
from pipelines.errors import BadInput
from pipelines.models.licences import UNKNOWN
from studio.application import Studio
from studio.domain.capabilities import backbone_facts
from studio.domain.design import Design
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, PostSet
from studio.domain.rights import ConsentFacts, DonorRights, Lineage, ModelRights, NoveltyFacts, StyleRights
from studio.export.manifest import Manifest, ManifestPost, parse_manifest, read_manifest
from studio.export.provenance import read_label
from studio.export.verifying import is_picture_file
from studio.library.consents import donor_consent, photos_consent
from studio.library.records import WHOLE, ExportedRecord, PostRecord, PostSetRecord, RightsRecord
from studio.library.results import find_result
from studio.library.styles import style_consent

__all__ = ["lineage_of_file", "lineage_of_persona", "lineage_of_set"]

_CEILING = "novelty_ceiling"


def lineage_of_persona(studio: Studio, owner: str, persona: Persona) -> Lineage:
    """Return whom and what a persona is made of, with what consents and licences say today."""
    design = _design_of(studio, owner, persona)
    here = {donor.id: donor for donor in studio.donors()}
    shares = dict(zip(persona.recipe.donors, persona.recipe.mix_weights, strict=True))
    donors = tuple(
        _donor(studio, here.get(used.id), used.id, used.name, used.licence, shares.get(used.id, 0.0))
        for used in persona.donors
    )
    character = persona.character
    return Lineage(
        persona=persona.id, name=persona.name, version=persona.version, design=persona.design,
        recipe=persona.recipe.id, candidates=0 if design is None else len(design.pictures),
        kept=0 if design is None else len(design.kept), novelty=None if design is None else _novelty(design),
        donors=donors, models=_models(studio, persona),
        photos=() if character is None else tuple(str(photo.picture) for photo in character.photos),
        photos_consent=None if character is None else photos_consent(
            studio.records, owner, character, persona.character_consent, datetime.date.today()
        ),
    )  # fmt: skip


def lineage_of_set(studio: Studio, owner: str, post_set: PostSet) -> Lineage:
    """Return the same of a set of posts, with its place, goods, photos of people, and the models that drew it."""
    asked, drawn = post_set.request, post_set.drawn_with
    models = list(_models(studio, asked.persona, "" if drawn is None else drawn.backbone))
    for one in () if drawn is None else drawn.companions:
        models.append(ModelRights(role=one.role, name=one.id, licence=one.licence, sha256=one.sha256))
    for role, facts in (("ip-adapter", post_set.ip_adapter), ("character", post_set.character_adapter)):
        if facts is not None:
            models.append(ModelRights(role=role, name=role, licence=facts.licence, sha256=facts.sha256))
    character, today = asked.photos, datetime.date.today()
    return lineage_of_persona(studio, owner, asked.persona).model_copy(
        update={
            "models": tuple(models),
            "post_set": post_set.id,
            "pictures": tuple(str(post.picture) for post in post_set.posts),
            "scene": asked.scene.name,
            "scene_sha256": asked.scene.sha256,
            "goods": "" if asked.goods is None else asked.goods.name,
            "photos": () if character is None else tuple(str(photo.picture) for photo in character.photos),
            "photos_consent": None
            if character is None
            else photos_consent(studio.records, owner, character, asked.photos_consent, today),
            "style": _style(studio, owner, asked),
            "unlabelled": _words(studio, owner, post_set, "unlabelled"),
            "flagged": _words(studio, owner, post_set, "flagged"),
        }
    )


def _style(studio: Studio, owner: str, asked: PostRequest) -> StyleRights | None:
    style = asked.styled
    if style is None:
        return None
    return StyleRights(
        id=style.id, names=style.names, strength=asked.style_strength, licence=style.licence, sha256=style.lora,
        consent=style_consent(studio.library, owner, style),
    )  # fmt: skip


def _words(studio: Studio, owner: str, post_set: PostSet, kind: str) -> tuple[str, ...]:
    """Return when a set's owner gave a word of this kind."""
    rows = studio.records.find(RightsRecord, owner, kind=kind, thing=f"{PostSet.kind}:{post_set.id}")
    return tuple(row.created.isoformat(timespec="seconds") for row in rows)


def lineage_of_file(studio: Studio, owner: str, path: Path) -> Lineage:
    """Return the lineage of an exported picture or bundle of this studio.

    Raises BadInput where this studio, or this owner, did not make it.
    """
    manifest, post = _manifest_of(studio, owner, path)
    if manifest is None:
        raise BadInput("rights_file_unknown", file=path.name)
    persona = find_result(studio.records, studio.store, owner, Persona, manifest.persona.id)
    for row in studio.records.find(PostSetRecord, owner, persona=persona.id):
        if post is None or any(
            drawn.facts.get("seed") == post.seed and drawn.facts.get("prompt") == post.prompt
            for drawn in studio.records.find(PostRecord, owner, post_set=row.id)
        ):
            return lineage_of_set(studio, owner, find_result(studio.records, studio.store, owner, PostSet, row.id))
    return lineage_of_persona(studio, owner, persona)


def _manifest_of(studio: Studio, owner: str, path: Path) -> tuple[Manifest | None, ManifestPost | None]:
    if not is_picture_file(path):
        manifest = read_manifest(path)
        return manifest, manifest.posts[0]
    try:
        label = read_label(path.read_bytes()) or {}
    except (ValueError, RecursionError):
        label = {}
    exported = studio.records.get(ExportedRecord, str(label.get("ProduceID", ""))[:64], owner)
    if exported is None:
        return None, None
    manifest = parse_manifest(studio.store.get(exported.manifest))
    return manifest, manifest.posts[0 if exported.number == WHOLE else exported.number]


def _design_of(studio: Studio, owner: str, persona: Persona) -> Design | None:
    try:
        return find_result(studio.records, studio.store, owner, Design, persona.design)
    except BadInput:  # in the trash, or of a bundle from elsewhere
        return None


def _novelty(design: Design) -> NoveltyFacts:
    chosen = dict(design.request.gates).get(_CEILING)
    return NoveltyFacts(nearest=design.novelty_max, ceiling=design.novelty_ceiling, chosen=chosen)


def _donor(studio: Studio, donor: Donor | None, key: str, name: str, licence: str, share: float) -> DonorRights:
    if donor is None:
        gone = ConsentFacts(state="gone")
        return DonorRights(id=key, name=name, share=share, file="", licence=licence, consent=gone)
    invented = donor.lora_path.is_relative_to(studio.settings.bundled_donors)
    return DonorRights(
        id=key, name=name, share=share, file=donor.consent.file_sha256, licence=donor.licence,
        consent=donor_consent(donor, invented, datetime.date.today()),
    )  # fmt: skip


def _models(studio: Studio, persona: Persona, backbone: str = "") -> tuple[ModelRights, ...]:
    """The backbone that draws, and the one that the persona was trained on; a licence is known of the chosen one."""
    facts = backbone_facts(studio.settings)
    known = {} if facts is None else {facts.id: facts.licence}
    named = {"backbone": backbone or persona.backbone, "trained on": persona.trained_on}
    if named["trained on"] == named["backbone"]:
        del named["trained on"]
    return tuple(
        ModelRights(role=role, name=name, licence=known.get(name, UNKNOWN)) for role, name in named.items() if name
    )
