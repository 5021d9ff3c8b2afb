"""Renders as a person's folder holds them, clean, copied and spoilt in known ways, for `learning_score`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.measures.regions import PERSON
from personas.shots import GOODS, SETTINGS, Shot, vary_shots

__all__ = ["COPIES", "FAULTS", "Given", "person_folder"]

_AT_ONCE = 4
COPIES = ("renamed", "compressed", "cut", "mirrored", "enlarged", "brightened")
FAULTS: Mapping[str, frozenset[str]] = {
    "blurred": frozenset({"blurred"}), "enlarged thrice": frozenset({"blurred"}), "dark": frozenset({"dark"}),
    "burnt": frozenset({"face_burnt", "pale"}), "two people": frozenset({"several"}),
    "somebody else": frozenset({"other_person"}), "small face": frozenset({"face_small"}),
    "nobody": frozenset({"nobody", "no_face"}),
}  # fmt: skip
"""Faults by name, and the reasons of which one must be given."""

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Given:
    """`copy_of` is the row that it is a copy of, `fault` what is wrong with it ("" nothing), `shot` what it shows."""

    picture: Picture
    shot: Shot | None
    copy_of: int | None = None
    fault: str = ""


def person_folder(number: int, clean: int, copies: int, faulty: int) -> list[Given]:
    """Return a person's pictures in four places: `clean` ones, then copies, then spoilt ones, each kind in turn."""
    rng = np.random.default_rng(number)
    identity, _ = people(2 * _AT_ONCE, 4_400_000 + number)
    who, other = identity[:1], identity[1:2]
    shots = vary_shots(clean + faulty, number, goods=("nothing",) * 3 + GOODS[1:])
    places = [int(rng.integers(len(SETTINGS))) for _ in range(4)]
    settings = [SETTINGS[places[i % 4]] for i in range(clean + faulty)]
    seeds = [number * 10 + i % 4 for i in range(clean + faulty)]
    asked = [
        (Shot(**{**vars(shot), "setting": word}), seed) for shot, word, seed in zip(shots, settings, seeds, strict=True)
    ]
    drawn = list(_draw(who, asked[:clean], number))
    given = [Given(picture, shot) for picture, (shot, _) in zip(drawn, asked, strict=False)]
    for i in range(copies):
        row = i % clean
        given.append(Given(_copy(drawn[row], COPIES[i % len(COPIES)], rng), given[row].shot, row))
    for i, fault in enumerate([*FAULTS] * (-(-faulty // len(FAULTS)))):
        if i < faulty:
            shot, seed = asked[clean + i]
            given.append(Given(_spoil(fault, who, other, shot, seed, rng), shot, fault=fault))
    return given


def _draw(who: torch.Tensor, asked: list[tuple[Shot, int]], number: int, *, empty: bool = False) -> Iterator[Picture]:
    for first in range(0, len(asked), _AT_ONCE):
        some = asked[first : first + _AT_ONCE]
        scenes = sample_scenes([shot.setting for shot, _ in some], [seed for _, seed in some])
        world = World(
            who.repeat(len(some), 1), tuple(shot for shot, _ in some), scenes, number * 1000 + first,
            with_person=not empty,
        )  # fmt: skip
        yield from render(world).images.numpy()


def _copy(picture: Picture, kind: str, rng: np.random.Generator) -> Picture:
    image = Image.fromarray(picture)
    width, height = image.size
    if kind == "compressed":
        return _jpeg(image, 40)
    if kind == "cut":
        x, y = (float(rng.uniform(0, 0.03)) for _ in range(2))
        box = (round(x * width), round(y * height), round((x + 0.97) * width), round((y + 0.97) * height))
        return np.asarray(image.crop(box))
    if kind == "mirrored":
        return picture[:, ::-1].copy()
    if kind == "enlarged":
        return np.asarray(image.resize((round(1.5 * width), round(1.5 * height)), Image.Resampling.LANCZOS))
    return np.clip(picture * 1.12, 0, 255).astype(np.uint8) if kind == "brightened" else picture.copy()


def _spoil(
    fault: str, who: torch.Tensor, other: torch.Tensor, shot: Shot, seed: int, rng: np.random.Generator
) -> Picture:
    number = int(rng.integers(1 << 20))
    if fault == "nobody":
        return next(_draw(who, [(shot, number)], number, empty=True))  # a place of its own: two empty ones are copies
    if fault == "somebody else":
        return next(_draw(other, [(shot, seed)], number))
    if fault == "two people":
        half = Shot(**{**vars(shot), "framing": "full-body"})
        return _beside(who, other, half, seed, number)
    whole = Shot(**{**vars(shot), "framing": "full-body"}) if fault == "small face" else shot
    picture = next(_draw(who, [(whole, seed)], number))
    image = Image.fromarray(picture)
    width, height = image.size
    if fault == "blurred":
        return np.asarray(image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 4)))))
    if fault == "enlarged thrice":
        return np.asarray(image.resize((width // 3, height // 3), Image.Resampling.BICUBIC).resize((width, height), 3))
    if fault == "dark":
        return np.asarray(picture * float(rng.uniform(0.12, 0.28)), np.uint8)
    if fault == "burnt":
        return np.asarray(np.clip(picture * float(rng.uniform(2.2, 3.2)), 0, 255), np.uint8)
    return np.asarray(image.resize((round(0.52 * width), round(0.52 * height)), Image.Resampling.LANCZOS))


def _beside(who: torch.Tensor, other: torch.Tensor, shot: Shot, seed: int, number: int) -> Picture:
    """Both in one place, each moved to a side."""
    scenes = sample_scenes([shot.setting], [seed])
    one, two = (render(World(person, (shot,), scenes, number + i)) for i, person in enumerate((who, other)))
    picture, added = one.images[0].numpy(), two.images[0].numpy()
    step = picture.shape[1] // 4
    left = np.roll(picture, -step, axis=1)
    mask = np.isin(np.roll(two.labels[0].numpy(), step, axis=1), PERSON)
    return np.asarray(np.where(mask[..., None], np.roll(added, step, axis=1), left), np.uint8)


def _jpeg(image: Image.Image, quality: int) -> Picture:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))
