"""Donors of one's own: a LoRA file as it is, or one trained from a folder of pictures, with a consent record."""

from __future__ import annotations

import datetime
import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from personas.consolidation import default_config
from personas.donors import Consent, Donor, save_donor
from personas.looks import find_category
from personas.shots import Shot
from pipelines.errors import BadInput, NotEnough
from pipelines.lora import Lora, LoraMetadata, check_fits, read_lora, write_lora
from pipelines.pictures import load_scene
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import identity_request
from pipelines.training.lora import TrainingExample, train_lora
from studio.application import Studio
from studio.domain.donor import DonorAdded, DonorRequest
from studio.domain.report import StudioStage
from studio.library.uploads import find_upload
from studio.workflows import Run

__all__ = ["add_lora_donor", "add_uploaded_donor", "train_folder_donor"]

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_TRIGGER = "ohwx"
_MIN_PICTURES = 4


class _ConsentForm(BaseModel):
    """Consent that a person signs: who they are, what for, until when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    who: str = Field(min_length=1)
    scope: str = Field(min_length=1)
    expires: datetime.date | None = None


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
    return _add(studio, lora, category, _read_consent(consent), name, trigger, licence, family)


def add_uploaded_donor(studio: Studio, request: DonorRequest, run: Run, progress: Progress = SILENT) -> DonorAdded:
    """Check, draw and keep a file that a page brought."""
    progress.tell(StageProgress(Stage(StudioStage.INSPECT), 0, 1))

    def add() -> dict[str, str]:
        path = find_upload(studio.settings, request.owner, request.upload)
        form = _ConsentForm(who=request.who, scope=request.scope, expires=request.until)
        donor = _add(
            studio, path, request.category, form, request.name, request.trigger, request.licence, request.family
        )
        return {"id": donor.id, "name": donor.name, "category": donor.category}

    added = DonorAdded(**run("add", add))
    progress.tell(StageProgress(Stage(StudioStage.INSPECT), 1, 1))
    return added


def _add(
    studio: Studio, lora: Path, category: str, form: _ConsentForm, name: str, trigger: str, licence: str, family: str
) -> Donor:
    look = find_category(category)
    file = read_lora(lora, family)
    for known in studio.donors():
        if known.id == file.sha256[:16]:
            if (known.name, known.category) == (name or lora.stem, look.id):
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
        record = Consent(who=form.who, scope=form.scope, file_sha256=file.sha256, expires=form.expires)
        donor = Donor(
            file.sha256[:16],
            name or lora.stem,
            look.id,
            lora,
            word,
            licence,
            record,
            thumbnail,
            file.family,
            file.width,
        )
        return save_donor(studio.library.donors_folder, donor)


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
) -> Donor:
    """Train a LoRA on a folder of pictures of one person and keep it as a donor. Resumes when run again.

    It is trained on a distilled backbone's sibling; its thumbnail is the backbone's.
    """
    look = find_category(category)
    form = _read_consent(consent)
    rows = _read_folder(folder, look.subject)
    backbone = studio.backbone.trained_on()  # what cannot work is said before the pictures are looked at
    heads = [regions.head for regions in studio.regions.read([image for image, _ in rows])]
    examples = [TrainingExample(image, caption, head) for (image, caption), head in zip(rows, heads, strict=True)]
    config = default_config(backbone, seed)
    if steps:
        config = config.model_copy(update={"steps": steps})
    job = hashlib.sha256(json.dumps([str(folder.resolve()), config.model_dump(mode="json")]).encode()).hexdigest()[:16]
    trained = train_lora(backbone, examples, config, studio.library.work / f"donor-{job}", progress)
    title = name or folder.resolve().name
    path = studio.library.work / f"donor-{job}" / f"{title}.safetensors"
    write_lora(
        path,
        [replace(x) for x in trained.layers],
        LoraMetadata(
            title=title,
            trigger_phrase=_TRIGGER,
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
    signed = path.with_suffix(".consent.json")
    signed.write_text(form.model_dump_json())
    return add_lora_donor(studio, path, look.id, signed, title, _TRIGGER, licence)


def _read_consent(path: Path) -> _ConsentForm:
    try:
        return _ConsentForm.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        why = str(error)
        if isinstance(error, ValidationError):
            why = "; ".join(": ".join([*map(str, e["loc"]), e["msg"]]) for e in error.errors())
        raise BadInput("consent_file_invalid", file=path.name, reason=why) from error


def _read_folder(folder: Path, subject: str) -> list[tuple[npt.NDArray[np.uint8], str]]:
    if not folder.is_dir():
        raise BadInput("no_folder", folder=str(folder))
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES)
    if len(paths) < _MIN_PICTURES:
        raise NotEnough("donor_pictures_too_few", count=len(paths), folder=str(folder), needed=_MIN_PICTURES)
    rows = []
    for path in paths:
        text = path.with_suffix(".txt")
        caption = text.read_text(encoding="utf-8").strip() if text.is_file() else f"photo of {_TRIGGER} {subject}"
        rows.append((load_scene(path).image, caption if _TRIGGER in caption else f"{_TRIGGER} {caption}"))
    return rows
