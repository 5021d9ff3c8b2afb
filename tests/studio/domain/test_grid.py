"""A grid's cells, its limits, and how it is laid out with its names."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import BadInput
from studio.domain.grid import MOST_CELLS, Grid, GridRequest, count_cells, plan_cells, table_of
from studio.domain.persona import Persona
from studio.texts.texts import Texts
from tests.studio.domain.test_checkpoints import trained
from tests.studio.domain.values import key, make_persona, make_post_set

LIN = trained(0.5, 0.8, 0.7, 0.6)
MEI = make_persona(name="Mei").model_copy(update={"id": "mei"})


def ask(*others: Persona, **fields: Any) -> GridRequest:
    asked = make_post_set(persona=LIN).request
    return GridRequest.make(asked=asked, others=others, **fields)


def drawn(request: GridRequest, likeness: dict[float, float] | None = None) -> Grid:
    cells = tuple(
        cell.model_copy(update={"picture": key(str(i)), "scores": {"identity": (likeness or {}).get(cell.scale)}})
        for i, cell in enumerate(plan_cells(request))
    )
    return Grid(id="g", personas=request.personas, scene="cafe", shot=request.asked.shots[0], cells=cells, sheet={})


def test_every_combination_once() -> None:
    request = ask(MEI, LIN, strengths=(0.8, 1.0, 0.8), seeds=(1, 2), checkpoints=(120, 0))
    cells = plan_cells(request)
    assert [p.name for p in request.personas] == ["Lin", "Mei"]  # each once
    assert len({cell.model_dump_json() for cell in cells}) == len(cells) == count_cells(request)
    # Mei's training kept no checkpoint: there are only pictures of its end
    assert [sum(cell.persona == who for cell in cells) for who in (LIN.id, "mei")] == [2 * 2 * 2, 2 * 2]


def test_a_cells_picture_is_asked_for_as_a_set_of_one() -> None:
    request = ask(MEI, strengths=(0.8,), seeds=(7,), checkpoints=(120, 0))
    first, *_, last = plan_cells(request)
    asked = request.of_cell(first)
    assert (asked.persona.lora, asked.persona.scale) == (key("lora 120"), 0.8)
    assert (asked.shots, asked.seeds, asked.panels) == (request.asked.shots[:1], (7,), 1)
    assert request.of_cell(last).persona.name == "Mei"


def test_a_persona_drawn_by_a_checkpoint_is_compared_from_its_end() -> None:
    chosen = LIN.model_copy(update={"lora": key("lora 60"), "checkpoint": 60, "scale": 0.5})
    request = GridRequest.make(asked=make_post_set(persona=chosen).request, checkpoints=(60, 0))
    loras = [request.of_cell(cell).persona.lora for cell in plan_cells(request)]
    assert loras == [key("lora 60"), LIN.lora]


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"strengths": tuple(i / 10 for i in range(1, 9)), "seeds": tuple(range(8))}, "grid_too_large", {"count": 64}),
        ({"checkpoints": (61,)}, "checkpoint_unknown", {"step": 61, "known": [60, 120, 180, 240]}),
        ({"strengths": (2.5,)}, "request_invalid", {"field": "strengths.0", "limit": "≤ 2.0"}),
        ({"strengths": ()}, "request_length_invalid", {}),
        ({"seeds": (-1,)}, "request_invalid", {}),
    ],
)
def test_limits_are_known_before_anything_is_drawn(fields: dict[str, Any], code: str, told: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as raised:
        ask(**fields)
    assert raised.value.code == code
    assert raised.value.fields.items() >= told.items()


def test_sixty_are_taken_and_the_sentence_says_so() -> None:
    assert count_cells(ask(strengths=tuple(i / 10 for i in range(1, 11)), seeds=tuple(range(6)))) == MOST_CELLS
    with pytest.raises(BadInput) as raised:
        ask(strengths=tuple(i / 10 for i in range(1, 12)), seeds=tuple(range(6)))
    assert "66" in Texts("zh").error(raised.value)
    assert "60" in Texts("zh").error(raised.value)


def test_a_person_that_a_picture_alone_shows_has_no_strength() -> None:
    told: dict[str, Any] = {"person_as": "reference", "person_picture": key("face"), "inject": "references"}
    asked = make_post_set(persona=LIN, **told).request
    with pytest.raises(BadInput) as raised:
        GridRequest.make(asked=asked)
    assert raised.value.code == "grid_without_strength"


def test_strengths_are_across_and_named() -> None:
    grid = drawn(ask(strengths=(0.8, 1.0), seeds=(1, 2), checkpoints=(120, 0)), {0.8: 0.7, 1.0: 0.9})
    table = table_of(Texts("en"), grid)
    assert table.columns == ("strength 0.8", "strength 1")
    assert table.rows == (
        "50 % of the training · try 1", "50 % of the training · try 2",
        "all of the training · try 1", "all of the training · try 2",
    )  # fmt: skip
    assert table.likeness == pytest.approx((0.7, 0.9))
    assert [cell.scale for row in table.cells for cell in row if cell is not None] == [0.8, 1.0] * 4
    assert table_of(Texts("zh"), grid).rows[0] == "训练到 50% · 第 1 种画法"


@pytest.mark.parametrize(
    ("fields", "columns", "rows"),
    [
        ({"checkpoints": (60, 0)}, ("25 % of the training", "all of the training"), 1),
        ({"seeds": (3, 4)}, ("try 3", "try 4"), 1),
        ({}, ("strength 1",), 1),
        ({"checkpoints": (60, 0), "seeds": (1, 2, 3)}, ("25 % of the training", "all of the training"), 3),
    ],
)
def test_what_varies_is_across(fields: dict[str, Any], columns: tuple[str, ...], rows: int) -> None:
    table = table_of(Texts("en"), drawn(ask(**fields)))
    assert (table.columns, len(table.rows)) == (columns, rows)
    assert all(table.rows)
    assert table.likeness == (None,) * len(columns)


def test_a_stage_that_one_person_lacks_is_an_empty_cell() -> None:
    table = table_of(Texts("en"), drawn(ask(MEI, checkpoints=(120, 0))))
    assert [[cell is not None for cell in row] for row in table.cells] == [[True, True], [False, True]]
    assert table.rows == ("Lin · version 1", "Mei · version 1")
