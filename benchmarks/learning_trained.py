"""What the trainings of `learning_trainings` came to, for `learning_score`: what lies in their folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.learning_donors import NEW_SIZES
from benchmarks.learning_style import Numbers, diversity, fit_judge, layout_errors, look_numbers, moved
from benchmarks.learning_trainings import ARMS, MAIN_ARM, MAIN_STRENGTH, held_out_shots, read_pictures
from benchmarks.statistics import Score, bootstrap, clustered_score, mean_score
from personas.measures.face import FaceReader
from personas.measures.regions import RegionReader
from pipelines.backbones import MINIATURE, load_backbone, resolve_backbone
from studio.settings import ASSETS

__all__ = ["score_trained"]


def score_trained(work: Path) -> dict[str, Score]:
    """Return the scores of all trainings that are there, by name; none where there are none."""
    found: dict[str, Score] = {}
    for part in (_buckets, _captions, _styles):
        found |= part(work)
    return found


def _buckets(work: Path) -> dict[str, Score]:
    """Differences of the same shots of the same donor, in buckets minus at one size; donors are resampled."""
    file = work / "buckets.json"
    told: Mapping[str, Mapping[str, list[float]]] = json.loads(file.read_text()) if file.exists() else {}
    donors = sorted({key.split("-")[0] for key in told if f"{key.split('-')[0]}-buckets" in told})
    if not donors:
        return {}
    new = [f"{width}×{height}" for height, width in NEW_SIZES]
    pairs = [(told[f"{d}-buckets"], told[f"{d}-one"]) for d in donors]
    gains = [np.concatenate([np.subtract(a[s], b[s]) for s in new]).tolist() for a, b in pairs]
    costs = [np.subtract(b["own"], a["own"]).tolist() for a, b in pairs]
    scores = {"buckets_gain": clustered_score(gains), "buckets_cost": clustered_score(costs)}
    for way in ("one", "buckets"):
        for size in ("own", *new):
            scores[f"likeness at {size}, {way}"] = clustered_score([told[f"{d}-{way}"][size] for d in donors])
    return scores


def _captions(work: Path) -> dict[str, Score]:
    """Differences of the same shots by the bare trigger."""
    file = work / "captions.json"
    told: Mapping[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    donors = sorted({key.split("-")[0] for key in told if f"{key.split('-')[0]}-identity" in told})
    if not donors:
        return {}

    def gap(a: str, b: str) -> Score:
        return mean_score(np.concatenate([np.subtract(told[f"{d}-{a}"], told[f"{d}-{b}"]) for d in donors]))

    return {"captions_true_gap": gap("true", "measured"), "identity_said_cost": gap("true", "identity")} | {
        f"likeness by {way} captions": mean_score(np.concatenate([told[f"{d}-{way}"] for d in donors]))
        for way in ("true", "measured", "identity")
    }


def _styles(work: Path) -> dict[str, Score]:
    """Every arm's measures; those of the main one under the demanded names."""
    folder = work / "style"
    asked = [("base", 1.0), *((name, 1.0) for name in ARMS), (MAIN_ARM, MAIN_STRENGTH)]
    there = [one for one in asked if (folder / f"{one[0]}-{one[1]:g}.npz").exists()]
    if ("base", 1.0) not in there or len(there) < 2:
        return {}
    backbone = load_backbone(resolve_backbone(MINIATURE))
    faces, regions = FaceReader(ASSETS / "faces"), RegionReader(ASSETS / "reader")
    looks = {
        name: look_numbers(backbone, read_pictures(work / f"{name}.npz"))
        for name in ("real_judges", "plain_judges", "real_test")
    }
    judges = [fit_judge(looks["real_judges"][k], looks["plain_judges"][k]) for k in (0, 1)]
    scores = {"photos called real, by pixels": mean_score(judges[1].calls(looks["real_test"][1]))}
    base = look_numbers(backbone, read_pictures(folder / "base-1.npz"))
    for arm, strength in there:
        name = arm if strength == 1 else f"{arm} ×{strength:g}"
        pictures = read_pictures(folder / f"{arm}-{strength:g}.npz")
        seen = look_numbers(backbone, pictures)
        wrong = mean_score(layout_errors(regions, faces, pictures, held_out_shots()[: len(pictures)]))
        called = [mean_score(judge.calls(numbers)) for judge, numbers in zip(judges, seen[:2], strict=True)]
        scores |= {f"{name}: errors": wrong, f"{name}: called real": called[1], f"{name}: by latents": called[0]}
        if name == "base":
            scores["base_errors"] = wrong
            continue
        gone = [moved(a, b, c) for a, b, c in zip(seen[:2], base[:2], looks["real_test"][:2], strict=True)]
        varied = bootstrap(len(pictures), partial(_varied, seen[2], base[2]), rounds=60)
        scores |= {f"{name}: moved": gone[1], f"{name}: moved, latents": gone[0], f"{name}: diversity": varied}
        if name == "plain":
            scores["plain_errors"] = wrong
        if (arm, strength) == (MAIN_ARM, MAIN_STRENGTH):
            scores |= {
                "style_moved": gone[1], "called_real": called[1], "layout_errors": wrong, "diversity": varied,
            }  # fmt: skip
    return scores


def _varied(drawn: Numbers, base: Numbers, rows: npt.NDArray[np.int64]) -> float:
    return diversity(drawn[rows]) / diversity(base[rows])
