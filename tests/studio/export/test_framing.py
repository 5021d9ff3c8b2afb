"""The label never lies on goods or a face, and the crop holds them, wherever they are."""

from __future__ import annotations

import io
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipelines.references.cutout import Cutout
from studio.domain.bundle import Corner
from studio.domain.platforms import Platform, find_platform, load_platforms
from studio.export.framing import Content, choose_window, frame_picture
from studio.export.pictures import encode_white, render
from studio.export.provenance import label_size

HEIGHT, WIDTH = 256, 192
CORNERS = [corner for corner in get_args(Corner) if " " in corner]
LABELLED = [row for row in load_platforms() if row.label == "visible"]
PLACES = {  # where goods stand in eight posts: each corner, each side
    "bottom right": (0.6, 0.7, 1.0, 1.0), "bottom left": (0.0, 0.7, 0.4, 1.0), "top right": (0.6, 0.0, 1.0, 0.3),
    "top left": (0.0, 0.0, 0.4, 0.3), "bottom": (0.0, 0.8, 1.0, 1.0), "right": (0.7, 0.0, 1.0, 1.0),
    "left": (0.0, 0.0, 0.3, 1.0), "middle": (0.3, 0.3, 0.7, 0.7),
}  # fmt: skip

Mask = npt.NDArray[np.bool_]


def box(left: float, top: float, right: float, bottom: float) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[round(top * HEIGHT) : round(bottom * HEIGHT), round(left * WIDTH) : round(right * WIDTH)] = True
    return mask


def content(**masks: Mask) -> Content:
    return Content(HEIGHT, WIDTH, masks)  # type: ignore[arg-type]


def replace_strip(platform: Platform) -> Platform:
    """The platform as it would be without a strip below its pictures."""
    return platform.model_copy(update={"strip": False})


def labelled_pixels(shown: Content, platform: Platform) -> Mask:
    """Where the label changed the picture, as a mask of the platform's canvas."""
    rng = np.random.default_rng(3)
    image = rng.integers(60, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    framing = frame_picture(shown, platform)
    bare = render(image, type(framing)(**vars(framing) | {"corner": ""}), platform)
    return np.asarray((np.asarray(render(image, framing, platform)) != np.asarray(bare)).any(axis=2))


def on_canvas(shown: Content, mask: Mask, platform: Platform) -> Mask:
    """A mask of the drawn picture where the platform shows it."""
    framing = frame_picture(shown, platform)
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(
        (framing.size[1], framing.size[0]), Image.Resampling.BILINEAR, box=framing.window
    )
    found = np.zeros(framing.canvas, np.bool_)
    found[: framing.size[0]] = np.asarray(grey) > 0
    return found


@pytest.mark.parametrize("platform", LABELLED, ids=lambda row: row.id)
def test_the_label_is_off_the_goods_in_eight_of_eight(platform: Platform) -> None:
    off = 0
    for place in PLACES.values():
        shown = content(goods=box(*place), face=box(0.4, 0.1, 0.6, 0.3), person=box(0.2, 0.1, 0.8, 1))
        label = labelled_pixels(shown, platform)
        assert label.sum() > 500
        lies_on = (label & on_canvas(shown, shown.masks["goods"], platform)).any()
        off += not lies_on
        assert not (label & on_canvas(shown, shown.masks["face"], platform)).any()
    assert off == len(PLACES) == 8


@pytest.mark.parametrize("corner", CORNERS)
def test_the_one_free_corner_is_found(corner: Corner) -> None:
    taken = np.logical_or.reduce([box(*PLACES[other]) for other in CORNERS if other != corner])
    framing = frame_picture(content(goods=taken), find_platform("taobao"))
    assert (framing.corner, framing.covers) == (corner, ())


def test_faces_count_more_than_goods_and_both_more_than_a_landmark() -> None:
    frame, everywhere = find_platform("taobao"), box(0, 0, 1, 1)
    assert frame_picture(content(), frame).corner == "bottom right"
    assert frame_picture(content(landmark=box(*PLACES["bottom"])), frame).corner == "top right"
    assert frame_picture(content(landmark=everywhere & ~box(*PLACES["top left"])), frame).corner == "top left"
    goods = everywhere & ~box(*PLACES["bottom left"])
    assert frame_picture(content(goods=goods, landmark=box(*PLACES["bottom"])), frame).corner == "bottom left"
    only_face_free = everywhere & ~box(*PLACES["top right"])
    assert frame_picture(content(face=only_face_free, goods=everywhere), frame).corner == "top right"


def test_where_no_corner_is_free_the_platform_decides() -> None:
    full = content(goods=box(0, 0, 1, 1))
    strict, lenient = frame_picture(full, find_platform("taobao")), frame_picture(full, find_platform("xiaohongshu"))
    assert (strict.corner, strict.covers) == ("bottom right", ("goods",))
    assert (lenient.corner, lenient.covers) == ("below", ())
    assert not (labelled_pixels(full, find_platform("xiaohongshu"))[: lenient.size[0]]).any()
    assert lenient.size[0] < lenient.canvas[0] == 1440


@pytest.mark.parametrize("part", ["face", "goods"])
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("platform", [row for row in LABELLED if row.id != "instagram-wide"], ids=lambda row: row.id)
def test_where_no_corner_is_free_least_is_covered(platform: Platform, corner: Corner, part: str) -> None:
    """A part is everywhere, and thinner in one quarter of the picture: there the label lies. A wide crop leaves the
    thin quarter out.
    """
    row, everywhere = replace_strip(platform), box(0, 0, 1, 1)
    left, top = 0.5 * ("right" in corner), 0.5 * ("bottom" in corner)
    quarter, whole = box(left, top, left + 0.5, top + 0.5), frame_picture(content(**{part: everywhere}), row)
    assert (whole.corner, whole.covers) == ("bottom right", (part,))
    for share in (0.05, 0.5, 0.85):
        thin = np.random.default_rng(1).random((HEIGHT, WIDTH)) < share
        framing = frame_picture(content(**{part: everywhere & ~quarter | quarter & thin}), row)
        assert (framing.corner, framing.covers) == (corner, (part,)), share


def test_a_face_is_not_covered_to_spare_goods() -> None:
    row = find_platform("taobao")
    face = box(*PLACES["bottom left"]) | box(0.6, 0.95, 1.0, 1.0) | box(*PLACES["top right"]) | box(0, 0, 0.4, 0.3)
    goods = box(0, 0, 1, 1) & ~box(*PLACES["bottom left"])
    assert frame_picture(content(face=face, goods=goods), row).corner == "bottom right"


@pytest.mark.parametrize("platform", LABELLED, ids=lambda row: row.id)
def test_letters_are_a_twentieth_of_the_shorter_side(platform: Platform) -> None:
    label = labelled_pixels(content(), platform)
    rows, columns = np.flatnonzero(label.any(axis=1)), np.flatnonzero(label.any(axis=0))
    size = label_size(label.shape, platform.language)  # type: ignore[arg-type]
    assert size.height - 2 * (size.margin // 2) >= 0.05 * min(label.shape)
    assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == (size.height, size.width)
    assert columns[-1] < label.shape[1]
    assert rows[0] >= platform.free_top
    assert rows[-1] < label.shape[0] - platform.free_bottom


def test_it_speaks_the_platforms_language() -> None:
    widths = {language: label_size((1440, 1080), language).width for language in ("zh", "en")}  # type: ignore[arg-type]
    assert widths["en"] > 1.5 * widths["zh"]
    chinese = labelled_pixels(content(), find_platform("xiaohongshu")).sum()
    assert labelled_pixels(content(), find_platform("instagram")).sum() > 1.3 * chinese


@pytest.mark.parametrize(
    ("platform", "face", "goods", "cut"),
    [
        ("taobao-square", (0.4, 0.02, 0.6, 0.2), (0.4, 0.5, 0.6, 0.74), ()),  # above the middle
        ("taobao-square", (0.4, 0.3, 0.6, 0.5), (0.4, 0.8, 0.6, 1.0), ()),  # below it
        ("tiktok-tall", (0.05, 0.1, 0.3, 0.3), (0.4, 0.5, 0.7, 0.8), ()),  # left of it
        ("instagram-wide", (0.4, 0.0, 0.6, 0.2), (0.4, 0.8, 0.6, 1.0), ("goods",)),  # too far apart: the face stays
    ],
)  # fmt: skip
def test_face_and_goods_stay_inside_the_crop(platform: str, face: Any, goods: Any, cut: tuple[str, ...]) -> None:
    shown = content(face=box(*face), goods=box(*goods))
    framing = frame_picture(shown, find_platform(platform))
    assert framing.cut == cut
    left, top, right, bottom = framing.window
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    inside[top:bottom, left:right] = True
    assert not (shown.masks["face"] & ~inside).any()
    assert abs((right - left) / (bottom - top) / (framing.size[1] / framing.size[0]) - 1) < 0.02


def test_with_nothing_to_lose_the_crop_is_the_middle() -> None:
    assert choose_window(content(), 1.0) == (0, 32, 192, 224)
    assert choose_window(content(), WIDTH / HEIGHT) == (0, 0, WIDTH, HEIGHT)
    assert choose_window(content(face=box(0.4, 0.3, 0.6, 0.5)), 1.0) == (0, 32, 192, 224)


def test_what_the_platforms_buttons_cover_is_said() -> None:
    story = find_platform("instagram-story")
    assert frame_picture(content(face=box(0.4, 0.0, 0.6, 0.1)), story).hidden == ("face",)
    assert frame_picture(content(goods=box(0.4, 0.9, 0.6, 1.0)), story).hidden == ("goods",)
    assert frame_picture(content(face=box(0.4, 0.3, 0.6, 0.5)), story).hidden == ()


def test_goods_alone_on_pure_white() -> None:
    yy, xx = np.mgrid[:200, :120]
    mask = ((yy - 100) / 100) ** 2 + ((xx - 60) / 60) ** 2 <= 1
    image = np.where(mask[..., None], np.array([170, 40, 60], np.uint8), np.array([20, 90, 200], np.uint8))
    platform = find_platform("taobao-white")
    data = encode_white(Cutout(image, mask), platform)
    assert len(data) <= platform.max_bytes
    assert b"trainedAlgorithmicMedia" not in data  # nothing of it was drawn
    seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert seen.shape == (800, 800, 3)
    border = np.ones((800, 800), np.bool_)
    border[60:740, 60:740] = False
    assert (seen[border] == 255).all()
    goods = np.any(seen < 250, axis=2)
    rows, columns = np.flatnonzero(goods.any(axis=1)), np.flatnonzero(goods.any(axis=0))
    assert abs(rows[0] + rows[-1] - 799) <= 2
    assert abs(columns[0] + columns[-1] - 799) <= 2
    assert rows[-1] - rows[0] > 600
    assert columns[-1] - columns[0] > 300
    assert not (seen[..., 2] > seen[..., 0] + 60).any()  # nothing of the photo's blue background
    np.testing.assert_allclose(seen[400, 400], [170, 40, 60], atol=6)
