"""The trainings that `learning_score` tells of: `python -m benchmarks.learning_trainings` and what of it.

Each goes on where it was stopped and leaves pictures and layers in `--work`; `learning_score` reads these. One thread
takes 10 to 40 minutes for each word. Everything is of the miniature's world; "real" photographs are its second look.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.learning_donors import DONORS, WAYS, WORDINGS, train_captioned, train_in_sizes, train_led
from miniature.photos import draw_photos
from miniature.renders import people
from miniature.styles import BATCH, STEPS, STYLES, Log, photo_examples, style_config
from personas.shots import GOODS, Shot, vary_shots
from pipelines.backbones import MINIATURE, Backbone, load_backbone, resolve_backbone
from pipelines.lora import Lora, LoraLayer
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from
from pipelines.training.lora import TrainingExample, train_lora
from pipelines.training.style import StyleObjective, StyleRecipe, find_style_recipe

__all__ = ["ARMS", "HELD_OUT", "MAIN_ARM", "MAIN_STRENGTH", "held_out_shots", "read_pictures"]

PRIOR, HELD_OUT = 64, 80
_MAIN = STYLES["natural-light"]


@dataclass(frozen=True)
class Arm:
    """What a training of a style minimises: `None` is flow matching; with `prior` a batch has as many of the base's."""

    objective: StyleRecipe | None
    prior: bool = False


def _arms(recipe: StyleRecipe) -> Mapping[str, Arm]:
    return {
        "plain": Arm(None),
        "style": Arm(replace(recipe, content=0.0, prior=0.0)),
        "style-content": Arm(replace(recipe, prior=0.0)),
        "style-content-prior": Arm(replace(recipe, prior=0.25), prior=True),
    }


MAIN_ARM, MAIN_STRENGTH = "style-content", _MAIN.strength
"""The shipped recipe, and the strength it is drawn at: of 1, 1.6 and 2.2 on 32 of the prompts between the last two."""
ARMS = ("plain", "style", "style-content", "style-content-prior")


def held_out_shots() -> tuple[Shot, ...]:
    """Shots that no training saw, one a drawn picture."""
    return vary_shots(HELD_OUT, 66_000_000, goods=("nothing",) * 2 + GOODS[1:])


def _subjects() -> list[str]:
    who, _ = people(HELD_OUT, 66_000_000)
    return ["a man" if row[-1] > 0 else "a woman" for row in who]


def draw_held_out(
    backbone: Backbone, layers: Sequence[LoraLayer], scale: float, file: Path, count: int = HELD_OUT
) -> npt.NDArray[np.uint8]:
    """Draw the held-out shots with a LoRA, the same seeds for each, or read them."""
    if not file.exists():
        loras = (Lora(tuple(layers), scale),) if layers else ()
        requests = [
            request_from(backbone.spec, shot.prompt(who, ""), 700 + i, loras=loras)
            for i, (shot, who) in enumerate(zip(held_out_shots(), _subjects(), strict=True))
        ][:count]
        part = file.with_suffix(".part.npz")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(part, images=np.stack([picture for _, picture in draw(backbone, requests)]))
        part.replace(file)
    return read_pictures(file)


def read_pictures(file: Path) -> npt.NDArray[np.uint8]:
    with np.load(file) as kept:
        return np.asarray(kept["images"], np.uint8)


def _own_pictures(backbone: Backbone, file: Path) -> list[TrainingExample]:
    """The base's own pictures of varied shots: what it must stay able to draw."""
    shots = vary_shots(PRIOR, 67_000_000, goods=("nothing",) * 2 + GOODS[1:])
    if not file.exists():
        requests = [request_from(backbone.spec, s.prompt("a person", ""), 900 + i) for i, s in enumerate(shots)]
        part = file.with_suffix(".part.npz")
        np.savez(part, images=np.stack([picture for _, picture in draw(backbone, requests)]))
        part.replace(file)
    pictures = read_pictures(file)
    return [TrainingExample(p, s.prompt("a person", "")) for p, s in zip(pictures, shots, strict=True)]


def train_styles(backbone: Backbone, work: Path, arms: Sequence[str], scales: Sequence[float], steps: int) -> None:
    """Train the arms and draw the held-out shots with each, and with the base."""
    photos = _MAIN.photos(work)
    draw_photos(160, 62_000_000, work / "real_judges.npz")
    draw_photos(160, 63_000_000, work / "plain_judges.npz", real=False)
    draw_photos(120, 64_000_000, work / "real_test.npz")
    examples, recipe = photo_examples(photos, _MAIN.wrong), find_style_recipe(backbone)
    table = _arms(recipe)
    for name in arms:
        arm, folder = table[name], work / "style" / name
        others = _own_pictures(backbone, work / "own.npz") if arm.prior else []
        config = style_config(recipe, steps, BATCH * (2 if arm.prior else 1))
        objective = StyleObjective(arm.objective) if arm.objective else None
        trained = train_lora(backbone, examples, config, folder, Log(name), regularisation=others, objective=objective)
        if objective is not None and objective.seen:
            (folder / "parts.json").write_text(json.dumps(objective.seen))
        for scale in scales:
            draw_held_out(backbone, trained.layers, scale, work / "style" / f"{name}-{scale:g}.npz")
            print(name, scale, "drawn", flush=True)
    draw_held_out(backbone, (), 1.0, work / "style" / "base-1.npz")


def train_donors(backbone: Backbone, work: Path, numbers: Sequence[int], steps: int, what: str) -> None:
    """Train source faces in buckets and at one size, by each wording, or with and without the identity loss; write what
    was measured after each.
    """
    file = work / f"{what}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    ways = {"buckets": ("one", "buckets"), "captions": WORDINGS, "identity": WAYS}[what]
    for number in numbers:
        for way in ways:
            if (key := f"{number}-{way}") in found:
                continue
            if what == "buckets":
                found[key] = train_in_sizes(
                    backbone, work / what, number, buckets=way == "buckets", steps=steps, progress=Log(key)
                )
            elif what == "identity":
                seconds = [found[f"{number}-{one}"]["seconds"][0] for one in ("plain", "led") if way == "longer"]
                longer = round(steps * seconds[1] / seconds[0]) if seconds else steps
                found[key] = train_led(backbone, work / what, number, way, longer, Log(key))
            else:
                found[key] = train_captioned(backbone, work / what, number, way, steps, Log(key))
            file.write_text(json.dumps(found))
            print(key, found[key], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("style", "buckets", "captions", "identity"))
    parser.add_argument("--work", type=Path, default=Path("build/learning"))
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument(
        "--scales", nargs="*", type=float, default=[1.0, MAIN_STRENGTH], help="strengths that arms are drawn at"
    )
    parser.add_argument("--donors", nargs="*", type=int, default=list(range(DONORS)))
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    torch.set_num_threads(max(1, torch.get_num_threads()))
    backbone = load_backbone(resolve_backbone(MINIATURE))
    if args.what == "style":
        train_styles(backbone, args.work, args.arms, args.scales, args.steps)
    else:
        train_donors(backbone, args.work, args.donors, args.steps, args.what)


if __name__ == "__main__":
    main()
