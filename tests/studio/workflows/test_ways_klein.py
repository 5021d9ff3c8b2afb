"""Posts on FLUX.2-klein: place, person and goods as pictures that it reads itself, with what is kept kept exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadInput
from pipelines.lora import LoraMetadata, write_lora
from pipelines.references.catalogue import first_way
from studio.application import Studio
from studio.domain.capabilities import abilities
from studio.domain.design import UsedDonor
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, PostSet, plan_shots
from studio.export.manifest import read_manifest
from studio.library.scenes import add_dials, add_goods, add_scene
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.post import draw_posts
from studio.workflows.redrawing import redraw_bundle
from tests.exports import export_set
from tests.loras import make_layers
from tests.studio.domain.values import RECIPE
from tests.tiny_flux2 import write_klein

KEPT = (slice(16, 64), slice(0, 32))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    root = tmp_path_factory.mktemp("klein-ways")
    folder = write_klein(root / "klein", distilled=True, max_sequence_length=160)
    return Studio(Settings(data=root / "data", backbone=str(folder), batch_size=2))


def picture(path: Path, seed: int, *size: int) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def asked(studio: Studio, tmp_path: Path) -> PostRequest:
    """Two shots in a place with a landmark, a tin to sell, a picture of her: each seen by the model, pixels kept."""
    mask = np.zeros((96, 64), np.uint8)
    mask[KEPT] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    photo = np.full((150, 120, 3), 215, np.uint8)
    photo[30:130, 40:80] = (190, 30, 40)
    Image.fromarray(photo).save(tmp_path / "tin.png")
    layers = make_layers(studio.backbone.transformer, 3, modules=("transformer_blocks.0.attn.to_q",), alpha=40.0)
    write_lora(tmp_path / "persona.safetensors", layers, LoraMetadata("Mira", "ohwx", family="flux2"))
    donors = tuple(UsedDonor(id=d, name=d, licence="Apache-2.0", consent="invented") for d in RECIPE.donors)
    persona = Persona(
        id="p1", name="Mira", version=1, trigger="ohwx", subject="a young woman",
        lora=studio.store.put((tmp_path / "persona.safetensors").read_bytes()),
        enrolment=tuple(np.eye(1, 128)[0].tolist()), recipe=RECIPE, donors=donors,
    )  # fmt: skip
    her = np.random.default_rng(5).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    return PostRequest.make(
        persona=persona, shots=plan_shots(2, 1), inject="references",
        scene=add_scene(studio.library, picture(tmp_path / "scene.png", 0, 96, 64), tmp_path / "mask.png", "square"),
        goods=add_goods(studio.library, tmp_path / "tin.png", "a red tin"), goods_as="both",
        goods_box=(0.5, 0.5, 0.95, 1.0), person_as="reference", person_picture=studio.store.put_picture(her),
    )  # fmt: skip


def draw(studio: Studio, request: PostRequest) -> tuple[PostSet, list[Any]]:
    post_set = draw_posts(studio, request, run_directly)
    return post_set, [studio.store.get_picture(p.picture) for p in post_set.posts]


def test_it_offers_what_its_family_can_do(studio: Studio) -> None:
    assert abilities(studio.settings) == {"references"}
    assert first_way(abilities(studio.settings)) == "references"


@pytest.mark.parametrize(
    ("ways", "roles", "words"),
    [
        ({}, ["scene", "person", "goods"], "from image 2 is in the place from image 1 with a red tin from image 3"),
        ({"goods_as": "pixels"}, ["scene", "person"], "The person from image 2 is in the place from image 1"),
        ({"goods_as": "reference"}, ["scene", "person", "goods"], "with a red tin from image 3"),
        ({"scale": 0.0}, ["person", "goods"], "The person from image 1 is shown with a red tin from image 2"),
        ({"person_as": "lora", "person_picture": None}, ["scene", "goods"], "The person is in the place from image 1"),
        ({"person_as": "both", "panels": 2}, ["scene", "person", "goods"], "The person from image 2"),
    ],
)  # fmt: skip
def test_every_way_is_drawn_again_to_the_pixel(
    studio: Studio, asked: PostRequest, tmp_path: Path, ways: dict[str, Any], roles: list[str], words: str
) -> None:
    post_set, pictures = draw(studio, asked.changed(**ways))
    scene = studio.store.get_picture(asked.scene.photo)
    for drawn, post in zip(pictures, post_set.posts, strict=True):
        np.testing.assert_array_equal(drawn[KEPT], scene[KEPT])
        assert words in post.prompt
        assert ("ohwx" in post.prompt) == (post_set.request.person_as != "reference")
        setting = post.shot.prompt("her").split(", ")[-2]
        assert (setting in post.prompt) == (post_set.request.scale == 0)
        if post_set.request.goods_as != "reference":
            assert post.scores["goods"] == 1
        assert "identity" in post.scores
    assert post_set.companion == ""
    assert [r.role for r in post_set.references] == roles
    assert [r.number for r in post_set.references] == list(range(1, len(roles) + 1))
    export_set(studio, post_set, tmp_path / "set.zip")
    assert redraw_bundle(studio, tmp_path / "set.zip", run_directly) == ()
    told = read_manifest(tmp_path / "set.zip").draw
    assert told.references == post_set.references
    assert told.companions == ()


def test_every_picture_reaches_the_drawing(studio: Studio, asked: PostRequest) -> None:
    first = draw(studio, asked)[1][0]
    other = studio.store.put_picture(np.full((80, 70, 3), 90, np.uint8))
    assert asked.goods is not None
    changes: list[dict[str, Any]] = [
        {"person_picture": other},
        {"goods": asked.goods.model_copy(update={"picture": studio.store.put_picture(
            np.full(studio.store.get_picture(asked.goods.picture).shape, 40, np.uint8)
        )}), "goods_as": "reference"},
        {"scene": asked.scene.model_copy(update={"photo": other}), "keep_landmark": False},
        {"person_as": "both"},
    ]  # fmt: skip
    for change in changes:
        assert not np.array_equal(first, draw(studio, asked.changed(**change))[1][0]), change


def test_a_persona_of_another_family_is_shown_by_its_picture(studio: Studio, asked: PostRequest) -> None:
    """Its LoRA is not even read."""
    foreign = asked.persona.model_copy(update={"lora": asked.person_picture})
    assert draw(studio, asked.changed(persona=foreign))[0].references[1].name == "Mira"


def test_further_places_are_read_too_and_too_many_are_refused(
    studio: Studio, asked: PostRequest, tmp_path: Path
) -> None:
    more = [picture(tmp_path / f"{seed}.png", seed, 80, 90) for seed in (7, 8)]
    one, two = (add_dials(studio.library, asked.scene, also=more[:count]) for count in (1, 2))
    post_set, _ = draw(studio, asked.changed(dials=one))
    assert [r.role for r in post_set.references] == ["scene", "scene", "person", "goods"]
    assert "The person from image 3 is in the place from image 1 and image 2" in post_set.posts[0].prompt
    with pytest.raises(BadInput, match=r"references_too_many.*count=5, most=4"):
        draw(studio, asked.changed(dials=two))


def test_ways_that_its_family_does_not_have_are_refused(studio: Studio, asked: PostRequest) -> None:
    plain = asked.changed(person_as="lora", person_picture=None, goods=None, goods_box=None)
    with pytest.raises(BadInput, match="reference_not_for_family"):
        draw(studio, plain.changed(inject="redux"))
    with pytest.raises(BadInput, match="companion_of_other_family"):
        draw(studio, plain.changed(keep="fill", scale=0.0))
