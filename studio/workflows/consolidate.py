"""Consolidate: one persona LoRA from a design's kept candidates; its enrolment; a version in the records.

The fused LoRA draws many more pictures, with identity guidance; the LoRA learns, on top of the fused one, those that
agree best. In further rounds, as "The Chosen One" does (arXiv:2311.10093 §3.3), it learns the best pictures of the LoRA
before, in new shots, instead. (On the miniature one strict choice among many does better: rounds sharpen what the
pictures have in common and lose what their captions say.)
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from pydantic import JsonValue

from personas.consolidation import Portraits, default_pool, join_layers, persona_config, train_persona
from personas.fusion import fuse_donors
from personas.identity_loss import IdentityLoss
from personas.measures.face import mean_embedding
from personas.novelty import default_gates
from personas.shots import vary_shots
from pipelines.backbones import Backbone
from pipelines.errors import Cancelled, NotEnough
from pipelines.families.siblings import training_spec
from pipelines.lora import Lora, LoraLayer, LoraMetadata, read_lora, write_lora
from pipelines.models.sources import MINIATURE
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Progress, Stage
from pipelines.training.dataset import fit_image
from pipelines.training.lora import LoraTrainingConfig
from pipelines.training.pictures import check_differentiable
from studio.application import Studio
from studio.domain.measured import read_measures
from studio.domain.persona import ConsolidateRequest, Persona, Round, Sample
from studio.domain.report import StudioStage
from studio.domain.values import FileKey, Value
from studio.library.persona_versions import keep_version
from studio.library.records import PersonaRecord, RightsRecord, content_id
from studio.workflows import Run
from studio.workflows.candidates import Candidates, draw_candidates
from studio.workflows.photo_persona import persona_of_photos
from studio.workflows.training_kept import KeptCheckpoints
from studio.workflows.training_samples import Sampler

__all__ = ["consolidate_persona"]

_ENOUGH = 0.8  # of the first mean pairwise distance, where the paper stops
_OTHERS = 6  # so many pictures beside each kept one teach the face in other shots
_NOT_QUITE = {"face", "surplus"}  # why a good picture was not kept


@dataclass(frozen=True)
class _Kept:
    """Pictures to learn: store keys, captions, and the mean face of these pictures; and others that obey, too.

    `likeness` is the mean of their largest faces, which is whom the identity loss leads to: small ones say less of who
    it is, and a large face led to them loses what they do not show.
    """

    pictures: tuple[str, ...]
    captions: tuple[str, ...]
    enrolment: tuple[float, ...]
    likeness: tuple[float, ...] = ()
    others: tuple[str, ...] = ()
    other_captions: tuple[str, ...] = ()


class _Trained(Value):
    """Result of a round's training, as in Persona."""

    lora: FileKey
    losses: FileKey
    config: Mapping[str, JsonValue]
    samples: tuple[Sample, ...]


def consolidate_persona(studio: Studio, request: ConsolidateRequest, run: Run, progress: Progress = SILENT) -> Persona:
    """Train and record a persona, or enrol one of photos. A training resumes from its own checkpoints when a run was
    killed in the middle.

    Where the backbone is distilled its sibling is trained, and the backbone draws all pictures, samples among them.

    A round whose pictures do not pass selection (too few agree, or the face comes too near to a donor) ends the
    rounds, with its reason in `rounds`; the persona is then what the last good round gave, the first of them the
    design's own kept pictures.
    """
    if request.character is not None:
        return persona_of_photos(studio, request, run, progress)
    design = request.mixed
    training_spec(studio.backbone_spec)  # what cannot work is said before all
    kept = _Kept(
        tuple(design.pictures[i] for i in design.kept),
        tuple(design.prompts[i] for i in design.kept),
        design.enrolment,
    )
    trainer = studio.backbone.trained_on()
    persona = _persona_id(studio, request)
    if persona_config(trainer, request.seed, request.steps, request.identity_loss).picture_weight:
        check_differentiable(trainer)
        IdentityLoss(studio.faces, (), np.asarray(design.enrolment, np.float32))
    mix = Lora(fuse_donors(design.recipe, studio.donors(design.recipe.category)).layers)
    rounds: list[Round] = []
    trained: _Trained | None = None
    for number in range(request.rounds):
        try:
            lora = mix if trained is None else Lora(read_lora(studio.store.open_local(trained.lora)).layers)
            pool = _pool(studio, request, number, lora, run, progress)
            kept, facts = _choose(studio, request, pool, kept.enrolment)
        except NotEnough as error:
            rounds.append(Round(why=str(error)))
            break
        rounds.append(facts)
        trained = _train(studio, request, persona, mix, kept, number, run, progress)
        if 1 - (facts.consistency or 0) < _ENOUGH * (1 - (rounds[0].consistency or 0)):
            break
    if trained is None:
        trained = _train(studio, request, persona, mix, kept, 0, run, progress)
    result = Persona(
        id=persona,
        name=request.name,
        version=1,  # until it is counted
        design=design.id,
        trigger=design.trigger,
        subject=design.subject,
        enrolment=kept.enrolment,
        recipe=design.recipe,
        donors=design.donors,
        backbone=studio.backbone.spec.id,
        trained_on=trainer.spec.id,
        request=request.consolidation,
        rounds=tuple(rounds),
        lora=trained.lora,
        losses=trained.losses,
        config=trained.config,
        samples=trained.samples,
    )
    told = {"trigger", "subject", "enrolment", "recipe", "donors", "losses", "config", "rounds"}
    told |= {"backbone", "trained_on"}
    row = PersonaRecord(
        id=persona,
        owner=request.owner,
        name=request.name,
        design=design.id,
        lora=result.lora,
        facts=result.model_dump(mode="json", include=told),
    )
    _note_novelty(studio, request)
    return result.model_copy(update={"version": keep_version(studio.records, row)})


def _note_novelty(studio: Studio, request: ConsolidateRequest) -> None:
    """Keep that a person let a face be nearer to a donor than the studio would, once for each design."""
    design = request.mixed
    chosen = dict(design.request.gates).get("novelty_ceiling", 0.0)
    if chosen > design.novelty_ceiling:
        facts = {"nearest": design.novelty_max, "ceiling": design.novelty_ceiling, "chosen": chosen}
        studio.records.keep(
            RightsRecord(
                id=f"novelty-{design.id}", owner=request.owner, kind="novelty", thing=f"design:{design.id}", facts=facts
            )
        )


def _pool(
    studio: Studio,
    request: ConsolidateRequest,
    number: int,
    lora: Lora,
    run: Run,
    progress: Progress,
) -> Candidates:
    """Return what a round chooses from: pictures by `lora`; in the first the design's own, too."""
    design = request.mixed
    count = (request.pool or default_pool(studio.backbone)) * len(design.pictures)
    if number == 0:
        own = Candidates(
            design.prompts, design.seeds, design.pictures, read_measures(studio.store.get_json(design.measures)),
            design.shots,
        )  # fmt: skip
        if dropped := set(design.dropped):
            own = own.take([i for i in range(len(own.pictures)) if i not in dropped])
        count -= len(design.pictures)
        if not count:
            return own
    name = f"round {number}"
    rng = np.random.default_rng([request.seed, 2, zlib.crc32(name.encode())])
    seeds = [int(s) for s in rng.integers(0, 2**32, count)]
    shots = vary_shots(count, seeds[0])
    prompts = [shot.prompt(design.subject, design.trigger) for shot in shots]
    stage = Stage(StudioStage.ROUND, str(number + 1))
    drawn = draw_candidates(studio, run, stage, lora, prompts, seeds, shots, progress)
    return own + drawn if number == 0 else drawn


def _choose(
    studio: Studio, request: ConsolidateRequest, pool: Candidates, enrolment: Sequence[float]
) -> tuple[_Kept, Round]:
    """The pool's pictures that are most the person, equally many of each framing and view, and those `held` by hand.

    Beside them others that pass all gates but that of the face. Raises NotEnough.
    """
    design = request.mixed
    # a LoRA that learns pictures which show something else than their captions learns not to listen
    gates = default_gates(studio.calibration).replace({"min_obeyed": 1.0} | dict(design.request.gates))
    centre = np.asarray(enrolment, np.float32)
    selection = pool.select(gates, design.donor_faces, request.seed, max_kept=request.keep, centre=centre)
    chosen = [*selection.kept]
    if by_hand := {design.pictures[i] for i in design.held}:
        chosen += [i for i, key in enumerate(pool.pictures) if key in by_hand and i not in selection.kept]
    usable = [v.index for v in selection.verdicts if v.reasons and {*v.reasons} <= _NOT_QUITE and v.index not in chosen]
    if len(usable) < len(chosen):  # half of each batch is theirs: few would be learnt by heart
        usable = []
    rng = np.random.default_rng([request.seed, 3])
    others = pool.take([usable[i] for i in rng.permutation(len(usable))[: _OTHERS * request.keep]])
    kept = _Kept(
        tuple(pool.pictures[i] for i in chosen),
        tuple(pool.prompts[i] for i in chosen),
        tuple(selection.centre.tolist()),
        _likeness(pool, chosen),
        others.pictures,
        others.prompts,
    )
    sheet = pool.contact_sheet(studio, selection)
    facts = Round(
        drawn=len(pool.pictures),
        kept=len(kept.pictures),
        consistency=pool.consistency,
        kept_consistency=pool.take(selection.kept).consistency,
        contact_sheet=FileKey(sheet),
    )
    return kept, facts


def _persona_id(studio: Studio, request: ConsolidateRequest) -> str:
    """Return the id of the persona that the studio's backbone makes of the request.

    A base and its distilled model take the same design, and each makes a persona of its own, as do other weights under
    the same names. Nothing is loaded; raises where the backbone has nothing to train on, as `training_spec`.
    """
    draws, trains = studio.backbone_spec, training_spec(studio.backbone_spec)
    told = request.model_dump(mode="json") | {"design": request.mixed.id, "name": ""}
    weights = [hash_weights(spec.source.path) for spec in (draws, trains)]
    made_by = {"backbone": draws.id, "trained_on": trains.id, "weights": weights} if draws.id != MINIATURE else {}
    return content_id(told | made_by)


def _train(
    studio: Studio,
    request: ConsolidateRequest,
    persona: str,
    mix: Lora,
    kept: _Kept,
    number: int,
    run: Run,
    progress: Progress,
) -> _Trained:
    """Train one round, or find that it was. Whichever machine goes on with it begins at the last checkpoint."""
    design, backbone, shared = request.mixed, studio.backbone.trained_on(), studio.library.shared
    name = f"work/{persona}/round-{number}"

    def train() -> dict[str, Any]:
        config = persona_config(backbone, request.seed, request.steps, request.identity_loss)
        own = _portraits(studio, kept.pictures, kept.captions, progress)
        others, identity = Portraits((), (), ()), None
        if config.picture_weight:
            others = _portraits(studio, kept.others, kept.other_captions, progress)
            likeness = np.asarray(kept.likeness or kept.enrolment, np.float32)
            identity = IdentityLoss(studio.faces, [*own.images, *others.images], likeness, backbone.device)
        folder = shared.sync(name)
        metadata = _metadata(studio, request, backbone, config, len(own.images), number)
        sampler = Sampler(studio, backbone, design, mix, kept.enrolment, folder, progress)
        checkpoints = KeptCheckpoints(folder, metadata, partial(join_layers, mix))

        def at_checkpoint(steps: int, layers: tuple[LoraLayer, ...]) -> None:
            sampler(steps, layers)
            if steps < config.steps:
                checkpoints.keep(steps, layers, sampler.rows)
            shared.sync(name)

        try:
            trained = train_persona(backbone, mix, own, others, identity, config, folder, progress, at_checkpoint)
        except Cancelled:  # which left a checkpoint, too
            shared.sync(name)
            raise
        path = folder / "persona.safetensors"
        write_lora(path, trained.layers, metadata)
        lora = FileKey(studio.store.put(path.read_bytes()))
        done = _Trained(
            lora=lora,
            losses=studio.store.put_json(list(trained.losses)),
            config=config.model_dump(mode="json"),
            samples=checkpoints.store(studio.store, sampler.rows, lora),
        )
        return done.model_dump(mode="json")

    done = _Trained.model_validate_json(json.dumps(run(f"train-{number}", train)))
    shared.drop(name)
    return done


def _metadata(
    studio: Studio, request: ConsolidateRequest, trainer: Backbone, config: LoraTrainingConfig, images: int, number: int
) -> LoraMetadata:
    """Return what a persona's LoRA says of itself, a checkpoint's too."""
    design, spec = request.mixed, trainer.spec
    return LoraMetadata(
        title=request.name,
        trigger_phrase=design.trigger,
        license=", ".join(sorted({d.licence for d in design.donors})),
        description="A persona LoRA, trained on the kept pictures of a fused face.",
        base_model=spec.id,
        family=spec.family,
        height=spec.height,
        width=spec.width,
        merged_from=tuple((d.name, w) for d, w in zip(design.donors, design.recipe.mix_weights, strict=False)),
        training={
            "learning_rate": str(config.learning_rate),
            "steps": str(config.steps),
            "num_train_images": str(images),
            "identity_loss": str(config.picture_weight),
            "persona_recipe": design.recipe.id,
            "persona_round": str(number),
        },
    )


def _likeness(pool: Candidates, rows: Sequence[int]) -> tuple[float, ...]:
    """The mean face of the largest third; those chosen by hand may have none."""
    seen = [pool.measures[i] for i in rows if pool.measures[i].face is not None]
    largest = sorted(seen, key=lambda m: -float(m.numbers["face_height"] or 0))[: max(1, len(seen) // 3)]
    mean = mean_embedding(np.asarray([m.face for m in largest], np.float32))
    return tuple(float(v) for v in mean)


def _portraits(studio: Studio, pictures: Sequence[str], captions: Sequence[str], progress: Progress) -> Portraits:
    spec = studio.backbone.spec
    images, heads = [], []
    for key in pictures:
        progress.check_cancelled()
        # a template that a face was put into has a size of its own
        images.append(fit_image(studio.store.get_picture(key), spec.height, spec.width))
        heads.append(studio.regions.read(images[-1:])[0].head)
    return Portraits(images, captions, heads)
