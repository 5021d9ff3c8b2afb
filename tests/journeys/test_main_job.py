"""The whole way on the miniature, once, small; then what it must hold, one test a promise."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.main_job import fusion_error
from miniature.samples import save_scene
from personas.fusion import fuse_donors, make_recipe
from personas.measures.face import pairwise_mean
from pipelines.draw import draw, request_from
from pipelines.errors import NotEnough
from pipelines.lora import LoraStack, read_lora
from pipelines.references.landmark import grow_mask
from studio.application import Studio
from studio.bundle import verify_bundle
from studio.engine import Engine
from studio.records import CandidateRecord, PersonaRecord, PostRecord
from studio.scenes import fit_mask, fit_to_canvas, load_mask, load_scene
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.demo import MainJob, MainJobRequest, run_main_job
from studio.workflows.design import DesignRequest, recipe_of
from studio.workflows.post import redraw_bundle

pytestmark = pytest.mark.journey
CANDIDATES, POSTS = 24, 4


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, MainJob, Path, Path]]:
    folder = tmp_path_factory.mktemp("way")
    photo, mask = save_scene(folder, "cafe", 7_100_001)
    with Engine(Studio(Settings(data=folder / "data"))) as engine:
        request = MainJobRequest("sweet", 4, photo, mask, folder / "a.zip", posts=POSTS, candidates=CANDIDATES)
        yield engine, run_main_job(engine, request), photo, mask


def test_the_new_face_is_new_and_its_pictures_agree(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    design = job.design
    assert design["novelty_max"] < design["novelty_ceiling"]
    assert len(design["kept"]) >= 6
    faces = [
        np.array(m["face"], np.float32) if m["face"] else None for m in engine.studio.store.get_json(design["measures"])
    ]
    kept = pairwise_mean([faces[i] for i in design["kept"]])
    assert kept > pairwise_mean(faces) - 1e-9
    report = engine.studio.store.get_json(design["report"])
    assert all(row["kept"] or row["why"] for row in report["candidates"])
    assert len(engine.studio.records.find(CandidateRecord, "me", design=design["id"])) == CANDIDATES


def test_the_fusion_is_the_weighted_sum(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    donors = {d.id: d for d in engine.studio.donors()}
    recipe = recipe_of(job.design["recipe"])
    stacks = [read_lora(donors[i].lora_path).layers for i in recipe.donors]
    assert fusion_error(fuse_donors(recipe, list(donors.values())), stacks) <= 1e-6


def test_a_donor_of_weight_one_is_drawn_exactly(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, _, _, _ = way
    one, two = engine.studio.donors("sweet")[:2]
    fused = fuse_donors(make_recipe([one, two], [1.0, 0.0], "sweet", equalise=True), [one, two])
    pictures = []
    for layers in (fused.layers, read_lora(one.lora_path).layers):
        stack = LoraStack(engine.studio.backbone.transformer)
        stack.set([(layers, 1.0)])
        request = request_from(engine.studio.backbone.spec, "close-up portrait of ohwx a young woman", 3)
        pictures.append(next(draw(engine.studio.backbone, [request]))[1])
        stack.clear()
    first, second = pictures
    np.testing.assert_array_equal(first, second)


def test_posts_are_the_person_in_the_place(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, photo, mask = way
    spec = engine.studio.backbone.spec
    scene = load_scene(photo).image
    canvas = fit_to_canvas(scene, spec.height, spec.width)
    keep = grow_mask(fit_mask(load_mask(mask, scene.shape[:2]), spec.height, spec.width), 5)
    for post in job.post_set["posts"]:
        picture = engine.studio.store.get_picture(post["picture"])
        np.testing.assert_array_equal(picture[keep], canvas[keep])
        assert set(post["scores"]) == {"identity", "scene", "prompt"}
    stored = engine.studio.records.find(PostRecord, "me", post_set=job.post_set["id"])
    assert [row.number for row in stored] == list(range(1, POSTS + 1))


def test_the_bundle_verifies_and_is_drawn_again_to_the_pixel(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    assert verify_bundle(job.bundle) == ()
    assert redraw_bundle(engine.studio, job.bundle, run_directly) == ()
    assert job.manifest.donors
    assert all(d.licence and d.consent for d in job.manifest.donors)
    assert json.loads(job.manifest.model_dump_json())["draw"]["batches"]


def test_a_second_run_draws_nothing_again(
    way: tuple[Engine, MainJob, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, job, _, _ = way

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was drawn again")

    monkeypatch.setattr("pipelines.draw.draw_batch", refuse)
    again = engine.run("design", job.design["request"])
    assert again["pictures"] == job.design["pictures"]
    rows = engine.studio.records.find(PersonaRecord, "me")
    assert [(r.name, r.version) for r in rows] == [("demo", 1)]


def test_gates_that_drop_all_say_which_and_lose_nothing(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, _, _, _ = way
    request = DesignRequest("sweet", 1, candidates=8, gates={"min_sharpness": 1e6})
    with pytest.raises(NotEnough, match="sharpness"):
        engine.run("design", asdict(request))
