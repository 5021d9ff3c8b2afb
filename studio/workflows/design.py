"""Design: a recipe, its fused LoRA, candidates in varied shots, measures, and the selection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from personas.donors import Donor
from personas.fusion import fuse_donors
from personas.looks import LookCategory, find_category
from personas.novelty import default_gates, early_ceiling
from personas.recipes import Recipe, RecipePlan, plan_recipe, predicted_similarity
from personas.selection import NOT_NOVEL
from personas.shots import Shot, vary_shots
from pipelines.errors import BadInput, NotEnough
from pipelines.lora import Lora, check_fits
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from studio.application import Studio
from studio.domain.design import Design, DesignRequest, RejectedRecipe, UsedDonor
from studio.domain.guidance import follow_guidance
from studio.domain.measured import write_measures
from studio.domain.report import LeftOut, StudioStage
from studio.domain.values import FileKey, LeftOutPicture, NamedPicture
from studio.library.records import CandidateRecord, DonorRecord, RecipeRecord, content_id
from studio.workflows import Run
from studio.workflows.candidates import Candidates, draw_candidates, say_report
from studio.workflows.drawing import measure_pictures
from studio.workflows.faces import donor_face, mix_face, mix_similarity, trigger_of
from studio.workflows.swap import find_face, read_shot, swap_face

__all__ = ["design_persona"]


def design_persona(studio: Studio, request: DesignRequest, run: Run, progress: Progress = SILENT) -> Design:
    """Draw, measure and select candidates. Raises StudioError; what was drawn stays.

    A mix that comes too near to a donor is thrown away, with the reason reported, and another is planned, up to
    `recipes` times.
    """
    look = find_category(request.category)
    left_out = _without_face(studio, request.templates, run)
    progress.tell(LeftOut(tuple(picture.error for picture in left_out.values())))
    donors = studio.donors(look.id)
    faces: dict[str, list[float]] = {}
    rejected: list[RejectedRecipe] = []
    attempts = 1 if request.recipe is not None else request.recipes
    for attempt in range(attempts):
        try:
            result = _try_recipe(studio, request, attempt, look, donors, faces, left_out.keys(), run, progress)
        except NotEnough as error:
            if error.code != NOT_NOVEL:
                raise
            rejected.append(RejectedRecipe(attempt=attempt, why=str(error)))
            if attempt + 1 == attempts:
                raise
            progress.tell(StageProgress(Stage(StudioStage.RECIPES), attempt + 1, attempts))
        else:
            design = result.model_copy(update={"rejected": tuple(rejected), "left_out": tuple(left_out.values())})
            _record(studio, design, [d for d in donors if d.id in design.recipe.donors])
            return design
    raise AssertionError("a request has at least one recipe")


def _try_recipe(
    studio: Studio,
    request: DesignRequest,
    attempt: int,
    look: LookCategory,
    donors: Sequence[Donor],
    faces: dict[str, list[float]],
    without_face: Collection[int],
    run: Run,
    progress: Progress,
) -> Design:
    """One recipe from its plan to its selection; NotEnough with the code NOT_NOVEL if it is too near to a donor."""
    ceiling = studio.calibration.novelty_ceiling
    seed = int(np.random.SeedSequence([request.seed, attempt]).generate_state(1)[0]) if attempt else request.seed

    def plan_it() -> RecipePlan:
        if (own := request.recipe) is not None:
            return RecipePlan(own, 0, predicted_similarity(own.mix_weights))
        fitting = [donor for donor in donors if studio.fits(donor)]
        return plan_recipe(fitting, look.id, request.donors, seed=seed, ceiling=ceiling, equalise=request.equalise)

    plan = TypeAdapter(RecipePlan).validate_python(run(f"plan-{attempt}", lambda: asdict(plan_it())))
    recipe = plan.recipe
    used = [donor for donor in donors if donor.id in recipe.donors]
    fused = fuse_donors(recipe, donors)
    check_fits(fused.layers, studio.backbone.model, family=used[0].family)
    for donor in used:
        if donor.id not in faces:
            faces[donor.id] = run(f"face of {donor.id}", partial(donor_face, studio, donor, look, progress))
    used_faces = {donor.id: faces[donor.id] for donor in used}
    own = run(f"face of mix-{attempt}", partial(mix_face, studio, fused, used, look, progress))
    near = {} if own is None else mix_similarity(own, used_faces)
    early = early_ceiling(studio.calibration, dict(request.gates).get("novelty_ceiling"))
    if near and max(near.values()) >= early:  # seen on eight pictures, before all are drawn
        donor_id = max(near, key=lambda one: near[one])
        too_near = NotEnough("not_novel", similarity=near[donor_id], donor=donor_id, ceiling=early)
        raise _with_mix(too_near, recipe, used)
    trigger, lora = trigger_of(used), Lora(fused.layers)

    stage = Stage(StudioStage.CANDIDATES, str(attempt + 1) if attempt else "")
    shots = follow_guidance(vary_shots(request.candidates, request.seed), request.guided)
    prompts = [shot.prompt(look.subject, trigger) for shot in shots]
    seeds = [int(s) for s in np.random.default_rng([request.seed, 1]).integers(0, 2**32, len(shots))]
    candidates = draw_candidates(studio, run, stage, lora, prompts, seeds, shots, progress)
    for number, template in enumerate(request.templates):
        if number not in without_face:
            step = partial(_swap_in, studio, template, lora, look.subject, trigger, request.seed + number)
            swapped, said = run(f"template-{attempt}-{number}", step)
            candidates += _swapped(studio, swapped, Shot(**said), look.subject, trigger, request.seed + number)
            shots = candidates.shots
            progress.tell(StageProgress(Stage(StudioStage.TEMPLATES), number + 1, len(request.templates)))
    gates = default_gates(studio.calibration).replace(request.gates)
    try:
        selection = candidates.select(gates, used_faces, request.seed)
    except NotEnough as error:
        raise _with_mix(error, recipe, used) from error
    return Design(
        id=content_id({"request": request.model_dump(mode="json"), "pictures": candidates.pictures}),
        request=request,
        recipe=recipe,
        redraws=plan.redraws,
        predicted_similarity=plan.predicted_similarity,
        donors=tuple(UsedDonor(id=d.id, name=d.name, licence=d.licence, consent=d.consent.who) for d in used),
        trigger=trigger,
        subject=look.subject,
        shots=shots,
        prompts=candidates.prompts,
        seeds=candidates.seeds,
        pictures=tuple(map(FileKey, candidates.pictures)),
        measures=studio.store.put_json(write_measures(candidates.measures)),
        consistency=candidates.consistency,
        kept=selection.kept,
        enrolment=tuple(selection.centre.tolist()),
        donor_faces={donor: tuple(face) for donor, face in used_faces.items()},
        report=studio.store.put_json(say_report(selection)),
        novelty_max=max(selection.donor_similarity.values()),
        novelty_ceiling=ceiling,
        contact_sheet=FileKey(candidates.contact_sheet(studio, selection)),
    )


def _swapped(studio: Studio, picture: FileKey, shot: Shot, subject: str, trigger: str, seed: int) -> Candidates:
    """Return a template that the new face was put into, as one more candidate."""
    (measures,) = measure_pictures(studio, [picture])
    return Candidates((shot.prompt(subject, trigger),), (seed,), (picture,), (measures,), (shot,))


def _with_mix(error: NotEnough, recipe: Recipe, used: Sequence[Donor]) -> NotEnough:
    """Return the refusal of a face that is not new with the donor's name, and the mix, so that it can be mended."""
    if error.code != NOT_NOVEL:
        return error
    names = {donor.id: donor.name for donor in used}
    near = str(error.fields["donor"])
    mix = {"donors": list(recipe.donors), "weights": list(recipe.mix_weights)}
    return NotEnough("not_novel", **{**error.fields, "donor": names.get(near, near), "donor_id": near, **mix})


def _without_face(studio: Studio, templates: Sequence[NamedPicture], run: Run) -> dict[int, LeftOutPicture]:
    """Return the templates that no face can be put into, by their numbers: looked for before anything is drawn."""

    def look_for() -> list[dict[str, Any] | None]:
        found: list[dict[str, Any] | None] = []
        for template in templates:
            try:
                find_face(studio, template.name, studio.store.get_picture(template.picture))
                found.append(None)
            except BadInput as error:
                found.append(error.as_json())
        return found

    raised = run("faces of templates", look_for) if templates else []
    return {
        number: LeftOutPicture(name=templates[number].name, raised=why)
        for number, why in enumerate(raised)
        if why is not None
    }


def _swap_in(
    studio: Studio, template: NamedPicture, lora: Lora, subject: str, trigger: str, seed: int
) -> tuple[str, dict[str, str]]:
    """The template with the new face, and the shot it shows."""
    picture = studio.store.get_picture(template.picture)
    swapped, _ = swap_face(studio, template.name, picture, lora, subject, trigger, seed, strength=0.8, hair=True)
    return studio.store.put_picture(swapped), asdict(read_shot(studio.regions.read([picture])[0].attributes))


def _record(studio: Studio, design: Design, donors: list[Donor]) -> None:
    report = studio.store.get_json(design.report)
    request, owner = design.request, design.request.owner
    studio.records.keep(
        *(
            DonorRecord(
                id=d.id,
                owner=owner,
                name=d.name,
                category=d.category,
                facts={"licence": d.licence, "trigger": d.trigger, "consent": d.consent.model_dump(mode="json")},
            )
            for d in donors
        ),
        RecipeRecord(
            id=design.recipe.id, owner=owner, category=request.category, seed=request.seed, facts=asdict(design.recipe)
        ),
        *(
            CandidateRecord(
                id=f"{design.id}-{i:03d}",
                owner=owner,
                design=design.id,
                picture=key,
                kept=i in design.kept,
                facts={"shot": asdict(design.shots[i]), "verdict": report["candidates"][i]},
            )
            for i, key in enumerate(design.pictures)
        ),
    )
