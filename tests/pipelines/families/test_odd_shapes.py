"""Single files in which one tensor has no shape that a model has: one sentence, from the header alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.backbones import plan_backbone, resolve_backbone
from pipelines.errors import StudioError
from pipelines.models.hardware import Hardware
from tests import originals, originals_flux2, tiny_z_image
from tests.tiny import write_flux
from tests.tiny_flux2 import write_klein

ROOMY = Hardware("cpu", 1e12, 1e12)
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (3,))


def _own_names(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")


@dataclass(frozen=True)
class Row:
    name: str
    write: Callable[[Path], Path]
    tensors: Callable[[Path], dict[str, Tensor]]


ROWS = (
    Row("flux1", write_flux, originals.original_tensors),
    Row("flux1-diffusers", write_flux, _own_names),
    Row("flux2", write_klein, originals_flux2.original_tensors),
    Row("flux2-diffusers", write_klein, _own_names),
    Row("z-image-diffusers", tiny_z_image.write_z_image, _own_names),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_tensor_of_an_odd_shape_is_refused_in_words(row: Row, tmp_path: Path) -> None:
    folder, file = row.write(tmp_path / row.name), tmp_path / "odd.safetensors"
    tensors = {name: tensor.clone() for name, tensor in row.tensors(folder).items()}
    kinds: dict[str, str] = {}
    for name in tensors:
        kinds.setdefault(".".join(part for part in name.split(".") if not part.isdecimal()), name)
    for number, name in enumerate(kinds.values()):
        # those outside the blocks tell what model it is: all shapes for these, one for each of the others
        for shape in SHAPES if name.count(".") < 2 else SHAPES[number % 3 :][:1]:
            save_file(tensors | {name: torch.ones(shape)}, file)
            with pytest.raises(StudioError):
                plan_backbone(resolve_backbone(file, folder), torch.float32, ROOMY)
