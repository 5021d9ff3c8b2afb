"""Upscaler files: the studio's own network, or one of a published architecture as a .safetensors file.

Published ones (ESRGAN, Real-ESRGAN, Compact, SPAN and the others) are recognised by spandrel, which is an extra.
Nothing in a file is executed.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pipelines.errors import BadInput, ModelMissing
from pipelines.files import write_whole
from pipelines.finishing.finisher import Finisher
from pipelines.finishing.network import FinishingNet, NetShape, read_shape
from pipelines.models.headers import Header, is_pickle, read_header

__all__ = ["load_finisher", "save_network"]

_KIND = "persona-studio-finishing-1"
_PICKLES = (".pt", ".pth", ".bin", ".ckpt")


def load_finisher(path: Path, device: torch.device | None = None) -> Finisher:
    """Load an upscaler, ready to use. `device` None is the CPU.

    Raises ModelMissing where there is no file or it needs spandrel, BadInput for pickles, damaged files, files of
    another kind (a LoRA, a base model) and upscalers that take or give something else than RGB or do not enlarge.
    """
    where = torch.device("cpu") if device is None else device
    if not path.is_file():
        raise ModelMissing("upscaler_missing", file=str(path))
    with path.open("rb") as file:
        start = file.read(9)
    if is_pickle(start) or path.suffix.lower() in _PICKLES:
        raise BadInput("upscaler_is_pickle", file=path.name)
    header = read_header(path)
    sha256 = _hash(path)
    if header.metadata.get("kind") == _KIND:
        net = _own(path, header).to(where)
        return Finisher(path.name, sha256, net.scale, net, where)
    return _published(path, sha256, where)


def save_network(net: FinishingNet, shape: NetShape, path: Path, facts: dict[str, str] | None = None) -> str:
    """Write a network in half precision with its shape in the header; the file's SHA-256. Same network, same bytes."""
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in net.state_dict().items()}
    plain = save(tensors)
    size = struct.unpack("<Q", plain[:8])[0]
    strings = {"kind": _KIND, "shape": json.dumps(asdict(shape))} | (facts or {})
    header = {"__metadata__": dict(sorted(strings.items())), **json.loads(plain[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data must stay aligned
    data = struct.pack("<Q", len(text)) + text + plain[8 + size :]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def _shape_of(path: Path, header: Header) -> NetShape:
    try:
        told = json.loads(header.metadata["shape"])
        return read_shape(told["widths"], told["blocks"], told["scale"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadInput("upscaler_damaged", file=path.name, reason=str(error)) from error


def _own(path: Path, header: Header) -> FinishingNet:
    net = FinishingNet(_shape_of(path, header))
    try:
        net.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (RuntimeError, SafetensorError, OSError) as error:
        raise BadInput("upscaler_damaged", file=path.name, reason=str(error).split("\n")[0]) from error
    return net.eval().requires_grad_(False)


def _published(path: Path, sha256: str, device: torch.device) -> Finisher:
    if find_spec("spandrel") is None:
        raise ModelMissing("spandrel_missing", file=path.name)
    from pipelines import torchvision_mend  # noqa: F401

    # isort: split
    import spandrel

    try:
        model: Any = spandrel.ModelLoader(device).load_from_state_dict(load_file(path))
    except Exception as error:  # tensors of strangers make its detectors raise anything
        raise BadInput("upscaler_unknown", file=path.name) from error
    enlarges = isinstance(model, spandrel.ImageModelDescriptor) and model.purpose == "SR" and model.scale > 1
    if not enlarges or (model.input_channels, model.output_channels) != (3, 3):
        raise BadInput("upscaler_unknown", file=path.name)
    model.eval()

    def enlarge(x: Tensor) -> Tensor:
        large: Tensor = model(x)
        return large

    return Finisher(path.name, sha256, model.scale, enlarge, device)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
