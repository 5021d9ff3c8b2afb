"""Frozen encoders that a character adapter looks at photos with: SigLIP and DINOv2, or stages of an ONNX network.

Stages are cut out of their network (`onnx.utils.Extractor`) and take squares of any size: convolutions do not care.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
import onnxruntime
from transformers import AutoImageProcessor, Dinov2Model, SiglipVisionModel

from pipelines.adapters.character_files import CharacterFile, find_encoder
from pipelines.adapters.character_layout import Encoder, Layout, Stages
from pipelines.errors import BadInput
from pipelines.families.folders import reading

__all__ = ["Encoders", "StageEncoders", "load_encoders"]

Rgb = npt.NDArray[np.uint8]

_CLASSES: Mapping[str, type[SiglipVisionModel] | type[Dinov2Model]] = {
    "siglip": SiglipVisionModel,
    "dinov2": Dinov2Model,
}


class Encoders(Protocol):
    """What looks at squares of `side` pixels; `modules` are those of its networks that can be moved to a device."""

    @property
    def side(self) -> int: ...
    @property
    def modules(self) -> tuple[nn.Module, ...]: ...

    def look(self, squares: Sequence[Rgb]) -> tuple[Tensor, Tensor]:
        """Return deep [b, n, c] and shallow [b, m, c] features of squares uint8 [side, side, 3]."""
        ...


def load_encoders(file: CharacterFile, folder: Path, dtype: torch.dtype) -> Encoders:
    """Load an adapter's encoders, frozen, from its folder or from beside it. Never downloads.

    Raises ModelMissing where one is not there, BadInput where it is not the one that the adapter reads.
    """
    layout = file.layout
    if layout.stages is None:
        return _HubEncoders(file, [_load_eye(one, find_encoder(folder, one), dtype) for one in layout.encoders])
    encoders = StageEncoders(layout, folder)
    for stages, sha256 in encoders.sha256.items():
        if file.metadata.get(f"{stages}_sha256") != sha256:
            raise BadInput("character_encoders_changed", file=file.path.name, encoder=stages)
    return encoders


@dataclass(frozen=True, eq=False)
class _Eye:
    """A loaded encoder and how its pixels are made: (rescale · x - mean) / deviation, [3] each."""

    encoder: Encoder
    model: SiglipVisionModel | Dinov2Model
    rescale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def width(self) -> int:
        return int(self.model.config.hidden_size)

    def look(self, squares: Sequence[Rgb]) -> tuple[Tensor, Tensor]:
        """Return deep [b, n, w] and shallow [b, s·n, w] features of squares uint8 [side, side, 3]."""
        weight = next(self.model.parameters())
        pixels = torch.from_numpy(np.stack(squares)).float() * self.rescale
        pixels = (pixels - torch.tensor(self.mean)) / torch.tensor(self.deviation)
        given = pixels.permute(0, 3, 1, 2).to(weight.device, weight.dtype)
        seen = self.model(given, output_hidden_states=True)
        first = self.encoder.class_tokens
        shallow = torch.cat([seen.hidden_states[state][:, first:] for state in self.encoder.states], dim=1)
        return seen.last_hidden_state[:, first:], shallow


class _HubEncoders:
    """SigLIP and DINOv2 as transformers has them, side by side."""

    def __init__(self, file: CharacterFile, eyes: Sequence[_Eye]) -> None:
        """Raise BadInput where these encoders are not those that the adapter reads."""
        self._eyes = eyes
        self.side = int(eyes[0].model.config.image_size)
        self.modules: tuple[nn.Module, ...] = tuple(eye.model for eye in eyes)
        patches = {self.side // int(eye.model.config.patch_size) for eye in eyes}
        deepest = all(max(eye.encoder.states) <= int(eye.model.config.num_hidden_layers) for eye in eyes)
        writes = sum(eye.width for eye in eyes)
        if writes != file.sizes.features or len(patches) != 1 or not deepest:
            raise BadInput(
                "character_encoders_do_not_fit", file=file.path.name, reads=file.sizes.features, writes=writes,
                layers=[max(eye.encoder.states) for eye in eyes],
            )  # fmt: skip

    def look(self, squares: Sequence[Rgb]) -> tuple[Tensor, Tensor]:
        seen = [eye.look(squares) for eye in self._eyes]
        return torch.cat([deep for deep, _ in seen], dim=2), torch.cat([shallow for _, shallow in seen], dim=2)


class StageEncoders:
    """Stages of a reader, which look at regions, and of a recogniser, which look at the aligned face."""

    modules: tuple[nn.Module, ...] = ()

    def __init__(self, layout: Layout, folder: Path) -> None:
        """Load those in an adapter's folder or beside it. Raises ModelMissing, or BadInput where a stage is none."""
        assert layout.stages is not None
        assert layout.face is not None
        self.side, self._grid = layout.side, layout.grid
        self._stages, self._face = _Cut(layout.stages, folder), _Cut(layout.face, folder)
        self.face_side = self._face.side

    @property
    def sha256(self) -> dict[str, str]:
        """Return the SHA-256 of each network's file by its name in a layout."""
        return {cut.stages.id: cut.sha256 for cut in (self._stages, self._face)}

    def look(self, squares: Sequence[Rgb]) -> tuple[Tensor, Tensor]:
        *shallow, deep = (self._pooled(one) for one in self._stages.run(squares))
        return deep, torch.cat(shallow, dim=2)

    def look_at_faces(self, crops: Sequence[Rgb]) -> tuple[Tensor, Tensor]:
        """Return the last map [b, n, f] and the unit embedding [b, e] of aligned faces uint8 [s, s, 3]."""
        seen, embedding = self._face.run(crops)
        return self._pooled(seen), F.normalize(torch.from_numpy(embedding), dim=1)

    def _pooled(self, seen: npt.NDArray[np.float32]) -> Tensor:
        """A map [b, c, h, w] as tokens [b, n, c]."""
        return F.adaptive_avg_pool2d(torch.from_numpy(seen), self._grid).flatten(2).transpose(1, 2)


class _Cut:
    """The stages of a network that are read; `side` of what it takes, in its file."""

    def __init__(self, stages: Stages, folder: Path) -> None:
        import onnx
        from onnx.utils import Extractor

        path = find_encoder(folder, stages) / stages.file
        self.stages = stages
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with reading(stages.file):
            model = onnx.shape_inference.infer_shapes(onnx.load(path))
            given = model.graph.input[0]
            self._input, self.side = given.name, int(given.type.tensor_type.shape.dim[-1].dim_value)
            made = {output for node in model.graph.node for output in node.output}
            if not set(stages.outputs) <= made:
                raise BadInput("character_encoder_other", encoder=stages.file, names=list(stages.outputs))
            cut = Extractor(model).extract_model([self._input], list(stages.outputs))
            for value in (*cut.graph.input, *cut.graph.output):
                for number, dim in enumerate(value.type.tensor_type.shape.dim):
                    dim.dim_param = f"{value.name}_{number}"
            del cut.graph.value_info[:]
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(
                cut.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )

    def run(self, squares: Sequence[Rgb]) -> list[npt.NDArray[np.float32]]:
        """Return each stage's output for squares uint8 [s, s, 3] RGB."""
        pixels = (np.stack(squares).astype(np.float32) - self.stages.mean) / self.stages.deviation
        given = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
        return [
            np.asarray(one, np.float32) for one in self._session.run(list(self.stages.outputs), {self._input: given})
        ]


def _load_eye(encoder: Encoder, place: Path, dtype: torch.dtype) -> _Eye:
    with reading(str(place)):
        model = _CLASSES[encoder.id].from_pretrained(place, dtype=dtype, local_files_only=True)
        process = AutoImageProcessor.from_pretrained(place, local_files_only=True)
    model.requires_grad_(False).eval()
    return _Eye(encoder, model, float(process.rescale_factor), tuple(process.image_mean), tuple(process.image_std))
