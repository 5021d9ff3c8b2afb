"""A style of one's own: a LoRA that moves how a model's pictures look, learnt from photographs."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from personas.captions.compose import compose
from personas.captions.policy import SWITCHES, Policy
from personas.measures.regions import LABELS
from personas.shots import GOODS, Shot, vary_shots
from pipelines.backbones import Backbone
from pipelines.errors import NotEnough, StudioError
from pipelines.families.siblings import training_spec
from pipelines.file_names import file_name
from pipelines.lora import Lora, LoraLayer, LoraMetadata, read_lora, write_lora
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Progress
from pipelines.sampling.draw import draw, draw_batch
from pipelines.sampling.request import request_from
from pipelines.text_files import plain_spaces, read_text_file
from pipelines.training.dataset import hash_examples
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora
from pipelines.training.style import StyleObjective, StyleRecipe, find_style_recipe
from studio.application import Studio
from studio.datasets.keeping import edits_of
from studio.datasets.opened import OpenedDataset, open_dataset
from studio.domain.capabilities import own_look
from studio.domain.consent import check_not_over, read_consent
from studio.domain.dataset import DatasetEdits
from studio.domain.report import LeftOut
from studio.domain.style import Style, StyleRequest
from studio.library.consents import check_dataset
from studio.library.picture_folders import list_pictures, load_pictures
from studio.library.records import content_id
from studio.texts.texts import LANGUAGES, Texts
from studio.workflows import Run

__all__ = ["MIN_PHOTOS", "MOST_PHOTOS", "TrainedStyle", "learn_style", "train_folder_style"]

MIN_PHOTOS, MOST_PHOTOS = 20, 400
_OWN = 24  # pictures of the model's own: what it must stay able to draw
_STEPS = 200
_UNSAID = "photo of a person"
_HELD = tuple(LABELS.index(name) for name in ("face", "goods", "body_skin"))
_SAMPLE = Shot(framing="half-body", expression="smiling", setting="cafe")

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrainedStyle:
    """The file that was written, the steps of its training, and why some of the folder's files took no part."""

    path: Path
    steps: int
    left_out: tuple[StudioError, ...]


@dataclass(frozen=True, eq=False)
class _Learnt:
    """What a training came to: `layers` for the model `backbone`, and all that decided them."""

    layers: tuple[LoraLayer, ...]
    backbone: Backbone
    recipe: StyleRecipe
    config: LoraTrainingConfig
    photos: int


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
    """Train a style on a folder's photographs and write it to `out`; it goes on where the same training was stopped.

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
    photos = [(picture.image, texts.get(picture.path) or _UNSAID) for picture in loaded]
    learnt = _learn(studio, photos, steps, seed, progress)
    title = name or file_name(folder.resolve().name)
    write_lora(out, learnt.layers, _card(learnt, title, form.scope))
    return TrainedStyle(out, learnt.config.steps, left_out)


def learn_style(studio: Studio, request: StyleRequest, run: Run, progress: Progress = SILENT) -> Style:
    """Train a style on the good pictures of a data set, by the consent as it stands now, and draw a sample in it.

    Raises ConsentMissing where that no longer holds, NotEnough for fewer than 20 good pictures, and what
    `train_folder_style` raises.
    """

    def edits() -> dict[str, Any]:
        said = request.edits or edits_of(studio.library, request.owner, request.dataset)
        return said.model_dump(mode="json")

    said = DatasetEdits.model_validate_json(json.dumps(run("edits", edits)))
    opened = open_dataset(studio.library, request.owner, request.dataset, said)
    # a data set is often called as the person in it, and a style's name travels with every picture
    names = {one: request.name or Texts(one)("style.unnamed", id=request.dataset.id[:6]) for one in LANGUAGES}

    def check() -> None:
        check_dataset(studio.records, request.owner, request.dataset)
        if (count := len(opened.judged.kept)) < MIN_PHOTOS:
            raise NotEnough("dataset_kept_too_few", count=count, needed=MIN_PHOTOS, name=request.dataset.request.name)

    def train() -> dict[str, Any]:
        learnt = _learn(studio, _photos_of(studio, opened, progress), request.steps, request.seed, progress)
        return _keep(studio, learnt, names["en"], request.dataset.request.scope)

    run("check", check)
    made = run("train", train)
    sample = run("sample", lambda: str(_draw_sample(studio, made["lora"])))
    told = {**made, "names": names, "dataset": request.dataset.id, "sample": sample}
    return Style.model_validate_json(json.dumps({"id": content_id(told), **told}))


def _photos_of(studio: Studio, opened: OpenedDataset, progress: Progress) -> list[tuple[Picture, str]]:
    """The kept pictures, of more than 400 evenly chosen ones, with captions that say all that is known, the person's
    own features too, and no trigger: what a caption leaves out would be taken for the style.
    """
    asked, found = opened.dataset.request, []
    policy = Policy(trigger="", subject=opened.policy.subject, say=SWITCHES)
    kept = opened.judged.kept
    # as many as an hour's training sees; more would only fill the memory
    for row in kept if len(kept) <= MOST_PHOTOS else kept[:: -(-len(kept) // MOST_PHOTOS)]:
        progress.check_cancelled()
        written = opened.edits.captions.get(str(row), asked.pictures[row].caption)
        plain = " ".join(re.sub(rf"(?<!\w){re.escape(opened.policy.trigger)}(?!\w)", " ", written).split())
        caption = plain or compose(opened.fused[row].facts, policy)
        found.append((studio.store.get_picture(asked.pictures[row].picture), caption))
    return found


def _learn(studio: Studio, photos: Sequence[tuple[Picture, str]], steps: int, seed: int, progress: Progress) -> _Learnt:
    """Train on photos with their captions; goes on where the same training was stopped."""
    training_spec(studio.backbone_spec)  # what cannot work is said before anything is loaded
    backbone = studio.backbone.trained_on()
    recipe = find_style_recipe(backbone)
    examples = [TrainingExample(image, caption, _held(studio, image)) for image, caption in photos]
    config = _config(backbone, recipe, steps or _STEPS, seed)
    of = [hash_examples(examples), backbone.spec.id, hash_weights(backbone.spec.source.path), asdict(recipe)]
    told = json.dumps([*of, config.model_dump(mode="json")])
    job = studio.library.work / f"style-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    others = _own_pictures(backbone, job, progress) if recipe.prior else []
    objective = StyleObjective(recipe)
    trained = train_lora(backbone, examples, config, job, progress, regularisation=others, objective=objective)
    return _Learnt(trained.layers, backbone, recipe, config, len(examples))


def _held(studio: Studio, image: Picture) -> npt.NDArray[np.bool_] | None:
    """Where faces, hands and goods are; None where the reader knows no such pictures."""
    look = own_look(studio.settings)
    if not studio.reads(look is not None and not look.is_other(image)):
        return None
    (one,) = studio.regions.read([image])
    return np.isin(one.labels, _HELD)


def _keep(studio: Studio, learnt: _Learnt, title: str, scope: str) -> dict[str, Any]:
    """Store the layers in half precision; return fields of the Style."""
    layers = [replace(x, down=x.down.half(), up=x.up.half()) for x in learnt.layers]
    studio.library.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=studio.library.work) as scratch:
        file = Path(scratch) / "style.safetensors"
        write_lora(file, layers, _card(learnt, title, scope))
        key = studio.store.put(file.read_bytes())
    weights = dict.fromkeys((studio.backbone_sha256, hash_weights(learnt.backbone.spec.source.path)))
    spec = studio.backbone.spec
    recipe = {**asdict(learnt.recipe), "steps": learnt.config.steps}
    return {
        "lora": key, "pictures": learnt.photos, "family": spec.family, "width": studio.backbone.model.width,
        "backbone": spec.id, "weights": list(weights), "recipe": recipe,
    }  # fmt: skip


def _draw_sample(studio: Studio, lora: str) -> str:
    """Draw somebody in the style and store the picture."""
    layers = read_lora(studio.store.open_local(lora)).layers
    request = request_from(studio.backbone.spec, _SAMPLE.prompt("a woman"), 1, loras=(Lora(layers, stays=True),))
    (picture,) = draw_batch(studio.backbone, [request])
    return studio.store.put_picture(picture)


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


def _card(learnt: _Learnt, title: str, scope: str) -> LoraMetadata:
    """All that was chosen, and whether it was measured on such a model or carried over from what others found."""
    recipe, spec = learnt.recipe, learnt.backbone.spec
    ground = "measured on this model" if recipe.measured else "carried over from published findings, not measured here"
    return LoraMetadata(
        title=title,
        description=(
            f"A style of {learnt.photos} photographs: moments of predicted clean latents where sigma is between "
            f"{recipe.window[0]:g} and {recipe.window[1]:g} (weight {recipe.style:g}), content held by blocks "
            f"{', '.join(map(str, recipe.blocks))} of {recipe.stack} (weight {recipe.content:g}), the model's own "
            f"pictures held (weight {recipe.prior:g}). These numbers: {ground}. Use of the photographs: {scope}."
        ),
        base_model=spec.id,
        family=spec.family,
        height=spec.height,
        width=spec.width,
        training={
            "steps": str(learnt.config.steps),
            "learning_rate": str(learnt.config.learning_rate),
            "num_train_images": str(learnt.photos),
            "style_recipe": json.dumps(asdict(recipe)),
        },
    )
