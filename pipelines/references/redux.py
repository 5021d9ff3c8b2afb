"""Implicit reference: Redux turns a scene picture into tokens that the transformer reads after the text.

`FluxPriorReduxPipeline` scales text and image tokens together and sums over pictures (diffusers' source).
Here its encoder and embedder are called on their own and only the image tokens are scaled, so that a weaker
scene does not mean a weaker prompt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from pipelines.backbones import Backbone, PromptEmbeds
from pipelines.errors import BadInput

__all__ = ["ReduxReference", "append_tokens", "encode_reference", "fill_foreground"]

_MIN_BACKGROUND = 0.25  # a token is dropped if less of its patch than this is background


@dataclass(frozen=True, eq=False)
class ReduxReference:
    """A scene picture, uint8 [h, w, 3], and how much of it to use.

    `mask` bool [h, w]: True is a person or other foreground, to be left out. `scale` in [0, 1]: 0 is exactly
    no reference, 1 all of it. `pool`: side of the square of tokens that are averaged into one (FLUX: 3 makes
    81 of 729). `guided`: whether classifier-free guidance pushes towards the reference too (its negative side
    then sees the tokens at scale 0), or only towards the text (both sides see them).
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_] | None = None
    scale: float = 1.0
    pool: int = 1
    guided: bool = False

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8 or 0 in self.image.shape:
            raise BadInput(f"The scene picture has shape {self.image.shape}.", "Give an RGB picture, uint8 [h, w, 3].")
        if not (math.isfinite(self.scale) and 0 <= self.scale <= 1):
            raise BadInput(f"The scene's scale is {self.scale}.", "Choose a number from 0 (off) to 1.")
        if self.pool < 1:
            raise BadInput(f"The scene's tokens cannot be pooled by {self.pool}.", "Choose 1 (none) or more.")
        if self.mask is not None and self.mask.shape != self.image.shape[:2]:
            raise BadInput(
                f"The foreground mask has shape {self.mask.shape}, the picture {self.image.shape[:2]}.",
                "Give a mask of the picture's size.",
            )
        if self.mask is not None and self.mask.all():
            raise BadInput("The foreground mask leaves nothing of the scene.", "Mark only the person.")


def fill_foreground(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Replace masked pixels by their nearest unmasked ones, blurred: colour without the person's shape."""
    if not mask.any():
        return image
    if mask.all():
        raise BadInput("The foreground mask leaves nothing of the scene.", "Mark only the person.")
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    filled = image[nearest[0], nearest[1]].astype(np.float32)
    blur = max(1.0, min(mask.shape) / 48)
    smooth = ndimage.gaussian_filter(filled, (blur, blur, 0))
    return np.where(mask[..., None], smooth.round(), image).astype(np.uint8)


@torch.no_grad()
def encode_reference(backbone: Backbone, reference: ReduxReference) -> torch.Tensor:
    """The reference's unscaled tokens [1, n, d], n ≤ ceil(g / pool)² for a g×g patch encoder.

    Masked pixels are filled before encoding, because every token sees the whole picture; tokens that lie
    mostly on them are dropped, and the others are averaged in proportion to the background they hold.
    """
    image = reference.image
    mask = np.zeros(image.shape[:2], np.bool_) if reference.mask is None else reference.mask
    pipeline = backbone.redux
    hidden = pipeline.encode_image(Image.fromarray(fill_foreground(image, mask)), backbone.device, 1)
    tokens = pipeline.image_embedder(hidden).image_embeds.float()  # [1, g·g, d]
    side = math.isqrt(tokens.shape[1])
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))  # [1, d, g, g]
    # the encoder squeezes the whole picture to its square, so a patch is an equal share of each side
    background = torch.from_numpy(~mask).to(backbone.device, torch.float32)[None, None]
    share = F.adaptive_avg_pool2d(background, side)  # [1, 1, g, g], in [0, 1]
    if reference.pool > 1:
        pooled_share = F.avg_pool2d(share, reference.pool, ceil_mode=True, count_include_pad=False)
        summed = F.avg_pool2d(grid * share, reference.pool, ceil_mode=True, count_include_pad=False)
        grid, share = summed / pooled_share.clamp_min(1e-6), pooled_share
    kept = share.flatten() >= min(_MIN_BACKGROUND, float(share.max()))
    chosen: torch.Tensor = grid.flatten(2).transpose(1, 2)[:, kept]
    return chosen.to(backbone.dtype)


def append_tokens(embeds: PromptEmbeds, tokens: torch.Tensor, scale: float) -> PromptEmbeds:
    """[text ; scale · tokens] along the sequence; the pooled embedding stays the text's."""
    return PromptEmbeds(torch.cat([embeds.prompt_embeds, tokens * scale], dim=1), embeds.pooled)
