"""Which candidates are the same person: clustering on faces, then gates on face, body and hair.

After "The Chosen One" (arXiv:2311.10093 §3): embed all, cluster, drop small clusters, keep the tightest; here on face
embeddings, and followed by gates that say why a picture was dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from personas.measures.body import body_similarity
from personas.measures.face import mean_embedding
from personas.measures.hair import HairReading, hair_similarity
from pipelines.errors import NotEnough

__all__ = ["NOT_NOVEL", "CandidateMeasures", "Gates", "Selection", "Verdict", "select_candidates"]

NOT_NOVEL = "not_novel"
Embedding = npt.NDArray[np.float32]
_CLUSTER_SIZE = 20  # candidates per cluster, as in the paper
_GATE_WORDS = {
    "no_face": ("no face was found", "draw more candidates, or use donors of one recipe"),
    "other_cluster": ("it belongs to another cluster of faces", "draw more candidates"),
    "face": ("its face is too far from the others'", "lower min_face_similarity"),
    "body": ("its body has other proportions", "lower min_body_similarity"),
    "hair": ("its hair is different", "lower min_hair_similarity"),
    "sharpness": ("its face is blurred", "lower min_sharpness"),
    "quality": ("the picture's quality is low", "lower min_quality"),
    "people": ("more than one person is in it", "raise max_people"),
    "small_face": ("its face is too small", "lower min_face_height"),
    "prompt": ("it does not show what was asked for", "lower min_obeyed"),
    "duplicate": ("it is nearly the same picture as a better one", "raise max_duplicate_similarity"),
    "novelty": ("the new face is too near to a donor", "use more donors, or more even weights"),
    "surplus": ("enough better ones of its kind were kept", "keep more"),
}


@dataclass(frozen=True, eq=False)
class CandidateMeasures:
    """What was measured on one candidate; None or NaN where it could not be. `face` float32 [d] of length 1.

    `thumbnail` float32 [n] is a small grey picture (mean 0, length 1) that near-duplicates are found by. `obeyed` is
    the share of what its shot asked for that is seen, and `quality` what a trained judge says, both in [0, 1]; `people`
    are counted.
    """

    face: Embedding | None
    body: Embedding
    hair: HairReading | None
    sharpness: float
    face_height: float
    thumbnail: Embedding
    obeyed: float | None = None
    quality: float | None = None
    people: int | None = None


@dataclass(frozen=True)
class Gates:
    """Similarities are cosines, except the body's in (0, 1]; `min_face_height` is a share of the picture's height,
    `min_obeyed` of what was asked for. What could not be measured is not held against a candidate.

    The face gate comes from the recogniser's calibration unless given: see `personas.novelty`.
    """

    min_face_similarity: float
    novelty_ceiling: float
    min_body_similarity: float = 0.35
    min_hair_similarity: float = 0.3
    min_sharpness: float = 0.2
    min_face_height: float = 0.06
    min_obeyed: float = 0.6
    min_quality: float = 0.3
    max_people: float = 1
    max_duplicate_similarity: float = 0.995


@dataclass(frozen=True)
class Verdict:
    """`reasons` are gate names, empty if kept; numbers are None where they could not be measured."""

    index: int
    kept: bool
    reasons: tuple[str, ...]
    face_similarity: float | None
    body_similarity: float | None
    hair_similarity: float | None
    sharpness: float
    face_height: float


@dataclass(frozen=True, eq=False)
class Selection:
    """`centre` is the normalised mean face of the kept ones (the enrolment); `donor_similarity` its cosine to each."""

    verdicts: tuple[Verdict, ...]
    centre: Embedding
    cluster_sizes: tuple[int, ...]
    donor_similarity: dict[str, float]
    gates: Gates
    gate_counts: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(v.index for v in self.verdicts if v.kept)

    def report(self) -> dict[str, Any]:
        """JSON: per candidate kept or why not, in words too."""
        rows = [asdict(v) | {"why": [_GATE_WORDS[r][0] for r in v.reasons]} for v in self.verdicts]
        return {
            "kept": list(self.kept),
            "gates": asdict(self.gates),
            "dropped_by_gate": self.gate_counts,
            "cluster_sizes": list(self.cluster_sizes),
            "novelty_max": max(self.donor_similarity.values(), default=None),
            "donor_similarity": self.donor_similarity,
            "candidates": rows,
        }


def select_candidates(
    candidates: Sequence[CandidateMeasures],
    gates: Gates,
    donors: dict[str, Embedding],
    *,
    seed: int,
    min_kept: int = 6,
    max_kept: int | None = None,
    kinds: Sequence[str] | None = None,
    centre: Embedding | None = None,
) -> Selection:
    """Judge every candidate. `donors` maps a donor's id to their mean face.

    Of more than `max_kept` the nearest to the centre stay, equally many of each of the `kinds` (framing and
    view: small faces agree more easily and would crowd large ones out, and a LoRA that saw each framing from one side
    would draw it from no other). A given `centre` [d] is who the person is known to be;
    without one it is found by clustering.

    Raises NotEnough if there is no face at all, if fewer than `min_kept` pass (naming the gate that dropped most and
    what to loosen), or if the new face comes too near to a donor.
    """
    with_face = [i for i, c in enumerate(candidates) if c.face is not None]
    if len(with_face) < 2:
        raise NotEnough(
            f"There is no face in {len(candidates) - len(with_face)} of {len(candidates)} candidates.",
            "Draw again with another seed; if that does not help, the LoRA's scale is too high or too low.",
        )
    faces = np.stack([_face(candidates[i]) for i in with_face])
    if centre is None:
        member, sizes = _tightest_cluster(faces, seed)
        centre = _trimmed_centre(faces[member])
    else:
        member, sizes = list(range(len(faces))), (len(faces),)
    inside = {with_face[k] for k in member}
    reasons: dict[int, list[str]] = {i: [] for i in range(len(candidates))}
    similarity: dict[int, float] = {i: float(centre @ _face(candidates[i])) for i in with_face}
    for i, candidate in enumerate(candidates):
        if candidate.face is None:
            reasons[i].append("no_face")
            continue
        if similarity[i] < gates.min_face_similarity:
            # Another cluster is no reason by itself: k-means may cut one person in two.
            reasons[i].append("face" if i in inside else "other_cluster")
        if candidate.sharpness < gates.min_sharpness:
            reasons[i].append("sharpness")
        if candidate.face_height < gates.min_face_height:
            reasons[i].append("small_face")
        if _under(candidate.obeyed, gates.min_obeyed):
            reasons[i].append("prompt")
        if _under(candidate.quality, gates.min_quality):
            reasons[i].append("quality")
        if candidate.people is not None and candidate.people > gates.max_people:
            reasons[i].append("people")
    like_us = [i for i in with_face if not reasons[i]]
    body, hair = _typical_body(candidates, like_us), _typical_hair(candidates, like_us)
    bodies: dict[int, float | None] = {}
    hairs: dict[int, float | None] = {}
    for i, candidate in enumerate(candidates):
        bodies[i] = None if body is None else body_similarity(candidate.body, body)
        hairs[i] = None if hair is None or candidate.hair is None else hair_similarity(candidate.hair, hair)
        b, h = bodies[i], hairs[i]
        if b is not None and b < gates.min_body_similarity:
            reasons[i].append("body")
        if h is not None and h < gates.min_hair_similarity:
            reasons[i].append("hair")
    _drop_duplicates(candidates, reasons, similarity, gates.max_duplicate_similarity)
    kept = sorted((i for i in reasons if not reasons[i]), key=lambda i: -similarity[i])
    if len(kept) < min_kept:
        raise _too_few(len(kept), min_kept, reasons)
    for i in _surplus(kept, len(kept) if max_kept is None else max_kept, kinds):
        reasons[i].append("surplus")
    kept = [i for i in kept if not reasons[i]]
    enrolment = mean_embedding(np.stack([_face(candidates[i]) for i in kept]))
    near = {donor: float(enrolment @ face) for donor, face in donors.items()}
    if near and max(near.values()) >= gates.novelty_ceiling:
        donor = max(near, key=lambda d: near[d])
        raise NotEnough(
            f"The new face has a cosine of {near[donor]:.2f} to the donor {donor}, and the ceiling is "
            f"{gates.novelty_ceiling:.2f}: they could pass for one person.",
            "Use more donors, more even weights, or another seed.",
            code=NOT_NOVEL,
        )
    chosen = set(kept)
    verdicts = tuple(
        Verdict(i, i in chosen, tuple(reasons[i]), similarity.get(i), bodies[i], hairs[i], c.sharpness, c.face_height)
        for i, c in enumerate(candidates)
    )
    counts = Counter(r for i in reasons for r in reasons[i])
    return Selection(verdicts, enrolment, sizes, near, gates, dict(counts))


def _under(measured: float | None, least: float) -> bool:
    """NaN and None are not under anything: what could not be measured is not held against a candidate."""
    return measured is not None and measured < least


def _face(candidate: CandidateMeasures) -> Embedding:
    assert candidate.face is not None
    return candidate.face


def _tightest_cluster(faces: Embedding, seed: int) -> tuple[list[int], tuple[int, ...]]:
    """Rows of the tightest cluster that is not small, and all clusters' sizes. faces [n, d] of length 1."""
    k = max(1, len(faces) // _CLUSTER_SIZE)
    labels = _k_means(faces.astype(np.float64), k, seed)
    sizes = np.bincount(labels, minlength=k)
    large = [c for c in range(k) if sizes[c] > min(10, len(faces) // (2 * k))] or [int(sizes.argmax())]

    def spread(cluster: int) -> float:
        rows = faces[labels == cluster]
        return float(1 - np.mean(rows @ mean_embedding(rows)))

    best = min(large, key=spread)
    return [int(i) for i in np.flatnonzero(labels == best)], tuple(int(s) for s in sizes)


def _k_means(x: npt.NDArray[np.float64], k: int, seed: int) -> npt.NDArray[np.int64]:
    """Spherical k-means with k-means++ starts; the best of eight runs. Labels [n]."""
    rng = np.random.default_rng(seed)
    best, best_score = np.zeros(len(x), np.int64), -np.inf
    for _ in range(8 if k > 1 else 1):
        centres = [x[rng.integers(len(x))]]
        while len(centres) < k:
            distance = np.clip(1 - np.max(x @ np.array(centres).T, axis=1), 1e-9, None) ** 2
            centres.append(x[rng.choice(len(x), p=distance / distance.sum())])
        c = np.array(centres)
        labels = np.zeros(len(x), np.int64)
        for _ in range(50):
            labels = np.argmax(x @ c.T, axis=1)
            moved = np.stack([x[labels == j].mean(axis=0) if (labels == j).any() else c[j] for j in range(k)])
            moved /= np.linalg.norm(moved, axis=1, keepdims=True) + 1e-12
            if np.allclose(moved, c):
                break
            c = moved
        score = float((x * c[labels]).sum())
        if score > best_score:
            best, best_score = labels, score
    return best


def _trimmed_centre(faces: Embedding) -> Embedding:
    """The mean of the nearer three quarters, so that outliers do not pull it."""
    centre = mean_embedding(faces)
    order = np.argsort(-(faces @ centre))
    return mean_embedding(faces[order[: max(2, len(faces) * 3 // 4)]])


def _typical_body(candidates: Sequence[CandidateMeasures], rows: Sequence[int]) -> Embedding | None:
    if not rows:
        return None
    bodies = np.stack([candidates[i].body for i in rows])
    seen = np.isfinite(bodies).any(axis=0)
    typical = np.full(bodies.shape[1], np.nan, np.float32)
    typical[seen] = np.nanmedian(bodies[:, seen], axis=0)
    return typical if seen.any() else None


def _typical_hair(candidates: Sequence[CandidateMeasures], rows: Sequence[int]) -> HairReading | None:
    hairs = [h for i in rows if (h := candidates[i].hair) is not None]
    if not hairs:
        return None
    mean = mean_embedding(np.stack([h.embedding for h in hairs]))
    lab = np.asarray(np.mean([h.lab for h in hairs], axis=0), np.float32)
    return HairReading(float(np.mean([h.share for h in hairs])), float(np.mean([h.length for h in hairs])), lab, mean)


def _surplus(kept: Sequence[int], most: int, kinds: Sequence[str] | None) -> list[int]:
    """Those of `kept`, best first, that are too many: kinds take turns, each giving its best."""
    places: Counter[str] = Counter()
    turns = []
    for rank, i in enumerate(kept):
        kind = "" if kinds is None else kinds[i]
        turns.append((places[kind], rank, i))
        places[kind] += 1
    return [i for _, _, i in sorted(turns)[most:]]


def _drop_duplicates(
    candidates: Sequence[CandidateMeasures], reasons: dict[int, list[str]], similarity: dict[int, float], ceiling: float
) -> None:
    """Of two nearly equal pictures the one nearer to the centre stays."""
    order = sorted((i for i in reasons if not reasons[i]), key=lambda i: -similarity[i])
    stays: list[int] = []
    for i in order:
        if any(float(candidates[i].thumbnail @ candidates[j].thumbnail) > ceiling for j in stays):
            reasons[i].append("duplicate")
        else:
            stays.append(i)


def _too_few(kept: int, wanted: int, reasons: dict[int, list[str]]) -> NotEnough:
    counts = Counter(r for rows in reasons.values() for r in rows)
    gate, dropped = counts.most_common(1)[0]
    why, how = _GATE_WORDS[gate]
    return NotEnough(
        f"Only {kept} of {len(reasons)} candidates pass, and {wanted} are needed. "
        f"The gate {gate!r} dropped {dropped}: {why}.",
        f"To keep more, {how}.",
    )
