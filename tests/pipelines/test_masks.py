"""A mask says its part by light or by transparency, and has the photo's shape: else a sentence, never a guess."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipelines.errors import BadPicture
from pipelines.masks import load_mask, load_weights
from pipelines.pictures import fit_mask, fit_to_canvas, load_scene
from tests.data import need


def test_mask_follows_the_scene_to_the_canvas(tmp_path: Path) -> None:
    scene = np.zeros((200, 300, 3), np.uint8)
    mask = np.zeros((200, 300), bool)
    scene[50:120, 100:160] = 255
    mask[50:120, 100:160] = True
    path = tmp_path / "mask.png"
    Image.fromarray(mask.astype(np.uint8) * 255).resize((600, 400)).save(path)
    read = load_mask(path, (200, 300))
    on_canvas, pixels = fit_mask(read, 256, 192), fit_to_canvas(scene, 256, 192)
    assert on_canvas.shape == (256, 192)
    assert (on_canvas == (pixels[..., 0] > 127)).mean() > 0.99


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_without_an_edge_is_refused(tmp_path: Path, value: int) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", (80, 80), value).save(path)
    with pytest.raises(BadPicture, match="mask_all_one_colour"):
        load_mask(path, (80, 80))


def test_a_photo_is_no_mask(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 80, 3), np.uint8)).save(path)
    with pytest.raises(BadPicture, match=r"mask_not_black_and_white.*photo\.png"):
        load_mask(path, (80, 80))


def test_a_mask_may_have_soft_edges(tmp_path: Path) -> None:
    path = tmp_path / "mask.jpg"
    hard = Image.new("L", (120, 120), 0)
    hard.paste(255, (40, 40, 90, 90))
    hard.filter(ImageFilter.GaussianBlur(3)).save(path)
    assert load_mask(path, (120, 120))[45:85, 45:85].all()


def _layer(colour: tuple[int, int, int], alpha: int = 255) -> Image.Image:
    """Paint on an empty layer, 80 × 100: the landmark at x 40–60, y 20–80."""
    layer = Image.new("RGBA", (80, 100), (0, 0, 0, 0))
    layer.paste((*colour, alpha), (40, 20, 60, 80))
    return layer


def _landmark() -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    mask = np.zeros((100, 80), np.bool_)
    mask[20:80, 40:60] = True
    return mask


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (90, 120, 60)])
@pytest.mark.parametrize("alpha", [255, 120])
def test_paint_on_an_empty_layer_is_the_landmark(tmp_path: Path, colour: tuple[int, int, int], alpha: int) -> None:
    _layer(colour, alpha).save(tmp_path / "a.png")
    assert (load_mask(tmp_path / "a.png", (100, 80)) == _landmark()).all()
    weights = load_weights(tmp_path / "a.png", (100, 80))
    assert (weights[_landmark()].min(), weights[~_landmark()].max()) == (255, 0)


@pytest.mark.parametrize("kind", ["WEBP", "P", "LA"])
def test_transparency_counts_in_every_format(tmp_path: Path, kind: str) -> None:
    layer = _layer((0, 0, 0))
    if kind == "WEBP":
        layer.save(tmp_path / "a", "WEBP", lossless=True)
    else:
        (layer.quantize(4) if kind == "P" else layer.convert("LA")).save(tmp_path / "a", "PNG")
    assert (load_mask(tmp_path / "a", (100, 80)) == _landmark()).all()


def test_a_mask_that_says_two_things_is_refused(tmp_path: Path) -> None:
    layer = Image.new("RGBA", (80, 100), (0, 0, 0, 0))
    layer.paste((0, 0, 0, 255), (20, 10, 70, 90))
    layer.paste((255, 255, 255, 255), (40, 20, 60, 80))
    layer.save(tmp_path / "a.png")
    with pytest.raises(BadPicture, match=r"mask_says_two_things.*a\.png"):
        load_mask(tmp_path / "a.png", (100, 80))
    Image.new("RGBA", (80, 100), (9, 9, 9, 0)).save(tmp_path / "a.png")
    with pytest.raises(BadPicture, match="mask_transparent"):
        load_mask(tmp_path / "a.png", (100, 80))


def test_one_colour_counts_on_black_and_is_refused_on_white(tmp_path: Path) -> None:
    for ground, fits in (((0, 0, 0), True), ((255, 255, 255), False)):
        flat = Image.new("RGB", (80, 100), ground)
        flat.paste((255, 0, 0), (40, 20, 60, 80))
        flat.save(tmp_path / "a.png")
        if fits:
            assert (load_mask(tmp_path / "a.png", (100, 80)) == _landmark()).all()
        else:
            with pytest.raises(BadPicture, match="mask_not_black_and_white"):
                load_mask(tmp_path / "a.png", (100, 80))


@pytest.mark.parametrize("size", [(160, 200), (240, 300), (67, 83)])
def test_a_mask_of_the_photos_shape_is_scaled(tmp_path: Path, size: tuple[int, int]) -> None:
    flat = Image.fromarray(_landmark().astype(np.uint8) * 255)
    flat.resize(size, Image.Resampling.NEAREST).save(tmp_path / "a.png")
    assert (load_mask(tmp_path / "a.png", (100, 80)) == _landmark()).mean() > 0.97


@pytest.mark.parametrize("size", [(100, 80), (100, 100), (80, 104), (512, 512)])
def test_a_mask_of_another_shape_is_refused_with_both_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(_landmark().astype(np.uint8) * 255).resize(size).save(tmp_path / "a.png")
    said = rf"mask_of_other_shape.*width={size[0]}, height={size[1]}, photo_width=80, photo_height=100"
    for load in (load_mask, load_weights):
        with pytest.raises(BadPicture, match=said):
            load(tmp_path / "a.png", (100, 80))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_of_the_stored_pixels_is_turned_with_them(tmp_path: Path, orientation: int) -> None:
    stored = np.zeros((100, 80, 3), np.uint8)
    stored[_landmark()] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    Image.fromarray(stored).save(tmp_path / "mask.png")
    photo = load_scene(tmp_path / "photo.png")
    assert photo.image.shape == (80, 100, 3)
    mask = load_mask(tmp_path / "mask.png", (80, 100), photo.orientation)
    assert (mask == (photo.image[..., 0] > 127)).all()


@pytest.mark.parametrize("name", ["black_on_transparent", "red_on_transparent", "white_on_transparent", "cut_out"])
def test_real_masks_by_transparency(name: str) -> None:
    folder = need("cases/mask-alpha")
    plain = load_mask(folder / "plain.png", (320, 240))
    assert (load_mask(folder / f"{name}.png", (320, 240)) == plain).mean() > 0.999


def test_real_masks_that_lie() -> None:
    folder = need("cases/mask-turned")
    photo = load_scene(folder / "photo.jpg")
    assert photo.image.shape == (240, 320, 3)
    mask = load_mask(folder / "mask.png", (240, 320), photo.orientation)
    stored = np.asarray(Image.open(folder / "mask.png").convert("L")) >= 128
    assert (mask == np.rot90(stored, -1)).all()
    with pytest.raises(BadPicture, match=r"mask_of_other_shape.*512"):
        load_mask(folder / "square.png", (240, 320), photo.orientation)
