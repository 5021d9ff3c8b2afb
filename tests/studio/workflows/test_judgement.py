"""Selection by hand: what a person holds is compared with the donors, and what nobody chose is no choice."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from personas.gates import Gates
from personas.novelty import default_gates
from personas.selection import select_candidates
from personas.shots import Shot
from pipelines.errors import BadInput, NotEnough
from studio.application import Studio
from studio.domain.design import Design, DesignRequest
from studio.domain.measured import StoredMeasures, write_measures
from studio.domain.values import NamedPicture
from studio.settings import Settings
from studio.workflows.drawing import judged
from studio.workflows.judgement import amend, gates_of, judge
from tests.studio.domain.values import key, make_design

DONOR = (math.cos(2.1), math.sin(2.1))


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path, threads=1))


def seen(angle: float) -> StoredMeasures:
    """The measures of a picture whose face stands at an angle, in radians, from the person's."""
    face = (math.cos(angle), math.sin(angle))
    pixels = np.random.default_rng(round(angle * 1000)).standard_normal(16)  # no two pictures are the same
    thumbnail = (pixels / np.linalg.norm(pixels)).tolist()
    return StoredMeasures(face=face, body=(0.1,) * 6, hair=None, attributes={}, thumbnail=tuple(thumbnail))


def put_design(studio: Studio, angles: list[float]) -> Design:
    count = len(angles)
    return make_design(count).model_copy(
        update={
            "shots": (Shot(),) * count, "kept": (0, 1, 2, 3, 4, 5), "donor_faces": {"a": DONOR},
            "measures": studio.store.put_json(write_measures([seen(angle) for angle in angles])),
        }
    )  # fmt: skip


def strict_of_faces(studio: Studio) -> Gates:
    """Gates of the face and of novelty; the others let everything pass."""
    usual = default_gates(studio.calibration)
    loose = {name: 1.0 if name.startswith("max_") else 0.0 for name in usual}
    faces = {"min_face_similarity": 0.9, "novelty_ceiling": usual["novelty_ceiling"]}
    return usual.replace(loose | {"max_people": 1.0} | faces)


def test_pictures_held_by_hand_are_compared_with_the_donors(studio: Studio) -> None:
    """The gate of novelty sees what the other gates kept: forty held pictures of a donor once became the person."""
    design = put_design(studio, [0.002 * i for i in range(12)] + [1.9 + 0.01 * i for i in range(40)])
    gates = strict_of_faces(studio)
    few = judge(studio, design, gates, held=[12, 13])
    assert {12, 13} <= {*few.kept}
    amended = amend(studio, design, few)
    assert amended.novelty_max == pytest.approx(sum(a * b for a, b in zip(amended.enrolment, DONOR, strict=True)))
    with pytest.raises(NotEnough, match="not_novel"):
        amend(studio, design, judge(studio, design, gates, held=range(12, 52)))
    opened = gates.replace({"novelty_ceiling": 1.0})  # chosen by hand, and recorded
    mine = amend(studio, design, judge(studio, design, opened, held=range(12, 52)))
    assert mine.request.gates["novelty_ceiling"] == 1


def test_only_thresholds_that_somebody_chose_are_kept_as_chosen(studio: Studio) -> None:
    """Consolidation asks for more than a design does where nobody chose: a held picture is no choice of a threshold."""
    design = put_design(studio, [0.01 * i for i in range(12)])
    own = gates_of(studio, design, {"min_body_similarity": 0.0, "min_hair_similarity": -1.0})
    assert set(amend(studio, design, judge(studio, design, own, dropped=[11])).request.gates) == {
        "min_body_similarity", "min_hair_similarity",
    }  # fmt: skip
    asked = design.model_copy(update={"request": design.request.changed(gates={"min_obeyed": 0.6})})
    assert amend(studio, asked, judge(studio, asked, own, dropped=[11])).request.gates["min_obeyed"] == 0.6


def test_too_few_candidates_are_said_before_and_after(studio: Studio) -> None:
    with pytest.raises(BadInput, match="candidates_drawn_too_few"):
        DesignRequest.make(category="sweet", candidates=4).check_before()
    DesignRequest.make(category="sweet", candidates=6).check_before()
    template = NamedPicture(name="a.png", picture=key("a"))
    DesignRequest.make(category="sweet", candidates=4, templates=(template,) * 2).check_before()
    rows = [judged(seen(0.01 * i), Shot()) for i in range(4)]
    with pytest.raises(NotEnough) as refused:
        select_candidates(rows, strict_of_faces(studio), {"a": np.asarray(DONOR, np.float32)}, seed=1)
    assert (refused.value.code, refused.value.fields) == ("candidates_drawn_too_few", {"count": 4, "wanted": 6})
