"""Pictures as a platform shows them: in its size, cropped, labelled, no larger as a file than it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.errors import BadInput
from pipelines.references.cutout import Cutout, resize_cutout
from studio.domain.platforms import Platform
from studio.export.content_credentials import ContentCredentials
from studio.export.framing import Framing
from studio.export.provenance import Label, encode_labelled, stamp

__all__ = ["encode_for_platform", "encode_white", "render"]

_QUALITIES = (95, 90, 85, 75, 60)
_GOODS_SHARE = 0.82  # of the canvas, by the longer side: as shops show goods
_SOFT = 3  # the outline is made at so many times its size, and becomes smooth when it is reduced

Rgb = npt.NDArray[np.uint8]


def render(
    image: Rgb, framing: Framing, platform: Platform, drawn: tuple[int, int] | None = None
) -> Image.Image:  # fmt: skip
    """The window of a picture uint8 [h, w, 3] in the platform's size (Lanczos), with the label that is seen.

    `drawn` is the size (height, width) that the framing was chosen in; None: the picture's own.
    """
    picture = Image.fromarray(image)
    size, (height, width) = (framing.size[1], framing.size[0]), drawn or (picture.height, picture.width)
    left, top, right, bottom = framing.window
    across, down = picture.width / width, picture.height / height
    box = left * across, top * down, min(right * across, picture.width), min(bottom * down, picture.height)
    if picture.size != size or box != (0, 0, *picture.size):
        picture = picture.resize(size, Image.Resampling.LANCZOS, box=box)
    if framing.size != framing.canvas:
        whole = Image.new("RGB", (framing.canvas[1], framing.canvas[0]), "white")
        whole.paste(picture, (0, 0))
        picture = whole
    return stamp(picture, platform.language, framing.place) if framing.corner else picture


def encode_for_platform(
    image: Rgb,
    framing: Framing,
    platform: Platform,
    label: Label,
    texts: Mapping[str, str] | None = None,
    drawn: tuple[int, int] | None = None,
    credentials: ContentCredentials | None = None,
) -> bytes:
    """The file of a picture, signed where there are `credentials`; `drawn` as in `render`, `texts` as in
    `encode_labelled`. Raises BadInput where it is
    larger than the platform takes at any quality, or cannot be signed.
    """
    return _encode(render(image, framing, platform, drawn), platform, label, texts, credentials)


def encode_white(goods: Cutout, platform: Platform) -> bytes:
    """The file of goods alone, in the middle of pure white. Nothing of it was drawn, and so it has no label.

    Raises as `encode_for_platform`.
    """
    height, width = goods.mask.shape
    scale = min(_GOODS_SHARE * platform.width / width, _GOODS_SHARE * platform.height / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    large = resize_cutout(goods, (size[0] * _SOFT, size[1] * _SOFT))
    shown = Image.fromarray(np.where(large.mask[..., None], large.image, np.uint8(255)))
    canvas = Image.new("RGB", (platform.width, platform.height), "white")
    canvas.paste(shown.reduce(_SOFT), ((platform.width - size[0]) // 2, (platform.height - size[1]) // 2))
    return _encode(canvas, platform, None)


def _encode(
    image: Image.Image,
    platform: Platform,
    label: Label | None,
    texts: Mapping[str, str] | None = None,
    credentials: ContentCredentials | None = None,
) -> bytes:
    kind: Any = platform.format
    room = platform.max_bytes - (0 if credentials is None else credentials.most_bytes)
    for quality in _QUALITIES:
        data = encode_labelled(image, kind, label, quality, texts)
        if len(data) < platform.min_bytes and quality == _QUALITIES[0]:
            data = encode_labelled(image, kind, label, 100, texts)
        if len(data) <= room:
            return data if credentials is None or label is None else credentials.sign(data, kind, label.composite)
    raise BadInput("picture_over_platform_size", most=platform.max_bytes)
