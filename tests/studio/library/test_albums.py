"""Single posts are found by person, place and platform; albums hold posts and sets, and nothing else."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.posts import post_thing
from studio.library.albums import (
    AlbumFacts,
    album_group,
    albums_of,
    find_album,
    look_into,
    make_album,
    put_into,
    rename_album,
    take_out,
)
from studio.library.groups import groups_named, groups_of, join_groups, members_of
from studio.library.index import Search, count_things, find_things
from studio.library.older import index_older_sets, note_platform
from studio.library.records import (
    AlbumRecord,
    BundleRecord,
    FileRecord,
    IndexRecord,
    MarkRecord,
    MemberRecord,
    Records,
    content_id,
)
from studio.library.trash import empty_trash
from studio.settings import Settings
from tests.library import PERSONA, keep_cafe, keep_posts
from tests.studio.library.test_paging import watched


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def _found(studio: Studio, *groups: str, kind: str = "post", words: str = "", owner: str = "me") -> list[str]:
    terms = tuple((word,) for word in words.split())
    things = find_things(studio.records, Search(owner, kind, terms=terms, groups=groups)).things
    return [thing.id.partition(":")[2] for thing in things]


def _trash(studio: Studio, thing: str, trashed: bool = True) -> None:
    studio.records.keep(MarkRecord(id=thing, owner="me", facts={"trashed": trashed}))


def test_every_post_of_a_set_is_found_by_who_where_and_for_whom(studio: Studio) -> None:
    cafe = keep_cafe(studio)
    first = keep_posts(studio, 1, cafe, pictures=3)
    mia = PERSONA.model_copy(update={"id": "p2", "name": "Mia"})
    asked = first.request.changed(persona=mia, scene=cafe.model_copy(update={"name": "park"}))
    keep_posts(studio, 2, cafe, pictures=2, request=asked)
    keep_posts(studio, 3, cafe, owner="wang")
    note_platform(studio.library, "me", first.id, "tiktok")
    every = ["set00002-000", "set00002-001", "set00001-000", "set00001-001", "set00001-002"]
    assert sorted(_found(studio)) == sorted(every)
    assert _found(studio, "person:Mia") == every[:2]
    assert _found(studio, "person:Lin", "place:cafe") == every[2:]
    assert _found(studio, "person:Lin", "place:park") == []
    assert _found(studio, "platform:tiktok") == every[2:]
    assert _found(studio, "platform:tiktok", kind="posts") == ["set00001"]
    assert _found(studio, words="mia dress") == every[:2]
    assert groups_named(studio.records, "me", "person") == ("Lin", "Mia")
    assert groups_named(studio.records, "me", "place") == ("cafe", "park")
    assert groups_named(studio.records, "wang", "person") == ("Lin",)
    assert groups_named(studio.records, "me", "album") == ()
    assert members_of(studio.records, "me", "posts:set00002") == ("post:set00002-000", "post:set00002-001")


def test_with_a_set_go_its_posts_and_come_back(studio: Studio) -> None:
    cafe = keep_cafe(studio)
    gone = keep_posts(studio, 1, cafe, pictures=2)
    keep_posts(studio, 2, cafe)
    _trash(studio, "posts:set00001")
    assert _found(studio) == ["set00002-000"]
    assert [thing.id for thing in find_things(studio.records, Search("me", trashed=True)).things] == ["posts:set00001"]
    _trash(studio, "posts:set00001", False)
    assert len(_found(studio)) == 3
    _trash(studio, "posts:set00001")
    assert empty_trash(studio.library, "me", lambda jobs, owner: None).things == 1
    for post in range(2):
        assert studio.records.get(IndexRecord, post_thing(gone.id, post), "me") is None
    assert _found(studio) == ["set00002-000"]
    assert members_of(studio.records, "me", "person:Lin") == ("post:set00002-000", "posts:set00002")


def test_an_album_holds_posts_and_sets_and_each_may_be_in_several(studio: Studio) -> None:
    cafe, records = keep_cafe(studio), studio.records
    for number in (1, 2):
        keep_posts(studio, number, cafe, pictures=3)
    spring, summer = (make_album(records, "me", name) for name in (" 春季 新品 ", "Summer"))
    assert spring.name == "春季 新品"
    assert make_album(records, "me", "Summer") == summer
    put_into(records, "me", spring.id, ["posts:set00001", "post:set00002-001"])
    put_into(records, "me", summer.id, ["posts:set00001"])
    put_into(records, "me", summer.id, ["posts:set00001"])  # twice is once
    assert _found(studio, album_group(spring.id), kind="") == ["set00002-001", "set00001"]
    assert groups_of(records, "me", ["posts:set00001"], "album") == {
        "posts:set00001": (f"album:{spring.id}", f"album:{summer.id}")
    }
    facts = look_into(records, "me", [spring.id, summer.id])
    assert [facts[album.id].count for album in (spring, summer)] == [2, 1]
    assert facts[spring.id].picture
    assert {album.name for album in albums_of(records, "me")} == {"春季 新品", "Summer"}
    assert albums_of(records, "wang") == ()
    take_out(records, "me", spring.id, "posts:set00001")
    assert _found(studio, album_group(spring.id), kind="") == ["set00002-001"]
    assert len(_found(studio)) == 6
    _trash(studio, "posts:set00002")
    assert look_into(records, "me", [spring.id]) == {spring.id: AlbumFacts(0, "")}


def test_an_album_is_renamed_and_removed_and_its_pictures_stay(studio: Studio) -> None:
    records = studio.records
    post_set = keep_posts(studio, 1, keep_cafe(studio), pictures=2)
    album, other = make_album(records, "me", "Spring"), make_album(records, "me", "Other")
    put_into(records, "me", album.id, ["posts:set00001", "post:set00001-000"])
    assert rename_album(records, "me", album.id, "Autumn").name == "Autumn"
    assert _found(studio, kind="album", words="autumn") == [album.id]
    assert rename_album(records, "me", album.id, "Autumn").name == "Autumn"
    for name, why in (("Other", "album_known"), ("  ", "name_invalid"), ("x" * 61, "name_invalid")):
        with pytest.raises(BadInput, match=why):
            rename_album(records, "me", album.id, name)
    for album_id, thing, why in (
        ("no", "posts:set00001", "album_unknown"),
        (album.id, "posts:no", "album_takes_posts"),
        (album.id, f"album:{other.id}", "album_takes_posts"),
    ):
        with pytest.raises(BadInput, match=why):
            put_into(records, "me", album_id, [thing])
    with pytest.raises(BadInput, match="album_unknown"):
        find_album(records, "wang", album.id)
    _trash(studio, f"album:{album.id}")
    assert [known.name for known in albums_of(records, "me")] == ["Other"]
    assert len(_found(studio)) == 2
    _trash(studio, f"album:{album.id}", False)
    assert look_into(records, "me", [album.id])[album.id].count == 2  # back as it was
    _trash(studio, f"album:{album.id}")
    assert empty_trash(studio.library, "me", lambda jobs, owner: None).files == 0
    assert records.get(AlbumRecord, album.id, "me") is None
    assert members_of(records, "me", album_group(album.id)) == ()
    assert len(_found(studio)) == 2
    assert all(records.get(FileRecord, key, "me") is not None for key in post_set.file_keys())


def test_sets_of_an_older_studio_get_their_posts(studio: Studio) -> None:
    records = studio.records
    keep_posts(studio, 1, keep_cafe(studio), pictures=2)
    with records.transaction() as session:
        for row in records.find(IndexRecord, "me", kind="post"):
            session.delete(row)
        for member in records.find(MemberRecord, "me"):
            session.delete(member)
    records.keep(IndexRecord(id="posts:lost", owner="me", kind="posts", words="", facts={"name": "Lin"}))
    bundle = {"platform": "tiktok", "path": "a.zip", "sha256": "0" * 64}
    records.keep(BundleRecord(id="b", owner="me", post_set="set00001", **bundle))
    assert _found(studio) == []
    created = find_things(records, Search("me", "posts", groups=())).things[-1].created
    assert index_older_sets(studio.library) == 2  # of the lost one nothing can be read
    assert _found(studio, "platform:tiktok", "person:Lin") == ["set00001-000", "set00001-001"]
    assert {thing.created for thing in find_things(records, Search("me", "post")).things} == {created}
    assert index_older_sets(studio.library) == 1


def _many(records: Records, posts: int) -> None:
    """So many posts in sets of 25, of ten persons in a hundred places."""
    began = datetime(2026, 11, 1, tzinfo=UTC)
    rows, members = [], []
    for i in range(posts):
        post_set, number = divmod(i, 25)
        key, created = post_thing(f"{post_set:05d}", number), began + timedelta(seconds=post_set)
        facts = {"name": "Lin", "scene": "cafe", "number": number, "set": f"{post_set:05d}", "picture": "a" * 64}
        words = f"2026-11-01 lin cafe red dress{' unicorn' * (i % 1000 == 7)}"
        told = {"owner": "me", "created": created}
        rows.append({**told, "id": key, "kind": "post", "words": words, "facts": facts})
        for group in (f"person:P{post_set % 10}", f"place:L{post_set % 100}", f"posts:{post_set:05d}"):
            members.append({**told, "id": content_id([group, key]), "of": group, "thing": key})
    with records.transaction() as session:
        session.execute(insert(IndexRecord), rows)
        session.execute(insert(MemberRecord), members)


def test_twenty_five_thousand_posts_are_paged_by_key_and_filtered_fast(tmp_path: Path) -> None:
    records = Records(tmp_path / "studio.sqlite")
    _many(records, 25_000)
    join_groups(records, "me", ["album:a"], [post_thing("00500", i) for i in range(25)])
    records.keep(MarkRecord(id="posts:00999", owner="me", facts={"trashed": True}))
    wanted = {
        "all": Search("me", "post"),
        "person": Search("me", "post", groups=("person:P3",)),
        "both": Search("me", "post", groups=("person:P3", "place:L13")),
        "words": Search("me", "post", terms=(("unicorn",),)),
        "album": Search("me", groups=("album:a",)),
    }
    counts = {name: count_things(records, search) for name, search in wanted.items()}
    assert counts == {"all": 24_975, "person": 2500, "both": 250, "words": 25, "album": 25}
    for name, search in wanted.items():
        began = time.perf_counter()
        page = find_things(records, search)
        took = time.perf_counter() - began
        assert page.things[0].id > page.things[-1].id or page.things[0].created >= page.things[-1].created
        assert len(page.things) == min(60, counts[name])
        assert took < 2, name  # 0.02 to 0.1 on a quiet machine
    after = find_things(records, wanted["all"]).next
    for _ in range(300):
        assert after is not None
        after = find_things(records, wanted["all"], after).next
    costs = []
    for where in (find_things(records, wanted["all"]).next, after):
        with watched(records) as (ticks, _):
            find_things(records, wanted["all"], where)
        costs.append(ticks[0])
    assert costs[1] <= 1.2 * costs[0]
    with watched(records) as (ticks, _):
        assert len(groups_named(records, "me", "place")) == 100
    assert ticks[0] < 2000  # a step a place and not a step a picture
