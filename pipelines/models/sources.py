"""What a merchant may name as the backbone: the miniature, a folder, a single file, a GGUF file, or a hub id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.errors import BadInput, ModelMissing
from pipelines.models.catalogue import MODELS, find_model

__all__ = ["FETCHED", "MINIATURE", "Kind", "Source", "fetched_folder", "find_source"]

MINIATURE = "miniature"
FETCHED = "fetched.json"  # `pipelines.models.hub` writes it when a fetch is whole
_ASSETS = Path(__file__).resolve().parents[2] / "assets" / "miniature"
_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

Kind = Literal["folder", "single file", "gguf"]


@dataclass(frozen=True)
class Source:
    """Where a backbone's parts lie: the transformer in `path`, all others in the diffusers folder `base`.

    They are the same folder where `kind` is "folder". `name` is the folder's or the file's, without its ending.
    """

    kind: Kind
    name: str
    path: Path
    base: Path


def find_source(name: str | Path, base: str | Path | None = None, models: Path | None = None) -> Source:
    """What `name` stands for. Nothing is opened, nothing downloaded.

    `base` is the diffusers folder (or hub id) that gives a single file what it does not hold: text encoders, VAE and
    tokenizers; None: any fetched backbone of the same family. `models` is the folder of fetched models. Raises
    ModelMissing for what is not there, BadInput for what is no model at all.
    """
    text = str(name).strip()
    if text == MINIATURE:
        return Source("folder", MINIATURE, _ASSETS / "flux", _ASSETS / "flux")
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
    if known is not None and known.role == "not yet":
        raise BadInput("model_not_yet", model=known.id)
    if known is not None and known.role != "backbone":
        raise BadInput("model_is_companion", model=known.id, role=known.role)
    hub_id = known.hub if known is not None else text
    if kind is None and _HUB_ID.fullmatch(hub_id):
        folder = fetched_folder(hub_id, models)
        return Source("folder", hub_id.split("/")[1], folder, folder)
    raise ModelMissing("model_unknown", model=text)


def fetched_folder(hub_id: str, models: Path | None) -> Path:
    """Where a hub id was fetched to; ModelMissing where it was not, or not wholly."""
    folder = None if models is None else (models / hub_id).resolve()
    if folder is None or not folder.is_dir():
        raise ModelMissing("model_not_fetched", model=hub_id)
    if not (folder / FETCHED).is_file():
        raise ModelMissing("model_fetched_in_part", model=hub_id)
    return folder


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
    for model in MODELS.values():  # the text encoders and VAE of FLUX.1's backbones are the same files
        if model.hub and model.role == "backbone" and models is not None and (models / model.hub / FETCHED).is_file():
            return (models / model.hub).resolve()
    raise ModelMissing("base_missing", file=file.name)
