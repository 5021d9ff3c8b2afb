"""More candidates like one: other seeds of the same prompt, behind those that are on the board already."""

from __future__ import annotations

from pathlib import Path

import pytest

from personas.gates import Gates
from personas.recipes import plan_recipe
from personas.shots import Shot
from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.design import Design
from studio.domain.measured import StoredMeasures, read_measures, write_measures
from studio.domain.more import MoreCandidates, MoreRequest
from studio.domain.values import FileKey
from studio.jobs.queue import Queue
from studio.library.records import JobRecord
from studio.library.trash import empty_trash
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.pages.select import Chosen, _act, _board, _find, _judged, _next_of_pose, more_like, vote
from studio.workflows import run_directly
from studio.workflows.judgement import gates_of, with_more
from studio.workflows.more import draw_more
from tests.library import keep_result, picture
from tests.studio.domain.values import make_design

ALL_FIVE = tuple(FileKey(digit * 64) for digit in "12345")
SHOTS = (Shot(view="left"), Shot(view="front", light="dusk"), Shot(view="left", outfit="suit"), Shot(view="right"))


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path, threads=1))


def lenient(studio: Studio, design: Design) -> Gates:
    """Gates that everything passes: what is tested is not the judging."""
    own = gates_of(studio, design)
    return own.replace({name: 1.0 if "ceiling" in name or name.startswith("max_") else 0.0 for name in own})


def measured(face: float) -> StoredMeasures:
    return StoredMeasures(face=(face, 1 - face), body=(0.1,) * 6, hair=None, attributes={}, thumbnail=(0.5,) * 4)


def put_design(studio: Studio) -> Design:
    pictures = tuple(studio.store.put_picture(picture(i)) for i in range(4))
    design = make_design(4).model_copy(
        update={
            "shots": SHOTS, "pictures": pictures, "kept": (0, 1),
            "measures": studio.store.put_json(write_measures([measured(0.9)] * 4)),
        }
    )  # fmt: skip
    keep_result(studio, "me", design)
    return design


def put_more(studio: Studio, design: Design, number: int) -> MoreCandidates:
    pictures = tuple(studio.store.put_picture(picture(10 * number + i)) for i in range(2))
    more = MoreCandidates(
        id=f"more{number}", design=design.id, shots=(SHOTS[1],) * 2, prompts=("prompt 1",) * 2,
        seeds=(100 + number, 200 + number), pictures=pictures,
        measures=studio.store.put_json(write_measures([measured(0.7 + number / 100)] * 2)),
    )  # fmt: skip
    keep_result(studio, "me", more)
    return more


def test_they_are_drawn_from_other_seeds_with_the_same_words(studio: Studio) -> None:
    donors = [donor for donor in studio.donors("sweet") if studio.fits(donor)]
    plan = plan_recipe(donors, "sweet", 3, seed=1, ceiling=0.9)
    prompt = SHOTS[1].prompt("a young woman", "")
    design = make_design(4).model_copy(
        update={"recipe": plan.recipe, "shots": SHOTS, "prompts": ("", prompt, "", ""), "seeds": (1, 2, 3, 4)}
    )
    more = draw_more(studio, MoreRequest.make(design=design, number=1, count=2, seed=1), run_directly)
    assert (more.design, more.shots, more.prompts) == (design.id, (SHOTS[1],) * 2, (prompt,) * 2)
    assert len({*more.seeds, *design.seeds}) == 6
    assert len({*more.pictures}) == 2
    assert len(read_measures(studio.store.get_json(more.measures))) == 2


def test_the_board_has_them_behind_its_own_which_stay_as_they_are(studio: Studio) -> None:
    design = put_design(studio)
    first, second = (put_more(studio, design, number) for number in (1, 2))
    put_more(studio, design.model_copy(update={"id": "another"}), 3)
    ui = Ui(studio, Queue(studio), Texts("en"))
    found = _find(ui, "me", design.id)
    assert found is not None
    assert found.pictures == design.pictures + first.pictures + second.pictures
    assert (found.id, found.kept, found.shots[:4], found.seeds[4:]) == (design.id, (0, 1), SHOTS, (101, 201, 102, 202))
    rows = read_measures(studio.store.get_json(found.measures))
    assert [round(row.face[0], 2) for row in rows if row.face] == [0.9] * 4 + [0.71] * 2 + [0.72] * 2
    assert with_more(studio, design, [], "me") is design
    board = _board(ui, "me", found, lenient(studio, found), Chosen(design.id))
    assert [key in board for key in found.pictures] == [True] * 8, board


def test_a_vote_is_kept_and_taken_back_and_what_is_liked_comes_first(studio: Studio) -> None:
    design, ui = put_design(studio), Ui(studio, Queue(studio), Texts("en"))
    for number, said in ((3, 1), (0, -1), (2, 1), (2, 1)):
        vote(ui, "me", design, design.pictures[number], said)
    assert ui.said("me", f"design:{design.id}")["votes"] == {design.pictures[3]: 1, design.pictures[0]: -1}
    assert "votes" not in ui.said("li", f"design:{design.id}")
    board = _board(ui, "me", design, lenient(studio, design), Chosen(design.id))
    assert design.pictures[0] in board, board
    places = [board.index(key) for key in design.pictures]
    assert min(places) == places[3]
    assert max(places) == places[0]
    assert "Liked: 1 · disliked: 1" in board


def test_every_press_asks_for_others(studio: Studio) -> None:
    design, ui = put_design(studio), Ui(studio, Queue(studio), Texts("en"))
    asked = [more_like(ui, "me", design, design.pictures[1]) for _ in range(2)]
    assert [request.number for request in asked] == [1, 1]
    assert len({request.seed for request in asked}) == 2
    assert asked[0].design == design
    with pytest.raises(BadInput, match="candidate_unknown"):
        MoreRequest.make(design=design, number=4)


def test_a_candidate_is_compared_with_each_of_the_same_pose_in_turn() -> None:
    design = make_design(5).model_copy(update={"shots": (*SHOTS, Shot(view="left", light="night"))})
    design = design.model_copy(update={"pictures": ALL_FIVE})
    first, _, third, fourth, fifth = ALL_FIVE
    pair: tuple[str, ...] = ()
    seen = []
    for _ in range(3):
        pair = _next_of_pose(design, pair, first)
        seen.append(pair)
    assert seen == [(first, third), (first, fifth), (first, third)]
    assert _act(Chosen(), {"do": "pose", "picture": fourth}, design).pair == (fourth,)


def test_a_choice_stays_with_its_picture_where_one_that_was_asked_for_earlier_is_done_later(studio: Studio) -> None:
    """A job that was stopped and goes on, or was moved down in the queue, puts its pictures before those there."""
    design, ui = put_design(studio), Ui(studio, Queue(studio), Texts("en"))
    late = put_more(studio, design, 1)
    job = studio.records.find(JobRecord, "me", kind="more")[0]
    job.state = "running"
    studio.records.keep(job)
    early = put_more(studio, design, 2)
    found = _find(ui, "me", design.id)
    assert found is not None
    assert found.pictures[4:] == early.pictures
    now = _act(Chosen(design.id), {"do": "keep", "picture": early.pictures[0]}, found)
    job.state = "done"
    studio.records.keep(job)
    found = _find(ui, "me", design.id)
    assert found is not None
    assert found.pictures[4:] == late.pictures + early.pictures
    assert [found.pictures[i] for i in _judged(ui, found, lenient(studio, found), now).held] == [early.pictures[0]]
    with pytest.raises(BadInput, match="candidate_gone"):
        vote(ui, "me", found, "0" * 64, 1)


def test_more_than_a_hundred_of_other_designs_hide_none(studio: Studio) -> None:
    design, ui = put_design(studio), Ui(studio, Queue(studio), Texts("en"))
    more = put_more(studio, design, 1)
    for number in range(100):
        keep_result(studio, "me", more.model_copy(update={"id": f"other{number}", "design": "another"}))
    found = _find(ui, "me", design.id)
    assert found is not None
    assert found.pictures == design.pictures + more.pictures


def test_they_go_with_their_design(studio: Studio) -> None:
    design = put_design(studio)
    more = put_more(studio, design, 1)
    Ui(studio, Queue(studio), Texts("en")).mark("me", f"design:{design.id}", trashed=True)
    gone: list[str] = []
    empty_trash(studio.library, "me", lambda jobs, owner: gone.extend(jobs))
    assert gone == [f"design-{design.id}", f"more-{more.id}"]
