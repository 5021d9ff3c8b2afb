"""Donors of one's own: a LoRA file as it is, or one trained from a folder of pictures, with a consent record."""

from __future__ import annotations

import datetime
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from personas.captions.lint import strip_identity
from personas.consolidation import default_config
from personas.donors import Consent, Donor, check_new_donor, save_donor
from personas.looks import find_category
from personas.shots import Shot
from pipelines.errors import BadInput, NotEnough, StudioError
from pipelines.families.siblings import training_spec
from pipelines.file_names import file_name
from pipelines.lora import Lora, LoraMetadata, check_fits, read_lora, write_lora
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import identity_request
from pipelines.training.dataset import hash_examples
from pipelines.training.lora import TrainingExample, train_lora
from studio.application import Studio
from studio.datasets.keeping import edits_of
from studio.datasets.opened import OpenedDataset, open_dataset
from studio.domain.consent import ConsentForm, check_not_over, read_consent
from studio.domain.dataset import DatasetEdits, FaceRequest, FaceTrained, OfIdentity
from studio.domain.days import read_day
from studio.domain.donor import DonorAdded, DonorRequest
from studio.domain.report import LeftOut, StudioStage
from studio.library.consents import check_dataset, dataset_consent
from studio.library.records import content_id
from studio.library.uploads import find_upload
from studio.workflows import Run
from studio.workflows.training_folder import MIN_PICTURES, TRIGGER, read_training_folder

__all__ = [
    "TrainedDonor", "add_lora_donor", "add_uploaded_donor", "train_dataset_donor", "train_face", "train_folder_donor",
]  # fmt: skip


@dataclass(frozen=True)
class TrainedDonor:
    """A donor that was trained, and why some of the folder's files took no part."""

    donor: Donor
    left_out: tuple[StudioError, ...]


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


def train_folder_donor(
    studio: Studio,
    folder: Path,
    category: str,
    consent: Path,
    name: str = "",
    licence: str = "unknown",
    steps: int = 0,
    seed: int = 1,
    progress: Progress = SILENT,
) -> TrainedDonor:
    """Train a LoRA on a folder of pictures of one person and keep it as a donor.

    Resumes when run again with the same pictures, captions and settings; others are another training. A name that is
    taken and a consent that is over are refused before any work, and what is left out of the folder is told before it.
    It is trained on a distilled backbone's sibling; its thumbnail is the backbone's.
    """
    look, title = find_category(category), name or file_name(folder.resolve().name)
    form = read_consent(consent)
    check_not_over(form, datetime.date.today())
    check_new_donor(studio.library.donors_folder, look.id, title)
    given = read_training_folder(folder, look.subject)
    progress.tell(LeftOut(given.left_out))
    donor = _train(studio, given.rows, look.id, form, title, TRIGGER, licence, steps, seed, progress)
    return TrainedDonor(donor, given.left_out)


def train_face(studio: Studio, request: FaceRequest, run: Run, progress: Progress = SILENT) -> FaceTrained:
    """Train a source face on a data set, as `train_dataset_donor` does."""

    def edits() -> dict[str, Any]:
        said = request.edits or edits_of(studio.library, request.owner, request.dataset)
        return said.model_dump(mode="json")

    said = DatasetEdits.model_validate_json(json.dumps(run("edits", edits)))
    opened = open_dataset(studio.library, request.owner, request.dataset, said)

    def check() -> None:
        _check_face(studio, opened, request.identity, request.name)

    def train() -> dict[str, Any]:
        donor = _train_face(
            studio, opened, request.identity, request.name, request.licence, request.steps, request.seed, progress
        )
        return {"donor": donor.id, "name": donor.name, "category": donor.category}

    run("check", check)  # a step of its own: a training that is taken up again may have kept the face already
    made = run("train", train)
    return FaceTrained(id=content_id(made), pictures=len(opened.judged.kept), **made)


def train_dataset_donor(
    studio: Studio,
    opened: OpenedDataset,
    identity: OfIdentity = "stop",
    name: str = "",
    licence: str = "unknown",
    steps: int = 0,
    seed: int = 1,
    progress: Progress = SILENT,
) -> Donor:
    """Train a LoRA on the kept pictures of a data set and keep it as a donor; resumes as `train_folder_donor`.

    `identity` says what becomes of words that say who the person is: the training stops, they are left out, or they
    stay. Raises BadInput `captions_tell_identity`, NotEnough for fewer than four pictures, and what else a training
    raises.
    """
    _check_face(studio, opened, identity, name)
    return _train_face(studio, opened, identity, name, licence, steps, seed, progress)


def _check_face(studio: Studio, opened: OpenedDataset, identity: OfIdentity, name: str) -> None:
    """Raise what refuses a training before any work."""
    asked, kept = opened.dataset.request, opened.judged.kept
    check_dataset(studio.records, asked.owner, opened.dataset)
    check_new_donor(studio.library.donors_folder, find_category(asked.category).id, name or asked.name)
    if len(kept) < MIN_PICTURES:
        raise NotEnough("dataset_kept_too_few", count=len(kept), needed=MIN_PICTURES, name=asked.name)
    told = [one for one in opened.findings if one.code == "identity"]
    if told and identity == "stop":
        raise BadInput(
            "captions_tell_identity", phrases=[one.phrase for one in told[:5]],
            count=len({row for one in told for row in one.rows}),
        )  # fmt: skip


def _train_face(
    studio: Studio,
    opened: OpenedDataset,
    identity: OfIdentity,
    name: str,
    licence: str,
    steps: int,
    seed: int,
    progress: Progress,
) -> Donor:
    asked, kept, policy = opened.dataset.request, opened.judged.kept, opened.policy
    captions = [opened.captions[row] for row in kept]
    if identity == "strip":
        captions = [strip_identity(caption, policy) for caption in captions]
    images = [studio.store.get_picture(asked.pictures[row].picture) for row in kept]
    rows, look = tuple(zip(images, captions, strict=True)), find_category(asked.category)
    title, form = name or asked.name, _form_of(studio, opened)
    return _train(studio, rows, look.id, form, title, policy.trigger, licence, steps, seed, progress)


def _form_of(studio: Studio, opened: OpenedDataset) -> ConsentForm:
    """The set's consent as it stands now: it may have been prolonged since."""
    asked = opened.dataset.request
    said = dataset_consent(studio.records, asked.owner, opened.dataset, datetime.date.today())
    until = read_day(said.expires) if said.expires else None
    return ConsentForm(asked.who, asked.scope, until, asked.outside, asked.document, asked.adult)


def _train(
    studio: Studio,
    rows: Sequence[tuple[npt.NDArray[np.uint8], str]],
    category: str,
    form: ConsentForm,
    title: str,
    trigger: str,
    licence: str,
    steps: int,
    seed: int,
    progress: Progress,
) -> Donor:
    """Train on pictures with their captions; `trigger` is in each of these."""
    training_spec(studio.backbone_spec)  # what cannot work is said before anything is loaded
    backbone = studio.backbone.trained_on()
    heads = [regions.head for regions in studio.regions.read([image for image, _ in rows])]
    examples = [TrainingExample(image, caption, head) for (image, caption), head in zip(rows, heads, strict=True)]
    config = default_config(backbone, seed)
    if steps:
        config = config.model_copy(update={"steps": steps})
    weights = hash_weights(backbone.spec.source.path)
    of = [hash_examples(examples), backbone.spec.id, weights, config.model_dump(mode="json")]
    job = studio.library.work / f"donor-{hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]}"
    trained = train_lora(backbone, examples, config, job, progress)
    path = job / "donor.safetensors"
    write_lora(
        path,
        [replace(x) for x in trained.layers],
        LoraMetadata(
            title=title,
            trigger_phrase=trigger,
            license=licence,
            base_model=backbone.spec.id,
            family=backbone.spec.family,
            height=backbone.spec.height,
            width=backbone.spec.width,
            training={
                "steps": str(config.steps),
                "learning_rate": str(config.learning_rate),
                "num_train_images": str(len(examples)),
            },
        ),
    )
    return _add(studio, path, category, form, title, trigger, licence, backbone.spec.family)
