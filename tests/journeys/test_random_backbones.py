"""The whole way on backbones of random weights, a row a family: no picture shows anything, everything else is whole.

A detector that finds a face in every picture stands in for faces (`tests.tiny_faces`), and the gates are open.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.cases_studio import train_folder
from personas.gates import THRESHOLDS
from pipelines.errors import BadInput
from pipelines.lora import read_lora
from pipelines.masks import load_mask
from pipelines.pictures import fit_mask, fit_to_canvas, load_scene
from studio.application import Studio
from studio.domain.design import Design, DesignRequest
from studio.domain.persona import ConsolidateRequest, Persona
from studio.domain.posts import PostRequest, PostSet, plan_shots
from studio.export.bundle import verify_bundle
from studio.export.manifest import Manifest
from studio.jobs.engine import Engine
from studio.library.scenes import add_goods, add_scene
from studio.settings import ASSETS, Settings
from studio.workflows import run_directly
from studio.workflows.redrawing import redraw_bundle
from tests.exports import export_set
from tests.siblings import shake
from tests.stored import place_in
from tests.tiny_faces import write_face_pack
from tests.tiny_flux2 import write_klein
from tests.tiny_z_image import write_z_image

pytestmark = pytest.mark.journey
CATEGORY, CANDIDATES, POSTS = "sweet", 12, 9
SCENES = ASSETS / "scenes"
WHOLE_PROMPTS: dict[str, Any] = {"max_sequence_length": 96}
PROMPTS_WITH_IMAGES: dict[str, Any] = {"max_sequence_length": 160}  # which name the references by number
OPEN = {name: gate.high if gate.at_most else gate.low for name, gate in THRESHOLDS.items()}


def _z_image(root: Path) -> Path:
    return write_z_image(root / "z-image", settings=WHOLE_PROMPTS)


def _z_image_turbo(root: Path) -> Path:
    shake(write_z_image(root / "Z-Image"))
    return write_z_image(root / "z-image-turbo", shift=3.0, settings=WHOLE_PROMPTS)


def _klein_base(root: Path) -> Path:
    return write_klein(root / "klein-base", **PROMPTS_WITH_IMAGES)


def _klein(root: Path) -> Path:
    shake(write_klein(root / "FLUX.2-klein-base-4B"))
    return write_klein(root / "klein", distilled=True, **PROMPTS_WITH_IMAGES)


@dataclass(frozen=True)
class Row:
    """`trained_on` is the id of the model that LoRAs for `write`'s folder are trained on; where it `reads` pictures,
    place, person and goods are shown to it as references.
    """

    name: str
    family: str
    write: Callable[[Path], Path]
    trained_on: str
    reads: bool = False


ROWS = (
    Row("klein-base", "flux2", _klein_base, "klein-base", reads=True),
    Row("klein", "flux2", _klein, "FLUX.2-klein-base-4B", reads=True),
    Row("z-image", "z-image", _z_image, "z-image"),
    Row("z-image-turbo", "z-image", _z_image_turbo, "Z-Image"),
)


@dataclass(frozen=True, eq=False)
class Way:
    """All results of the way, and the engine that made them."""

    engine: Engine
    design: Design
    persona: Persona
    posts: PostSet
    manifest: Manifest
    bundle: Path


@pytest.fixture(scope="module", params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Row:
    found: Row = request.param
    return found


@pytest.fixture(scope="module")
def way(row: Row, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    root = tmp_path_factory.mktemp(row.name)
    settings = Settings(data=root / "data", backbone=str(row.write(root)), face_pack=write_face_pack(root / "faces"))
    with Engine(Studio(settings)) as engine:
        studio = engine.studio
        for number in range(3):
            _train_donor(studio, root, number)
        wish = DesignRequest.make(category=CATEGORY, seed=4, candidates=CANDIDATES, donors=3, recipes=1, gates=OPEN)
        design = engine.run(wish, Design)
        training = ConsolidateRequest.make(design=design, name="random", seed=4, steps=4, pool=1)
        persona = engine.run(training, Persona)
        scene = add_scene(studio.library, SCENES / "park.png", SCENES / "park_landmark.png", "park")
        shots = plan_shots(POSTS, 4)
        shown = _shown(studio, design, root) if row.reads else {"scale": 0.0}  # else by its landmark and by words
        posts = engine.run(PostRequest.make(persona=persona, scene=scene, shots=shots, seed=4, **shown), PostSet)
        bundle = root / "a.zip"
        manifest = export_set(studio, posts, bundle)
        yield Way(engine, design, persona, posts, manifest, bundle)


def _shown(studio: Studio, design: Design, root: Path) -> dict[str, Any]:
    """The place, the person and the goods as pictures that the model reads."""
    photo = np.full((150, 120, 3), 215, np.uint8)
    photo[30:130, 40:80] = (190, 30, 40)
    Image.fromarray(photo).save(root / "tin.png")
    return {
        "inject": "references", "scale": 1.0, "person_as": "both", "person_picture": design.pictures[design.kept[0]],
        "goods": add_goods(studio.library, root / "tin.png", "a red tin"), "goods_as": "reference",
    }  # fmt: skip


def _train_donor(studio: Studio, root: Path, number: int) -> None:
    folder = root / f"donor-{number}"
    folder.mkdir()
    for picture in sorted(SCENES.glob("*.png"))[number::3]:
        shutil.copy(picture, folder)
    consent = root / "consent.json"
    consent.write_text(json.dumps({"who": "nobody", "scope": "tests"}), encoding="utf-8")
    train_folder(studio, folder, consent, f"donor {number}", licence="apache-2.0", steps=2, seed=number)


def test_donors_are_those_of_its_own_family(row: Row, way: Way) -> None:
    studio = way.engine.studio
    fitting, all_ = studio.fitting_donors(CATEGORY), studio.donors(CATEGORY)
    assert {donor.family for donor in fitting} == {row.family}
    assert {donor.id for donor in way.design.donors} <= {donor.id for donor in fitting}
    assert len(fitting) == 3 < len(all_)  # the miniature's own are left alone


def test_the_persona_is_of_its_family_and_says_what_it_was_trained_on(row: Row, way: Way) -> None:
    file = read_lora(place_in(way.engine.studio.store, way.persona.lora or ""))
    assert (file.family, file.width) == (row.family, way.engine.studio.backbone.model.width)
    assert (way.persona.backbone, way.persona.trained_on) == (row.name, row.trained_on)
    assert {layer.module for layer in file.layers} == set(way.engine.studio.backbone.model.lora_modules("all"))


def test_the_landmark_is_exact_in_every_post(row: Row, way: Way) -> None:
    spec, store = way.engine.studio.backbone.spec, way.engine.studio.store
    photo = load_scene(SCENES / "park.png").image
    canvas = fit_to_canvas(photo, spec.height, spec.width)
    mask = fit_mask(load_mask(SCENES / "park_landmark.png", photo.shape[:2]), spec.height, spec.width)
    pictures = [store.get_picture(post.picture) for post in way.posts.posts]
    assert len(pictures) == POSTS
    assert mask.any()
    for picture in pictures:
        np.testing.assert_array_equal(picture[mask], canvas[mask])
        assert picture[~mask].std() > 1
    assert len({picture.tobytes() for picture in pictures}) == POSTS
    persona = way.persona
    for post in way.posts.posts:
        if row.reads:
            assert "The person from image 2 is in the place from image 1 with a red tin from image 3" in post.prompt
        else:  # words say the place where no reference shows it
            assert post.prompt == post.shot.prompt(persona.subject, persona.trigger, with_setting=True)
    assert [(r.number, r.role) for r in way.posts.references] == (
        [(1, "scene"), (2, "person"), (3, "goods")] if row.reads else []
    )


def test_the_bundle_is_whole_and_is_drawn_again_to_the_pixel(row: Row, way: Way) -> None:
    assert verify_bundle(way.bundle) == ()
    assert redraw_bundle(way.engine.studio, way.bundle, run_directly) == ()
    assert way.manifest.draw.backbone == row.name
    assert all(post.scores["identity"] is not None for post in way.manifest.posts)
    cfg_scale = way.engine.studio.backbone.spec.true_cfg_scale
    assert {post.true_cfg_scale for post in way.manifest.posts} == {cfg_scale}


@pytest.mark.parametrize("inject", ["redux", "ip-adapter", "references"])
def test_a_way_that_the_family_lacks_is_refused_in_words(row: Row, way: Way, inject: str) -> None:
    if row.reads and inject == "references":
        pytest.skip("the family has it")
    plain = {"person_as": "lora", "person_picture": None, "goods": None, "goods_as": "pixels"}
    asked = way.posts.request.changed(**plain, inject=inject, scale=1.0, seed=5)
    with pytest.raises(BadInput) as refused:
        way.engine.run(asked, PostSet)
    assert refused.value.code in ("reference_not_for_family", "companion_of_other_family")


def test_fill_is_refused_in_words(way: Way) -> None:
    plain = {"person_as": "lora", "person_picture": None, "goods": None, "goods_as": "pixels", "inject": "redux"}
    asked = way.posts.request.changed(**plain, scale=0.0, keep="fill", seed=5)
    with pytest.raises(BadInput, match="companion_of_other_family"):
        way.engine.run(asked, PostSet)
