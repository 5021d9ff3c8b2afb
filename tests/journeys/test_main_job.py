"""The whole way on the miniature, once, small; then what it must hold, one test a promise."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from benchmarks.main_job import fusion_error
from miniature.samples import save_scene
from miniature.world import World, look_identities, render, sample_scenes
from personas import consolidation
from personas.consolidation import persona_config
from personas.fusion import fuse_donors
from personas.measures.face import pairwise_mean
from personas.measures.seam import exact_share
from personas.recipes import make_recipe
from personas.shots import Shot
from pipelines.errors import BadInput, NotEnough
from pipelines.lora import Lora, read_lora
from pipelines.masks import load_mask
from pipelines.pictures import fit_mask, fit_to_canvas, load_scene
from pipelines.progress import SILENT
from pipelines.references.landmark import grow_mask
from pipelines.sampling.draw import draw
from pipelines.sampling.request import identity_request, request_from
from studio.application import Studio
from studio.domain.design import Design, DesignRequest
from studio.domain.persona import ConsolidateRequest, Swap, SwapRequest
from studio.domain.posts import PostSet, plan_shots
from studio.domain.takes import Strengths, StrengthsRequest
from studio.domain.values import NamedPicture
from studio.export.bundle import verify_bundle
from studio.jobs.engine import Engine
from studio.jobs.main_job import MainJob, MainJobRequest, run_main_job
from studio.library.records import CandidateRecord, PersonaRecord, PostRecord
from studio.library.scenes import add_goods, add_picture
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.consolidate import _choose, _pool, _portraits, consolidate_persona
from studio.workflows.drawing import judged, persona_lora
from studio.workflows.redrawing import redraw_bundle
from tests.exports import export_set
from tests.stored import place_in

pytestmark = pytest.mark.journey
CANDIDATES, STEPS, POSTS = 16, 120, 4


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, MainJob, Path, Path]]:
    folder = tmp_path_factory.mktemp("way")
    photo, mask = save_scene(folder, "cafe", 7_100_001)
    with Engine(Studio(Settings(data=folder / "data"))) as engine:
        request = MainJobRequest(
            "sweet", 4, photo, mask, folder / "a.zip", posts=POSTS, candidates=CANDIDATES, steps=STEPS
        )
        yield engine, run_main_job(engine, request), photo, mask


def test_the_new_face_is_new_and_its_pictures_agree(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    design = job.design
    assert design.novelty_max < design.novelty_ceiling
    assert len(design.kept) >= 6
    faces = [
        np.array(m["face"], np.float32) if m["face"] else None for m in engine.studio.store.get_json(design.measures)
    ]
    kept = pairwise_mean([faces[i] for i in design.kept])
    assert kept > pairwise_mean(faces) - 1e-9
    report = engine.studio.store.get_json(design.report)
    assert all(row["kept"] or row["why"] for row in report["candidates"])
    assert len(engine.studio.records.find(CandidateRecord, "me", design=design.id)) == CANDIDATES


def test_the_persona_learns_what_agrees_and_agrees_more_itself(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    studio = engine.studio
    (facts,) = job.persona.rounds
    assert facts.drawn == 10 * CANDIDATES
    assert 6 <= facts.kept <= 24
    samples = job.persona.samples
    assert [row.step for row in samples] == [60, 120]
    assert len({key for row in samples for key in row.pictures}) == 4
    assert all(studio.store.get_picture(key).shape == (256, 192, 3) for row in samples for key in row.pictures)
    assert samples[-1].identity > 0.4
    assert (facts.kept_consistency or 0) > (facts.consistency or 0) + 0.1
    spec, design = studio.backbone.spec, job.design
    lora = persona_lora(studio, job.persona)
    prompts = zip(design.prompts, design.seeds, strict=True)
    requests = [identity_request(spec, prompt, seed, loras=(lora,)) for prompt, seed in prompts]
    pictures = [picture for _, picture in draw(studio.backbone, requests)]
    sets = {"fused": [studio.store.get_picture(key) for key in design.pictures], "persona": pictures}
    agree = {
        name: pairwise_mean([None if (f := studio.faces.read(p)) is None else f.embedding for p in some])
        for name, some in sets.items()
    }
    assert agree["persona"] > agree["fused"] + 0.15


def test_what_is_learnt_is_the_person_from_all_sides_and_others_lead_there(
    way: tuple[Engine, MainJob, Path, Path],
) -> None:
    engine, job, _, _ = way
    studio, design = engine.studio, job.design
    request = ConsolidateRequest.make(design=design, name="few", seed=4, pool=1, keep=6)
    pool = _pool(studio, request, 0, Lora(()), run_directly, SILENT)
    kept, facts = _choose(studio, request, pool, design.enrolment)
    row = {key: i for i, key in enumerate(pool.pictures)}
    chosen = [row[key] for key in kept.pictures]
    assert len(chosen) == facts.kept == 6
    kinds = Counter((pool.shots[i].framing, pool.shots[i].view) for i in chosen)
    assert max(kinds.values()) <= 2
    assert not set(kept.pictures) & set(kept.others)
    assert len(kept.others) == len(kept.other_captions)
    assert kept.others == () or 6 <= len(kept.others) <= CANDIDATES
    for key in kept.others:
        measures = pool.measures[row[key]]
        assert measures.face is not None
        assert judged(measures, pool.shots[row[key]]).numbers["obeyed"] == 1.0
    largest = sorted(chosen, key=lambda i: -(pool.measures[i].numbers["face_height"] or 0))[:2]
    mean = np.mean([np.asarray(pool.measures[i].face) for i in largest], axis=0)
    assert np.allclose(kept.likeness, mean / np.linalg.norm(mean), atol=1e-5)
    wide = np.zeros((300, 500, 3), np.uint8)
    (image,) = _portraits(studio, [studio.store.put_picture(wide)], ["a template"], SILENT).images
    assert image.shape == (256, 192, 3)


def test_the_identity_loss_is_on_where_it_was_measured(
    way: tuple[Engine, MainJob, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, job, _, _ = way
    backbone = engine.studio.backbone
    assert job.persona.config["picture_weight"] == persona_config(backbone, 4).picture_weight > 0
    assert persona_config(backbone, 4, 77, 0.0).picture_weight == 0.0
    given = persona_config(backbone, 4, 77, 2.5)
    assert (given.steps, given.picture_weight) == (77, 2.5)
    monkeypatch.setattr(consolidation, "_is_small", lambda _: False)
    assert persona_config(backbone, 4).picture_weight == 0.0
    assert persona_config(backbone, 4, identity_loss=1.0).picture_weight == 1.0


def test_a_second_round_learns_the_pictures_of_the_first(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    request = ConsolidateRequest.make(design=job.design, name="again", seed=4, steps=20, rounds=2, pool=1)
    persona = consolidate_persona(engine.studio, request, run_directly)
    first, second = persona.rounds
    assert (first.drawn, second.drawn) == (CANDIDATES, CANDIDATES)
    assert first.contact_sheet != second.contact_sheet


def test_a_round_that_comes_too_near_to_a_donor_is_not_learnt(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    design = job.design.model_copy(update={"donor_faces": {"someone": job.design.enrolment}})
    request = ConsolidateRequest.make(design=design, name="twin", seed=4, steps=20, pool=1)
    persona = consolidate_persona(engine.studio, request, run_directly)
    assert [r.contact_sheet for r in persona.rounds] == [None]
    assert "someone" in persona.rounds[0].why
    assert persona.enrolment == job.design.enrolment
    assert read_lora(place_in(engine.studio.store, persona.lora or "")).layers


def test_the_fusion_is_the_weighted_sum(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    donors = {d.id: d for d in engine.studio.donors()}
    recipe = job.design.recipe
    stacks = [read_lora(donors[i].lora_path).layers for i in recipe.donors]
    assert fusion_error(fuse_donors(recipe, list(donors.values())), stacks) <= 1e-6


def test_a_donor_of_weight_one_is_drawn_exactly(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, _, _, _ = way
    one, two = engine.studio.donors("sweet")[:2]
    fused = fuse_donors(make_recipe([one, two], [1.0, 0.0], "sweet", equalise=True), [one, two])
    pictures = []
    for layers in (fused.layers, read_lora(one.lora_path).layers):
        prompt = "close-up portrait of ohwx a young woman"
        request = request_from(engine.studio.backbone.spec, prompt, 3, loras=(Lora(layers),))
        pictures.append(next(draw(engine.studio.backbone, [request]))[1])
    first, second = pictures
    np.testing.assert_array_equal(first, second)


def test_posts_are_the_person_in_the_place(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, photo, mask = way
    spec = engine.studio.backbone.spec
    scene = load_scene(photo).image
    canvas = fit_to_canvas(scene, spec.height, spec.width)
    keep = grow_mask(fit_mask(load_mask(mask, scene.shape[:2]), spec.height, spec.width), 5)
    for post in job.post_set.posts:
        picture = engine.studio.store.get_picture(post.picture)
        (seen,) = engine.studio.regions.read([picture])
        # all that is not the person's; who is read anew in the finished picture, where a hand may end a pixel elsewhere
        share = exact_share(picture, canvas, keep, seen.person)
        assert share is None or share > 0.99
        assert post.layered
        kept = {"exact", "in_sight", "whole", "seam"}
        assert set(post.scores) - {"held", "eyes"} == {"identity", "scene", "prompt", "pose"} | kept
        assert ("held" in post.scores) == (post.shot.goods != "nothing")
        assert ("eyes" in post.scores) == (post.shot.view == "front")
    stored = engine.studio.records.find(PostRecord, "me", post_set=job.post_set.id)
    assert [row.number for row in stored] == list(range(1, POSTS + 1))


def test_a_strip_shows_the_place_ever_more_strongly(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    asked = job.post_set.request.changed(shots=plan_shots(2, 4))
    rows = engine.run(StrengthsRequest.make(asked=asked, scales=(0.0, 0.5, 1.0)), Strengths).rows
    assert [row.scale for row in rows] == [0.0, 0.5, 1.0]
    assert (rows[2].scores["scene"] or 0) > (rows[0].scores["scene"] or 0)
    whole = engine.run(asked.changed(shots=asked.shots[:1], retakes=0), PostSet)
    assert rows[2].picture == whole.posts[0].picture  # what the strip shows is what is drawn


def _named(engine: Engine, name: str, photo: npt.NDArray[np.uint8]) -> NamedPicture:
    return NamedPicture(name=name, picture=add_picture(engine.studio.library, photo, "me"))


def test_the_persona_takes_the_place_of_another_face(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    shots = (Shot(framing="half-body", view="front"), Shot(framing="close-up", view="left", light="dusk"))
    strangers = look_identities("mature", 2, torch.Generator().manual_seed(5))
    photos = render(World(strangers, shots, sample_scenes(["park", "cafe"], [1, 2]), 3), 512, 384).images.numpy()
    pictures = tuple(_named(engine, f"{i}.png", photo) for i, photo in enumerate(photos))
    result = engine.run(SwapRequest.make(persona=job.persona, pictures=pictures), Swap)
    for photo, row in zip(photos, result.pictures, strict=True):
        assert row.identity > row.identity_before
        assert row.moved is not None
        assert row.moved < 0.2
        after = engine.studio.store.get_picture(row.picture)
        changed = (after != photo).any(axis=2)
        assert 0.01 < changed.mean() < 0.4
    blank = _named(engine, "wall.png", np.full((256, 192, 3), 200, np.uint8))
    with pytest.raises(BadInput, match=r"picture_without_face.*wall"):
        engine.run(SwapRequest.make(persona=job.persona, pictures=(blank,)), Swap)


def test_pictures_with_the_face_put_in_are_candidates_too(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, _, _, _ = way
    shot = Shot(framing="half-body", outfit="suit", outfit_colour="blue")
    stranger = look_identities("mature", 1, torch.Generator().manual_seed(6))
    photo = render(World(stranger, (shot,), sample_scenes(["office"], [1]), 3)).images.numpy()[0]
    template = _named(engine, "office.png", photo)
    gates = {
        "min_face_similarity": -1.0,
        "novelty_ceiling": 1.0,
        "min_body_similarity": 0.0,
        "min_hair_similarity": -1.0,
        "min_eye_similarity": 0.0,
    }
    design = engine.run(
        DesignRequest.make(category="sweet", seed=4, candidates=8, gates=gates, templates=(template,)), Design
    )
    assert len(design.pictures) == len(design.prompts) == len(design.shots) == 9
    assert (design.shots[8].outfit, design.shots[8].framing) == ("suit", "half-body")
    picture = engine.studio.store.get_picture(design.pictures[8])
    assert 0.3 < (picture == photo).all(axis=2).mean() < 1
    assert 8 in design.kept


def test_the_bundle_verifies_and_is_drawn_again_to_the_pixel(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, job, _, _ = way
    assert verify_bundle(job.bundle) == ()
    assert redraw_bundle(engine.studio, job.bundle, run_directly) == ()
    assert job.manifest.donors
    assert all(d.licence and d.consent for d in job.manifest.donors)
    assert json.loads(job.manifest.model_dump_json())["draw"]["batches"]


def test_a_set_in_panels_is_exact_too(way: tuple[Engine, MainJob, Path, Path], tmp_path: Path) -> None:
    engine, job, photo, mask = way
    post_set = engine.run(job.post_set.request.changed(shots=plan_shots(3, 4), panels=2), PostSet)
    spec = engine.studio.backbone.spec
    scene = load_scene(photo).image
    canvas = fit_to_canvas(scene, spec.height, spec.width)
    keep = grow_mask(fit_mask(load_mask(mask, scene.shape[:2]), spec.height, spec.width), 5)
    for post in post_set.posts:
        picture = engine.studio.store.get_picture(post.picture)
        assert picture.shape == (spec.height, spec.width, 3)
        (seen,) = engine.studio.regions.read([picture])
        share = exact_share(picture, canvas, keep, seen.person)
        assert share is None or share > 0.99
    export_set(engine.studio, post_set, tmp_path / "panels.zip")
    assert redraw_bundle(engine.studio, tmp_path / "panels.zip", run_directly) == ()


def test_goods_are_shown_pixel_by_pixel(way: tuple[Engine, MainJob, Path, Path], tmp_path: Path) -> None:
    engine, job, _, _ = way
    photo = np.full((300, 240, 3), 215, np.uint8)
    photo[60:260, 80:160] = (190, 30, 40)
    photo[120:180, 95:145] = 250
    Image.fromarray(photo).save(tmp_path / "tin.png")
    goods = add_goods(engine.studio.library, tmp_path / "tin.png", "a red tin")
    post_set = engine.run(job.post_set.request.changed(shots=plan_shots(2, 4), goods=goods), PostSet)
    assert [p.scores["goods"] for p in post_set.posts] == [1.0, 1.0]
    assert not any("red tin" in p.prompt for p in post_set.posts)  # or the model drew a second one
    manifest = export_set(engine.studio, post_set, tmp_path / "goods.zip")
    assert manifest.scene.goods is not None
    assert redraw_bundle(engine.studio, tmp_path / "goods.zip", run_directly) == ()


def test_a_second_run_draws_nothing_again(
    way: tuple[Engine, MainJob, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, job, _, _ = way

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was drawn again")

    monkeypatch.setattr("pipelines.sampling.draw.draw_batch", refuse)
    again = engine.run(job.design.request, Design)
    assert again.pictures == job.design.pictures
    rows = engine.studio.records.find(PersonaRecord, "me", name="demo")
    assert [(r.name, r.version) for r in rows] == [("demo", 1)]


def test_gates_that_drop_all_say_which_and_lose_nothing(way: tuple[Engine, MainJob, Path, Path]) -> None:
    engine, _, _, _ = way
    request = DesignRequest.make(category="sweet", candidates=8, gates={"min_sharpness": 1e6})
    with pytest.raises(NotEnough, match=r"candidates_too_few_under.*gate=sharpness"):
        engine.run(request, Design)
