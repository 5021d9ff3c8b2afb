"""The families that the studio loads, one line each, and which of them, or of the known others, a file is of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, BadLora, ModelMissing
from pipelines.families.flux1.facts import FLUX1
from pipelines.families.flux2.facts import FLUX2
from pipelines.families.folders import MAX_VALUE, read_json
from pipelines.families.known_others import KNOWN_OTHERS, OTHER_FILES, PART_FILES, KnownOther
from pipelines.families.protocol import Family, Shapes, Verdict
from pipelines.families.spellings import MAX_NAME, matrix_shape, said_base_models
from pipelines.families.z_image.facts import Z_IMAGE
from pipelines.models.catalogue import MODELS, KnownModel, find_model
from pipelines.models.headers import Header, read_header
from pipelines.models.sources import Source
from pipelines.models.variants import Schedule, Variant

__all__ = [
    "FAMILIES",
    "Detected",
    "check_can_be_loaded",
    "check_lora_family",
    "detect_file",
    "detect_folder",
    "detect_source",
    "family_name",
    "find_family",
    "is_loaded",
    "judge_lora",
]

FAMILIES: tuple[Family, ...] = (FLUX1, FLUX2, Z_IMAGE)
"""One line a family; all else of it, its loaded half too, is in its own folder."""
_NAME_KEYS = ("general.name", "modelspec.title")
_MAX_TENSORS = 20_000  # in a LoRA file; those of the largest models have a tenth


@dataclass(frozen=True)
class Detected:
    """Facts of a backbone's files: `variant` is what it is drawn as, `named` the published model that it says it is by
    name (None: a model of its own), `width` the transformer's hidden width (0: not known), and `header` that of a
    single file. `schedule` is the file's own where the folder of its other parts has another one's scheduler.
    """

    family: Family
    variant: Variant
    width: int
    named: KnownModel | None = None
    header: Header | None = None
    schedule: Schedule | None = None


def find_family(identifier: str) -> Family:
    """Return the family of this id; raises BadInput where the studio loads none such."""
    for family in FAMILIES:
        if family.id == identifier:
            return family
    raise BadInput("unknown_family", family=family_name(identifier), known=_loadable())


def is_loaded(identifier: str) -> bool:
    """Return whether the studio loads models of the family of this id."""
    return any(family.id == identifier for family in FAMILIES)


def check_can_be_loaded(model: str) -> None:
    """Raise BadInput for the name of a published model whose family the studio does not load."""
    known = find_model(model)
    if known is not None and not is_loaded(known.family):
        raise BadInput("model_not_yet", model=known.id, known=_backbones())


def family_name(identifier: str) -> str:
    """Return a family's name for a person, whether it can be loaded or not; the id itself where it is unknown."""
    names = {other.id: other.name for other in KNOWN_OTHERS} | {family.id: family.name for family in FAMILIES}
    return names.get(identifier, identifier)


def detect_folder(folder: Path, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> tuple[Family, Variant]:
    """Return whose a diffusers folder is, by its model_index.json and its transformer's config.json.

    Raises BadInput, naming the other family or the companion, where it is no backbone that can be loaded.
    """
    for family in FAMILIES:
        if variant := family.detect_folder(index, transformer):
            return family, variant
    kind = index.get("_class_name")
    if not isinstance(kind, str) or not kind:
        place, value = f"{folder.name}/model_index.json", "null" if kind is None else str(kind)[:MAX_VALUE]
        raise BadInput("model_config_value", file=place, name="_class_name", value=value)
    for companion in (each for family in FAMILIES for each in family.companions if each.role and each.pipeline):
        if kind.startswith(companion.pipeline):
            raise BadInput("folder_is_companion", folder=folder.name, model=companion.name, known=_backbones())
    raise BadInput("folder_of_other_family", folder=folder.name, family=_name_of_class(kind), known=_backbones())


def detect_file(shapes: Shapes, file: str) -> tuple[Family, Variant]:
    """Return whose a single file of weights is, by its names and shapes; BadInput, naming what it is, for any other."""
    names = list(shapes)
    for refuse, marks in OTHER_FILES:
        if _any_has(names, marks):
            raise refuse(file, _backbones())
    for other in _others():
        if _any_has(names, other.model_marks):
            raise BadInput("file_of_other_family", file=file, family=other.name, known=_backbones())
    for family in FAMILIES:
        if variant := family.detect_file(shapes):
            return family, variant
    for refuse, starts in PART_FILES:
        if any(name.startswith(starts) for name in names):
            raise refuse(file, _backbones())
    raise BadInput("file_of_no_family", file=file, known=_backbones())


def detect_source(source: Source, unnamed: str = "") -> Detected:
    """Return what a backbone is, from its files' JSON and headers alone.

    Raises BadInput or ModelMissing as the two above do, where files are missing or damaged, and where a single file's
    other parts are another family's.

    A published model that the folder or the file is named as, or that the file names in its header, is known by that
    name. Siblings, a distilled model and the one that its LoRAs are trained on, have the same layers: a folder's own
    facts tell them apart, and a file whose name says nothing is the model `unnamed`, or what the folder of its other
    parts is.
    """
    if not source.base.is_dir():
        raise ModelMissing("backbone_folder_missing", folder=str(source.base))
    index = read_json(source.base / "model_index.json")
    path = source.base / "transformer" / "config.json"
    config = read_json(path) if path.is_file() else {}
    base, variant = detect_folder(source.base, index, config)
    path = source.base / "scheduler" / "scheduler_config.json"
    scheduler = read_json(path) if path.is_file() else {}
    is_folder = source.kind == "folder"
    names = [source.name if is_folder else source.base.name, str(index.get("_name_or_path", ""))]
    variant, named = base.choose_variant(variant, names, scheduler), _named(base, names)
    if named is not None and not named.is_sibling_of(variant):
        variant = named
    if is_folder:
        return Detected(base, variant, base.hidden_width(config), named)
    header = read_header(source.path)
    family, own = detect_file(header.shapes, source.path.name)
    told, variant = variant.schedule, MODELS.get(unnamed, variant)
    if family.id != base.id:
        raise BadInput(
            "base_of_other_family",
            file=source.path.name,
            family=family.name,
            folder=source.base.name,
            base_family=base.name,
        )
    names = [source.name, *(header.metadata.get(key, "") for key in _NAME_KEYS)]
    named = _named(family, names)
    known = named or family.choose_variant(variant if variant.is_sibling_of(own) else own, names, {})
    schedule = known.schedule if known.schedule != told else None
    return Detected(family, known, family.hidden_width_of_file(header.shapes), named, header, schedule)


def judge_lora(shapes: Shapes, metadata: Mapping[str, str], stated: str = "", width: int = 0) -> Verdict:
    """Judge whose a LoRA file is: by what it says of its base model, then by its layers.

    What its layers prove overrules what it says only where the two cannot go together. `stated` is the family that a
    person named: it answers where the file itself leaves the choice. `width` 0 accepts any hidden width.
    """
    if len(shapes) > _MAX_TENSORS:
        return Verdict("unknown")
    shapes = {name: matrix_shape(shape) for name, shape in shapes.items()}
    said = _said_family(metadata)
    marked = _marked_family(shapes)
    if marked or (said and said not in [f.id for f in FAMILIES]):
        return Verdict("other family", marked or said)
    verdicts = {family.id: family.lora_fits(shapes, metadata, width) for family in FAMILIES}
    for verdict in verdicts.values():
        if verdict.fits in ("yes", "other width"):
            return verdict
    for verdict in verdicts.values():
        if verdict.fits == "ambiguous":
            answer = said or stated
            if answer in verdict.families:
                if answer not in verdicts:
                    return Verdict("other family", answer, verdict.width)
                misfit = width and verdict.width and verdict.width != width
                return Verdict("other width" if misfit else "yes", answer, verdict.width)
            return verdict
    return next((v for v in verdicts.values() if v.fits == "other family"), Verdict("unknown"))


def check_lora_family(file: str, verdict: Verdict) -> None:
    """Raise BadLora where a LoRA is of a family that the studio does not load, or where nobody can tell whose it is."""
    if verdict.fits == "other family":
        raise BadLora("lora_other_family", file=file, family=family_name(verdict.family), known=_loadable())
    if verdict.fits == "ambiguous":
        names = [family_name(identifier) for identifier in verdict.families]
        raise BadLora("lora_family_ambiguous", file=file, families=names)


def _named(family: Family, names: Sequence[str]) -> KnownModel | None:
    """The published model of the family that one of these names is of."""
    known = find_model(*names)
    return known if known is not None and known.family == family.id else None


def _said_family(metadata: Mapping[str, str]) -> str:
    """The family of the surest word that is known; "" if the file is silent or says what nobody knows."""
    words = {word: f.id for f in FAMILIES for word in f.lora_words.read}
    words |= {word: other.id for other in _others() for word in other.lora_words}
    for said in said_base_models(metadata):
        fitting = [w for w in words if said == w.removesuffix("$") or (said.startswith(w) and not w.endswith("$"))]
        if fitting:
            return words[max(fitting, key=len)]
    return ""


def _marked_family(shapes: Shapes) -> str:
    """The known other family whose own layers a LoRA changes; "" for none."""
    names = [name.replace(".", "_") for name in shapes if len(name) <= MAX_NAME]
    return next((other.id for other in _others() if any(other.lora_marks.search(name) for name in names)), "")


def _any_has(names: Iterable[str], marks: Sequence[str]) -> bool:
    return any(mark in name for name in names for mark in marks)


def _name_of_class(kind: str) -> str:
    """ "Flux2KleinPipeline (FLUX.2)": a folder's class and, where it is known, its family or the companion's name."""
    rows = [(start, other.name) for other in KNOWN_OTHERS for start in other.pipelines]
    rows += [(each.pipeline, each.name) for family in FAMILIES for each in family.companions if each.pipeline]
    known = [(start, name) for start, name in rows if kind.startswith(start)]
    name = max(known, key=lambda row: len(row[0]))[1] if known else ""
    return f"{kind} ({name})" if name else kind


def _others() -> list[KnownOther]:
    return [other for other in KNOWN_OTHERS if not is_loaded(other.id)]


def _loadable() -> list[str]:
    return [family.name for family in FAMILIES]


def _backbones() -> list[str]:
    """The published models that somebody who brought another may choose."""
    return [model.id for model in MODELS.values() if model.role == "backbone" and model.hub and is_loaded(model.family)]
