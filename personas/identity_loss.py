"""How far a drawn face is from who the persona is, as a loss: a recogniser that gradients flow through."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from personas.measures.face import FaceReader, FaceReading, mean_embedding
from pipelines.errors import ModelMissing
from pipelines.training.pictures import Box

if TYPE_CHECKING:
    import onnx

__all__ = ["IdentityLoss", "lead_to_themselves", "recogniser_module", "to_unit"]

# How much a crop is shifted (of its half side) and stretched at random, so that what is learnt is the face and no
# pattern that only this very grid of pixels sees.
_SHIFT, _STRETCH = 0.03, 0.04


class IdentityLoss:
    """1 − the cosine to the persona's mean face; a `PictureLoss` for pictures whose faces are where they were found.

    The crop is aligned by the five landmarks exactly as insightface aligns it (`face_align.norm_crop`), the recogniser
    is the pack's own ONNX, as a torch module (onnx2torch).
    """

    def __init__(
        self,
        reader: FaceReader,
        pictures: Sequence[npt.NDArray[np.uint8]],
        centre: npt.NDArray[np.float32],
        device: torch.device | None = None,
        faces: Sequence[FaceReading | None] | None = None,
    ) -> None:
        """`pictures` uint8 [h, w, 3] as the training's judge is shown them, `centre` [d]; `faces` are those that the
        reader found in them, where somebody has read them already. Raises ModelMissing for a pack's recogniser that has
        no torch equivalent.
        """
        from insightface.utils import face_align

        self._device = device or torch.device("cpu")
        self._recogniser = reader.recogniser
        self._side = int(self._recogniser.input_size[0])
        self._module = recogniser_module(Path(self._recogniser.model_file)).to(self._device)
        self._centre = torch.from_numpy(mean_embedding(centre[None])).to(self._device)
        faces = reader.read_many(pictures) if faces is None else faces
        self._from_crop = [
            None if face is None else _invert(face_align.estimate_norm(face.landmarks, self._side)) for face in faces
        ]
        self.fingerprint = hashlib.sha256(reader.sha256.encode() + self._centre.cpu().numpy().tobytes()).hexdigest()

    def box(self, row: int) -> Box | None:
        """The crop's corners in the picture; None where no face was found."""
        back = self._from_crop[row]
        if back is None:
            return None
        corners = np.array([[x, y, 1] for x in (0, self._side) for y in (0, self._side)], np.float64)
        x, y = (back @ corners.T)[:2]
        return int(x.min()), int(y.min()), int(np.ceil(x.max())), int(np.ceil(y.max()))

    def __call__(
        self, pixels: torch.Tensor, row: int, corner: tuple[int, int], generator: torch.Generator
    ) -> torch.Tensor:
        return 1 - self.embed(pixels, row, corner, generator) @ self._centre

    def embed(
        self,
        pixels: torch.Tensor,
        row: int,
        corner: tuple[int, int] = (0, 0),
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """The unit embedding [d] of the face in `pixels` [3, h, w] in [-1, 1]; with a generator the crop trembles."""
        back = self._from_crop[row]
        assert back is not None, "there is no face in this row"
        shifted = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]], [0, 0, 1]]) @ back
        height, width = pixels.shape[1:]
        # affine_grid wants the map between coordinates that run from -1 to 1 across the pixels' outer edges
        theta = to_unit(height, width) @ shifted @ np.linalg.inv(to_unit(self._side, self._side))
        if generator is not None:
            zoom, x, y = torch.randn(3, generator=generator, dtype=torch.float64).tolist()
            zoom = 1 + _STRETCH * zoom
            theta = theta @ np.array([[zoom, 0, _SHIFT * x], [0, zoom, _SHIFT * y], [0, 0, 1]])
        grid = torch.from_numpy(theta[:2]).float()[None]
        where = functional.affine_grid(grid, [1, 3, self._side, self._side], align_corners=False).to(pixels.device)
        # outside the picture there is black, as in insightface's crops
        crop = functional.grid_sample((pixels.float()[None] + 1) * 127.5, where, align_corners=False)
        value = (crop - self._recogniser.input_mean) / self._recogniser.input_std
        return functional.normalize(self._module(value).float()[0], dim=0)


def lead_to_themselves(
    reader: FaceReader, pictures: Sequence[npt.NDArray[np.uint8]], device: torch.device | None = None
) -> IdentityLoss | None:
    """Return the loss that leads to whom pictures uint8 [h, w, 3] show themselves: the mean face of the third whose
    faces are the largest, for small ones say less of who it is. None where no face is found. Raises as `IdentityLoss`.
    """
    faces = reader.read_many(pictures)
    found = [
        ((face.box[3] - face.box[1]) / picture.shape[0], face.embedding)
        for picture, face in zip(pictures, faces, strict=True)
        if face is not None
    ]
    if not found:
        return None
    largest = sorted(found, key=lambda one: -one[0])[: max(1, len(found) // 3)]
    centre = mean_embedding(np.stack([embedding for _, embedding in largest]))
    return IdentityLoss(reader, pictures, centre, device, faces)


def recogniser_module(file: Path) -> torch.nn.Module:
    """A pack's recogniser that gradients flow through, frozen. Raises ModelMissing: it has no torch equivalent."""
    import onnx
    from onnx2torch import convert

    try:
        # given the file's name, onnx2torch would write into its folder
        return convert(_fold_casts(onnx.load(file))).eval().requires_grad_(False)
    except NotImplementedError as error:
        raise ModelMissing("face_recogniser_not_differentiable", pack=file.parent.name, reason=str(error)) from error


def _invert(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From picture to crop [2, 3] to from crop to picture [3, 3], both in pixels' numbers."""
    return np.asarray(np.linalg.inv(np.vstack([matrix, [0, 0, 1]])), np.float64)


def to_unit(height: int, width: int) -> npt.NDArray[np.float64]:
    """From pixels' numbers to [-1, 1], [3, 3]."""
    return np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])


def _fold_casts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights that are stored in half precision, as the single precision that they are cast to."""
    from onnx import helper, numpy_helper

    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in stored]:
        kind = helper.tensor_dtype_to_np_dtype(next(a.i for a in node.attribute if a.name == "to"))
        values = numpy_helper.to_array(stored[node.input[0]]).astype(kind)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
    return model
