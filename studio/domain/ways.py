"""The ways to show a place and goods, and which go together: known before anything is drawn, without torch."""

from __future__ import annotations

from typing import Any

from pipelines.errors import BadInput
from pipelines.references.catalogue import kinds_that
from studio.domain.requests import PostRequest

__all__ = ["GOODS_WAYS", "INJECT_WAYS", "KEEP_WAYS", "NO_DIALS", "check_ways"]

INJECT_WAYS = kinds_that("show")
KEEP_WAYS = kinds_that("keep")
GOODS_WAYS = ("pixels", "reference")
NO_DIALS: dict[str, Any] = {"weights": None, "pool": 1, "merge": 1.0, "references": []}


def check_ways(request: PostRequest) -> None:
    """Raises BadInput for ways that do not exist or do not go together."""
    for name, value, ways in (
        ("injected", request.inject, INJECT_WAYS),
        ("kept", request.keep, KEEP_WAYS),
        ("shown", request.goods_as, GOODS_WAYS),
    ):
        if value not in ways:
            raise BadInput(f"Nothing is {name} by {value!r}.", f"Choose {' or '.join(ways)}.")
    if not request.scale >= 0:  # true for NaN too
        raise BadInput(f"The scene's scale is {request.scale}.", "Choose a number from 0 (off) to 1.")
    _check_dials(request)
    if request.goods_box is not None and request.goods is None:
        raise BadInput("There is a box for goods and no goods.", "Name the product's photo, or leave the box out.")
    if request.goods_as == "reference" and request.goods is not None and request.scale == 0:
        raise BadInput(
            "With a scale of 0 no reference is shown, so the goods would not be seen.",
            "Choose a larger scale, or show the goods as pixels.",
        )
    landmark = request.keep_landmark and request.scene["landmark"] is not None
    if request.keep == "fill" and not landmark and (request.goods is None or request.goods_as == "reference"):
        raise BadInput(
            "Fill needs something to keep, and neither a landmark nor the goods' pixels are kept.",
            "Give the landmark's mask, or keep by inpainting (inpaint).",
        )
    if request.keep == "fill" and request.inject == "ip-adapter" and request.scale > 0:
        raise BadInput(
            "No IP-Adapter was made for Fill.",
            "Keep the landmark by inpainting (inpaint), or show the reference through Redux (redux).",
        )
    if request.keep == "fill" and request.inject == "kontext" and request.scale > 0:
        raise BadInput(
            "Fill and Kontext are two models, and one picture is drawn by one of them.",
            "Keep the landmark by inpainting (inpaint), or show the reference through Redux (redux).",
        )


def _check_dials(request: PostRequest) -> None:
    """Raises BadInput for dials that the chosen way does not have."""
    dials, inject = request.redux or NO_DIALS, request.inject
    if request.blocks and inject != "ip-adapter":
        raise BadInput(f"Blocks are a dial of the IP-Adapter, and the way is {inject}.", "Inject by ip-adapter.")
    if (dials["weights"], dials["pool"], dials["merge"]) != (None, 1, 1.0) and inject != "redux":
        raise BadInput(f"Weights, pooling and merging are dials of Redux, and the way is {inject}.", "Inject by redux.")
    if dials["references"] and inject not in ("redux", "ip-adapter"):
        raise BadInput(f"By {inject} one reference is shown, not several.", "Inject by redux or ip-adapter.")
