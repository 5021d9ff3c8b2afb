"""Donors and personas of a distilled backbone: its sibling is trained; pictures and measures are the backbone's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.cases_studio import train_folder
from personas.donors import save_donor
from personas.fusion import fuse_donors
from personas.recipes import make_recipe
from personas.shots import Shot
from pipelines.backbones import plan_backbone, resolve_backbone
from pipelines.errors import ModelMissing
from pipelines.families.spec import TRAINING
from pipelines.lora import Lora, read_lora
from pipelines.models.hardware import Hardware
from pipelines.models.precision import Offload
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.application import Studio
from studio.domain.design import DesignRequest
from studio.domain.measured import write_measures
from studio.domain.migration import read_stored
from studio.domain.persona import ConsolidateRequest, Persona
from studio.domain.values import FileKey
from studio.jobs.queue import admit
from studio.library.grants import grant
from studio.library.records import PersonaRecord
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.backbones import plan_loading, plan_training
from studio.workflows.consolidate import consolidate_persona
from studio.workflows.drawing import measure_pictures
from tests.loras import write_donor
from tests.siblings import SIBLING, shake, write_pair
from tests.stored import place_in
from tests.studio.domain.values import make_design, make_persona

SHOT = Shot(framing="close-up", expression="smiling")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    root = tmp_path_factory.mktemp("siblings")
    return Studio(Settings(data=root / "data", backbone=str(write_pair(root / "models")), bundled_donors=root / "none"))


def asked(studio: Studio, folder: Path) -> ConsolidateRequest:
    """Four pictures of a mix of three donors, all kept."""
    for seed, name in enumerate(("Ana", "Bea", "Cia")):
        donor = write_donor(folder, studio.backbone.transformer, name, seed)
        if not studio.donors() or name not in {d.name for d in studio.donors()}:
            save_donor(studio.library.donors_folder, donor)
    recipe = make_recipe(studio.donors("sweet"), (0.4, 0.3, 0.3), "sweet")
    mix = Lora(fuse_donors(recipe, studio.donors("sweet")).layers)
    requests = [request_from(studio.backbone.spec, SHOT.prompt("a woman", "ohwx"), i, loras=(mix,)) for i in range(4)]
    keys = [FileKey(studio.store.put_picture(picture)) for picture in draw_batch(studio.backbone, requests)]
    design = make_design(4).model_copy(
        update={
            "recipe": recipe,
            "pictures": tuple(keys),
            "shots": (SHOT,) * 4,
            "measures": FileKey(studio.store.put_json(write_measures(measure_pictures(studio, keys)))),
            "enrolment": tuple(np.eye(1, 128)[0].tolist()),
            "donor_faces": {},
        }
    )
    return ConsolidateRequest.make(design=design, name="Mira", steps=2, pool=1, identity_loss=0.0)


def test_a_persona_is_trained_on_the_sibling_and_drawn_by_the_backbone(studio: Studio, tmp_path: Path) -> None:
    request, backbone = asked(studio, tmp_path), studio.backbone
    weights = {name: p.clone() for name, p in backbone.transformer.named_parameters()}
    persona = consolidate_persona(studio, request, run_directly)
    assert (persona.backbone, persona.trained_on) == ("quick", SIBLING)
    assert persona.rounds[0].why  # no faces in such pictures: it learns the design's own
    file = read_lora(place_in(studio.store, persona.lora or ""))
    assert file.metadata["ss_sd_model_name"] == SIBLING
    assert file.metadata["modelspec.resolution"] == "64x96"
    facts = studio.records.find(PersonaRecord, "me", name="Mira")[0].facts
    assert (facts["backbone"], facts["trained_on"]) == ("quick", SIBLING)
    sample = persona.samples[-1]
    prompt = SHOT.prompt(request.mixed.subject, request.mixed.trigger)
    own = request_from(backbone.spec, prompt, 900, loras=(Lora(file.layers),))
    by_backbone, by_sibling = (draw_batch(one, [own])[0] for one in (backbone, backbone.trained_on()))
    shown = studio.store.get_picture(sample.pictures[0])
    assert np.abs(shown.astype(int) - by_backbone).mean() < 1  # the sum of mix and training, in float16 there
    assert np.abs(shown.astype(int) - by_sibling).mean() > 2
    assert all(torch.equal(p, weights[name]) for name, p in backbone.transformer.named_parameters())
    assert not backbone.trained_on().lora_stack.changed
    again = consolidate_persona(studio, request, run_directly)
    assert again.lora == persona.lora  # found in its checkpoints


def test_the_same_design_on_another_backbone_is_another_persona(studio: Studio, tmp_path: Path) -> None:
    """The distilled model and its base train on the same one, and each draws its own samples."""
    request = asked(studio, tmp_path).changed(name="Nora", seed=5)
    persona = consolidate_persona(studio, request, run_directly)
    base = studio.backbone.spec.companions[TRAINING]
    other = Studio(studio.settings.model_copy(update={"backbone": str(base)}))
    own = consolidate_persona(other, request, run_directly)
    assert (own.backbone, own.trained_on) == (SIBLING, SIBLING)
    assert own.id != persona.id
    assert own.samples[-1].pictures != persona.samples[-1].pictures
    assert {row.id: row.facts["backbone"] for row in studio.records.find(PersonaRecord, "me", name="Nora")} == {
        persona.id: "quick",
        own.id: SIBLING,
    }


@pytest.mark.parametrize("swapped", ["quick", SIBLING])
def test_other_weights_under_the_same_name_are_another_job_and_another_persona(swapped: str, tmp_path: Path) -> None:
    """Whichever of the two is swapped, nothing of the first training is gone on with."""
    quick = write_pair(tmp_path / "models")
    studio = Studio(Settings(data=tmp_path / "data", backbone=str(quick), bundled_donors=tmp_path / "none"))
    request = asked(studio, tmp_path)
    grant(studio.records, "me", request.file_keys())
    job, persona = admit(studio, request)[0], consolidate_persona(studio, request, run_directly)
    assert admit(studio, request)[0] == job
    shake(quick.parent / swapped, seed=3)
    other = Studio(studio.settings)
    assert admit(other, request)[0] != job
    found = consolidate_persona(other, request, run_directly)
    assert (found.id != persona.id, found.lora != persona.lora) == (True, swapped == SIBLING)
    assert (found.version, found.backbone, found.trained_on) == (2, persona.backbone, persona.trained_on)


def test_another_training_folder_is_another_training_and_the_same_set(studio: Studio, tmp_path: Path) -> None:
    request = asked(studio, tmp_path)
    grant(studio.records, "me", request.file_keys())
    drawing = DesignRequest(category="sweet")
    sibling = Path(shutil.copytree(studio.backbone.spec.companions[TRAINING], tmp_path / "elsewhere"))
    other = Studio(studio.settings.model_copy(update={"training_folder": sibling}))
    assert admit(other, request)[0] != admit(studio, request)[0]
    assert admit(other, drawing)[0] == admit(studio, drawing)[0]


def test_a_donor_is_trained_on_the_sibling(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(4):
        picture = np.random.default_rng(i).integers(0, 256, (96, 64, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{i}.png")
    (tmp_path / "consent.json").write_text('{"who": "Lea", "scope": "fusion"}')
    made = train_folder(studio, tmp_path / "pictures", tmp_path / "consent.json", "Lea", steps=1)
    assert read_lora(made.lora_path).metadata["ss_sd_model_name"] == SIBLING


def test_without_the_sibling_nothing_is_begun(tmp_path: Path) -> None:
    backbone = write_pair(tmp_path / "models")
    shutil.rmtree(backbone.parent / SIBLING)
    studio = Studio(Settings(data=tmp_path / "data", backbone=str(backbone), bundled_donors=tmp_path / "none"))
    request = asked(studio, tmp_path)  # what is drawn is drawn
    steps: list[str] = []

    def run(name: str, step: object) -> None:
        steps.append(name)

    with pytest.raises(ModelMissing, match="training_model_missing"):
        consolidate_persona(studio, request, run)
    assert not steps
    again = Studio(studio.settings)
    with pytest.raises(ModelMissing, match="training_model_missing"):
        consolidate_persona(again, request, run)
    assert "backbone" not in vars(again)  # it has not even been loaded
    assert not studio.library.work.exists()


def test_a_persona_from_before_names_no_model() -> None:
    stored = make_persona().model_dump(mode="json")
    for name in ("backbone", "trained_on"):
        del stored[name]
    old = read_stored(Persona, stored)
    assert (old.backbone, old.trained_on) == ("", "")


def test_a_setting_names_the_folder(studio: Studio, tmp_path: Path) -> None:
    elsewhere = tmp_path / "somewhere"
    settings = studio.settings.model_copy(update={"training_folder": elsewhere, "data": tmp_path / "data"})
    with pytest.raises(ModelMissing, match=r"training_model_folder_missing.*somewhere"):
        Studio(settings).backbone.trained_on()
    plans = [plan_loading(one) for one in (studio.settings, settings)]
    assert [(plan.trained_on, plan.trains) for plan in plans] == [(SIBLING, True), (SIBLING, False)]


@pytest.mark.parametrize(
    ("free", "offload", "code"),
    [
        (1e12, "none", ""),
        (0.505e9, "none", "no_memory_for_model"),  # the sibling beside it
        (1e12, "group", "no_memory_for_training_model"),
    ],
)
def test_a_plan_says_why_nothing_can_be_trained_on_the_sibling(
    studio: Studio, free: float, offload: Offload, code: str
) -> None:
    spec = studio.backbone.spec
    plan = plan_backbone(spec, torch.float32, Hardware("cuda", 1e12, 1e12))
    name, refusal = plan_training(spec, replace(plan, offload=offload), Hardware("cuda", free, 1e12))
    assert (name, "" if refusal is None else refusal.code) == (SIBLING, code)


@pytest.mark.parametrize(
    ("precision", "room", "code"),
    [("fp32", 1e12, ""), ("fp32", 0.4e9, "no_memory_to_train"), ("fp8", 1e12, "backbone_draws_only")],
)
def test_a_plan_says_why_nothing_can_be_trained_on_the_backbone_itself(
    studio: Studio, precision: str, room: float, code: str
) -> None:
    """By its number type, and by the memory that is left beside it."""
    spec = resolve_backbone(studio.backbone.spec.folder.parent / SIBLING)
    hardware = Hardware("cuda", 1e12, 1e12)
    plan = replace(plan_backbone(spec, torch.float32, hardware, precision), room_bytes=room)
    name, refusal = plan_training(spec, plan, hardware)
    assert (name, "" if refusal is None else refusal.code) == (spec.id, code)
