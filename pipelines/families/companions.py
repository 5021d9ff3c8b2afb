"""Companions of a backbone: where their folders are, and what draws in the backbone's place. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, ModelMissing
from pipelines.families.catalogue import find_family
from pipelines.families.folders import has_scheduler, read_json
from pipelines.families.protocol import Companion, Family
from pipelines.families.siblings import training_spec
from pipelines.families.spec import TRAINING, BackboneSpec
from pipelines.models.catalogue import MODELS, KnownModel
from pipelines.models.licences import UNKNOWN, read_card_licence
from pipelines.models.sources import Source
from pipelines.models.variants import Capabilities

__all__ = ["ReferenceReader", "companion_settings", "drawing_spec", "find_companions", "find_reader"]


@dataclass(frozen=True)
class ReferenceReader:
    """The model that reads reference pictures for a backbone: `role` is "" for the backbone itself, else a companion's.

    `model` is the companion's id ("" for the backbone), `most` how many pictures it reads, each of at most `side_px`²
    pixels (0: as large as they are given).
    """

    role: str
    model: str
    most: int
    side_px: int


def find_reader(family: Family, can: Capabilities) -> ReferenceReader | None:
    """Return what reads reference pictures for a backbone of this family that can do this; None where nothing does.

    Whether a companion is installed is another question.
    """
    if can.references_max:
        return ReferenceReader("", "", can.references_max, can.reference_px)
    for companion in family.companions:
        if not companion.model or companion.role not in can.companions:
            continue
        if (theirs := MODELS[companion.model].can).references_max:
            return ReferenceReader(companion.role, companion.model, theirs.references_max, theirs.reference_px)
    return None


def companion_settings(family: Family) -> dict[str, str]:
    """Return {name of the setting for a companion's folder: the companion's role}, the training sibling's too."""
    roles = [companion.role for companion in family.companions if companion.role]
    return {f"{role}_folder": role for role in (*roles, TRAINING)}


def find_companions(family: Family, folder: Path, settings: Mapping[str, Any]) -> dict[str, Path]:
    """Return {role: folder} of the companions of the backbone in `folder`: in it, beside it, or where `settings`, its
    studio.json, say: a path that may be relative to `folder`, or None for no such companion.
    """
    found = {}
    for companion in filter(lambda companion: companion.role, family.companions):
        places = (parent / name for name in companion.names for parent in (folder, folder.parent))
        place = next((place for place in places if (place / companion.holds).exists()), None)
        if place is not None:
            found[companion.role] = place
    for setting, role in companion_settings(family).items():
        if isinstance(named := settings.get(setting), str):
            found[role] = (folder / named).resolve()
        elif setting in settings:
            found.pop(role, None)
    return found


def drawing_spec(spec: BackboneSpec, role: str) -> BackboneSpec:
    """Return the spec of what draws: the backbone's own for role "", else its companion's with its own defaults.

    A companion's sigmas are those of its own scheduler, or, where its folder has none, the published model's. Nothing
    is loaded. Raises ModelMissing where there is no such companion, BadInput where it does not fit.
    """
    if not role:
        return spec
    if role == TRAINING:
        return training_spec(spec)
    family = find_family(spec.family)
    companion = next((c for c in family.companions if c.role == role and c.model), None)
    if companion is None:
        raise BadInput("companion_of_other_family", backbone=spec.id, role=role, family=family.name)
    folder, known = _folder(spec, companion), MODELS[companion.model]
    if companion.check is not None:
        companion.check(spec, folder)
    licence = read_card_licence(folder)
    licence = known.licence if licence == UNKNOWN else licence
    return replace(
        spec,
        id=known.id,
        source=Source("folder", known.id, folder, folder),
        licence=licence,
        licence_note="",
        num_inference_steps=known.num_inference_steps,
        guidance_scale=known.guidance_scale,
        true_cfg_scale=1.0,
        identity_guidance_scale=1.0,
        max_sequence_length=_text_length(spec, known),
        can=known.can,
        schedule=None if has_scheduler(folder) else known.schedule,
    )


def _text_length(spec: BackboneSpec, known: KnownModel) -> int:
    """Return how many tokens a companion reads: as it was trained, whatever the backbone does, which FLUX.1-schnell
    does by half as many; where the backbone's folder sets a number for its text encoders, that one.
    """
    file = spec.folder / "studio.json"
    own = file.is_file() and "max_sequence_length" in read_json(file)
    return spec.max_sequence_length if own else known.max_sequence_length


def _folder(spec: BackboneSpec, companion: Companion) -> Path:
    role, folder = companion.role, spec.companions.get(companion.role)
    variable = f"PERSONA_STUDIO_{role.upper()}_FOLDER"
    if folder is None:
        raise ModelMissing("companion_missing", backbone=spec.id, model=companion.model, role=role, variable=variable)
    if not (folder / "transformer" / "config.json").is_file():
        raise ModelMissing(
            "companion_folder_empty", folder=str(folder), model=companion.model, role=role, variable=variable
        )
    return folder
