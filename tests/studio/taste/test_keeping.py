"""Tastes kept: each owner's own, whatever happens in between."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from personas.shots import Shot
from personas.taste.comments import read_comment
from pipelines.errors import BadInput
from studio.domain.taste import EVERYWHERE, MOST_EVENTS, Scope, join_tastes
from studio.library.grants import grant
from studio.library.marks import mark_thing
from studio.library.records import CandidateRecord, PostRecord, Records, TasteRecord
from studio.taste.heard import Heard
from studio.taste.keeping import comment, delete_taste, edit, shown_in, taste_of, tastes_of, undo, votes_of

PICTURE = "ab" * 32
LIN = Scope(kind="persona", name="Lin")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.sqlite")


def weights(records: Records, owner: str = "me", scope: Scope = EVERYWHERE) -> dict[str, float]:
    return {item.attribute: item.weight for item in taste_of(records, owner, scope).items()}


def keep_post(records: Records, owner: str = "me") -> None:
    shot = asdict(Shot(light="dusk", pose="hand on hip", goods="paper umbrella"))
    records.keep(PostRecord(id="set-000", owner=owner, post_set="set", number=1, picture=PICTURE, facts={"shot": shot}))
    grant(records, owner, [PICTURE])


def test_a_comment_is_kept_with_its_words_and_nobody_else_sees_it(records: Records) -> None:
    kept = comment(records, "me", "I love the beach, but it's too dark")
    assert [(item.attribute, item.weight, item.quote) for item in kept.said.items] == [
        ("setting.beach", 1.0, "love the beach"),
        ("tone.dark", -1.0, "too dark"),
    ]
    assert weights(records) == {"setting.beach": 1.0, "tone.dark": -1.0}
    assert weights(records, "you") == {}
    assert taste_of(records, "you").events == ()


def test_what_a_picture_shows_is_looked_up_for_its_owner_alone(records: Records) -> None:
    keep_post(records)
    assert shown_in(records, "me", PICTURE)["light"] == "dusk"
    assert shown_in(records, "me", PICTURE)["pose"] == "hand-on-hip"
    assert "goods" not in shown_in(records, "me", PICTURE)
    assert shown_in(records, "you", PICTURE) == {}
    assert [i.attribute for i in comment(records, "me", "光线很好", picture=PICTURE).said.items] == ["light.dusk"]
    with pytest.raises(BadInput, match="file_not_yours"):
        comment(records, "you", "光线很好", picture=PICTURE)


def test_candidates_count_as_pictures(records: Records) -> None:
    facts = {"shot": asdict(Shot(view="left")), "verdict": {}}
    records.keep(CandidateRecord(id="d-0", owner="me", design="d", picture=PICTURE, kept=True, facts=facts))
    assert shown_in(records, "me", PICTURE)["view"] == "left"


def test_the_same_comment_counts_once_until_it_is_undone(records: Records) -> None:
    first = comment(records, "me", "有点暗")
    again = comment(records, "me", "有点暗")
    assert again.said == first.said
    assert weights(records) == {"tone.dark": -0.5}
    undo(records, "me", event=first.said.id)
    assert weights(records) == {}
    comment(records, "me", "有点暗")
    assert weights(records) == {"tone.dark": -0.5}
    assert taste_of(records, "me").version == 3


def test_what_cannot_be_read_is_kept_all_the_same(records: Records) -> None:
    kept = comment(records, "me", "<script>alert(1)</script> 说不上来")
    assert kept.question is not None
    assert taste_of(records, "me").events == (kept.said,)
    for text, code in (("", "comment_empty"), ("x" * 10_000, "comment_too_long")):
        with pytest.raises(BadInput, match=code):
            comment(records, "me", text)
    assert taste_of(records, "me").version == 1


def test_a_comment_that_the_model_reads_later_takes_the_place_of_the_studio_s_reading(records: Records) -> None:
    asked = []

    def hear(text: str, shown: object, vote: int) -> Heard:
        asked.append(text)
        return Heard(read_comment("海边很好"))

    comment(records, "me", "海边很好，太暗")
    comment(records, "me", "海边很好，太暗", hear=hear, reader="m@host 1")
    kept = comment(records, "me", "海边很好，太暗", hear=hear, reader="m@host 1")
    assert asked == ["海边很好，太暗"]  # the answer was kept
    assert kept.said.reader == "m@host 1"
    assert weights(records) == {"setting.beach": 1.0}


def test_a_model_that_fails_is_told_of_and_asked_again_next_time(records: Records) -> None:
    failed = BadInput("endpoint_answers_otherwise")
    for count in (1, 2):
        kept = comment(
            records, "me", "太暗", reader="m",
            hear=lambda text, shown, vote: Heard(read_comment(text), failed),
        )  # fmt: skip
        assert (kept.said.reader, kept.failed) == ("studio", failed)
        assert len(taste_of(records, "me").standing) == 1, count


def test_hands_mute_undo_and_scopes(records: Records) -> None:
    comment(records, "me", "I love the beach")
    edit(records, "me", "setting.beach", weight=-0.5)
    comment(records, "me", "the beach is great")
    assert weights(records) == {"setting.beach": -0.5}
    edit(records, "me", "setting.beach", scope=LIN, weight=1.0)
    assert join_tastes(tastes_of(records, "me", persona="Lin")) == {"setting.beach": 1.0}
    assert join_tastes(tastes_of(records, "me")) == {"setting.beach": -0.5}
    edit(records, "me", "setting.beach", muted=True)
    assert join_tastes(tastes_of(records, "me")) == {}
    undo(records, "me")
    assert join_tastes(tastes_of(records, "me")) == {"setting.beach": -0.5}
    assert undo(records, "me", scope=LIN).items() == ()
    with pytest.raises(BadInput, match="taste_nothing_to_undo"):
        undo(records, "me", scope=LIN)
    with pytest.raises(BadInput, match="attribute_unknown"):
        edit(records, "me", "setting.moon", weight=1)
    with pytest.raises(BadInput, match="taste_edit_empty"):
        edit(records, "me", "setting.beach")
    with pytest.raises(BadInput, match="request_invalid"):
        edit(records, "me", "setting.beach", weight=2.0)


def test_deleting_takes_all_of_one_owner_and_scope(records: Records) -> None:
    for owner in ("me", "you"):
        comment(records, owner, "I love the beach")
    edit(records, "me", "setting.beach", scope=LIN, weight=1.0)
    assert delete_taste(records, "me") == 1
    assert weights(records) == {}
    assert weights(records, "you") == {"setting.beach": 1.0}
    assert weights(records, scope=LIN) == {"setting.beach": 1.0}


def test_a_taste_does_not_grow_without_end(records: Records) -> None:
    made = comment(records, "me", "太暗").said
    facts = made.model_dump(mode="json")
    rows = [TasteRecord(id=f"r{n}", owner="me", scope="everywhere", facts=facts) for n in range(MOST_EVENTS - 1)]
    records.keep(*rows)
    with pytest.raises(BadInput, match="taste_full"):
        comment(records, "me", "太亮")
    undo(records, "me")
    assert taste_of(records, "me").version == MOST_EVENTS + 1
    assert taste_of(records, "me").standing == ()  # they are all of one id


def test_votes_on_candidates_are_the_owners_own(records: Records) -> None:
    mark_thing(records, "me", "design:d", votes={PICTURE: 1, "cd" * 32: -1}, more=2)
    mark_thing(records, "you", "design:d", votes={PICTURE: -1})
    assert votes_of(records, "me") == {PICTURE: 1, "cd" * 32: -1}
