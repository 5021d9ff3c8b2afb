"""How well a folder of pictures is looked through and described: `python -m benchmarks.learning_score --out out`.

Everything is measured on renders, whose faults and words are known, as folders of one person in four places; nothing is
trained here. What `benchmarks.learning_trainings` trained is measured where it lies in `--trainings`. The real photos
of `--data` (faces, scenes) are looked through by a real face pack and counted by themselves.
Out comes one table and out/learning-score.json: {name: {value, low, high, n}}, without what was not trained.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.learning_pictures import FAULTS, Given, person_folder
from benchmarks.learning_trained import score_trained
from benchmarks.statistics import Score, clustered_score
from personas.captions.compose import compose
from personas.captions.lint import lint_captions
from personas.captions.measured import describe
from personas.captions.policy import Policy
from personas.datasets.coverage import framing_of, view_of
from personas.datasets.facts import PictureFacts, measure_picture
from personas.datasets.limits import usual_limits
from personas.datasets.verdicts import judge
from personas.measures.face import FaceReader, read_calibration
from personas.measures.regions import ATTRIBUTES, RegionReader
from pipelines.own_look import OwnLook, read_look
from pipelines.pictures import load_scene
from studio.settings import ASSETS

FOLDERS, CLEAN, COPIES, FAULTY = 10, 40, 24, 40
HEIGHT, WIDTH = 256, 192
TARGETS: Mapping[str, tuple[str, float]] = {
    "duplicates_precision": ("≥", 0.98), "duplicates_recall": ("≥", 0.95), "faults_precision": ("≥", 0.95),
    "faults_recall": ("≥", 0.90), "clean_lost": ("≤", 0.03), "captions_precision": ("≥", 0.97),
    "captions_recall": ("≥", 0.95), "captions_leak": ("≤", 0.0),
    "captions_true_gap": ("≤", 0.02), "identity_said_cost": ("≥", 0.05), "buckets_gain": ("≥", 0.03),
    "buckets_cost": ("≤", 0.01), "style_moved": ("≥", 0.6), "called_real": ("≥", 0.7), "diversity": ("≥", 0.95),
    "layout_errors": ("", float("nan")), "base_errors": ("", float("nan")), "plain_errors": ("", float("nan")),
}  # fmt: skip


class Readers:
    """The shipped readers of the miniature."""

    def __init__(self) -> None:
        self.faces, self.regions = FaceReader(ASSETS / "faces"), RegionReader(ASSETS / "reader")
        self.same_person = read_calibration(ASSETS / "faces").different_people
        look = read_look(ASSETS / "flux")
        assert look is not None
        self.look: OwnLook = look

    def facts(self, given: Given) -> PictureFacts:
        """Measure a render as the studio does."""
        picture = given.picture
        own = not self.look.is_other(picture)
        regions = self.regions.read([picture])[0] if own else None
        return measure_picture(picture, self.faces.faces(picture), regions, own_look=own)


def score_folder(readers: Readers, number: int) -> dict[str, list[float]]:
    """Return 0 and 1 of each measure for one person's folder."""
    given = person_folder(number, CLEAN, COPIES, FAULTY)
    facts = [readers.facts(one) for one in given]
    limits = usual_limits(HEIGHT, WIDTH, readers.same_person)
    found = judge(facts, limits, HEIGHT * WIDTH)
    pairs = {(a, b) for pile in found.piles for a in pile for b in pile if a < b}
    originals = [i if one.copy_of is None else one.copy_of for i, one in enumerate(given)]
    true = {(a, b) for a in range(len(given)) for b in range(a + 1, len(given)) if originals[a] == originals[b]}
    rows: dict[str, list[float]] = {
        "duplicates_precision": [float(pair in true) for pair in pairs],
        "duplicates_recall": [float(pair in pairs) for pair in true],
        "faults_precision": [], "faults_recall": [], "clean_lost": [],
    }  # fmt: skip
    for one, verdict in zip(given, found.verdicts, strict=True):
        said = {reason.name for reason in verdict.reasons} - {"copy"}
        if one.fault:
            hit = bool(said & FAULTS[one.fault])
            rows["faults_recall"].append(float(hit))
            rows[f"faults_recall of {one.fault}"] = [*rows.get(f"faults_recall of {one.fault}", []), float(hit)]
        if one.copy_of is None:
            if said:
                rows["faults_precision"].append(float(bool(one.fault)))
            if not one.fault:
                rows["clean_lost"].append(float(bool(said) or not _kept(found.verdicts, originals, given, one)))
                for name in said:
                    rows[f"clean called {name}"] = [*rows.get(f"clean called {name}", []), 1.0]
    return rows | score_captions([(one, fact) for one, fact in zip(given, facts, strict=True) if _is_clean(one)])


def _is_clean(one: Given) -> bool:
    return one.copy_of is None and not one.fault


def _kept(verdicts: Any, originals: Sequence[int], given: Sequence[Given], one: Given) -> bool:
    """Whether the picture or a copy of it is kept."""
    row = next(i for i, other in enumerate(given) if other is one)
    return any(verdict.kept for verdict, original in zip(verdicts, originals, strict=True) if original == row)


def score_captions(pairs: Sequence[tuple[Given, PictureFacts]]) -> dict[str, list[float]]:
    """Return 0 and 1 for each of the reader's eight fields of each clean picture, and for words of who it is."""
    rows: dict[str, list[float]] = {"captions_precision": [], "captions_recall": [], "captions_leak": []}
    policy = Policy(subject="young woman")
    for given, facts in pairs:
        told = describe(facts)
        garment = told.garments[0] if told.garments else None
        said = {
            "framing": told.shot.framing, "view": told.shot.view, "expression": told.face.expression,
            "light": told.light.time, "setting": told.place.where,
            "outfit": None if garment is None else garment.type,
            "outfit_colour": None if garment is None else garment.colour,
            "goods": None if told.goods is None else told.goods[0].what if told.goods else "nothing",
        }  # fmt: skip
        for field in ATTRIBUTES:
            truth = getattr(given.shot, field)
            if said[field] is not None:
                rows["captions_precision"].append(float(said[field] == truth))
                if said[field] != truth:
                    rows[f"wrong {field}"] = [*rows.get(f"wrong {field}", []), 1.0]
            rows["captions_recall"].append(float(said[field] == truth))
        caption = compose(told, policy)
        rows["captions_leak"].append(float(any(f.code == "identity" for f in lint_captions([caption], policy))))
    return rows


def look_at_photos(data: Path) -> dict[str, Any]:
    """Return how many of the real face photos are one person, how many scenes are nobody, and what captions say."""
    pack = data / "face_models"
    photos = {name: sorted((data / name).rglob("*.jpg")) for name in ("faces", "scenes")}
    if not pack.is_dir() or not all(photos.values()):
        return {}
    reader, look = FaceReader(pack), read_look(ASSETS / "flux")
    told: dict[str, Any] = {}
    for name, files in photos.items():
        facts = []
        for file in files:
            image = load_scene(file).image
            assert look is None or look.is_other(image), f"{file.name} is taken for a drawing"
            facts.append(measure_picture(image, reader.faces(image), None, own_look=False))
        limits = usual_limits(512, 512, -1.0)
        verdicts = judge(facts, limits, 512 * 512).verdicts
        told[name] = {
            "count": len(files),
            "as they are": sum(
                (len(f.faces) == 1 and not {r.name for r in v.reasons} & {"several", "nobody", "no_face"})
                if name == "faces"
                else not f.faces
                for f, v in zip(facts, verdicts, strict=True)
            ),
            "reasons": dict(Counter(reason.name for v in verdicts for reason in v.reasons)),
            "captions": {
                file.name: [compose(describe(f), Policy(subject="person")), framing_of(f), view_of(f)]
                for file, f in zip(files, facts, strict=True)
            },
        }
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folders", type=int, default=FOLDERS)
    parser.add_argument(
        "--trainings", type=Path, default=Path("build/learning"), help="of benchmarks.learning_trainings"
    )
    args = parser.parse_args()
    torch.set_num_threads(max(1, torch.get_num_threads()))
    readers = Readers()
    folders = [score_folder(readers, number) for number in range(args.folders)]
    names = list(dict.fromkeys(name for rows in folders for name in rows))
    scores = {name: clustered_score([rows.get(name, []) for rows in folders]) for name in names}
    trained = score_trained(args.trainings)
    scores |= trained
    photos = look_at_photos(args.data)
    show(scores, folders, photos)
    args.out.mkdir(parents=True, exist_ok=True)
    told = {name: asdict(score) for name, score in scores.items() if name in TARGETS}
    (args.out / "learning-score.json").write_text(json.dumps(told | {"photos": photos}, indent=1, ensure_ascii=False))


def show(
    scores: Mapping[str, Score], folders: Sequence[Mapping[str, Sequence[float]]], photos: Mapping[str, Any]
) -> None:
    """Print the table; under the demanded rows those that they are made of."""
    targets = dict(TARGETS)
    if base := scores.get("base_errors"):
        targets |= {"layout_errors": ("≤", base.value + 0.01), "plain_errors": ("≥", base.value + 0.08)}
    table = Table("measure", "value", "95%", "target", "n")
    for name, score in scores.items():
        sign, target = targets.get(name, ("", float("nan")))
        count = sum(len(rows.get(name, ())) for rows in folders) or score.n
        if name.startswith(("wrong ", "clean called ")):
            table.add_row(name, "", "", "", str(count))
            continue
        good = np.isnan(target) or (score.value >= target if sign == "≥" else score.value <= target)
        wanted = "" if np.isnan(target) else f"{sign} {target:.3g} {'✓' if good else '✗'}"
        table.add_row(name, f"{score.value:.3f}", f"{score.low:.3f} … {score.high:.3f}", wanted, str(count))
    console = Console()
    console.print(table)
    for name, rows in photos.items():
        console.print(f"{name}: {rows['as they are']} of {rows['count']} as they are; reasons {rows['reasons']}")
        for file, (caption, *_) in rows["captions"].items():
            console.print(f"  {file}: {caption}")


if __name__ == "__main__":
    main()
