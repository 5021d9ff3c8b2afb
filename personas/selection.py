"""Which candidates are the same person: clustering on faces, then gates on face, body and hair.

After "The Chosen One" (arXiv:2311.10093 §3): embed all, cluster, drop small clusters, keep the tightest; here on face
embeddings, and followed by gates that say why a picture was dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from personas.candidates import Pool
from personas.gates import Gates, apply_gates, find_gate
from personas.measures.face import mean_embedding
from personas.measures.subject import CandidateMeasures
from pipelines.errors import NotEnough

__all__ = ["MIN_KEPT", "NOT_NOVEL", "Selection", "Verdict", "select_candidates"]

NOT_NOVEL = "not_novel"
MIN_KEPT = 6  # pictures that a person is known by
Embedding = npt.NDArray[np.float32]
_CLUSTER_SIZE = 20  # candidates per cluster, as in the paper


@dataclass(frozen=True)
class Verdict:
    """`reasons` are names of gates, empty if kept; `numbers` are by the names of MEASURES, None where it could not be
    measured."""

    index: int
    kept: bool
    reasons: tuple[str, ...]
    numbers: Mapping[str, float | None]

    @property
    def face_similarity(self) -> float | None:
        """Return the cosine to the person's face; None where no face was found."""
        return self.numbers.get("face_similarity")


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
        """Return as JSON whom the selection shows, and for each candidate whether it is kept or which gates drop it."""
        return {
            "kept": list(self.kept),
            "gates": dict(self.gates),
            "dropped_by_gate": self.gate_counts,
            "cluster_sizes": list(self.cluster_sizes),
            "novelty_max": max(self.donor_similarity.values(), default=None),
            "donor_similarity": self.donor_similarity,
            "candidates": [
                {"index": v.index, "kept": v.kept, "reasons": list(v.reasons), **v.numbers} for v in self.verdicts
            ],
        }


def select_candidates(
    candidates: Sequence[CandidateMeasures],
    gates: Gates,
    donors: Mapping[str, Embedding],
    *,
    seed: int,
    min_kept: int = MIN_KEPT,
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
        raise NotEnough("faces_too_few", without=len(candidates) - len(with_face), count=len(candidates))
    faces = np.stack([face for c in candidates if (face := c.face) is not None])
    if centre is None:
        member, sizes = _tightest_cluster(faces, seed)
        centre = _trimmed_centre(faces[member])
    else:
        member, sizes = list(range(len(faces))), (len(faces),)
    pool = Pool(candidates, centre, frozenset(with_face[k] for k in member), donors, max_kept, kinds)
    apply_gates(pool, gates, "picture")
    pool.find_typical()
    apply_gates(pool, gates, "typical")
    apply_gates(pool, gates, "pairs")
    if len(pool.remaining) < min_kept:
        raise _too_few(pool, min_kept)
    apply_gates(pool, gates, "count")
    kept, enrolment, near = frozenset(pool.remaining), pool.enrolment, pool.donor_similarity
    apply_gates(pool, gates, "person")
    if not pool.remaining:
        donor = max(near, key=lambda d: near[d])
        raise NotEnough("not_novel", similarity=near[donor], donor=donor, ceiling=gates["novelty_ceiling"])
    verdicts = tuple(Verdict(i, i in kept, tuple(reasons), pool.numbers(i)) for i, reasons in enumerate(pool.reasons))
    counts = Counter(reason for reasons in pool.reasons for reason in reasons)
    return Selection(verdicts, enrolment, sizes, near, gates, dict(counts))


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
    """Return labels [n] of the best of eight runs. x [n, d] of length 1.

    The starts are k-means++ by the angle, because scikit-learn's own are drawn otherwise and a seed would choose other
    people; the best run is the one whose clusters agree most in direction (spherical k-means' score).
    """
    if k == 1:
        return np.zeros(len(x), np.int64)
    from sklearn.cluster import KMeans  # takes a second to import

    rng = np.random.default_rng(seed)
    best, best_score = np.zeros(len(x), np.int64), -np.inf
    for _ in range(8):
        centres = [x[rng.integers(len(x))]]
        while len(centres) < k:
            distance = np.clip(1 - np.max(x @ np.array(centres).T, axis=1), 1e-9, None) ** 2
            centres.append(x[rng.choice(len(x), p=distance / distance.sum())])
        labels = KMeans(k, init=np.array(centres), n_init=1).fit(x).labels_
        score = sum(float(np.linalg.norm(x[labels == j].sum(axis=0))) for j in range(k))
        if score > best_score:
            best, best_score = labels.astype(np.int64), score
    return best


def _trimmed_centre(faces: Embedding) -> Embedding:
    """The mean of the nearer three quarters, so that outliers do not pull it."""
    centre = mean_embedding(faces)
    order = np.argsort(-(faces @ centre))
    return mean_embedding(faces[order[: max(2, len(faces) * 3 // 4)]])


def _too_few(pool: Pool, wanted: int) -> NotEnough:
    counts = Counter(reason for reasons in pool.reasons for reason in reasons)
    if not counts:  # all pass, and there are fewer than are needed
        return NotEnough("candidates_drawn_too_few", count=len(pool.candidates), wanted=wanted)
    name, dropped = counts.most_common(1)[0]
    gate = find_gate(name)
    fields = {
        "kept": len(pool.remaining),
        "count": len(pool.candidates),
        "wanted": wanted,
        "gate": name,
        "dropped": dropped,
        "threshold": gate.threshold,
    }
    if not gate.threshold:
        return NotEnough("candidates_too_few", **fields)
    if gate.at_most:
        return NotEnough("candidates_too_few_over", **fields)
    return NotEnough("candidates_too_few_under", **fields)
