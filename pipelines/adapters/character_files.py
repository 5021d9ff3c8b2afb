"""Files of character adapters: read from a folder, checked by name and shape, and converted from their pickle once.

A folder holds one .safetensors file, its two image encoders (or they lie beside the folder), and a model card that
names the licence. InstantCharacter is published as a pickle, which could run any program when it is opened: it is
converted by `convert_pickle`, which refuses one that names anything but tensors.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import pickletools
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.adapters.character_layout import (
    INSTANTCHARACTER,
    Dimensions,
    Encoder,
    Layout,
    Stages,
    find_layout,
    read_dimensions,
)
from pipelines.errors import BadInput, ModelMissing
from pipelines.models.catalogue import MODELS, find_model
from pipelines.models.headers import read_header
from pipelines.models.licences import UNKNOWN, read_card_licence, read_file_licence

__all__ = ["CharacterFile", "convert_pickle", "find_encoder", "read_character_file", "read_tensors"]

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_ALLOWED = {
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
    "torch BFloat16Storage", "torch HalfStorage", "torch FloatStorage",
}  # fmt: skip
"""All that a pickle of tensors names."""
_NAMES_SOMETHING = {"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4", "PERSID"}
_MOST_PICKLE_BYTES = 16_000_000  # of the names and shapes; the numbers lie beside it
_PARTS = ("image_proj", "ip_adapter")
_METADATA = {"layout": INSTANTCHARACTER.id, "modelspec.license": MODELS["InstantCharacter"].licence}


@dataclass(frozen=True)
class CharacterFile:
    """An adapter's file whose names and shapes are known to be whole; its numbers are read by `read_tensors`.

    `metadata` is what the file says of itself.
    """

    path: Path
    sha256: str
    licence: str
    layout: Layout
    sizes: Dimensions
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_character_file(folder: Path) -> CharacterFile:
    """Read what the folder's adapter is, from its header.

    Raises ModelMissing where there is no file, BadInput for pickles, for files that are damaged, and where a tensor is
    missing, of another shape, or none of a character adapter.
    """
    path = _adapter_file(folder)
    try:
        header = read_header(path)
    except BadInput as error:
        raise BadInput("character_damaged", file=path.name) from error
    layout = find_layout(path.name, header.metadata)
    sizes = read_dimensions(path.name, header.shapes, header.metadata)
    if sizes.has_parts and layout.face is None:
        raise BadInput("character_tensor_unknown", file=path.name, name="image_proj.face_map.weight")
    if layout.face is not None and not sizes.has_parts:
        raise BadInput("character_tensor_missing", file=path.name, name="image_proj.face_map.weight")
    if sizes.regions != len(layout.regions):
        name = "image_proj.resampler.latents"
        has, wanted = [sizes.regions, sizes.queries, sizes.width], [len(layout.regions), sizes.queries, sizes.width]
        raise BadInput("character_tensor_shape", file=path.name, name=name, has=has, wanted=wanted)
    licence = read_card_licence(folder)
    licence = read_file_licence(header) if licence == UNKNOWN else licence
    if licence == UNKNOWN and (known := find_model(folder.name)) is not None:
        licence = known.licence
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return CharacterFile(path, sha256, licence, layout, sizes, header.metadata)


def read_tensors(file: CharacterFile) -> dict[str, Tensor]:
    """Read the file's numbers. Raises BadInput where one of them is none, or the file is cut short."""
    try:
        tensors = load_file(file.path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput("character_damaged", file=file.path.name) from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise BadInput("character_not_finite", file=file.path.name, name=name)
    return tensors


def find_encoder(folder: Path, encoder: Encoder | Stages) -> Path:
    """Return the folder of an image encoder; ModelMissing where there is none."""
    file = encoder.file if isinstance(encoder, Stages) else "config.json"
    for name in encoder.names:
        for parent in (folder, folder.parent):
            if (parent / name / file).is_file():
                return parent / name
    raise ModelMissing("character_encoder_missing", adapter=folder.name, names=list(encoder.names))


def convert_pickle(pickled: Path, folder: Path) -> CharacterFile:
    """Write InstantCharacter's published pickle into `folder` as safetensors, and return what it is.

    A file that is there stays as it is. Numbers keep their type. Raises ModelMissing where there is no pickle, BadInput
    where it is none of torch's, names anything but tensors, lacks a tensor or has one of another shape, and where
    `folder` has an adapter already or no room for one.
    """
    if not pickled.is_file():
        raise ModelMissing("character_pickle_missing", file=str(pickled))
    _check_pickle(pickled)
    tensors = _unpickled(pickled)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    read_dimensions(pickled.name, shapes, {})
    target = folder / f"{pickled.stem}.safetensors"
    if folder.is_dir() and any(folder.glob("*.safetensors")):
        raise BadInput("character_folder_taken", folder=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    size, free = sum(t.nbytes for t in tensors.values()), shutil.disk_usage(folder).free
    if size > free:
        raise BadInput("character_no_disk", folder=str(folder), needed_gb=size / 1e9, free_gb=free / 1e9)
    unfinished = target.with_suffix(".part")
    try:
        save_file({name: t.contiguous() for name, t in tensors.items()}, unfinished, _METADATA)
        os.replace(unfinished, target)
    except (RuntimeError, OSError) as error:
        raise BadInput("character_damaged", file=pickled.name) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return read_character_file(folder)


def _adapter_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelMissing("character_folder_missing", folder=str(folder))
    files = sorted(folder.glob("*.safetensors"))
    if len(files) == 1:
        return files[0]
    if len(files) > 1:
        raise BadInput("character_several_files", folder=folder.name, count=len(files))
    if pickles := [p.name for p in sorted(folder.iterdir()) if p.suffix in _PICKLES]:
        raise BadInput("character_is_pickle", file=pickles[0])
    raise ModelMissing("character_file_missing", folder=str(folder))


def _check_pickle(path: Path) -> None:
    """Raise BadInput for what names anything but tensors. Nothing is executed."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = (n for n in archive.namelist() if n == "data.pkl" or n.endswith("/data.pkl"))
            with archive.open(name) as stream:
                data = stream.read(_MOST_PICKLE_BYTES + 1)
        if len(data) > _MOST_PICKLE_BYTES:
            raise ValueError
        named = [(code.name, argument) for code, argument, _ in pickletools.genops(data)]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise BadInput("character_damaged", file=path.name) from error
    for code, argument in named:
        if code in _NAMES_SOMETHING and not (code == "GLOBAL" and argument in _ALLOWED):
            what = str(argument).replace(" ", ".") if argument else code
            raise BadInput("character_pickle_foreign", file=path.name, name=what[:80])


def _unpickled(path: Path) -> dict[str, Tensor]:
    """The tensors of both dictionaries by their whole names."""
    try:
        both = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise BadInput("character_damaged", file=path.name) from error
    if not isinstance(both, Mapping) or set(both) != set(_PARTS):
        raise BadInput("character_pickle_other", file=path.name, parts=list(_PARTS))
    tensors = {}
    for part in _PARTS:
        for name, tensor in both[part].items() if isinstance(both[part], Mapping) else [("", None)]:
            if not isinstance(tensor, Tensor):
                raise BadInput("character_pickle_other", file=path.name, parts=list(_PARTS))
            tensors[f"{part}.{name}"] = tensor.detach()
    if sum(tensor.nbytes for tensor in tensors.values()) > path.stat().st_size:  # rows that are told to repeat
        raise BadInput("character_damaged", file=path.name)
    return tensors
