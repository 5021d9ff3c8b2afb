"""The styles that come with the miniature: `python -m miniature.styles [NAME …]`.

Each is learnt from pictures of many people in its look, so that there is no face in it, and is written beside its card
into `assets/miniature/styles`. One of photographs is learnt as `persona-studio style train` learns it, half an hour on a
free core; a drawn one, of which there is a filter, from filtered renders by flow matching alone: their content is known. A training that is whole is only written
again, and one of another base begins anew: what a style does to other weights nobody has measured.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from miniature.filters import pencil, poster
from miniature.photos import Photos, draw_photos
from personas.measures.regions import LABELS
from pipelines.backbones import MINIATURE, Backbone, load_backbone, resolve_backbone
from pipelines.lora import LoraMetadata, write_lora
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Event, TrainingStep
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora
from pipelines.training.style import StyleObjective, StyleRecipe, find_style_recipe

Picture = np.ndarray[Any, np.dtype[np.uint8]]

__all__ = ["STYLES", "Log", "photo_examples", "ship", "style_config"]

STEPS, BATCH, SEED = 200, 8, 5
_JUDGED = tuple(LABELS.index(name) for name in ("face", "goods", "body_skin"))
_LICENCE = "apache-2.0"


@dataclass(frozen=True)
class Source:
    """A style's words in both languages, the pictures that it is learnt from, the folder of its training in the work
    folder, and the `strength` of the trained layers at which the style was measured: the file's 1. A `wrong` share of
    the captions' clauses says what is not so. `is_drawn` ones are learnt by flow matching alone.
    """

    names: Mapping[str, str]
    learnt_from: Mapping[str, str]
    photos: Callable[[Path], Photos]
    wrong: float
    folder: str
    strength: float
    is_drawn: bool = False


def _drawn(work: Path, redraw: Callable[[Picture], Picture]) -> Photos:
    photos = draw_photos(400, 62_000_000, work / "renders.npz", real=False)
    return replace(photos, images=np.stack([redraw(image) for image in photos.images]))


STYLES: Mapping[str, Source] = {
    "natural-light": Source(
        names={"en": "Natural light", "zh": "自然光"},
        learnt_from={
            "en": "pictures of invented people in one hard light, with dull colours, patterns and clutter",
            "zh": "虚构人物的图片：单侧硬光、颜色偏淡、背景较杂",
        },
        photos=lambda work: draw_photos(400, 61_000_000, work / "real.npz"),
        wrong=0.3,
        folder="style/style-content",
        strength=1.8,
    ),
    "poster": Source(
        names={"en": "Poster", "zh": "海报"},
        learnt_from={
            "en": "pictures of invented people in flat, strong colours, as of a screen print",
            "zh": "虚构人物的图片：平涂、颜色浓烈，像丝网印刷",
        },
        photos=lambda work: _drawn(work, poster),
        wrong=0.0,
        folder="poster",
        strength=1.0,
        is_drawn=True,
    ),
    "warm-pencil": Source(
        names={"en": "Warm pencil", "zh": "暖色铅笔"},
        learnt_from={
            "en": "pictures of invented people as thinly coloured pencil drawings on warm paper",
            "zh": "虚构人物的图片：暖色纸上的淡彩铅笔画",
        },
        photos=lambda work: _drawn(work, pencil),
        wrong=0.0,
        folder="warm-pencil",
        strength=1.0,
        is_drawn=True,
    ),
}

_DRAWN = LoraTrainingConfig(rank=4, learning_rate=2e-3, steps=300, checkpoint_every=50, batch_size=BATCH, seed=SEED)


class Log:
    """Prints every twentieth step."""

    def __init__(self, name: str) -> None:
        self.name, self.begin = name, time.time()

    def tell(self, event: Event) -> None:
        if isinstance(event, TrainingStep) and event.step % 20 == 0:
            print(
                f"{self.name} {event.step}/{event.steps} {event.loss:.4f} {time.time() - self.begin:.0f}s", flush=True
            )

    def check_cancelled(self) -> None:
        SILENT.check_cancelled()


def photo_examples(photos: Photos, wrong: float) -> list[TrainingExample]:
    """Photos with captions of which a share of clauses is wrong; faces, hands and goods are the focus."""
    captions = photos.captions(wrong, 1)
    return [
        TrainingExample(image, caption, np.isin(labels, _JUDGED))
        for image, caption, labels in zip(photos.images, captions, photos.labels, strict=True)
    ]


def style_config(recipe: StyleRecipe, steps: int = STEPS, batch: int = BATCH) -> LoraTrainingConfig:
    """Return how a style of the miniature is trained, `batch` pictures a step."""
    return LoraTrainingConfig.model_validate({
        "rank": recipe.rank, "learning_rate": recipe.learning_rate, "steps": steps, "checkpoint_every": 50,
        "batch_size": batch, "seed": SEED,
    })  # fmt: skip


def ship(backbone: Backbone, name: str, work: Path, assets: Path) -> None:
    """Train a style where its training is not whole yet, and write its LoRA in half precision, with its card."""
    source, folder = STYLES[name], work / STYLES[name].folder
    examples = photo_examples(source.photos(work), source.wrong)
    recipe, config, objective = None, _DRAWN, None
    if not source.is_drawn:
        recipe = replace(find_style_recipe(backbone), prior=0.0)
        config, objective = style_config(recipe), StyleObjective(recipe)
    trained = train_lora(backbone, examples, config, folder, Log(name), objective=objective)
    layers = [replace(x, down=x.down.half(), up=x.up.half(), alpha=x.alpha * source.strength) for x in trained.layers]
    own = {"rank": config.rank, "learning_rate": config.learning_rate} if recipe is None else asdict(recipe)
    told: dict[str, Any] = own | {
        "steps": trained.steps, "batch": BATCH, "strength": source.strength, "wrong_clauses": source.wrong,
    }  # fmt: skip
    place = assets / "styles" / name
    place.mkdir(parents=True, exist_ok=True)
    metadata = LoraMetadata(
        title=" · ".join(source.names.values()), license=_LICENCE, author="Persona Studio",
        description=f"A style learnt from {len(examples)} {source.learnt_from['en']}.",
        base_model=f"persona-studio-{backbone.spec.id}", height=backbone.spec.height, width=backbone.spec.width,
        family=backbone.spec.family,
        training={
            "steps": str(trained.steps), "learning_rate": str(config.learning_rate),
            "num_train_images": str(len(examples)), "style_recipe": json.dumps(told),
        },
    )  # fmt: skip
    write_lora(place / "style.safetensors", layers, metadata)
    card = {
        "names": source.names, "learnt_from": source.learnt_from, "pictures": len(examples),
        "family": backbone.spec.family, "width": backbone.model.width, "backbone": backbone.spec.id,
        "weights": [hash_weights(backbone.spec.source.path)], "licence": _LICENCE, "recipe": told,
    }  # fmt: skip
    (place / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m miniature.styles", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(STYLES), metavar="NAME", help=", ".join(STYLES))
    parser.add_argument("--work", type=Path, default=Path("build/learning"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    backbone = load_backbone(resolve_backbone(MINIATURE))
    for name in args.names:
        ship(backbone, name, args.work, args.assets)


if __name__ == "__main__":
    main()
