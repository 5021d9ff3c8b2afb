"""How a persona is drawn is chosen, followed by everything that draws it, and undone step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.options import find_person, read_request_file
from studio.domain.checkpoints import DrawnAs
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest
from studio.jobs.bodies import parse_body
from studio.library.drawn_as import as_chosen, can_undo, choose_drawn_as, drawn_as, undo_drawn_as
from studio.settings import Settings
from studio.web.app import make_site
from tests.library import keep_cafe, keep_result
from tests.site import TestClient
from tests.studio.domain.test_checkpoints import trained
from tests.studio.domain.values import key

LIN = trained(0.5, 0.8, 0.7, 0.6)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    found = Studio(Settings(data=tmp_path))
    keep_result(found, "me", LIN)
    return found


def test_chosen_and_undone_step_by_step(studio: Studio) -> None:
    records = studio.records
    assert drawn_as(records, "me", LIN.id) == DrawnAs()
    assert not can_undo(records, "me", LIN.id)
    assert choose_drawn_as(records, "me", LIN, scale=0.8) == DrawnAs(scale=0.8)
    assert choose_drawn_as(records, "me", LIN, checkpoint=120) == DrawnAs(scale=0.8, checkpoint=120)
    choose_drawn_as(records, "me", LIN, checkpoint=120)  # the same once more is no second choice
    chosen = as_chosen(records, "me", LIN)
    assert (chosen.lora, chosen.scale) == (key("lora 120"), 0.8)
    assert drawn_as(records, "you", LIN.id) == DrawnAs()
    assert undo_drawn_as(records, "me", LIN.id) == DrawnAs(scale=0.8)
    assert undo_drawn_as(records, "me", LIN.id) == undo_drawn_as(records, "me", LIN.id) == DrawnAs()
    assert as_chosen(records, "me", LIN) == LIN


@pytest.mark.parametrize(
    ("fields", "code"), [({"scale": 2.5}, "request_invalid"), ({"checkpoint": 7}, "checkpoint_unknown")]
)
def test_what_cannot_be_is_not_noted(studio: Studio, fields: dict[str, Any], code: str) -> None:
    with pytest.raises(BadInput) as raised:
        choose_drawn_as(studio.records, "me", LIN, **fields)
    assert raised.value.code == code
    assert not can_undo(studio.records, "me", LIN.id)


def test_who_names_a_persona_gets_it_as_it_was_chosen(studio: Studio, tmp_path: Path) -> None:
    """The command line and request files; the API and the pages go the same way."""
    choose_drawn_as(studio.records, "me", LIN, scale=0.7, checkpoint=60)
    assert find_person(studio, "").lora == key("lora 60")
    file = tmp_path / "set.json"
    file.write_text(f'{{"persona": "{LIN.id}", "scene": "{keep_cafe(studio).id}", "count": 2}}')
    asked = read_request_file(studio, "posts", file)
    assert isinstance(asked, PostRequest)
    assert (asked.persona.scale, asked.persona.checkpoint, asked.persona.lora) == (0.7, 60, key("lora 60"))

    def find(kind: type[Any], key: str) -> Any:
        return LIN if kind is Persona else keep_cafe(studio)

    whole = parse_body("posts", {"persona": LIN.model_dump(mode="json"), "scene": "x"}, "me", find)
    assert isinstance(whole, PostRequest)
    assert whole.persona == LIN  # who sends a whole persona says how it is drawn


def test_the_api_chooses_and_undoes(studio: Studio) -> None:
    site = TestClient(make_site(studio))
    said = site.get(f"/api/personas/{LIN.id}/drawing").json()
    assert (said["strength"], said["checkpoint"], said["can_undo"]) == (1.0, 0, False)
    assert said["best"] == {"step": 120, "likeness": 0.8, "why": "nearest"}
    assert [row["step"] for row in said["checkpoints"] if row["kept"]] == [60, 120, 180, 240]
    changed = site.put(f"/api/personas/{LIN.id}/drawing", json={"strength": 0.8, "checkpoint": 120})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["strength"], changed.json()["checkpoint"]) == (0.8, 120)
    for body, code in (({"checkpoint": 7}, "checkpoint_unknown"), ({"strength": 3}, "request_invalid"), ({"x": 1}, "")):
        refused = site.put(f"/api/personas/{LIN.id}/drawing", json=body)
        assert refused.status_code == 422
        assert not code or refused.json()["code"] == code
    assert site.delete(f"/api/personas/{LIN.id}/drawing").json()["strength"] == 1.0
    assert site.get("/api/personas/none/drawing").status_code == 404
