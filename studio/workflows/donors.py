"""Donors of one's own: a LoRA file as it is, or one trained on a data set, with a consent record."""

from __future__ import annotations

import datetime
import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from personas.captions.lint import strip_identity
from personas.consolidation import persona_config
from personas.datasets.facts import PictureFacts
from personas.datasets.framed import seen_in
from personas.donors import Consent, Donor, check_new_donor, save_donor
from personas.identity_loss import IdentityLoss, lead_to_themselves
from personas.looks import find_category
from personas.shots import Shot
from pipelines.backbones import Backbone
from pipelines.errors import BadInput, ModelMissing, NotEnough
from pipelines.families.siblings import training_spec
from pipelines.file_names import file_name
from pipelines.lora import Lora, LoraMetadata, check_fits, read_lora, write_lora
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import identity_request
from pipelines.training.buckets import Box
from pipelines.training.dataset import fit_image, hash_examples
from pipelines.training.lora import TrainingExample, train_lora
from pipelines.training.pictures import check_differentiable
from studio.application import Studio
from studio.datasets.keeping import edits_of
from studio.datasets.opened import OpenedDataset, open_dataset
from studio.datasets.planned import PlannedDataset, boxes_in, plan_dataset
from studio.domain.consent import ConsentForm, read_consent
from studio.domain.dataset import LEAST_PICTURES, DatasetEdits, FaceRequest, FaceTrained, OfIdentity
from studio.domain.days import read_day
from studio.domain.donor import DonorAdded, DonorRequest
from studio.domain.report import StudioStage
from studio.library.consents import check_dataset, dataset_consent
from studio.library.records import content_id
from studio.library.uploads import find_upload
from studio.workflows import Run

__all__ = ["add_lora_donor", "add_uploaded_donor", "train_face"]


def add_lora_donor(
    studio: Studio,
    lora: Path,
    category: str,
    consent: Path,
    name: str = "",
    trigger: str = "",
    licence: str = "unknown",
    family: str = "",
) -> Donor:
    """Check the file against the backbone, draw its thumbnail, keep it. Raises BadLora, BadInput.

    `family` is the id of the model family that a person stated, needed where the file itself leaves the choice.
    """
    return _add(studio, lora, category, read_consent(consent), name, trigger, licence, family)


def add_uploaded_donor(studio: Studio, request: DonorRequest, run: Run, progress: Progress = SILENT) -> DonorAdded:
    """Check, draw and keep a file that a page brought."""
    progress.tell(StageProgress(Stage(StudioStage.INSPECT), 0, 1))

    def add() -> dict[str, str]:
        path = find_upload(studio.settings, request.owner, request.upload)
        form = ConsentForm(request.who, request.scope, request.until, adult=request.adult or None)
        donor = _add(
            studio, path, request.category, form, request.name, request.trigger, request.licence, request.family
        )
        return {"id": donor.id, "name": donor.name, "category": donor.category}

    added = DonorAdded(**run("add", add))
    progress.tell(StageProgress(Stage(StudioStage.INSPECT), 1, 1))
    return added


def _add(
    studio: Studio, lora: Path, category: str, form: ConsentForm, name: str, trigger: str, licence: str, family: str
) -> Donor:
    look, title = find_category(category), name or file_name(lora.stem)
    file = read_lora(lora, family)
    for known in studio.donors():
        if known.id == file.sha256[:16]:
            if (known.name, known.category) == (title, look.id):
                return known  # a step may run twice
            raise BadInput("known_donor", donor=known.name)
    check_fits(file.layers, studio.backbone.model, lora.name, file.family)
    word = trigger or file.metadata.get("modelspec.trigger_phrase", "")
    with tempfile.TemporaryDirectory() as scratch:
        thumbnail = Path(scratch) / "thumbnail.png"
        prompt = Shot(framing="close-up", expression="smiling").prompt(look.subject, word)
        request = identity_request(studio.backbone.spec, prompt, 1, loras=(Lora(file.layers),))
        picture = draw_batch(studio.backbone, [request])[0]
        Image.fromarray(picture).save(thumbnail)
        record = Consent(
            who=form.who, scope=form.scope, file_sha256=file.sha256, expires=form.expires,
            document_sha256=form.document or None, adult=form.adult,
        )  # fmt: skip
        donor = Donor(
            file.sha256[:16],
            title,
            look.id,
            lora,
            word,
            licence,
            record,
            thumbnail,
            file.family,
            file.width,
        )
        saved = save_donor(studio.library.donors_folder, donor)
        studio.library.shared.sync("donors")
        return saved


def train_face(studio: Studio, request: FaceRequest, run: Run, progress: Progress = SILENT) -> FaceTrained:
    """Train a LoRA on the good pictures of a data set and keep it as a donor.

    A training with the same pictures, captions and settings goes on where it was stopped; others are another training.
    What forbids it is said before any work. It is trained on a distilled backbone's sibling; its thumbnail is the
    backbone's. Raises BadInput `captions_tell_identity`, NotEnough for fewer than four pictures, ConsentMissing, and
    what else a training raises.
    """

    def edits() -> dict[str, Any]:
        said = request.edits or edits_of(studio.library, request.owner, request.dataset)
        return said.model_dump(mode="json")

    said = DatasetEdits.model_validate_json(json.dumps(run("edits", edits)))
    opened = open_dataset(studio.library, request.owner, request.dataset, said)
    run("check", lambda: _check_face(studio, opened, request))  # a training taken up again may have kept the face
    made = run("train", lambda: _train(studio, opened, request, progress))
    return FaceTrained(id=content_id(made), pictures=len(opened.judged.kept), **made)


def _check_face(studio: Studio, opened: OpenedDataset, request: FaceRequest) -> None:
    """Raise what refuses a training before any work."""
    asked, kept = opened.dataset.request, opened.judged.kept
    check_dataset(studio.records, asked.owner, opened.dataset)
    check_new_donor(studio.library.donors_folder, find_category(asked.category).id, request.name or asked.name)
    if len(kept) < LEAST_PICTURES:
        raise NotEnough("dataset_kept_too_few", count=len(kept), needed=LEAST_PICTURES, name=asked.name)
    told = [one for one in opened.findings if one.code == "identity"]
    if told and request.identity == "stop":
        raise BadInput(
            "captions_tell_identity", phrases=[one.phrase for one in told[:5]],
            count=len({row for one in told for row in one.rows}),
        )  # fmt: skip
    training_spec(studio.backbone_spec)


def _form_of(studio: Studio, opened: OpenedDataset) -> ConsentForm:
    """The set's consent as it stands now: it may have been prolonged since."""
    asked = opened.dataset.request
    said = dataset_consent(studio.records, asked.owner, opened.dataset, datetime.date.today())
    until = read_day(said.expires) if said.expires else None
    return ConsentForm(asked.who, asked.scope, until, asked.outside, asked.document, asked.adult)


def _train(studio: Studio, opened: OpenedDataset, request: FaceRequest, progress: Progress) -> dict[str, Any]:
    asked, trigger = opened.dataset.request, opened.policy.trigger
    backbone = studio.backbone.trained_on()
    planned = plan_dataset(opened, backbone.spec, request.several_sizes)
    examples = _examples(studio, planned, request.identity, progress)
    config = persona_config(backbone, request.seed, request.steps, request.identity_loss)
    judge = _judge(studio, examples, backbone, request.identity_loss) if config.picture_weight else None
    weight = config.picture_weight if judge else 0.0
    config = config.model_copy(update={"picture_weight": weight, "buckets": planned.several})
    weights = hash_weights(backbone.spec.source.path)
    of = [hash_examples(examples), backbone.spec.id, weights, config.model_dump(mode="json")]
    of += [judge.fingerprint] if judge else []
    job = studio.library.work / f"donor-{hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]}"
    trained = train_lora(backbone, examples, config, job, progress, judge=judge)
    path, title = job / "donor.safetensors", request.name or asked.name
    write_lora(
        path,
        trained.layers,
        LoraMetadata(
            title=title,
            trigger_phrase=trigger,
            license=request.licence,
            base_model=backbone.spec.id,
            family=backbone.spec.family,
            height=backbone.spec.height,
            width=backbone.spec.width,
            training={
                "steps": str(config.steps),
                "learning_rate": str(config.learning_rate),
                "num_train_images": str(len(examples)),
                "identity_loss": str(config.picture_weight),
            },
        ),
    )
    look = find_category(asked.category).id
    donor = _add(studio, path, look, _form_of(studio, opened), title, trigger, request.licence, backbone.spec.family)
    return {
        "donor": donor.id, "name": donor.name, "category": donor.category, "identity_loss": config.picture_weight,
    }  # fmt: skip


def _examples(
    studio: Studio, planned: PlannedDataset, identity: OfIdentity, progress: Progress
) -> list[TrainingExample]:
    """The good pictures with their captions: whole ones for several sizes, else cut and fitted to the one, so that of
    thousands none stays in memory whole.
    """
    opened, examples = planned.opened, list[TrainingExample]()
    for row in opened.judged.kept:
        progress.check_cancelled()
        image, facts = studio.store.get_picture(opened.dataset.request.pictures[row].picture), opened.facts[row]
        caption, (height, width) = planned.caption(row), image.shape[:2]
        if identity == "strip":
            caption = strip_identity(caption, opened.policy)
        if not planned.several:
            x0, y0, x1, y1 = planned.window(row)
            part = image[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)]
            image, facts = fit_image(np.ascontiguousarray(part), *planned.own), seen_in(facts, (x0, y0, x1, y1))
        height, width = image.shape[:2]
        boxes = boxes_in(facts, height, width)
        examples.append(TrainingExample(image, caption, _head(studio, facts, image, boxes), boxes))
    return examples


def _head(
    studio: Studio, facts: PictureFacts, image: npt.NDArray[np.uint8], boxes: Sequence[Box]
) -> npt.NDArray[np.bool_]:
    """Where face and hair are: as the reader sees them where it knows such pictures, else the boxes around the face."""
    if studio.reads(facts.own_look):
        return studio.regions.read([image])[0].head
    seen = np.zeros(image.shape[:2], np.bool_)
    for x0, y0, x1, y1 in boxes:
        seen[max(0, y0) : y1, max(0, x0) : x1] = True
    return seen


def _judge(
    studio: Studio, examples: Sequence[TrainingExample], backbone: Backbone, asked: float | None
) -> IdentityLoss | None:
    """Who leads the training to the person's face; None where nobody can, unless somebody asked for it."""
    try:
        check_differentiable(backbone)
        return lead_to_themselves(studio.faces, [one.image for one in examples], backbone.device)
    except (BadInput, ModelMissing):
        if asked is not None:
            raise
        return None
