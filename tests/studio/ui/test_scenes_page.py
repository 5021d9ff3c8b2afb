"""The scenes page: a crop's place and its box, an opened mask that is saved as it is, and one that is corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.shots import Shot
from pipelines.shapes import SHAPES, Shape
from studio.domain.scene import Crop, check_crops, usual_crop
from studio.library.scenes import add_scene
from studio.ui.pages.scenes import _changed_mask, _say_kept
from studio.ui.parts.cautions import say_hidden
from studio.ui.parts.crop_form import Place, move_crop, place_of, say_landmark, show_stage
from studio.ui.parts.painting import on_canvas, paint_mask, painted_mask
from tests.library import keep_cafe
from tests.tables.surfaces import make_ui


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (1000, 1000), (333, 777)])
@pytest.mark.parametrize("shape", SHAPES)
def test_wherever_the_sliders_stand_the_crop_has_its_shape(shape: Shape, size: tuple[int, int]) -> None:
    for across in (0, 0.3, 1):
        for down in (0, 0.5, 0.9):
            for part in (0.4, 0.77, 1):
                place = Place(across, down, part)
                crop = Crop(shape=shape, box=move_crop(shape, *size, place))
                check_crops([crop], *size)
                assert move_crop(shape, *size, place_of(crop, *size)) == pytest.approx(crop.box, abs=1e-3)
    assert move_crop(shape, *size, Place()) == usual_crop(shape, *size)


def test_a_mask_that_is_opened_and_saved_is_kept_to_the_bit() -> None:
    mask = np.zeros((1500, 2000), np.bool_)
    mask[400:700, 300:1200] = True
    layer, size = paint_mask(mask), (2000, 1500)
    assert layer.size == on_canvas(Image.new("RGB", size)).size  # always: the editor moves what has another size
    painted = painted_mask({"layers": [layer]}, size)
    assert painted.shape[1] / painted.shape[0] == pytest.approx(2000 / 1500, abs=0.01)
    assert (painted[..., 0] > 0).mean() == pytest.approx(mask.mean(), abs=0.005)
    assert _changed_mask(mask, painted, Path("new.png")) == "keep"
    assert _changed_mask(mask, None, None) == "none"
    assert _changed_mask(None, painted, Path("new.png")) == Path("new.png")
    corrected = np.asarray(layer).copy()
    corrected[300:360, 100:300, 3] = 255
    more = painted_mask({"layers": [Image.fromarray(corrected)]}, size)
    assert _changed_mask(mask, more, Path("new.png")) == Path("new.png")
    for small in ((slice(200, 208), slice(100, 108)), (slice(430, 436), slice(500, 506))):  # added, and taken away
        corrected = np.asarray(layer).copy()
        corrected[*small, 3] ^= 255
        little = painted_mask({"layers": [Image.fromarray(corrected)]}, size)
        assert _changed_mask(mask, little, Path("new.png")) == Path("new.png")
    rescaled = np.roll(painted, 1, axis=(0, 1))  # as an editor's own canvas may move an edge
    assert _changed_mask(mask, rescaled, Path("new.png")) == "keep"


@pytest.mark.parametrize(("share", "words"), [(1.0, "inside"), (0.4, "40%"), (0.0, "outside")])
def test_what_becomes_of_the_landmark_is_said(share: float, words: str) -> None:
    assert words in say_landmark(make_ui("en"), share)
    assert not any(c.isascii() and c.isalpha() for c in say_landmark(make_ui("zh"), share))


def test_the_crop_is_drawn_on_the_photo_where_it_is() -> None:
    ui, mask = make_ui("en"), np.zeros((300, 400), np.bool_)
    mask[:, 300:] = True
    html = show_stage(ui, ("", 300, 400), "1:1", Place(across=1), mask)
    assert "left:25.00%;top:0.00%;width:75.00%;height:100.00%" in html
    assert "inside" in html
    assert "outside" in show_stage(ui, ("", 300, 400), "1:1", Place(across=0), mask)


def test_a_kept_scene_says_which_shapes_lose_its_landmark() -> None:
    ui = make_ui("en")
    scene = keep_cafe(ui.studio)
    assert "3:4" not in _say_kept(ui, scene)
    away = scene.model_copy(update={"crops": (Crop(shape="1:1", box=(0.0, 0.0, 0.2, 0.15)),)})
    assert "1:1" in _say_kept(ui, away)


def test_of_a_photo_that_somebody_hides_much_of_the_merchant_hears(tmp_path: Path) -> None:
    ui, (identity, _) = make_ui("en"), people(8, 3)
    said = {}
    for framing in ("close-up", "full-body"):
        world = World(identity[:1], (Shot(framing),), sample_scenes(["cafe"], [3]), 3)
        Image.fromarray(render(world).images.numpy()[0]).save(tmp_path / f"{framing}.png")
        said[framing] = say_hidden(ui, add_scene(ui.studio.library, tmp_path / f"{framing}.png", None, framing))
    assert "%" in said["close-up"]
    assert said["full-body"] == say_hidden(ui, None) == ""
