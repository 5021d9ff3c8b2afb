"""What is wrong with a picture as a picture is measured, and what is right is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from personas.datasets.limits import Limits
from personas.datasets.technical import measure_technical
from pipelines.pictures import load_scene
from tests.data import FOLDER, need

PORTRAITS = sorted((FOLDER / "faces/xverse_human").glob("*.jpg"))
LIMITS = Limits()
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def portraits() -> list[Picture]:
    need("faces/xverse_human")
    return [load_scene(path).image for path in PORTRAITS]


def test_photos_as_they_come_have_no_fault(portraits: list[Picture]) -> None:
    for photo in portraits:
        told = measure_technical(photo)
        assert told.crisp > LIMITS.crisp
        assert told.noise < LIMITS.noise
        assert told.spread > LIMITS.spread
        assert told.bars <= LIMITS.bars
        assert told.brightest > LIMITS.brightest
        assert told.darkest < LIMITS.darkest
        assert told.blocks < LIMITS.blocks


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_blurred(portraits: list[Picture], radius: int) -> None:
    for photo in portraits:
        soft = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))
        assert measure_technical(soft).crisp < LIMITS.crisp


def test_enlarged_twice_is_no_more_than_blurred_and_half_the_size_is_sharp(portraits: list[Picture]) -> None:
    for photo in portraits:
        image = Image.fromarray(photo)
        half = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
        assert measure_technical(np.asarray(half)).crisp > LIMITS.crisp
        again = half.resize(image.size, Image.Resampling.BICUBIC)
        assert measure_technical(np.asarray(again)).crisp < LIMITS.crisp


def test_a_soft_background_is_no_fault(portraits: list[Picture]) -> None:
    photo = portraits[4]
    soft = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(6))).copy()
    height, width = photo.shape[:2]
    middle = slice(height // 4, 3 * height // 4), slice(width // 4, 3 * width // 4)
    soft[middle] = photo[middle]
    assert measure_technical(soft).crisp > LIMITS.crisp


def test_contrast_does_not_change_how_sharp_it_is(portraits: list[Picture]) -> None:
    photo = portraits[4]
    flat = (110 + photo * 0.3).astype(np.uint8)
    assert measure_technical(flat).crisp == pytest.approx(measure_technical(photo).crisp, rel=0.25)


def test_noise_bars_dark_pale_flat(portraits: list[Picture]) -> None:
    photo = portraits[4]
    rng = np.random.default_rng(1)
    noisy = np.clip(photo + rng.normal(0, 30, photo.shape), 0, 255).astype(np.uint8)
    assert measure_technical(noisy).noise > LIMITS.noise
    barred = photo.copy()
    barred[:60] = barred[-60:] = 0
    assert measure_technical(barred).bars == pytest.approx(120 / len(photo), abs=0.02)
    one_side = photo.copy()
    one_side[:60] = 0
    assert measure_technical(one_side).bars == 0  # a ceiling, a table
    assert measure_technical((photo * 0.2).astype(np.uint8)).brightest < LIMITS.brightest
    assert measure_technical((245 + photo // 26).astype(np.uint8)).darkest > LIMITS.darkest
    assert measure_technical(np.full((100, 100, 3), 90, np.uint8)).spread < LIMITS.spread


def test_strong_compression_shows_its_blocks(portraits: list[Picture]) -> None:
    import io

    file = io.BytesIO()
    Image.fromarray(portraits[4]).save(file, "JPEG", quality=12)
    assert measure_technical(np.asarray(Image.open(file).convert("RGB"))).blocks > LIMITS.blocks


@pytest.mark.parametrize("shape", [(64, 64), (64, 2000), (2000, 64), (3000, 2500)])
def test_any_shape_is_measured(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    told = measure_technical(grey)
    assert all(np.isfinite(value) for value in vars(told).values())
