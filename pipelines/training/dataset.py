"""From pictures and captions to what a training step reads: latents and text embeddings, computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadInput
from pipelines.families.model import TextEmbeds
from pipelines.progress import PipelineStage, Progress, Stage, StageProgress
from pipelines.training.losses import focus_weights

__all__ = ["TrainingExample", "TrainingSet", "fit_image", "hash_examples", "prepare_examples"]


@dataclass(frozen=True, eq=False)
class TrainingExample:
    """`image` uint8 [h, w, 3] RGB of any size, fitted to the canvas; `caption` as one would prompt it.

    `focus` bool [h, w] is what the loss weighs more (`focus_weights`), such as face and hair; None weighs all alike.
    """

    image: npt.NDArray[np.uint8]
    caption: str
    focus: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Pictures as states [n, …] and their weights, of the same shape; all are `height` x `width` pixels.

    `caption_of` [n] points into `captions`, of which the first is the empty one.
    """

    states: torch.Tensor
    weights: torch.Tensor
    height: int
    width: int
    captions: tuple[TextEmbeds, ...]
    caption_of: torch.Tensor


def fit_image(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Resize until the canvas is covered, then crop the middle; the right size is returned as it is."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise BadInput("training_picture_invalid", shape=list(image.shape), type=str(image.dtype))
    h, w = image.shape[:2]
    if (h, w) == (height, width):
        return image
    scale = max(height / h, width / w)
    size = (max(width, round(w * scale)), max(height, round(h * scale)))
    resized = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def hash_examples(examples: Sequence[TrainingExample]) -> str:
    """One SHA-256 over all pictures and captions in their order."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.image.shape, example.caption)).encode())
        digest.update(np.ascontiguousarray(example.image).tobytes())
        if example.focus is not None:
            digest.update(np.packbits(example.focus).tobytes())
    return digest.hexdigest()


@torch.no_grad()
def prepare_examples(
    backbone: Backbone,
    examples: Sequence[TrainingExample],
    height: int,
    width: int,
    progress: Progress,
    focus: float = 0.3,
) -> TrainingSet:
    """Encode every picture (the posterior's mode) and every different caption once."""
    captions = {"": 0}
    for example in examples:
        captions.setdefault(example.caption, len(captions))
    model = backbone.model
    states, weights = [], []
    for done, example in enumerate(examples):
        progress.check_cancelled()
        z = model.encode_pictures(fit_image(example.image, height, width)[None])
        states.append(model.pack(z))
        cells = _cell_weights(example, height, width, z.shape[2:], focus)
        weights.append(model.pack(cells.expand(z.shape).to(z.device)))
        progress.tell(StageProgress(Stage(PipelineStage.ENCODE), done + 1, len(examples)))
    return TrainingSet(
        states=torch.cat(states),
        weights=torch.cat(weights),
        height=height,
        width=width,
        captions=tuple(encode_prompt(backbone, caption) for caption in captions),
        caption_of=torch.tensor([captions[e.caption] for e in examples], device=backbone.device),
    )


def _cell_weights(example: TrainingExample, height: int, width: int, cells: torch.Size, part: float) -> torch.Tensor:
    """[1, 1, h', w'] for the fitted picture."""
    if example.focus is None:
        return torch.ones(1, 1, *cells)
    if example.focus.shape != example.image.shape[:2]:
        raise BadInput("training_focus_size", focus=list(example.focus.shape), picture=list(example.image.shape[:2]))
    grey = np.repeat(example.focus[..., None] * np.uint8(255), 3, axis=2)
    share = torch.from_numpy(fit_image(grey, height, width)[..., 0] / np.float32(255))[None, None]
    return focus_weights(torch.nn.functional.adaptive_avg_pool2d(share, (cells[0], cells[1]))[0], part)[None]
