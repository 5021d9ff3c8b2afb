"""Votes kept, pictures put in their owner's order, and the walk over the pictures that tell most."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.library.grants import grant, may_read
from studio.library.library import Library
from studio.library.records import CandidateRecord, PostRecord, Records
from studio.library.shared import open_shared
from studio.library.store import Store
from studio.library.trash import sweep
from studio.library.votes import vote_post
from studio.settings import Settings
from studio.taste.keeping import ballots_of, comment, count_votes, edit, shot_of, taste_of, undo, vote, votes_of
from studio.taste.order import Picture, _pixels, liking_of
from studio.taste.shipped import shipped_pictures
from studio.taste.walk import WALK, next_pictures, pass_by, walk_of
from tests.stored import place_in

RED, BLUE = (Shot(outfit_colour=colour) for colour in ("red", "blue"))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.sqlite")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "files")


def picture(records: Records, store: Store, shot: Shot, light: int = 128, owner: str = "me") -> Picture:
    """A candidate, drawn as a flat grey."""
    image = np.full((64, 48, 3), light, np.uint8)
    image[0, 0] = hash(str(shot)) % 251, len(records.find(CandidateRecord, owner)), light
    key = store.put_picture(image)
    records.keep(
        CandidateRecord(
            id=key[:12], owner=owner, design="d", picture=key, kept=True, facts={"shot": asdict(shot)}
        )
    )  # fmt: skip
    grant(records, owner, [key])
    return Picture(key, asdict(shot))


def order(records: Records, store: Store, *pictures: Picture, owner: str = "me") -> list[int]:
    liking = liking_of(records, store, owner, [taste_of(records, owner)])
    assert liking is not None
    return [row.place for row in liking.rank(pictures)]


def test_nothing_is_ordered_where_nothing_was_said(records: Records, store: Store) -> None:
    assert liking_of(records, store, "me", [taste_of(records, "me")]) is None


def test_comments_put_pictures_in_order_and_say_why(records: Records, store: Store) -> None:
    red, blue = (picture(records, store, shot) for shot in (RED, BLUE))
    comment(records, "me", "I don't like red clothes")
    assert order(records, store, red, blue) == [1, 0]
    liking = liking_of(records, store, "me", [taste_of(records, "me")])
    assert liking is not None
    best, worst = liking.rank([red, blue])
    assert best.chance > worst.chance
    assert "outfit_colour.red" in {name for name, value in worst.spoke if value < 0}
    assert liking_of(records, store, "you", [taste_of(records, "you")]) is None


def test_what_pixels_show_counts_too(records: Records, store: Store) -> None:
    dark, bright = (picture(records, store, RED, light) for light in (20, 235))
    comment(records, "me", "太暗了")
    assert order(records, store, dark, bright) == [1, 0]


def test_votes_teach_what_no_comment_says(records: Records, store: Store) -> None:
    liked = [picture(records, store, Shot(outfit_colour="blue", setting=s)) for s in ("cafe", "park", "office")]
    not_liked = [picture(records, store, Shot(outfit_colour="red", setting=s)) for s in ("cafe", "park", "office")]
    for one in liked:
        vote(records, store, "me", one.key, 1)
    for one in not_liked:
        vote(records, store, "me", one.key, -1)
    new = [picture(records, store, Shot(outfit_colour=c, setting="gym")) for c in ("red", "blue")]
    assert order(records, store, *new) == [1, 0]


def test_of_two_the_preferred_one_comes_first_and_both_ways_of_voting_can_be_taken_back(
    records: Records, store: Store
) -> None:
    red, blue = (picture(records, store, shot) for shot in (RED, BLUE))
    vote(records, store, "me", blue.key, 1, over=red.key)
    assert order(records, store, red, blue) == [1, 0]
    vote(records, store, "me", red.key, 1)
    vote(records, store, "me", red.key, -1)
    (last,) = [one for one in taste_of(records, "me").votes() if not one.over]
    assert (last.picture, last.vote) == (red.key, -1)
    undo(records, "me")
    assert [one.vote for one in taste_of(records, "me").votes() if not one.over] == [1]  # the vote before
    vote(records, store, "me", red.key, 1)  # said again, it is no other vote
    vote(records, store, "me", red.key, -1)
    vote(records, store, "me", red.key, 0)
    assert count_votes(records, "me", taste_of(records, "me")) == (0, 0)
    undo(records, "me", event=next(one.id for one in taste_of(records, "me").votes() if one.over))
    assert ballots_of(records, "me", [taste_of(records, "me")]) == ()
    with pytest.raises(BadInput, match="file_not_yours"):
        vote(records, store, "you", red.key, 1)


def test_a_pair_counts_by_its_sign_and_not_as_a_picture(records: Records, store: Store) -> None:
    red, blue = (picture(records, store, shot) for shot in (RED, BLUE))
    vote(records, store, "me", red.key, -1, over=blue.key)
    assert order(records, store, red, blue) == [1, 0]
    vote(records, store, "me", red.key, 1, over=blue.key)
    assert order(records, store, red, blue) == [0, 1]
    vote(records, store, "me", blue.key, -1)
    vote(records, store, "me", blue.key, 1, over=red.key)
    assert count_votes(records, "me", taste_of(records, "me")) == (0, 1)


def test_votes_on_posts_count_like_those_on_candidates(records: Records, store: Store) -> None:
    one = picture(records, store, RED)
    facts = {"shot": asdict(RED)}
    records.keep(PostRecord(id="set-000", owner="me", post_set="set", number=1, picture=one.key, facts=facts))
    from studio.library.marks import mark_thing

    mark_thing(records, "me", "post:set-000", disliked=True)
    assert votes_of(records, "me") == {one.key: -1}
    mark_thing(records, "me", "post:set-000", disliked=False, favourite=True)
    assert votes_of(records, "me") == {one.key: 1}
    assert [(b.picture, b.vote) for b in ballots_of(records, "me", [taste_of(records, "me")])] == [(one.key, 1)]
    with pytest.raises(BadInput, match="not_found"):
        vote_post(records, "me", "post:none-000", "like")


def test_a_picture_that_is_gone_stops_no_order(records: Records, store: Store) -> None:
    red, blue = (picture(records, store, shot) for shot in (RED, BLUE))
    gone = picture(records, store, Shot(setting="gym"))
    vote(records, store, "me", gone.key, 1)
    vote(records, store, "me", blue.key, 1)
    place_in(store, gone.key).unlink()
    assert order(records, store, red, blue) == [1, 0]
    assert sorted(order(records, store, red, gone, blue)) == [0, 1, 2]
    vote(records, store, "me", gone.key, 0)


def test_what_is_no_picture_is_not_voted_on_and_stops_no_order(records: Records, store: Store) -> None:
    bundle = store.put(b"PK of a bundle")
    grant(records, "me", [bundle])
    with pytest.raises(BadInput, match="picture_not_readable"):
        vote(records, store, "me", bundle, 1)
    comment(records, "me", "I love red clothes")
    assert order(records, store, Picture(bundle, asdict(BLUE)), picture(records, store, RED)) == [1, 0]


def test_votes_of_the_walk_and_the_walk_outlive_a_sweep(tmp_path: Path) -> None:
    records, store = Records(tmp_path / "records.sqlite"), Store(tmp_path / "files")
    library = Library(records, store, tmp_path, open_shared(Settings(data=tmp_path)))
    for number in range(3):
        walk = walk_of(records, store, "me", [taste_of(records, "me")])
        vote(records, store, "me", walk.picture, 1 if number else -1)
        pass_by(records, "me", walk.picture)
    shown = walk_of(records, store, "me", []).picture
    sweep(library, young_s=-1, draft_s=-1)
    assert walk_of(records, store, "me", []).picture == shown
    vote(records, store, "me", shown, 1)
    assert all(store.has(one.picture) for one in taste_of(records, "me").votes())
    for key in (shown, *(one.picture for one in taste_of(records, "me").votes())):
        place_in(store, key).unlink(missing_ok=True)  # as an older studio's sweep left it
    assert walk_of(records, store, "me", []).picture
    vote(records, store, "me", walk_of(records, store, "me", []).picture, 1)
    _pixels.cache_clear()
    liking = liking_of(records, store, "me", [taste_of(records, "me")])
    assert liking is not None
    assert np.abs(liking.scorer.mean).sum() > 0.5  # of the words of their shots


def test_the_walk_passes_over_files_that_are_gone(records: Records, store: Store) -> None:
    own = {
        picture(records, store, Shot(setting=s, outfit_colour=c)).key
        for s in ("cafe", "gym", "park", "shop", "beach", "street", "office")
        for c in ("red", "blue", "green", "pink")
    }
    first = walk_of(records, store, "me", []).picture
    place_in(store, first).unlink()
    second = walk_of(records, store, "me", []).picture
    assert second in own - {first}
    assert walk_of(records, store, "me", []).picture == second


def test_the_walk_shows_eight_pictures_once_and_stays_where_it_was_left(records: Records, store: Store) -> None:
    passed: list[str] = []
    for number in range(WALK):
        walk = walk_of(records, store, "me", [taste_of(records, "me")])
        assert walk == walk_of(records, store, "me", [taste_of(records, "me")])
        assert not walk.over
        assert len(walk.passed) == number
        assert may_read(records, "me", walk.picture)
        assert not may_read(records, "you", walk.picture)
        assert shot_of(records, "me", walk.picture)["setting"]
        passed.append(walk.picture)
        vote(records, store, "me", walk.picture, 1 if number % 2 else -1)
        pass_by(records, "me", walk.picture)
    assert len(set(passed)) == WALK
    assert walk_of(records, store, "me", []).over
    pass_by(records, "me", "", again=True)
    assert not walk_of(records, store, "me", []).over
    pass_by(records, "me", "", end=True)
    assert walk_of(records, store, "me", []).over


def test_the_walk_takes_ones_own_pictures_where_there_are_enough(records: Records, store: Store) -> None:
    shipped = {one.key for one in shipped_pictures()}
    assert len(shipped) >= 2 * WALK
    assert {one.key for one in next_pictures(records, store, "me", [], 3)} <= shipped
    own = {
        picture(records, store, Shot(setting=s, outfit_colour=c)).key
        for s in ("cafe", "gym", "park", "shop", "beach", "street")
        for c in ("red", "blue", "green", "pink")
    }
    assert {one.key for one in next_pictures(records, store, "me", [], 3)} <= own


def test_opposites_that_are_both_liked_are_a_conflict(records: Records) -> None:
    comment(records, "me", "I like bright pictures")
    assert [item.conflicts for item in taste_of(records, "me").items()] == [False]
    comment(records, "me", "I love dark pictures")
    assert {item.attribute: item.conflicts for item in taste_of(records, "me").items()} == {
        "tone.bright": True, "tone.dark": True,
    }  # fmt: skip
    edit(records, "me", "tone.dark", muted=True)
    assert not any(item.conflicts for item in taste_of(records, "me").items())
