"""A taste is the fold of its events: comments fade, hands stay, everything can be undone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipelines.errors import BadInput
from studio.domain.taste import EVERYWHERE, Edited, Event, Said, SaidItem, Scope, Taste, Undone, join_tastes

AT = datetime(2026, 11, 30, tzinfo=UTC)


def said(number: int, **weights: float) -> Said:
    items = tuple(
        SaidItem(attribute=name.replace("__", "."), weight=weight, quote=name) for name, weight in weights.items()
    )
    return Said(id=f"s{number}", at=AT, text="…", items=items)


def edited(number: int, attribute: str, **changed: float | bool) -> Edited:
    return Edited.make(id=f"e{number}", at=AT, attribute=attribute, **changed)


def weights(*events: Event) -> dict[str, float]:
    return {item.attribute: item.weight for item in Taste(events=events).items()}


def test_newer_comments_count_more() -> None:
    assert weights(said(1, light__dusk=0.5)) == {"light.dusk": 0.5}
    assert weights(said(1, light__dusk=0.5), said(2, light__dusk=0.5)) == {"light.dusk": 0.75}
    assert weights(said(1, light__dusk=1.0), said(2, light__dusk=1.0)) == {"light.dusk": 1.0}
    assert weights(said(1, light__dusk=1.0), said(2, light__dusk=-1.0)) == {"light.dusk": -0.5}


def test_a_change_of_mind_is_shown_as_a_conflict_with_its_evidence_newest_first() -> None:
    (item,) = Taste(events=(said(1, light__dusk=1.0), said(2, light__dusk=-1.0))).items()
    assert item.conflicts
    assert [one.event for one in item.evidence] == ["s2", "s1"]
    (agreed,) = Taste(events=(said(1, light__dusk=1.0), said(2, light__dusk=0.5))).items()
    assert not agreed.conflicts


def test_no_comment_overwrites_a_hand() -> None:
    by_hand = edited(1, "light.dusk", weight=-0.5)
    (item,) = Taste(events=(by_hand, said(2, light__dusk=1.0), said(3, light__dusk=1.0))).items()
    assert (item.weight, item.source, item.conflicts) == (-0.5, "hand", True)
    forgotten = Taste(events=(by_hand, said(2, light__dusk=1.0), edited(3, "light.dusk", forget=True))).items()
    assert [(i.weight, i.source) for i in forgotten] == [(1.0, "comment")]
    assert Taste(events=(by_hand, edited(3, "light.dusk", forget=True))).items() == ()


def test_what_is_muted_stays_and_does_not_count() -> None:
    taste = Taste(events=(said(1, light__dusk=1.0, setting__beach=1.0), edited(2, "light.dusk", muted=True)))
    assert {item.attribute: item.muted for item in taste.items()} == {"light.dusk": True, "setting.beach": False}
    assert join_tastes([taste]) == {"setting.beach": 1.0}


def test_every_event_can_be_undone_and_its_version_goes_on() -> None:
    taste = Taste(events=(said(1, light__dusk=1.0), said(2, light__dusk=-1.0), Undone(id="u1", at=AT, event="s2")))
    assert {item.attribute: item.weight for item in taste.items()} == {"light.dusk": 1.0}
    assert taste.version == 3


def test_a_narrower_scope_wins_and_may_silence() -> None:
    wide = Taste(events=(said(1, light__dusk=1.0, setting__beach=1.0),))
    persona = Scope(kind="persona", name="Lin")
    narrow = Taste(scope=persona, events=(said(2, light__dusk=-1.0), edited(3, "setting.beach", weight=0.0)))
    assert join_tastes([wide, narrow]) == {"light.dusk": -1.0}
    assert (EVERYWHERE.key, persona.key) == ("everywhere", "persona:Lin")


def test_a_scope_has_a_name_or_holds_everywhere() -> None:
    for fields in ({"kind": "persona"}, {"kind": "everywhere", "name": "Lin"}, {"kind": "shop", "name": " "}):
        with pytest.raises(BadInput, match="taste_scope_invalid"):
            Scope.make(**fields)


def test_attributes_of_another_version_are_left_alone() -> None:
    assert weights(said(1, light__aurora=1.0, light__dusk=1.0)) == {"light.dusk": 1.0}


def test_a_taste_round_trips() -> None:
    events = (said(1, light__dusk=1.0), edited(2, "light.dusk", muted=True), Undone(id="u", at=AT, event="e2"))
    taste = Taste(scope=Scope(kind="shop", name="茶"), events=events)
    assert Taste.model_validate_json(taste.model_dump_json()) == taste
