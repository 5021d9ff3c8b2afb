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
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WHAT = "It may be miniature, a diffusers folder, a .safetensors or .gguf file, or a hub id such as OWNER/NAME."

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
        if kind is None:
            raise BadInput(f"{path.name} is no model file that the studio loads.", _advice(path))
        return Source(kind, path.stem, path.resolve(), _base_of(path.resolve(), base, models))
    known = find_model(text)
    if known is not None and known.role == "not yet":
        raise BadInput(f"The studio cannot load {known.id} yet.", "Choose a FLUX.1 model.")
    if known is not None and known.role != "backbone":
        raise BadInput(
            f"{known.id} is a companion ({known.role}), no backbone.", "Name the backbone that it goes with."
        )
    hub_id = known.hub if known is not None else text
    if kind is None and _HUB_ID.fullmatch(hub_id):
        folder = fetched_folder(hub_id, models)
        return Source("folder", hub_id.split("/")[1], folder, folder)
    raise ModelMissing(f"There is no model {text!r} here.", _WHAT)


def fetched_folder(hub_id: str, models: Path | None) -> Path:
    """Where a hub id was fetched to; ModelMissing where it was not, or not wholly."""
    command = f"persona-studio backbones fetch {hub_id}"
    folder = None if models is None else (models / hub_id).resolve()
    if folder is None or not folder.is_dir():
        raise ModelMissing(
            f"There is no folder {hub_id} here, nor has a model of this name been fetched.",
            f"Correct the folder's name, or run: {command}",
        )
    if not (folder / FETCHED).is_file():
        raise ModelMissing(f"{hub_id} has been fetched in part only.", f"Go on with it: {command}")
    return folder


def _file_kind(path: Path) -> Kind | None:
    kinds: dict[str, Kind] = {".safetensors": "single file", ".gguf": "gguf"}
    return kinds.get(path.suffix.lower())


def _advice(path: Path) -> str:
    if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin"):
        return "It is a pickle, which can run any program when it is opened: get the .safetensors file instead."
    return _WHAT


def _base_of(file: Path, base: str | Path | None, models: Path | None) -> Path:
    if base is not None:
        if Path(base).expanduser().is_file():
            raise BadInput(f"The base {base} is a single file too.", "Name a whole diffusers folder as the base.")
        return find_source(base, None, models).path
    if (file.parent / "model_index.json").is_file():
        return file.parent
    for model in MODELS.values():  # the text encoders and VAE of FLUX.1's backbones are the same files
        if model.hub and model.role == "backbone" and models is not None and (models / model.hub / FETCHED).is_file():
            return (models / model.hub).resolve()
    raise ModelMissing(
        f"{file.name} holds the transformer only; text encoders, VAE and tokenizers come from a FLUX.1 folder.",
        "Name one in PERSONA_STUDIO_BASE, or run: persona-studio backbones fetch black-forest-labs/FLUX.1-schnell",
    )
