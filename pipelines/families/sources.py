"""Sources of a backbone that a merchant may name: the miniature, a folder, a single file, a GGUF file, a hub id."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.errors import BadInput, ModelMissing
from pipelines.families.catalogue import Detected, check_can_be_loaded, detect_file
from pipelines.models.catalogue import MODELS, find_model
from pipelines.models.headers import read_header
from pipelines.models.licences import UNKNOWN, read_card_licence, read_file_licence
from pipelines.models.sources import FETCHED, MINIATURE, MINIATURE_FOLDER, Kind, Source, fetched_folder

__all__ = ["find_source", "licence_of"]

_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_source(name: str | Path, base: str | Path | None = None, models: Path | None = None) -> Source:
    """Return what `name` stands for. Nothing is downloaded; of a single file without `base` the header is read.

    `base` is the diffusers folder (or hub id) that gives a single file what it does not hold: text encoders, VAE and
    tokenizers; None: any fetched backbone of the same family. `models` is the folder of fetched models. Raises
    ModelMissing for what is not there, BadInput for what is no model at all.
    """
    text = str(name).strip()
    if text == MINIATURE:
        return Source("folder", MINIATURE, MINIATURE_FOLDER, MINIATURE_FOLDER)
    path = Path(text).expanduser()
    if path.is_dir():
        folder = path.resolve()
        return Source("folder", folder.name, folder, folder)
    kind = _file_kind(path)
    if path.is_file():
        if path.suffix.lower() in _PICKLES:
            raise BadInput("model_is_pickle", file=path.name)
        if kind is None:
            raise BadInput("model_file_unknown", file=path.name)
        return Source(kind, path.stem, path.resolve(), _base_of(path.resolve(), base, models))
    known = find_model(text)
    check_can_be_loaded(text)
    if known is not None and known.role != "backbone":
        raise BadInput("model_is_companion", model=known.id, role=known.role)
    hub_id = known.hub if known is not None else text
    if kind is None and _HUB_ID.fullmatch(hub_id):
        folder = fetched_folder(hub_id, models)
        return Source("folder", hub_id.split("/")[1], folder, folder)
    raise ModelMissing("model_unknown", model=text)


def licence_of(source: Source, detected: Detected) -> str:
    """Return the licence's id: that of the folder's card or the file's metadata, else the known model's, else
    "unknown".
    """
    header = detected.header
    licence = read_card_licence(source.base) if header is None else read_file_licence(header)
    return detected.named.licence if licence == UNKNOWN and detected.named is not None else licence


def _file_kind(path: Path) -> Kind | None:
    kinds: dict[str, Kind] = {".safetensors": "single file", ".gguf": "gguf"}
    return kinds.get(path.suffix.lower())


def _base_of(file: Path, base: str | Path | None, models: Path | None) -> Path:
    if base is not None:
        if Path(base).expanduser().is_file():
            raise BadInput("base_is_file", base=str(base))
        return find_source(base, None, models).path
    if (file.parent / "model_index.json").is_file():
        return file.parent
    family, variant = detect_file(read_header(file).shapes, file.name)
    variant = family.choose_variant(variant, [file.stem], {})
    known = [model for model in MODELS.values() if model.hub and model.role == "backbone" and model.family == family.id]
    for model in sorted(known, key=lambda m: (m.id != variant.id, not m.is_sibling_of(variant))):
        if models is not None and (models / model.hub / FETCHED).is_file():
            return (models / model.hub).resolve()
    raise ModelMissing("base_missing", file=file.name, family=family.name, known=[model.hub for model in known])
