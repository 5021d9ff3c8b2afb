"""Candidates of a design to somebody's taste: what they wear and where they are, and nothing that training needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from personas.shots import Shot, vary_shots
from pipelines.backbones import resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.catalogue import find_family
from pipelines.families.vocabulary import read_vocabulary
from studio.domain.design import DesignRequest
from studio.domain.guidance import Guidance, GuidedChoice, follow_guidance
from studio.library.records import Records
from studio.taste.guiding import GuidedSet, guide_candidates, guide_planned, guide_set
from studio.taste.keeping import comment, edit, tastes_of
from studio.taste.saying import say_choice
from studio.texts.texts import Texts


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.sqlite")


def test_candidates_follow_a_taste_in_clothes_and_places_alone(records: Records) -> None:
    assert guide_candidates(tastes_of(records, "me"), 48, 1, adventurous=0.5) is None
    comment(records, "me", "I love red clothes and the beach. I hate the suit. I love smiling close-ups")
    guidance = guide_candidates(tastes_of(records, "me"), 48, 1, adventurous=0.3)
    assert guidance is not None
    plain = vary_shots(48, 1)
    shots = follow_guidance(plain, guidance)
    for field in ("framing", "view", "expression", "pose"):
        assert [getattr(s, field) for s in shots] == [getattr(s, field) for s in plain]
    counted = Counter(shot.outfit_colour for shot in shots)
    assert counted["red"] > 24
    assert Counter(shot.setting for shot in shots)["beach"] > 24
    assert "suit" not in {shot.outfit for shot in shots}
    assert {choice.field for choice in guidance.choices} <= {"setting", "outfit", "outfit_colour"}


def test_a_request_says_how_it_is_guided_and_one_without_is_as_before() -> None:
    guidance = Guidance.make(
        version=1, adventurous=0.5,
        choices=(
            GuidedChoice(number=1, field="outfit", was="suit", word="dress", probability=1),
            GuidedChoice(number=99, field="outfit", was="suit", word="dress", probability=1),
            GuidedChoice(number=-1, field="tone", was="", word="bright", probability=1),
        ),
    )  # fmt: skip
    asked = DesignRequest.make(owner="me", category="sweet", guided=guidance)
    assert DesignRequest.model_validate_json(asked.model_dump_json()).guided == guidance
    assert "guided" not in DesignRequest.make(owner="me", category="sweet").model_dump(mode="json")
    shots = vary_shots(4, 1)
    assert follow_guidance(shots, None) == shots
    followed = follow_guidance(shots, guidance)
    assert followed[1].outfit == "dress"
    assert followed[0] == shots[0]
    wrong = Guidance.make(
        version=1,
        adventurous=0,
        choices=(GuidedChoice(number=0, field="light", was="day", word="noon", probability=1),),
    )
    with pytest.raises(BadInput, match="shot_word_unknown"):
        follow_guidance(shots, wrong)


def test_a_set_of_which_all_is_said_is_drawn_as_it_was(records: Records) -> None:
    edit(records, "me", "finish.sharp", weight=1.0)
    edit(records, "me", "tone.warm", weight=1.0)
    tastes = tastes_of(records, "me")
    rows = [asdict(shot) for shot in vary_shots(2, 1)]
    spec = resolve_backbone("miniature")
    vocabulary = read_vocabulary(find_family(spec.family), spec.folder, spec.prompt_words)
    assert guide_set(tastes, [], 2, 1, adventurous=0.3, vocabulary=vocabulary).guidance is not None

    def guide(*stated: dict[str, str]) -> GuidedSet:
        return guide_set(tastes, stated, 0, 1, adventurous=0.3, vocabulary=vocabulary)

    for stated in (
        rows,
        [{k: v for k, v in row.items() if k != "setting"} for row in rows],
    ):  # the place is the scene's
        assert guide(*stated) == GuidedSet(tuple(Shot(**row) for row in stated), 0.0, None)
        assert guide(*stated).fields().keys() == {"shots"}
    open_one = [{k: v for k, v in row.items() if k != "pose"} for row in rows]
    assert guide(*open_one).detail == 0.5
    assert guide(rows[0], open_one[1]).fields().keys() == {"shots"}  # a set is drawn alike, and the first stays


def test_a_reason_says_what_is_liked_or_avoided(records: Records) -> None:
    comment(records, "me", "I love smiling faces. I hate the dress")
    shots = vary_shots(9, 1)
    found = guide_planned(
        tastes_of(records, "me"), shots, [()] * 9, 1, adventurous=0.0, vocabulary=None
    )  # fmt: skip
    assert found.guidance is not None
    said = {c.field: say_choice(Texts("en"), c) for c in found.guidance.choices}
    assert said["expression"].endswith("because of: smiling")
    assert said["outfit"].endswith("because of: not dress")
    assert say_choice(Texts("zh"), found.guidance.choices[-1]).endswith(("不喜欢连衣裙", "微笑"))
