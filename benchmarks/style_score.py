"""What a style does to posts of people: `python -m benchmarks.style_score --out OUT`, five minutes on a core.

The same posts of four source faces without a style and at each strength: is it still the same person, by both
recognisers, over the likeness without; is all shown that was asked for; and, where the judges' pictures of
`learning_trainings` lie in `--trainings`, which share a judge of pixels calls real. Writes OUT/style-score.json and a
sheet for each style to look at: a row for each strength, the first without.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.learning_style import fit_judge, layout_errors, look_numbers
from benchmarks.learning_trainings import read_pictures
from benchmarks.statistics import Score, bootstrap, clustered_score
from personas.donors import Donor, load_donors
from personas.looks import LOOK_CATEGORIES, find_category
from personas.measures.face import FaceReader, mean_embedding
from personas.measures.regions import RegionReader
from personas.shots import GOODS, Shot, vary_shots
from pipelines.backbones import MINIATURE, Backbone, load_backbone, resolve_backbone
from pipelines.lora import Lora, read_lora
from pipelines.sampling.draw import draw
from pipelines.sampling.request import identity_request
from studio.library.shipped_styles import FILE, SHIPPED, shipped_styles
from studio.settings import ASSETS

_SHOTS, _PORTRAITS, _SEED = 8, 6, 68_000_000
_PACKS = ("", "_second")
_SHOWN = 4  # posts of each person on a sheet

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Person:
    """A source face, the mean face of its close-ups by each recogniser, and its posts in no style."""

    donor: Donor
    faces: tuple[npt.NDArray[np.float32], ...]
    plain: list[Picture]


@dataclass(frozen=True, eq=False)
class Eyes:
    """Both recognisers, the reader, and what says which pictures are called real (None: its pictures are not there)."""

    packs: tuple[FaceReader, ...]
    reader: RegionReader
    judge: Callable[[list[Picture]], list[float]] | None


def draw_posts(
    backbone: Backbone, donor: Donor, shots: Sequence[Shot], seed: int, look: Lora | None = None
) -> list[Picture]:
    """Draw a person in the shots, as posts are drawn."""
    loras = (Lora(read_lora(donor.lora_path).layers), *(() if look is None else (look,)))
    subject = find_category(donor.category).subject
    requests = [
        identity_request(backbone.spec, shot.prompt(subject, donor.trigger), seed + i, loras=loras)
        for i, shot in enumerate(shots)
    ]
    return [picture for _, picture in draw(backbone, requests)]


def meet(backbone: Backbone, eyes: Eyes, donor: Donor, seed: int) -> Person:
    """Look at a person's close-ups, and draw the posts without a style."""
    close = [Shot(framing="close-up", expression=face) for face in ("neutral", "smiling") * (_PORTRAITS // 2)]
    portraits = draw_posts(backbone, donor, close, seed + 5000)
    seen = [[face.embedding for face in faces.read_many(portraits) if face is not None] for faces in eyes.packs]
    means = tuple(mean_embedding(np.stack(found)) for found in seen)
    return Person(donor, means, draw_posts(backbone, donor, shots_of(), seed))


def shots_of() -> tuple[Shot, ...]:
    """The posts' shots, the same for everybody."""
    return vary_shots(_SHOTS, _SEED, goods=GOODS)


def likeness(faces: FaceReader, pictures: Sequence[Picture], who: npt.NDArray[np.float32]) -> list[float]:
    """Cosines to a mean face; 0 where no face is seen."""
    found = faces.read_many(list(pictures))
    return [0.0 if face is None else float(face.embedding @ who) for face in found]


def score_posts(eyes: Eyes, people: Sequence[Person], posts: Sequence[list[Picture]]) -> dict[str, Score]:
    """Return the scores of each person's `posts` by their names."""
    told: dict[str, Score] = {}
    for i, (name, faces) in enumerate(zip(_PACKS, eyes.packs, strict=True)):
        now, before = (
            np.concatenate([likeness(faces, some, p.faces[i]) for p, some in zip(people, drawn, strict=True)])
            for drawn in (posts, [p.plain for p in people])
        )
        told[f"likeness{name}"] = bootstrap(len(now), lambda rows, a=now: float(a[rows].mean()))  # type: ignore[misc]
        told[f"identity{name}"] = bootstrap(
            len(now),
            lambda rows, a=now, b=before: float(a[rows].sum() / b[rows].sum()),  # type: ignore[misc]
        )
    wrong = [layout_errors(eyes.reader, eyes.packs[0], np.stack(some), shots_of()).tolist() for some in posts]
    told["errors"] = clustered_score(wrong)
    if eyes.judge is not None:
        told["called_real"] = clustered_score([eyes.judge(some) for some in posts])
    return told


def find_judge(backbone: Backbone, trainings: Path) -> Callable[[list[Picture]], list[float]] | None:
    """Return what says of each picture whether it is called real; None where the judges' pictures are not there."""
    files = [trainings / f"{name}_judges.npz" for name in ("real", "plain")]
    if not all(file.exists() for file in files):
        return None
    real, plain = (look_numbers(backbone, read_pictures(file))[1] for file in files)
    judge = fit_judge(real, plain)
    return lambda pictures: [float(one) for one in judge.calls(look_numbers(backbone, np.stack(pictures))[1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--styles", nargs="*", default=[style.id for style in shipped_styles()])
    parser.add_argument("--strengths", nargs="*", type=float, default=[0.6, 1.0])
    parser.add_argument("--trainings", type=Path, default=Path("build/learning"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    backbone = load_backbone(resolve_backbone(MINIATURE))
    packs = (FaceReader(ASSETS / "faces"), FaceReader(ASSETS / "faces_second"))
    eyes = Eyes(packs, RegionReader(ASSETS / "reader"), find_judge(backbone, args.trainings))
    donors = [load_donors(ASSETS / "donors", look.id)[0] for look in LOOK_CATEGORIES]
    people = [meet(backbone, eyes, donor, _SEED + 100 * k) for k, donor in enumerate(donors)]
    told: dict[str, dict[str, dict[str, object]]] = {}
    for style in args.styles:
        layers, drawn = read_lora(SHIPPED / style / FILE).layers, {0.0: [p.plain for p in people]}
        for strength in args.strengths:
            look = Lora(layers, strength, stays=True)
            drawn[strength] = [
                draw_posts(backbone, p.donor, shots_of(), _SEED + 100 * k, look) for k, p in enumerate(people)
            ]
        for strength, posts in drawn.items():
            scores = score_posts(eyes, people, posts)
            told.setdefault(style, {})[f"{strength:g}"] = {name: asdict(one) for name, one in scores.items()}
            said = ", ".join(f"{name} {one.value:.3f} ({one.low:.3f} … {one.high:.3f})" for name, one in scores.items())
            print(f"{style} at {strength:g}: {said}", flush=True)
        rows = [np.concatenate([p for some in posts for p in some[:_SHOWN]], axis=1) for posts in drawn.values()]
        Image.fromarray(np.concatenate(rows)).save(args.out / f"style-{style}.png")
    (args.out / "style-score.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
