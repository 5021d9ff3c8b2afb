"""Pictures of people dressed alike twice, and what the adapter's encoders see of them, piece by piece.

A piece is a file of sixteen people, six pictures each, all of one size. Four of a person's show one outfit, which their
neighbour wears too (a garment on somebody else is what mixed parts are learnt from); two show others. Regions come from
the reader, not from the truth, with edges that are moved and parts that are lost at random, from pictures that are made
smaller, softer or packed as JPEG, as in use; never flipped or tinted, since parting and colours are to be kept. Pieces
that are there stay, so that a training may start on the first ones.
"""

from __future__ import annotations

import io
import json
import random
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL

from miniature.faces.crops import Recogniser, embed_faces
from miniature.renders import people
from miniature.training import DEVICE, autocast
from miniature.vae import CELL
from miniature.world import Wear, World, render, sample_scenes
from personas.body_regions import body_regions, grow
from personas.measures.face import FaceReader
from personas.measures.regions import LABELS, PERSON, RegionReader
from personas.shots import GOODS, OUTFIT_COLOURS, OUTFITS, Shot, vary_shots
from pipelines.adapters.character_encoders import StageEncoders
from pipelines.adapters.character_layout import STUDIO
from pipelines.adapters.character_photos import CharacterPhoto, lay_out

PEOPLE, ALIKE, SHOTS = 16, 4, 6  # people of a piece, pictures of each in one outfit, all pictures of each
PIECES, HELD_PIECES = 94, 13  # 1,504 people, and 208 whom no training sees
OFF = ((), ("torso", "legs", "shoes"), ("torso", "legs", "shoes", "goods"))
"""What may be switched off: the whole is stored once for each, and what is off is nowhere to be seen in it."""
WHOLES = tuple(range(len(STUDIO.regions), len(STUDIO.regions) + len(OFF) - 1))  # rows of the second and third one
ROWS = len(STUDIO.regions) + len(WHOLES)
_SIZES = ((256, 192),) * 4 + ((256, 256),)
_SEED, _HELD_SEED = 60_000_000, 69_000_000
_LOST, _MOVED = 0.05, 3  # the share of parts that are lost, and the most pixels by which an edge is moved
_BATCH = 4  # a CPU keeps so many pictures in its caches
_BOTTOMS = (
    (54, 62, 92),
    (60, 58, 60),
    (150, 140, 124),
    (92, 74, 60),
    (120, 40, 44),
    (60, 96, 66),
    (196, 190, 180),
    (96, 130, 176),
)
_SHOES = (
    (30, 28, 30),
    (236, 232, 226),
    (150, 36, 40),
    (104, 66, 38),
    (40, 70, 140),
    (214, 170, 60),
    (70, 110, 76),
    (150, 150, 156),
)

Piece = dict[str, Any]
"""What `torch.save` holds of one: see `draw_piece`."""


class Eyes:
    """Everything that looks at a picture: reader, face pack, the adapter's encoders, and the true faces' recogniser."""

    def __init__(self, assets: Path) -> None:
        self.regions, self.faces = RegionReader(assets / "reader"), FaceReader(assets / "faces")
        self.encoders = StageEncoders(STUDIO, assets / "character")
        self.recogniser = Recogniser(assets / "faces")


def plan_piece(number: int, held: bool = False) -> tuple[Tensor, list[str], list[Shot], Wear]:
    """Return the people [96, 26] of a piece, their looks, shots and what they wear, picture by picture."""
    seed = (_HELD_SEED if held else _SEED) + number * 1000
    persons, looks = people(PEOPLE, seed)
    rng, shots, worn = random.Random(seed), [], []
    free = vary_shots(PEOPLE * SHOTS, seed, goods=GOODS)
    outfit: dict[str, str] = {}
    for person in range(PEOPLE):
        if person % 2 == 0:
            outfit = {"outfit": rng.choice(OUTFITS), "outfit_colour": rng.choice(OUTFIT_COLOURS)}
            outfit["goods"] = rng.choice(GOODS[1:]) if rng.random() < 0.5 else "nothing"
            alike = sample_wear(rng)
        for shot in range(SHOTS):
            own = free[person * SHOTS + shot]
            framing = rng.choices(("close-up", "half-body", "full-body"), (0.2, 0.35, 0.45))[0]
            shots.append(replace(own, framing=framing, **(outfit if shot < ALIKE else {})))  # type: ignore[arg-type]
            worn.append(alike if shot < ALIKE else sample_wear(rng))
    colours = torch.tensor(worn)
    rows = torch.arange(PEOPLE).repeat_interleave(SHOTS)
    return persons[rows], [looks[int(r)] for r in rows], shots, Wear(colours[:, 0], colours[:, 1], colours[:, 2])


def sample_wear(rng: random.Random) -> tuple[tuple[float, ...], ...]:
    """Return colours of trousers, shoes and goods, RGB in [0, 1]."""

    def near(colour: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(min(1.0, max(0.0, (c + rng.uniform(-14, 14)) / 255)) for c in colour)

    goods = tuple(255 * c for c in _vivid(rng.random()))
    return near(rng.choice(_BOTTOMS)), near(rng.choice(_SHOES)), near(goods)


def _vivid(hue: float) -> tuple[float, ...]:
    places = ((wheel + 6 * hue) % 6 for wheel in (5.0, 3.0, 1.0))
    return tuple(0.86 - 0.6 * min(1.0, max(0.0, min(k, 4 - k))) for k in places)


def draw_piece(number: int, vae: AutoencoderKL, eyes: Eyes, held: bool = False, count: int = PEOPLE * SHOTS) -> Piece:
    """Render, encode and look at the first `count` pictures of piece `number`.

    "latents" float16 [n, 2, 32, h/16, w/16], mean and deviation; "share" float16 [n, 2, h/16, w/16], how much of a cell
    is the person's and the face's; "deep" and "shallow" float16 [n, 9, 16, 128] of regions and of the other wholes
    (`OFF`), "colours" float16 [n, 9, 7], "seen" bool [n, 9]; "face" float16 [n, 16, 128], "told" [n, 128] and "found"
    bool [n] of the face as the pack finds it; "who" [n, 128], the true face's embedding; "points" [n, 20, 3] in pixels;
    "facts", JSON.
    """
    identity, looks, shots, wear = plan_piece(number, held)
    seed = (_HELD_SEED if held else _SEED) + number * 1000
    height, width = _SIZES[number % len(_SIZES)]
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + len(shots))))
    rng, rows = np.random.default_rng(seed), list[dict[str, Tensor]]()
    for i in range(0, count, _BATCH):
        some = list(range(i, min(i + _BATCH, count)))
        worn = Wear(wear.bottom_rgb[some], wear.shoe_rgb[some], wear.goods_rgb[some])
        world = World(identity[some].to(DEVICE), tuple(shots[r] for r in some), scenes.take(some), seed + i, wear=worn)
        drawn = render(world, height, width)
        images, points = drawn.images.cpu().numpy(), drawn.keypoints.cpu()
        x = drawn.images.to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad(), autocast():
            posterior = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist
        looked = [look_at(image, eyes, rng) for image in images]
        rows.append({
            "latents": torch.stack([posterior.mean, posterior.std], dim=1).half().cpu(),
            "share": _shares(drawn.labels.cpu().numpy()),
            "who": embed_faces(images, points[:, :5, :2].numpy(), eyes.recogniser), "points": points,
        } | {name: torch.stack([one[name] for one in looked]) for name in looked[0]})  # fmt: skip
    facts = [asdict(shots[r]) | {"look": looks[r], "masculine": bool(identity[r, -1] > 0)} for r in range(count)]
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]} | {"facts": json.dumps(facts)}


def look_at(image: NDArray[np.uint8], eyes: Eyes, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return what the encoders see of a picture uint8 [h, w, 3] as a photo of somebody: one row of `draw_piece`'s."""
    photo, bare = _as_photos(_worsened(image, rng), eyes, rng)
    seen, colours = torch.zeros(ROWS, dtype=torch.bool), torch.zeros(ROWS, 7)
    deep, shallow = torch.zeros(ROWS, STUDIO.grid**2, 128), torch.zeros(ROWS, STUDIO.grid**2, 128)
    found = {"face": torch.zeros(STUDIO.grid**2, 128).half(), "told": torch.zeros(128), "found": torch.tensor(False)}
    squares, places = list[NDArray[np.uint8]](), list[int]()
    for which, off in enumerate(OFF if photo is not None else ()):
        shown = bare if which else photo
        assert shown is not None
        laid = lay_out(shown, STUDIO, eyes.encoders.side, off, eyes.encoders.face_side)
        numbers = list(laid.regions) if which == 0 else [n for n in laid.regions if n == 0]
        for n in numbers:
            row = n if which == 0 else WHOLES[which - 1]
            squares.append(laid.regions[n])
            places.append(row)
            colours[row], seen[row] = torch.from_numpy(laid.colours[n]), True
        if which == 0 and laid.face is not None:
            last, embedding = eyes.encoders.look_at_faces([laid.face])
            found = {"face": last[0].half(), "told": embedding[0], "found": torch.tensor(True)}
    if squares:
        deep[places], shallow[places] = eyes.encoders.look(squares)
    return {"deep": deep.half(), "shallow": shallow.half(), "colours": colours.half(), "seen": seen} | found


def _as_photos(
    image: NDArray[np.uint8], eyes: Eyes, rng: np.random.Generator
) -> tuple[CharacterPhoto | None, CharacterPhoto | None]:
    """As the studio takes it in, with the reader's mistakes made larger, and another of which parts can be taken away
    whole; None where the reader finds nobody.
    """
    (read,) = eyes.regions.read([image])
    whole, parts = body_regions(read)
    if not whole.any():
        return None, None
    kept: dict[str, NDArray[np.bool_]] = {}
    for name, mask in parts.items():
        moved = grow(mask, int(rng.integers(-_MOVED, _MOVED + 1)))
        if rng.random() >= _LOST and moved.any():
            kept[name] = moved
    face, moved = eyes.faces.read(image), grow(whole, int(rng.integers(-1, _MOVED + 1)))
    landmarks = None if face is None else face.landmarks
    nothing = np.zeros_like(whole)
    head = parts.get("face", nothing) | parts.get("hair", nothing)
    larger = {name: grow(mask, _MOVED + 2) & ~head for name, mask in parts.items() if name in OFF[-1]}
    outline = moved if moved.any() else whole
    return CharacterPhoto(image, outline, kept, landmarks), CharacterPhoto(image, outline, larger, landmarks)


def _worsened(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half of all pictures smaller, softer or packed as JPEG."""
    picture = Image.fromarray(image)
    if rng.random() < 0.3:
        scale = rng.uniform(0.7, 1)
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC
        )
    if rng.random() < 0.15:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.9))))
    if rng.random() < 0.25:
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=int(rng.integers(60, 95)))
        picture = Image.open(packed)
    return np.asarray(picture.convert("RGB"))


def _shares(labels: NDArray[np.uint8]) -> Tensor:
    """How much of each cell is the person's, and the face's, float16 [n, 2, h/16, w/16]; labels uint8 [n, h, w]."""
    both = np.stack([np.isin(labels, PERSON), labels == LABELS.index("face")], axis=1).astype(np.float32)
    count, _, height, width = both.shape
    return torch.from_numpy(both.reshape(count, 2, height // CELL, CELL, width // CELL, CELL).mean(axis=(3, 5))).half()


def draw_pieces(folder: Path, count: int, assets: Path, held: bool = False) -> None:
    """Draw the first `count` pieces that are missing, with the shipped VAE, reader and face pack."""
    folder.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(assets / "flux" / "vae", torch_dtype=torch.float32).eval()
    vae, eyes = vae.to(DEVICE, memory_format=torch.channels_last), Eyes(assets)
    check_encoders(folder, eyes.encoders)
    for number in range(count):
        path, begin = folder / f"{number:04d}.pt", time.time()
        if not path.exists():
            part = path.with_suffix(".part")
            torch.save(draw_piece(number, vae, eyes, held), part)
            part.replace(path)
            print(json.dumps({"piece": number, "seconds": round(time.time() - begin, 1)}), flush=True)


def check_encoders(folder: Path, encoders: StageEncoders) -> None:
    """Leave word in a folder of pieces of which encoders' they are; stop where they are of others."""
    path, told = folder / "encoders.json", json.dumps(encoders.sha256)
    if path.exists() and path.read_text(encoding="utf-8") != told:
        raise SystemExit(f"The pieces in {folder} are of another reader or face pack: delete the folder.")
    path.write_text(told, encoding="utf-8")


def load_pieces(folder: Path) -> list[Piece]:
    """All pieces that are there, in their order, mapped from the disk."""
    return [torch.load(path, weights_only=True, mmap=True) for path in sorted(folder.glob("????.pt"))]
