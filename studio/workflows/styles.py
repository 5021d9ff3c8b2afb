"""A style of one's own: a LoRA that moves how a model's pictures look, learnt from a folder of photographs."""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from personas.measures.regions import LABELS
from personas.shots import GOODS, vary_shots
from pipelines.backbones import Backbone
from pipelines.errors import StudioError
from pipelines.families.siblings import training_spec
from pipelines.file_names import file_name
from pipelines.lora import LoraMetadata, write_lora
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Progress
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from
from pipelines.text_files import plain_spaces, read_text_file
from pipelines.training.dataset import hash_examples
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora
from pipelines.training.style import StyleObjective, StyleRecipe, find_style_recipe
from studio.application import Studio
from studio.domain.consent import ConsentForm, check_not_over, read_consent
from studio.domain.report import LeftOut
from studio.library.picture_folders import list_pictures, load_pictures

__all__ = ["MIN_PHOTOS", "TrainedStyle", "train_folder_style"]

MIN_PHOTOS = 20
_OWN = 24  # pictures of the model's own: what it must stay able to draw
_STEPS = 200
_UNSAID = "photo of a person"
_HELD = tuple(LABELS.index(name) for name in ("face", "goods", "body_skin"))


@dataclass(frozen=True)
class TrainedStyle:
    """The file that was written, the steps of its training, and why some of the folder's files took no part."""

    path: Path
    steps: int
    left_out: tuple[StudioError, ...]


def train_folder_style(
    studio: Studio,
    folder: Path,
    consent: Path,
    out: Path,
    name: str = "",
    steps: int = 0,
    seed: int = 1,
    progress: Progress = SILENT,
) -> TrainedStyle:
    """Train a style on a folder's photographs and write it to `out`; resumes as `train_folder_donor` does.

    NAME.txt beside a photo says what it shows. A consent that is over is refused before any work. Raises BadInput
    `style_family_unknown` for a family of which nobody has told how, NotEnough for fewer than 20 photos.
    """
    form = read_consent(consent)
    check_not_over(form, datetime.date.today())
    found = list_pictures(folder)
    found.check_enough(MIN_PHOTOS)
    texts = {path: plain_spaces(read_text_file(file)).strip() for path, file in found.captions.items()}
    loaded, left_out = load_pictures(found, MIN_PHOTOS)
    progress.tell(LeftOut(left_out))
    training_spec(studio.backbone_spec)  # what cannot work is said before anything is loaded
    backbone = studio.backbone.trained_on()
    recipe = find_style_recipe(backbone)
    regions = studio.regions.read([picture.image for picture in loaded])
    examples = [
        TrainingExample(picture.image, texts.get(picture.path) or _UNSAID, np.isin(one.labels, _HELD))
        for picture, one in zip(loaded, regions, strict=True)
    ]
    config = _config(backbone, recipe, steps or _STEPS, seed)
    of = [hash_examples(examples), backbone.spec.id, hash_weights(backbone.spec.source.path), asdict(recipe)]
    told = json.dumps([*of, config.model_dump(mode="json")])
    job = studio.library.work / f"style-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    others = _own_pictures(backbone, job, progress) if recipe.prior else []
    objective = StyleObjective(recipe)
    trained = train_lora(backbone, examples, config, job, progress, regularisation=others, objective=objective)
    title = name or file_name(folder.resolve().name)
    write_lora(out, trained.layers, _card(backbone, recipe, config, title, form, len(examples)))
    return TrainedStyle(out, trained.steps, left_out)


def _config(backbone: Backbone, recipe: StyleRecipe, steps: int, seed: int) -> LoraTrainingConfig:
    return LoraTrainingConfig.model_validate({
        "rank": recipe.rank, "learning_rate": recipe.learning_rate, "steps": steps, "checkpoint_every": 50,
        "seed": seed, "batch_size": recipe.batch * (2 if recipe.prior else 1), "target_modules": recipe.modules,
    })  # fmt: skip


def _own_pictures(backbone: Backbone, job: Path, progress: Progress) -> list[TrainingExample]:
    """Pictures that the model draws of varied shots, kept beside the training."""
    shots = vary_shots(_OWN, 1, goods=GOODS)
    prompts = [shot.prompt("a person", "") for shot in shots]
    file = job / "own.npz"
    if not file.exists():
        requests = [request_from(backbone.spec, prompt, i) for i, prompt in enumerate(prompts)]
        pictures = [picture for _, picture in draw(backbone, requests, progress=progress)]
        job.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(part, pictures=np.stack(pictures))
        part.replace(file)
    with np.load(file) as kept:
        return [TrainingExample(p, prompt) for p, prompt in zip(kept["pictures"], prompts, strict=True)]


def _card(
    backbone: Backbone, recipe: StyleRecipe, config: LoraTrainingConfig, title: str, form: ConsentForm, photos: int
) -> LoraMetadata:
    """All that was chosen, and whether it was measured on such a model or carried over from what others found."""
    ground = "measured on this model" if recipe.measured else "carried over from published findings, not measured here"
    return LoraMetadata(
        title=title,
        description=(
            f"A style of {photos} photographs: moments of predicted clean latents where sigma is between "
            f"{recipe.window[0]:g} and {recipe.window[1]:g} (weight {recipe.style:g}), content held by blocks "
            f"{', '.join(map(str, recipe.blocks))} of {recipe.stack} (weight {recipe.content:g}), the model's own "
            f"pictures held (weight {recipe.prior:g}). These numbers: {ground}. Use of the photographs: {form.scope}."
        ),
        base_model=backbone.spec.id,
        family=backbone.spec.family,
        height=backbone.spec.height,
        width=backbone.spec.width,
        training={
            "steps": str(config.steps),
            "learning_rate": str(config.learning_rate),
            "num_train_images": str(photos),
            "style_recipe": json.dumps(asdict(recipe)),
        },
    )
