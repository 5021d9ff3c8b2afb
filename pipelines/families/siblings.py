"""Siblings: a distilled backbone draws, and the model that it was distilled from is what its LoRAs are trained on.

A LoRA that is trained on the distilled model itself comes out grey or learns nothing; one that is trained on the base
fits both, since their transformers have the same layers. No torch but where a sibling's headers are held against its
class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, ModelMissing
from pipelines.families.catalogue import Detected, detect_source, find_family
from pipelines.families.folders import read_transformer_headers
from pipelines.families.sources import find_source, licence_of
from pipelines.families.spec import TRAINING, BackboneSpec
from pipelines.models.catalogue import MODELS, find_model
from pipelines.models.sources import FETCHED, Source

__all__ = ["TRAINING", "find_sibling", "find_trained", "training_spec"]


def find_sibling(train_on: str, source: Source, models: Path | None) -> dict[str, Path]:
    """Return {TRAINING: folder} of the published model `train_on` where it is in the models' folder, or beside the
    backbone's folder or file under its published name; {} where it is not, or where `train_on` is "".
    """
    known = find_model(train_on) if train_on else None
    if known is None:
        return {}
    places = [parent / known.id for parent in dict.fromkeys((source.path.parent, source.base.parent))]
    places += [models / known.hub] if models is not None and (models / known.hub / FETCHED).is_file() else []
    return next(({TRAINING: place.resolve()} for place in places if (place / "model_index.json").is_file()), {})


def training_spec(spec: BackboneSpec) -> BackboneSpec:
    """Return the spec of what LoRAs for a backbone are trained on: its own, or its sibling's.

    The sibling's pictures are of the size that the backbone draws, and its texts as long. Nothing is loaded. Raises
    ModelMissing where there is no sibling, BadInput where the model is distilled, too, or where its transformer is not
    like the backbone's, by their headers alone.
    """
    if spec.trains_itself:
        return spec
    source, detected = find_trained(spec.id, spec.family, spec.train_on, spec.companions.get(TRAINING), spec.folder)
    wanted, known = spec.train_on or spec.companions[TRAINING].name, detected.variant
    _check_alike(spec, source, wanted)
    return replace(
        spec,
        id=source.name,
        source=source,
        licence=licence_of(source, detected),
        licence_note="",
        num_inference_steps=known.num_inference_steps,
        guidance_scale=known.guidance_scale,
        true_cfg_scale=known.cfg_scale,
        can=known.can,
        schedule=detected.schedule,
        train_on="",
        companions={},
    )


def find_trained(
    backbone: str, family: str, train_on: str, place: Path | None, folder: Path
) -> tuple[Source, Detected]:
    """Return the sibling of a backbone (called so, of this family, in this folder) and what it is, without torch.

    `train_on` names the published model, "" where only its `place` is known. Raises as `training_spec` does, but for
    transformers that are not alike.
    """
    wanted = train_on or (place.name if place is not None else "")
    if place is None:
        hub = MODELS[wanted].hub if wanted in MODELS else wanted
        raise ModelMissing("training_model_missing", backbone=backbone, model=wanted, hub=hub)
    if not place.exists():
        raise ModelMissing("training_model_folder_missing", backbone=backbone, model=wanted, folder=str(place))
    source = find_source(place, folder)
    detected = detect_source(source, wanted)
    if detected.family.id != family:
        raise BadInput(
            "training_model_of_other_family",
            folder=str(source.path), model=source.name, backbone=backbone, family=detected.family.name,
            wanted=find_family(family).name,
        )  # fmt: skip
    if source.kind == "gguf":
        raise BadInput("backbone_draws_only", backbone=source.name, precision="gguf")
    if detected.variant.train_on:
        raise BadInput(
            "training_model_distilled", model=source.name, backbone=backbone, wanted=detected.variant.train_on
        )
    return source, detected


def _check_alike(spec: BackboneSpec, source: Source, wanted: str) -> None:
    """Raise BadInput unless both transformers have the same width, depth and channels, so the same layers."""
    family = find_family(spec.family)
    own, other = (
        family.loader().check_transformer(one, read_transformer_headers(one)) for one in (spec.source, source)
    )
    widths = {"width": family.hidden_width(own)}, {"width": family.hidden_width(other)}
    ours, theirs = widths[0] | dict(_sizes(own)), widths[1] | dict(_sizes(other))
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            _refuse(spec.id, source, wanted, name, theirs[name], ours[name])


def _sizes(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The numbers of a transformer's config.json, whose tensors are known to be as it says."""
    for name, value in sorted(config.items()):
        if isinstance(value, int) and not isinstance(value, bool):
            yield name, value


def _refuse(backbone: str, source: Source, model: str, name: str, has: object, wanted: object) -> None:
    raise BadInput(
        "companion_does_not_fit",
        folder=str(source.path), model=model, backbone=backbone, name=name, has=has, wanted=wanted,
    )  # fmt: skip
