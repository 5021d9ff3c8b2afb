"""Source faces trained in different ways, for `learning_trainings`: in buckets or at one size, by which captions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from miniature.captions import NEUTRAL_TRIGGER
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.captions.compose import compose
from personas.captions.measured import describe
from personas.captions.policy import Policy
from personas.consolidation import default_config
from personas.datasets.facts import measure_picture
from personas.identity_loss import lead_to_themselves
from personas.measures.face import FaceReader, mean_embedding
from personas.measures.regions import HEAD, RegionReader
from personas.shots import Shot, vary_shots
from pipelines.backbones import Backbone
from pipelines.lora import Lora, LoraLayer
from pipelines.progress import Progress
from pipelines.sampling.draw import draw
from pipelines.sampling.request import identity_request
from pipelines.training.lora import TrainingExample, train_lora
from studio.settings import ASSETS

__all__ = [
    "DONORS", "NEW_SIZES", "OWN_SIZE", "WAYS", "WORDINGS", "train_captioned", "train_in_sizes", "train_led",
]  # fmt: skip

Size = tuple[int, int]

DONORS, PICTURES, SHOTS = 4, 96, 24
SIZES: tuple[Size, ...] = ((256, 192), (256, 256), (320, 256), (320, 192), (192, 256), (384, 288))
OWN_SIZE: Size = (256, 192)
NEW_SIZES: tuple[Size, ...] = ((288, 192), (192, 288), (288, 256))
"""Sizes (height, width) that no bucket has."""
WORDINGS = ("true", "measured", "identity")
WAYS = ("plain", "led", "longer")
"""Without the identity loss, with it, and without it for as long as that took."""
FEW = 24
"""Pictures that a merchant has of somebody."""
_SUBJECT = "a woman"
_SAID = "long dark hair, green eyes, pale skin"


def _who(number: int) -> torch.Tensor:
    """A donor's traits: women of no look in particular, far from each other by chance alone."""
    found, _ = people(64, 68_000_000)
    return found[found[:, -1] < 0][number]


def _renders(number: int, sizes: Sequence[Size], count: int, seed: int) -> list[tuple[Shot, TrainingExample]]:
    """Renders of a donor, as many at each size, in shots and places of their own."""
    shots = vary_shots(count, seed + number)
    scenes = sample_scenes([s.setting for s in shots], [seed + 1000 * number + i for i in range(count)])
    found: list[tuple[Shot, TrainingExample]] = []
    for i in range(0, count, 4):
        rows = list(range(i, min(i + 4, count)))
        world = World(_who(number).repeat(len(rows), 1), tuple(shots[r] for r in rows), scenes.take(rows), seed + i)
        drawn = render(world, *sizes[i // 4 % len(sizes)])
        heads = np.isin(drawn.labels.numpy(), HEAD)
        found += [
            (shots[r], TrainingExample(drawn.images[k].numpy(), shots[r].prompt(_SUBJECT, NEUTRAL_TRIGGER), heads[k]))
            for k, r in enumerate(rows)
        ]
    return found


def _centre(faces: FaceReader, number: int) -> npt.NDArray[np.float32]:
    """The donor's mean face, of renders that no training saw."""
    pictures = [e.image for _, e in _renders(number, (OWN_SIZE,), 24, 69_000_000)]
    return mean_embedding(np.stack([f.embedding for f in faces.read_many(pictures) if f is not None]))


def _draw(
    backbone: Backbone, layers: Sequence[LoraLayer], size: Size, count: int, seed: int
) -> list[npt.NDArray[np.uint8]]:
    shots = vary_shots(count, seed)
    requests = [
        identity_request(
            backbone.spec, shot.prompt(_SUBJECT, NEUTRAL_TRIGGER), seed + i, loras=(Lora(tuple(layers)),),
            height=size[0], width=size[1],
        )
        for i, shot in enumerate(shots)
    ]  # fmt: skip
    return [picture for _, picture in draw(backbone, requests)]


def _likeness(
    faces: FaceReader, centre: npt.NDArray[np.float32], pictures: Sequence[npt.NDArray[np.uint8]]
) -> list[float]:
    """Each picture's cosine to the donor's mean face, 0 where no face is found."""
    read = faces.read_many(pictures)
    return [0.0 if face is None else float(face.embedding @ centre) for face in read]


def train_in_sizes(
    backbone: Backbone, work: Path, number: int, *, buckets: bool, steps: int, progress: Progress
) -> dict[str, list[float]]:
    """Train a donor on renders of six sizes and return its likeness at its own size and at new ones, a shot each."""
    faces = FaceReader(ASSETS / "faces")
    examples = [example for _, example in _renders(number, SIZES, PICTURES, 71_000_000)]
    config = default_config(backbone, 40 + number).model_copy(update={"buckets": buckets, "steps": steps})
    trained = train_lora(backbone, examples, config, work / f"{number}-{'buckets' if buckets else 'one'}", progress)
    centre = _centre(faces, number)
    found = {"own": _likeness(faces, centre, _draw(backbone, trained.layers, OWN_SIZE, SHOTS, 5000))}
    for height, width in NEW_SIZES:
        pictures = _draw(backbone, trained.layers, (height, width), SHOTS // len(NEW_SIZES), 6000 + height + width)
        found[f"{width}×{height}"] = _likeness(faces, centre, pictures)
        if not (file := work / f"{number}-{'buckets' if buckets else 'one'}-{height}x{width}.npz").exists():
            np.savez(file, images=np.stack(pictures))
    return found


def train_captioned(
    backbone: Backbone, work: Path, number: int, wording: str, steps: int, progress: Progress
) -> list[float]:
    """Train a donor by one of `WORDINGS` and return its likeness by the bare trigger, a shot each.

    "true" captions say what was rendered, "measured" ones what the offline captioner found, "identity" ones say who
    the person is, too.
    """
    faces, regions = FaceReader(ASSETS / "faces"), RegionReader(ASSETS / "reader")
    rows = _renders(number, (OWN_SIZE,), PICTURES, 72_000_000)
    policy = Policy(subject="woman", trigger=NEUTRAL_TRIGGER)
    examples = []
    for _, example in rows:
        caption = example.caption
        if wording != "true":
            read = regions.read([example.image])[0]
            caption = compose(
                describe(measure_picture(example.image, faces.faces(example.image), read, own_look=True)), policy
            )
        if wording == "identity":
            caption = f"{caption}, {_SAID}"
        examples.append(TrainingExample(example.image, caption, example.focus))
    config = default_config(backbone, 60 + number).model_copy(update={"steps": steps})
    trained = train_lora(backbone, examples, config, work / f"{number}-{wording}", progress)
    return _likeness(faces, _centre(faces, number), _draw(backbone, trained.layers, OWN_SIZE, SHOTS, 7000))


def train_led(
    backbone: Backbone, work: Path, number: int, way: str, steps: int, progress: Progress
) -> dict[str, list[float]]:
    """Train a donor on a few renders by one of `WAYS`; return its likeness by either recogniser, a shot each, and the
    `seconds` of the processor that the training took.
    """
    faces, second = FaceReader(ASSETS / "faces"), FaceReader(ASSETS / "faces_second")
    examples = [example for _, example in _renders(number, (OWN_SIZE,), FEW, 73_000_000)]
    judge = lead_to_themselves(faces, [e.image for e in examples], backbone.device) if way == "led" else None
    changed = {"steps": steps, "picture_weight": 2.0 if judge else 0.0}
    config = default_config(backbone, 80 + number).model_copy(update=changed)
    begin = time.process_time()
    trained = train_lora(backbone, examples, config, work / f"{number}-{way}", progress, judge=judge)
    took = time.process_time() - begin
    pictures = _draw(backbone, trained.layers, OWN_SIZE, SHOTS, 8000)
    return {
        "seconds": [took],
        "first": _likeness(faces, _centre(faces, number), pictures),
        "second": _likeness(second, _centre(second, number), pictures),
    }
