"""IP-Adapters for FLUX.1: read from a folder, checked, and ready to be put on a transformer (`adapters/attention.py`).

A folder holds one .safetensors file in XLabs' or diffusers' layout, a CLIP vision encoder in `image_encoder/` (or
beside the folder), and a model card that names the licence. What the file holds: a projection from CLIP's embedding to
n tokens, and for each double block a key and a value projection of these tokens (arXiv:2308.06721; XLabs'
flux-ip-adapter; diffusers' FluxIPAdapterMixin, which knows 4 and 16 tokens only).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxTransformer2DModel
from diffusers.models.embeddings import ImageProjection
from diffusers.models.transformers.transformer_flux import FluxIPAdapterAttnProcessor
from PIL import Image
from transformers import AutoImageProcessor, CLIPVisionModelWithProjection

from pipelines.backbones import Backbone
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.families.folders import reading
from pipelines.models.catalogue import find_model
from pipelines.models.hardware import Hardware, read_hardware
from pipelines.models.headers import read_header, shards_of
from pipelines.models.licences import UNKNOWN, read_card_licence

__all__ = ["AdapterFile", "IpAdapter", "adapter_of", "encode_pictures", "find_encoder", "load_adapter", "read_adapter"]

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_BLOCK = re.compile(
    r"(?:double_blocks|ip_adapter)\.(\d+)\.(?:processor\.)?"
    r"(?:ip_adapter_double_stream_([kv])_proj|to_([kv])_ip)\.(weight|bias)$"
)
_PROJECTION = re.compile(r"(?:ip_adapter_proj_model|image_proj)\.(proj|norm)\.(weight|bias)$")
_BLOCK_PARTS = ("k.weight", "k.bias", "v.weight", "v.bias")
_PROJECTION_PARTS = ("proj.weight", "proj.bias", "norm.weight", "norm.bias")


@dataclass(frozen=True, eq=False)
class AdapterFile:
    """`projection` and, for each double block, `blocks`: tensors by the names above.

    Shapes: proj [n·c, e], norm [c], k and v [w, c] for n tokens of width c, CLIP embeddings of width e and a
    transformer of width w. `format` is "xlabs" or "diffusers".
    """

    path: Path
    sha256: str
    licence: str
    format: str
    projection: Mapping[str, Tensor]
    blocks: tuple[Mapping[str, Tensor], ...]

    @property
    def token_width(self) -> int:
        return int(self.blocks[0]["k.weight"].shape[1])

    @property
    def tokens(self) -> int:
        return int(self.projection["proj.weight"].shape[0]) // self.token_width


@dataclass(frozen=True, eq=False)
class IpAdapter:
    """A loaded adapter: pictures go through `encoder` and `projection`, `processors` are one per double block."""

    file: AdapterFile
    encoder: CLIPVisionModelWithProjection
    image_processor: object
    projection: ImageProjection
    processors: tuple[FluxIPAdapterAttnProcessor, ...]


def adapter_of(backbone: Backbone, folder: Path | None = None) -> IpAdapter:
    """Return the adapter of a folder (None: the backbone's own), loaded once.

    Raises ModelMissing where there is none, BadInput where it does not fit.
    """
    return backbone.loaded_beside("ip_adapter", folder, lambda named: _load_for(backbone, named))


def read_adapter(folder: Path) -> AdapterFile:
    """The folder's adapter file, its values checked. Nothing in it is executed.

    Raises ModelMissing where there is no file, BadInput for pickles and files that are damaged, of another kind or not
    finite.
    """
    path = _adapter_file(folder)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput("ip_adapter_damaged", file=path.name, reason=str(error)) from error
    projection: dict[str, Tensor] = {}
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if match := _BLOCK.match(key):
            found.setdefault(int(match[1]), {})[f"{match[2] or match[3]}.{match[4]}"] = tensor
        elif match := _PROJECTION.match(key):
            projection[f"{match[1]}.{match[2]}"] = tensor
        else:
            raise BadInput("ip_adapter_key_unknown", file=path.name, key=key)
        if not torch.isfinite(tensor).all():
            raise BadInput("ip_adapter_not_finite", file=path.name, key=key)
    blocks = tuple(found.get(i, {}) for i in range(max(found, default=-1) + 1))
    missing = [f"image_proj.{p}" for p in _PROJECTION_PARTS if p not in projection]
    missing += [f"double_blocks.{i}.{p}" for i, block in enumerate(blocks) for p in _BLOCK_PARTS if p not in block]
    if missing or not blocks:
        raise BadInput("ip_adapter_incomplete", file=path.name, lacks=missing[:3] or ["double_blocks"])
    _check_shapes(path.name, projection, blocks)
    licence, known = read_card_licence(folder), find_model(folder.name)
    if licence == UNKNOWN and known is not None:
        licence = known.licence
    return AdapterFile(
        path,
        _sha256(path),
        licence,
        "xlabs" if any(key.startswith("double_blocks.") for key in tensors) else "diffusers",
        projection,
        blocks,
    )


def load_adapter(
    folder: Path,
    transformer: FluxTransformer2DModel,
    device: torch.device,
    dtype: torch.dtype,
    beside: float = 0.0,
    hardware: Hardware | None = None,
) -> IpAdapter:
    """The adapter of a folder with its image encoder (.safetensors), frozen. Never downloads.

    `beside` are bytes of the device that must stay free for the drawing itself; `hardware` is what is free now.

    Raises what `read_adapter` raises, BadInput where it does not fit the transformer or the encoder, NotEnoughMemory
    where there is no room for it beside the backbone.
    """
    file = read_adapter(folder)
    config, width = transformer.config, int(file.blocks[0]["k.weight"].shape[0])
    if (len(file.blocks), width) != (config.num_layers, transformer.inner_dim):
        raise BadInput(
            "ip_adapter_does_not_fit",
            file=file.path.name,
            blocks=len(file.blocks),
            width=width,
            wanted_blocks=config.num_layers,
            wanted_width=transformer.inner_dim,
        )
    where = find_encoder(folder)
    _check_room(file, where, dtype, beside, read_hardware(device) if hardware is None else hardware)
    with reading(str(where)):
        encoder = CLIPVisionModelWithProjection.from_pretrained(where, dtype=dtype, local_files_only=True)
        processor = AutoImageProcessor.from_pretrained(where, local_files_only=True)
    reads = int(file.projection["proj.weight"].shape[1])
    if encoder.config.projection_dim != reads:
        raise BadInput(
            "ip_adapter_encoder_does_not_fit", file=file.path.name, reads=reads, writes=encoder.config.projection_dim
        )
    projection = ImageProjection(reads, file.token_width, file.tokens)
    projection.load_state_dict({key.replace("proj", "image_embeds"): value for key, value in file.projection.items()})
    processors = tuple(_processor(block, file) for block in file.blocks)
    for module in (encoder, projection):
        module.to(device, dtype).requires_grad_(False).eval()
    for module in processors:  # they go to the device when they are at work
        module.to(dtype).requires_grad_(False).eval()
    return IpAdapter(file, encoder, processor, projection, processors)


@torch.no_grad()
def encode_pictures(adapter: IpAdapter, pictures: tuple[npt.NDArray[np.uint8], ...]) -> Tensor:
    """Tokens [1, m, n, c] of m pictures, uint8 [h, w, 3].

    Each is squeezed to the encoder's square as a whole: a crop of the middle would lose the place's sides.
    """
    size = adapter.encoder.config.image_size
    squares = [Image.fromarray(p).resize((size, size), Image.Resampling.BICUBIC) for p in pictures]
    process = adapter.image_processor
    assert callable(process)
    pixels = process(images=squares, return_tensors="pt").pixel_values
    weight = next(adapter.encoder.parameters())
    embeds = adapter.encoder(pixels.to(weight.device, weight.dtype)).image_embeds
    tokens: Tensor = adapter.projection(embeds)
    return tokens[None]


def find_encoder(folder: Path) -> Path:
    """The folder of the CLIP vision encoder; ModelMissing where there is none."""
    for candidate in (
        folder / "image_encoder",
        folder.parent / "image_encoder",
        folder.parent / "clip-vit-large-patch14",
    ):
        if (candidate / "config.json").is_file():
            return candidate
    raise ModelMissing("ip_adapter_encoder_missing", adapter=folder.name)


def _load_for(backbone: Backbone, folder: Path | None) -> IpAdapter:
    where, transformer = folder or backbone.spec.companions.get("ip_adapter"), backbone.transformer
    if where is None:
        raise ModelMissing("ip_adapter_missing", backbone=backbone.spec.id)
    assert isinstance(transformer, FluxTransformer2DModel)
    return load_adapter(where, transformer, backbone.device, backbone.dtype, beside=backbone.drawing_bytes)


def _adapter_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelMissing("ip_adapter_folder_missing", folder=str(folder))
    files = sorted(folder.glob("*.safetensors"))
    if len(files) == 1:
        return files[0]
    if len(files) > 1:
        raise BadInput("ip_adapter_several_files", folder=folder.name, count=len(files))
    if pickles := [p.name for p in sorted(folder.iterdir()) if p.suffix in _PICKLES]:
        raise BadInput("ip_adapter_is_pickle", file=pickles[0])
    raise ModelMissing("ip_adapter_file_missing", folder=str(folder))


def _check_room(file: AdapterFile, encoder: Path, dtype: torch.dtype, beside: float, hardware: Hardware) -> None:
    """The text half of a whole CLIP's file is not loaded."""
    shapes = [shape for path in shards_of(encoder) for name, shape in read_header(path).shapes.items()
              if not name.startswith("text_")]  # fmt: skip
    count = sum(t.numel() for part in (file.projection, *file.blocks) for t in part.values())
    needed = beside + (count + sum(map(prod, shapes))) * dtype.itemsize
    if needed > hardware.device_free:
        raise NotEnoughMemory(
            "no_memory_for_ip_adapter",
            file=file.path.name,
            needed_gb=needed / 1e9,
            free_gb=hardware.device_free / 1e9,
        )


def _check_shapes(name: str, projection: Mapping[str, Tensor], blocks: tuple[Mapping[str, Tensor], ...]) -> None:
    proj, norm, first = projection["proj.weight"], projection["norm.weight"], blocks[0]["k.weight"]
    wide = first.shape[1] if first.ndim == 2 else 0
    whole = (
        wide > 0
        and proj.ndim == 2
        and proj.shape[0] % wide == 0
        and projection["proj.bias"].shape == proj.shape[:1]
        and norm.shape == projection["norm.bias"].shape == (wide,)
        and all(
            block[f"{p}.weight"].shape == first.shape and block[f"{p}.bias"].shape == first.shape[:1]
            for block in blocks
            for p in "kv"
        )
    )
    if not whole:
        raise BadInput("ip_adapter_layers_do_not_fit", file=name)


def _processor(block: Mapping[str, Tensor], file: AdapterFile) -> FluxIPAdapterAttnProcessor:
    width = block["k.weight"].shape[0]
    processor = FluxIPAdapterAttnProcessor(width, file.token_width, num_tokens=(file.tokens,))
    processor.load_state_dict({f"to_{key[0]}_ip.0.{key[2:]}": value for key, value in block.items()})
    return processor


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
