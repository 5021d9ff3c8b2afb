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
from pipelines.training.buckets import BucketPlan, Frame, Measured
from pipelines.training.losses import focus_weights
from pipelines.training.pictures import Box

__all__ = [
    "TrainingExample", "TrainingSet", "fit_image", "hash_examples", "measure_example", "prepare_buckets",
    "prepare_examples",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrainingExample:
    """`image` uint8 [h, w, 3] RGB of any size, fitted to the canvas; `caption` as one would prompt it.

    `focus` bool [h, w] is what the loss weighs more (`focus_weights`), such as face and hair; None weighs all alike.
    `keep` are boxes in pixels that no crop may cut, such as faces and goods.
    """

    image: npt.NDArray[np.uint8]
    caption: str
    focus: npt.NDArray[np.bool_] | None = None
    keep: tuple[Box, ...] = ()


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Pictures as states [n, …] of one size, `height` x `width` pixels; a step reads `batch` of them.

    `weights` are those of the loss, `inside` what share of it is in the focus, both of the states' shape. `caption_of`
    [n] points into `captions`, of which the first is the empty one. `rows` say which of the examples each is, `frames`
    how it is shown, None fitted to the size.
    """

    states: torch.Tensor
    weights: torch.Tensor
    inside: torch.Tensor
    height: int
    width: int
    captions: tuple[TextEmbeds, ...]
    caption_of: torch.Tensor
    rows: tuple[int, ...]
    frames: tuple[Frame | None, ...]
    batch: int = 1


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
        if example.keep:
            digest.update(repr(example.keep).encode())
    return digest.hexdigest()


def measure_example(example: TrainingExample) -> Measured:
    """Return what buckets are planned from: its size, and the boxes of what must not be cut off.

    Without boxes of its own that is where its focus is, such as face and hair.
    """
    height, width = example.image.shape[:2]
    if example.keep or example.focus is None or not example.focus.any():
        return Measured(height, width, example.keep)
    ys, xs = np.nonzero(example.focus)
    return Measured(height, width, ((int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1),))


def prepare_examples(
    backbone: Backbone,
    examples: Sequence[TrainingExample],
    height: int,
    width: int,
    progress: Progress,
    focus: float = 0.3,
    batch: int = 1,
) -> TrainingSet:
    """Encode every picture (the posterior's mode), fitted to one size, and every different caption once."""
    views = [(row, None) for row in range(len(examples))]
    return _Encoder(backbone, examples, focus, progress, len(views)).encode(views, height, width, batch)


def prepare_buckets(
    backbone: Backbone,
    examples: Sequence[TrainingExample],
    plan: BucketPlan,
    progress: Progress,
    focus: float = 0.3,
) -> tuple[TrainingSet, ...]:
    """Encode every picture once for each window of it that a bucket shows, and every different caption once."""
    encoder = _Encoder(backbone, examples, focus, progress, sum(len(b.placements) for b in plan.buckets))
    return tuple(
        encoder.encode([(p.row, p.frame) for p in b.placements], b.height, b.width, b.batch) for b in plan.buckets
    )


class _Encoder:
    """Encodes views of examples; the same pixels at the same size and crop once."""

    def __init__(
        self, backbone: Backbone, examples: Sequence[TrainingExample], focus: float, progress: Progress, total: int
    ) -> None:
        self.backbone, self.examples, self.focus, self.progress, self.total = backbone, examples, focus, progress, total
        self.done = 0
        self.numbers = {"": 0}
        for example in examples:
            self.numbers.setdefault(example.caption, len(self.numbers))
        self.captions = tuple(encode_prompt(backbone, caption) for caption in self.numbers)
        self.latents: dict[tuple[bytes, int, int, Frame | None], torch.Tensor] = {}

    @torch.no_grad()
    def encode(self, views: Sequence[tuple[int, Frame | None]], height: int, width: int, batch: int) -> TrainingSet:
        """Return one set of the examples' rows, each as its frame says, or fitted to the size."""
        model, states, weights, inside = self.backbone.model, [], [], []
        for row, frame in views:
            self.progress.check_cancelled()
            example = self.examples[row]
            key = hashlib.sha256(example.image.tobytes()).digest(), height, width, frame
            if key not in self.latents:
                self.latents[key] = model.encode_pictures(_show(example.image, height, width, frame)[None])
            z = self.latents[key]
            share = _share(example, height, width, frame, z.shape[2:])
            cells = torch.ones_like(share)[None] if example.focus is None else focus_weights(share, self.focus)[None]
            states.append(model.pack(z))
            weights.append(model.pack(cells.expand(z.shape).to(z.device)))
            inside.append(model.pack(share[None].expand(z.shape).to(z.device)))
            self.done += 1
            self.progress.tell(StageProgress(Stage(PipelineStage.ENCODE), self.done, self.total))
        return TrainingSet(
            states=torch.cat(states),
            weights=torch.cat(weights),
            inside=torch.cat(inside),
            height=height,
            width=width,
            captions=self.captions,
            caption_of=torch.tensor(
                [self.numbers[self.examples[row].caption] for row, _ in views], device=self.backbone.device
            ),
            rows=tuple(row for row, _ in views),
            frames=tuple(frame for _, frame in views),
            batch=batch,
        )


def _show(image: npt.NDArray[np.uint8], height: int, width: int, frame: Frame | None) -> npt.NDArray[np.uint8]:
    if frame is None:
        return fit_image(image, height, width)
    x0, y0, x1, y1 = frame.window
    return fit_image(np.ascontiguousarray(image[y0:y1, x0:x1]), height, width)


def _share(example: TrainingExample, height: int, width: int, frame: Frame | None, cells: torch.Size) -> torch.Tensor:
    """[1, h', w']: how much of each cell of the shown picture is in its focus."""
    if example.focus is None:
        return torch.zeros(1, *cells)
    if example.focus.shape != example.image.shape[:2]:
        raise BadInput("training_focus_size", focus=list(example.focus.shape), picture=list(example.image.shape[:2]))
    grey = np.repeat(example.focus[..., None] * np.uint8(255), 3, axis=2)
    share = torch.from_numpy(_show(grey, height, width, frame)[..., 0] / np.float32(255))[None, None]
    return torch.nn.functional.adaptive_avg_pool2d(share, (cells[0], cells[1]))[0]
