"""Implicit reference: Redux turns a scene picture into tokens that the transformer reads after the text.

`FluxPriorReduxPipeline` scales text and image tokens together and sums over pictures (diffusers' source).
Here its encoder and embedder are called on their own and only the image tokens are scaled, so that a weaker
scene does not mean a weaker prompt.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.flux1.model import PromptEmbeds
from pipelines.families.flux1.redux import load_redux
from pipelines.pictures import check_rgb
from pipelines.references.protocol import Conditions, Reference, Request

__all__ = [
    "ReduxReference",
    "ReduxReferences",
    "append_tokens",
    "encode_reference",
    "fill_foreground",
    "merge_tokens",
]

_MIN_BACKGROUND = 0.25  # a token is dropped if less of its patch than this is background


class _Redux(Reference):
    """Base of one Redux reference and of several."""

    kind: ClassVar[str] = "redux"
    families: ClassVar[tuple[str, ...]] = ("flux1",)

    def check(self, request: Request) -> None:
        ours = [r for r in request.references if isinstance(r, ReduxReference | ReduxReferences)]
        if len({r.guided for r in ours}) > 1:
            raise BadInput("redux_guided_in_part")

    @staticmethod
    def extend(
        conditions: Conditions,
        references: Sequence[ReduxReference | ReduxReferences],
        encoded: Sequence[torch.Tensor],
    ) -> None:
        """Both sides of guidance get the tokens, so that they are equally long."""
        for i, (reference, tokens) in enumerate(zip(references, encoded, strict=True)):
            conditions.text[i] = append_tokens(conditions.text[i], tokens, reference.scale)
            if conditions.negative:
                against = 0.0 if reference.guided else reference.scale
                conditions.negative[i] = append_tokens(conditions.negative[i], tokens, against)


@dataclass(frozen=True, eq=False)
class ReduxReference(_Redux):
    """A scene picture, uint8 [h, w, 3], and how much of it to use.

    `mask` bool [h, w]: True is a person or other foreground, to be left out. `scale` in [0, 1]: 0 is exactly
    no reference, 1 all of it. `pool`: side of the square of tokens that are averaged into one (FLUX: 3 makes
    81 of 729). `weights` [a, b] in [0, 1], of any size, lies over the whole picture: each token is multiplied by
    what it has of it, and left out where that is 0. `guided`: whether classifier-free guidance pushes towards
    the reference too (its negative side then sees the tokens at scale 0), or only towards the text (both sides see
    them).
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_] | None = None
    scale: float = 1.0
    pool: int = 1
    guided: bool = True
    weights: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        check_rgb(self.image)
        if not (math.isfinite(self.scale) and 0 <= self.scale <= 1):
            raise BadInput("scene_scale_out_of_range", scale=self.scale)
        if self.pool < 1:
            raise BadInput("scene_pool_invalid", pool=self.pool)
        if self.mask is not None and self.mask.shape != self.image.shape[:2]:
            raise BadInput("foreground_mask_size", mask=list(self.mask.shape), picture=list(self.image.shape[:2]))
        if self.mask is not None and self.mask.all():
            raise BadInput("foreground_covers_scene")
        weights = self.weights
        # written so that NaN is refused
        if weights is not None and not (weights.ndim == 2 and weights.size and ((weights >= 0) & (weights <= 1)).all()):
            raise BadInput("scene_weights_invalid", shape=list(weights.shape))

    @classmethod
    def show(cls, image: npt.NDArray[np.uint8], scale: float) -> ReduxReference:
        return cls(image, scale=scale)

    def key(self) -> Hashable | None:
        """References with the same key give the same number of tokens."""
        if self.scale == 0:
            return None
        mask = b"" if self.mask is None else _bits(self.mask)
        zeros = b"" if self.weights is None else repr(self.weights.shape).encode() + _bits(self.weights > 0)
        return (self.pool, hashlib.sha256(mask).hexdigest(), hashlib.sha256(zeros).hexdigest())

    def encode(self, backbone: Backbone) -> torch.Tensor:
        return encode_reference(backbone, self)


@dataclass(frozen=True, eq=False)
class ReduxReferences(_Redux):
    """Several references at once: their tokens in a row, each at its own scale.

    `merge` in (0, 1]: tokens whose cosine is at least this become one, their mean; 1 leaves all as they are.
    """

    references: tuple[ReduxReference, ...]
    merge: float = 1.0

    def __post_init__(self) -> None:
        if not self.references:
            raise BadInput("references_empty")
        if not 0 < self.merge <= 1:  # false for NaN too
            raise BadInput("scene_merge_out_of_range", merge=self.merge)
        if len({r.guided for r in self.references}) > 1:
            raise BadInput("redux_guided_in_part")

    def key(self) -> Hashable | None:
        """As each one's, and where tokens are merged the pictures: which are alike depends on what they show."""
        keys = tuple(key for r in self.references if (key := r.key()) is not None)
        if not keys:
            return None
        if self.merge == 1:
            return keys
        pictures = tuple(hashlib.sha256(r.image.tobytes()).hexdigest() for r in self.references if r.scale > 0)
        return (*keys, *pictures, self.merge)

    def encode(self, backbone: Backbone) -> torch.Tensor:
        return encode_reference(backbone, self)

    @property
    def guided(self) -> bool:
        return self.references[0].guided

    @property
    def scale(self) -> float:
        """0 where all of them are off, else 1: the tokens hold each reference's own scale already."""
        return float(any(r.scale > 0 for r in self.references))


def fill_foreground(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Replace masked pixels by their nearest unmasked ones, blurred: colour without the person's shape."""
    if not mask.any():
        return image
    if mask.all():
        raise BadInput("foreground_covers_scene")
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    filled = image[nearest[0], nearest[1]].astype(np.float32)
    blur = max(1.0, min(mask.shape) / 48)
    smooth = ndimage.gaussian_filter(filled, (blur, blur, 0))
    return np.where(mask[..., None], smooth.round(), image).astype(np.uint8)


@torch.no_grad()
def encode_reference(backbone: Backbone, reference: ReduxReference | ReduxReferences) -> torch.Tensor:
    """The reference's tokens [1, n, d], weighted but not yet scaled by `reference.scale`; n may be 0.

    One reference gives n ≤ ceil(g / pool)² for a g×g patch encoder, several (of which one at least has a scale above 0)
    their sum or, merged, less. Raises BadInput where masks and weights together leave nothing.
    """
    if isinstance(reference, ReduxReference):
        return _weighted_tokens(backbone, reference).to(backbone.dtype)
    tokens = torch.cat([_weighted_tokens(backbone, r) * r.scale for r in reference.references if r.scale > 0], dim=1)
    if reference.merge < 1 and tokens.shape[1]:
        tokens = merge_tokens(tokens[0], reference.merge)[None]
    return tokens.to(backbone.dtype)


def merge_tokens(tokens: torch.Tensor, merge: float) -> torch.Tensor:
    """Tokens [n, d], those of one direction (cosine ≥ `merge`) replaced by their mean: [m, d], m ≤ n.

    In order: each token joins the first one before it that it is near to, so the result does not depend on chance.
    """
    unit = F.normalize(tokens.float(), dim=1)
    near = unit @ unit.T >= merge  # [n, n]
    left = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
    merged = []
    for first in range(len(tokens)):
        if left[first]:
            group = near[first] & left
            group[first] = True
            left &= ~group
            merged.append(tokens[group].mean(dim=0))
    return torch.stack(merged)


def _weighted_tokens(backbone: Backbone, reference: ReduxReference) -> torch.Tensor:
    """Float32 [1, n, d] before the scale.

    Masked pixels are filled before encoding, because every token sees the whole picture. Tokens that lie
    mostly on them are dropped, and the others are averaged in proportion to the background they hold; none is where the
    encoder has learnt what to expect there, and says so (`fills_foreground` in its configuration).
    """
    image = reference.image
    mask = np.zeros(image.shape[:2], np.bool_) if reference.mask is None else reference.mask
    pipeline = backbone.loaded_beside(
        "redux",
        backbone.spec.companions.get("redux"),
        lambda f: load_redux(f, backbone.spec.id, backbone.device, backbone.dtype),
    )
    hidden = pipeline.encode_image(Image.fromarray(fill_foreground(image, mask)), backbone.device, 1)
    tokens = pipeline.image_embedder(hidden).image_embeds.float()  # [1, g·g, d]
    side = math.isqrt(tokens.shape[1])
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))  # [1, d, g, g]
    # the encoder squeezes the whole picture to its square, so a patch is an equal share of each side
    background = torch.from_numpy(~mask).to(backbone.device, torch.float32)[None, None]
    share = F.adaptive_avg_pool2d(background, side)  # [1, 1, g, g], in [0, 1]
    if getattr(pipeline.image_encoder.config, "fills_foreground", False):
        share = torch.ones_like(share)
    given = np.ones((1, 1), np.float32) if reference.weights is None else reference.weights.astype(np.float32)
    weight = F.adaptive_avg_pool2d(torch.from_numpy(given).to(backbone.device)[None, None], side)
    if reference.pool > 1:
        pooled_share = _pool(share, reference.pool)
        grid, share = _pool(grid * share, reference.pool) / pooled_share.clamp_min(1e-6), pooled_share
        weight = _pool(weight, reference.pool)
    wanted = weight.flatten() > 0
    kept = wanted & (share.flatten() >= min(_MIN_BACKGROUND, float(share.max())))
    if wanted.any() and not kept.any():
        raise BadInput("weights_under_foreground")
    return (grid * weight).flatten(2).transpose(1, 2)[:, kept]


def _bits(flags: npt.NDArray[np.bool_]) -> bytes:
    return np.packbits(flags).tobytes()


def _pool(grid: torch.Tensor, side: int) -> torch.Tensor:
    return F.avg_pool2d(grid, side, ceil_mode=True, count_include_pad=False)


def append_tokens(embeds: PromptEmbeds, tokens: torch.Tensor, scale: float) -> PromptEmbeds:
    """[text ; scale · tokens] along the sequence; the pooled embedding stays the text's."""
    return PromptEmbeds(torch.cat([embeds.prompt_embeds, tokens * scale], dim=1), embeds.pooled)
