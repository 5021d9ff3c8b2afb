"""A real photo is refused in words where the model draws otherwise, as a place and for a face swap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.persona import SwapRequest
from studio.domain.posts import PostRequest
from studio.domain.values import NamedPicture
from studio.jobs.fit import check_fits_backbone, other_look
from studio.library.scenes import add_picture, add_scene
from studio.settings import ASSETS, Settings
from studio.texts.texts import LANGUAGES, Texts
from tests.data import need
from tests.library import keep_cafe
from tests.studio.domain.values import key, make_persona


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def test_a_real_photo_is_no_place_for_drawn_people(studio: Studio) -> None:
    photo = add_scene(studio.library, need("scenes/demo01.jpg"), None, "street")
    asked = PostRequest.make(persona=make_persona(), scene=photo, shots=(Shot(),))
    with pytest.raises(BadInput, match="scene_of_other_look") as refused:
        check_fits_backbone(studio, asked)
    assert all("street" in Texts(language).error(refused.value) for language in LANGUAGES)
    check_fits_backbone(studio, asked.changed(any_look=True))
    check_fits_backbone(studio, asked.changed(scale=0.0))  # then words alone say the place
    check_fits_backbone(studio, asked.changed(scene=keep_cafe(studio)))
    gone = photo.model_copy(update={"photo": key("gone")})
    check_fits_backbone(studio, asked.changed(scene=gone))
    assert "any_look" not in asked.model_dump(mode="json")


def test_a_swap_is_refused_where_no_picture_is_left(studio: Studio) -> None:
    drawn = np.asarray(Image.open(next(ASSETS.glob("donors/*/*/thumbnail.png"))).convert("RGB"))
    real = np.asarray(Image.open(need("faces/xverse_human/01_man.jpg")).convert("RGB"))
    pictures = {name: add_picture(studio.library, image, "me") for name, image in (("a.png", drawn), ("b.jpg", real))}
    assert other_look(studio, pictures) == ("b.jpg",)

    def swap(*names: str) -> SwapRequest:
        return SwapRequest.make(
            persona=make_persona(), pictures=tuple(NamedPicture(name=n, picture=pictures[n]) for n in names)
        )

    check_fits_backbone(studio, swap("a.png", "b.jpg"))
    check_fits_backbone(studio, swap("b.jpg").changed(any_look=True))
    with pytest.raises(BadInput, match=r"picture_of_other_look.*b\.jpg"):
        check_fits_backbone(studio, swap("b.jpg"))
