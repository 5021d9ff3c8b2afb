"""A scene keeps what is shown of its photo, by shape; its mask can be opened again and corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydantic import ValidationError

from pipelines.errors import BadInput
from pipelines.pictures import fit_mask, fit_to_canvas
from pipelines.shapes import SHAPES, canvas_size, nearest_shape, shape_ratio
from studio.application import Studio
from studio.domain.scene import Crop, Scene, check_crops, usual_crop
from studio.library.records import MarkRecord
from studio.library.results import find_result
from studio.library.scenes import add_scene, change_scene, get_mask, mask_share, scenes_of
from studio.settings import ASSETS, Settings

PHOTO, MASK = ASSETS / "scenes" / "cafe.png", ASSETS / "scenes" / "cafe_landmark.png"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def wide_photo(tmp_path: Path) -> Path:
    """400×300, its columns brighter to the right."""
    Image.fromarray(np.tile(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], (300, 1, 3))).save(
        tmp_path / "wide.png"
    )
    return tmp_path / "wide.png"


@pytest.mark.parametrize("size", [(256, 192), (300, 400), (512, 512), (200, 640)])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_nobody_chose_a_crop_it_is_the_middle_as_ever(shape: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 255, (*size, 3)).astype(np.uint8)
    width = round(256 * shape_ratio(shape))  # type: ignore[arg-type]
    plain = fit_to_canvas(image, 256, width)
    np.testing.assert_array_equal(
        plain, np.asarray(ImageOps.fit(Image.fromarray(image), (width, 256), Image.Resampling.LANCZOS))
    )
    left, top, right, bottom = usual_crop(shape, *size)  # type: ignore[arg-type]
    assert (left == 0 and right == 1) or (top == 0 and bottom == 1)
    ratio = (right - left) * size[1] / ((bottom - top) * size[0])
    assert ratio == pytest.approx(shape_ratio(shape))  # type: ignore[arg-type]
    assert (left, top) == pytest.approx((1 - right, 1 - bottom))


def test_a_chosen_crop_is_what_is_drawn_in_and_the_mask_goes_with_it(studio: Studio, tmp_path: Path) -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[100:200, 300:380] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    right = Crop(shape="3:4", box=(0.4375, 0, 1, 1))
    kept = add_scene(studio.library, wide_photo(tmp_path), tmp_path / "mask.png", "shop", crops=(right,))
    assert find_result(studio.records, studio.store, "me", Scene, kept.id) == kept
    assert kept.crop_for(256, 192) == right.box
    assert kept.crop_for(256, 256) is None
    photo = studio.store.get_picture(kept.photo)
    canvas = fit_to_canvas(photo, 256, 192, kept.crop_for(256, 192))
    assert canvas[:, 0].mean() == pytest.approx(0.4375 * 255, abs=3)
    assert canvas[:, -1].mean() == pytest.approx(255, abs=3)
    fitted = fit_mask(get_mask(studio.library, str(kept.landmark)), 256, 192, kept.crop_for(256, 192))
    columns = np.flatnonzero(fitted.any(axis=0))
    scale = 192 / 225
    assert columns[0] == pytest.approx((300 - 175) * scale, abs=1.5)
    assert columns[-1] == pytest.approx((380 - 175) * scale, abs=1.5)
    whole = get_mask(studio.library, str(kept.landmark))
    assert mask_share(whole, right.box) == pytest.approx(1, abs=0.01)
    assert mask_share(whole, (0, 0, 0.5, 1)) == 0
    assert mask_share(whole, (0, 0, 0.85, 1)) == pytest.approx(0.5, abs=0.02)


def test_a_changed_scene_is_another_one_and_the_old_one_can_be_brought_back(studio: Studio) -> None:
    first = add_scene(studio.library, PHOTO, MASK, "cafe")
    crop = Crop(shape="1:1", box=usual_crop("1:1", *studio.store.get_picture(first.photo).shape[:2]))
    moved = change_scene(studio.library, first, "me", crops=(crop,))
    assert moved.id != first.id
    assert (moved.name, moved.photo, moved.landmark) == (first.name, first.photo, first.landmark)
    bare = change_scene(studio.library, moved, "me", mask="none", name="plain")
    assert (bare.name, bare.landmark, bare.crops) == ("plain", None, (crop,))
    again = change_scene(studio.library, bare, "me", mask=MASK)
    assert again.landmark == first.landmark
    trashed = {row.id for row in studio.records.find(MarkRecord, "me") if row.facts.get("trashed")}
    assert trashed == {f"scene:{scene.id}" for scene in (first, moved, bare)}
    back = change_scene(studio.library, again, "me", name="cafe", crops=())
    assert back == first  # its id is made from its content
    mark = studio.records.get(MarkRecord, f"scene:{first.id}", "me")
    assert mark is not None
    assert not mark.facts["trashed"]
    assert len(scenes_of(studio.library, "me")) == 4


@pytest.mark.parametrize(
    ("crops", "code"),
    [
        ((Crop(shape="1:1", box=(0, 0, 1, 1)),), "crop_of_other_shape"),
        ((Crop(shape="1:1", box=(0, 0, 0.75, 1)), Crop(shape="1:1", box=(0.25, 0, 1, 1))), "crop_twice"),
    ],
)
def test_crops_of_another_shape_are_refused(crops: tuple[Crop, ...], code: str, tmp_path: Path, studio: Studio) -> None:
    with pytest.raises(BadInput, match=code):
        check_crops(crops, 300, 400)
    with pytest.raises(BadInput, match=code):
        add_scene(studio.library, wide_photo(tmp_path), None, "shop", crops=crops)
    assert scenes_of(studio.library, "me") == []


@pytest.mark.parametrize("box", [(0.5, 0, 0.4, 1), (-0.1, 0, 0.5, 1), (0, 0, 1, 1.2)])
def test_a_crop_outside_of_the_photo_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match="crop_outside"):
        Crop.make(shape="1:1", box=box)
    with pytest.raises(ValidationError):
        Crop(shape="2:1", box=(0, 0, 1, 1))  # type: ignore[arg-type]


def test_scenes_and_requests_of_before_keep_their_json_and_ids(studio: Studio) -> None:
    scene = add_scene(studio.library, PHOTO, MASK, "cafe")
    assert set(scene.model_dump(mode="json")) == {"schema_version", "id", "name", "sha256", "photo", "landmark"}
    assert Scene.model_validate_json(scene.model_dump_json()) == scene
    crop = Crop(shape="3:4", box=(0, 0, 1, 1))
    assert Scene.model_validate_json(scene.model_copy(update={"crops": (crop,)}).model_dump_json()).crops == (crop,)


@pytest.mark.parametrize(
    ("shape", "size"),
    [("", (256, 192)), ("3:4", (256, 192)), ("1:1", (256, 256)), ("4:5", (256, 192)), ("9:16", (256, 192)),
     ("1.91:1", (256, 256))],
)  # fmt: skip
def test_a_model_draws_the_size_of_which_a_crop_leaves_most(shape: str, size: tuple[int, int]) -> None:
    assert canvas_size(shape, (256, 192), ((256, 192), (256, 256)), 32) == size  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_that_draws_any_size_draws_the_shape_itself(shape: str) -> None:
    height, width = canvas_size(shape, (1024, 768), (), 16)  # type: ignore[arg-type]
    assert height % 16 == width % 16 == 0
    assert width / height == pytest.approx(shape_ratio(shape), rel=0.02)  # type: ignore[arg-type]
    assert height * width == pytest.approx(1024 * 768, rel=0.03)
    assert nearest_shape(height, width) == shape
    assert canvas_size("3:4", (1024, 768), (), 16) == (1024, 768)
