"""Selection by hand: a finished design judged again with other gates, and pictures kept or dropped by a person.

Nothing is drawn and no model is loaded: the measures were stored when the design was made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from personas.gates import Gates
from personas.measures.face import mean_embedding
from personas.novelty import default_gates
from personas.selection import MIN_KEPT, Selection, select_candidates
from pipelines.errors import NotEnough
from studio.application import Studio
from studio.domain.design import Design
from studio.domain.measured import read_measures, write_measures
from studio.domain.more import MoreCandidates, join_candidates
from studio.library.grants import grant, may_read
from studio.workflows.drawing import judged

__all__ = ["Judgement", "amend", "gates_of", "judge", "with_more"]


@dataclass(frozen=True, eq=False)
class Judgement:
    """`kept` are candidates' numbers, best first; `selection` is what the gates alone say."""

    selection: Selection
    kept: tuple[int, ...]
    held: tuple[int, ...]
    dropped: tuple[int, ...]


def gates_of(studio: Studio, design: Design, changed: Mapping[str, float] | None = None) -> Gates:
    """The gates a design was judged by, with some of them changed."""
    own = default_gates(studio.calibration)
    values = {**design.request.gates, **(changed or {})}
    return own.replace({name: value for name, value in values.items() if name in own})


def judge(
    studio: Studio, design: Design, gates: Gates, held: Collection[int] = (), dropped: Collection[int] = ()
) -> Judgement:
    """Every candidate's verdict under these gates. Raises NotEnough if hardly any picture passes."""
    rows = [
        judged(measures, shot)
        for measures, shot in zip(read_measures(studio.store.get_json(design.measures)), design.shots, strict=True)
    ]
    kinds = [shot.framing for shot in design.shots]
    donors = {name: np.asarray(face, np.float32) for name, face in design.donor_faces.items()}
    selection = select_candidates(rows, gates, donors, seed=design.request.seed, min_kept=2, kinds=kinds)
    with_face = {i for i, row in enumerate(rows) if row.face is not None}
    kept = ({*selection.kept} - {*dropped}) | ({*held} & with_face)

    def nearness(i: int) -> float:
        return selection.verdicts[i].face_similarity or -1.0

    order = tuple(sorted(kept, key=nearness, reverse=True))
    return Judgement(selection, order, tuple(sorted({*held} & with_face)), tuple(sorted(dropped)))


def with_more(studio: Studio, design: Design, more: Sequence[MoreCandidates], owner: str) -> Design:
    """Return the design with what was drawn for it later behind its own candidates, which keep their numbers."""
    if not more:
        return design
    stored = [design.measures, *(one.measures for one in more)]
    rows = [row for key in stored for row in read_measures(studio.store.get_json(key))]
    key = studio.store.put_json(write_measures(rows))
    if not may_read(studio.records, owner, key):
        grant(studio.records, owner, [key])
    return join_candidates(design, more, key)


def amend(studio: Studio, design: Design, judgement: Judgement) -> Design:
    """The design with this selection instead of its own. Raises NotEnough for fewer than six pictures, and where those
    held by hand bring the face too near to a donor: the gates saw the others only.
    """
    if len(judgement.kept) < MIN_KEPT:
        raise NotEnough("kept_too_few", kept=len(judgement.kept), needed=MIN_KEPT)
    if judgement.kept and sorted(judgement.kept) == sorted(design.kept) and not judgement.dropped:
        return design
    measures = read_measures(studio.store.get_json(design.measures))
    centre = mean_embedding(np.stack([np.asarray(measures[i].face, np.float32) for i in judgement.kept]))
    gates, usual = judgement.selection.gates, default_gates(studio.calibration)
    nearest = _check_novel(design, centre, gates["novelty_ceiling"])
    # only what somebody chose: a default that were written down would count as chosen in all that follows
    chosen = {name: gates[name] for name in gates if name in design.request.gates or gates[name] != usual[name]}
    return design.model_copy(
        update={
            "kept": tuple(sorted(judgement.kept)),
            "held": judgement.held,
            "dropped": judgement.dropped,
            "enrolment": tuple(centre.tolist()),
            "novelty_max": nearest,
            "request": design.request.model_copy(update={"gates": chosen}),
        }
    )


def _check_novel(design: Design, centre: npt.NDArray[np.float32], ceiling: float) -> float:
    """Return the greatest cosine of a face to the design's donors. Raises NotEnough where it is over the ceiling."""
    near = {donor: float(centre @ np.asarray(face, np.float32)) for donor, face in design.donor_faces.items()}
    if not near:
        return design.novelty_max
    donor = max(near, key=lambda one: near[one])
    if near[donor] >= ceiling < 1:
        name = next((used.name for used in design.donors if used.id == donor), donor)
        raise NotEnough("not_novel", similarity=near[donor], donor=name, ceiling=ceiling)
    return near[donor]
