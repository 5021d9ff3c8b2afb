"""Tastes kept: each event is a row of its owner, so that two pages at once lose nothing of each other."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from personas.taste.attributes import load_attributes
from personas.taste.comments import check_comment, read_comment
from personas.taste.reading import Question, Reading
from pipelines.errors import BadInput, BadPicture, StudioError
from studio.domain.migration import read_stored
from studio.domain.taste import (
    EVERYWHERE,
    MOST_EVENTS,
    Edited,
    Event,
    Said,
    SaidItem,
    Scope,
    Taste,
    Undone,
    Voted,
    check_attribute,
)
from studio.library.grants import check_readable
from studio.library.records import CandidateRecord, MarkRecord, PostRecord, Records, TasteRecord
from studio.library.store import Store
from studio.taste.heard import Hear, Heard
from studio.taste.shipped import shipped_shot

__all__ = [
    "Ballot", "Commented", "ballots_of", "comment", "count_votes", "delete_taste", "edit", "shot_of", "shown_in",
    "taste_of", "tastes_of", "undo", "vote", "votes_of",
]  # fmt: skip

_KINDS: Mapping[str, type[Said | Edited | Voted | Undone]] = {
    "comment": Said, "hand": Edited, "vote": Voted, "undo": Undone,
}  # fmt: skip


@dataclass(frozen=True)
class Commented:
    """A comment as it is kept, what it leaves to ask, and why a language model could not read it."""

    said: Said
    question: Question | None
    failed: StudioError | None = None


@dataclass(frozen=True)
class Ballot:
    """A picture that was liked (1) or not (-1), or preferred to `over` (1), or `over` to it (-1); with the words of
    their shots, by field."""

    picture: str
    vote: int
    shot: Mapping[str, str]
    over: str = ""
    shot_over: Mapping[str, str] = field(default_factory=dict)


def taste_of(records: Records, owner: str, scope: Scope = EVERYWHERE) -> Taste:
    """Return the owner's taste in a scope; an empty one where nothing was said."""
    rows = records.find(TasteRecord, owner, scope=scope.key)
    events = tuple(read_stored(_KINDS[str(row.facts["kind"])], row.facts) for row in rows)
    return Taste.make(scope=scope, events=events)


def tastes_of(records: Records, owner: str, persona: str = "", shop: str = "") -> tuple[Taste, ...]:
    """Return what holds for a persona and a shop, the widest first, as `join_tastes` takes it."""
    scopes = [EVERYWHERE]
    scopes += [Scope(kind="shop", name=shop)] if shop else []
    scopes += [Scope(kind="persona", name=persona)] if persona else []
    return tuple(taste_of(records, owner, scope) for scope in scopes)


def comment(
    records: Records,
    owner: str,
    text: str,
    *,
    scope: Scope = EVERYWHERE,
    picture: str = "",
    vote: int = 0,
    hear: Hear | None = None,
    reader: str = "studio",
) -> Commented:
    """Keep a comment and what is read in it.

    `picture` is the key of a file that the owner may see: what is known to be drawn in it says what "the light" is.
    `hear` reads with the language model called `reader`, else the studio does. The same comment on the same picture
    counts once. Raises BadInput.
    """
    check_comment(text)
    if picture:
        check_readable(records, owner, [picture])
    before = next((s for s in _said(taste_of(records, owner, scope)) if _key(s) == (text, picture, vote)), None)
    if before is not None and before.reader == reader:
        return Commented(before, read_comment(text, before.shown, vote).question if reader == "studio" else None)
    shown = shown_in(records, owner, picture) if picture else {}
    heard = Heard(read_comment(text, shown, vote)) if hear is None else hear(text, shown, vote)
    items = _items(text, heard.reading)
    by = "studio" if heard.failed is not None else reader
    said = Said.make(
        id=_new_id(), at=_now(), text=text, picture=picture, shown=shown, vote=vote, items=items, reader=by
    )
    _keep(records, owner, scope, *([Undone(id=_new_id(), at=_now(), event=before.id)] if before else []), said)
    return Commented(said, heard.reading.question, heard.failed)


def edit(
    records: Records,
    owner: str,
    attribute: str,
    *,
    scope: Scope = EVERYWHERE,
    weight: float | None = None,
    muted: bool | None = None,
    forget: bool = False,
) -> Taste:
    """Set an attribute by hand, and return the taste. No comment changes it afterwards. Raises BadInput."""
    check_attribute(attribute)
    if weight is None and muted is None and not forget:
        raise BadInput("taste_edit_empty")
    told = Edited.make(id=_new_id(), at=_now(), attribute=attribute, weight=weight, muted=muted, forget=forget)
    _keep(records, owner, scope, told)
    return taste_of(records, owner, scope)


def undo(records: Records, owner: str, *, scope: Scope = EVERYWHERE, event: str = "") -> Taste:
    """Undo an event, the last one that counts where none is named, and return the taste. Raises BadInput."""
    standing = taste_of(records, owner, scope).standing
    chosen = next((e for e in reversed(standing) if event in ("", e.id)), None)
    if chosen is None:
        raise BadInput("taste_nothing_to_undo")
    _keep(records, owner, scope, Undone(id=_new_id(), at=_now(), event=chosen.id))
    return taste_of(records, owner, scope)


def delete_taste(records: Records, owner: str, scope: Scope = EVERYWHERE) -> int:
    """Delete a taste with all its comments, for ever, and return how many events it had."""
    rows = records.find(TasteRecord, owner, scope=scope.key)
    for row in rows:
        records.remove(TasteRecord, row.id, owner)
    return len(rows)


def vote(
    records: Records,
    store: Store,
    owner: str,
    picture: str,
    said: int,
    *,
    scope: Scope = EVERYWHERE,
    over: str = "",
) -> Taste:
    """Keep a vote on a picture by its key: 1 liked, -1 not, 0 takes all votes on it back; with `over` it is preferred
    to that one (1), or that one to it (-1). Return the taste. Raises BadInput."""
    check_readable(records, owner, [key for key in (picture, over) if key])
    if said:
        _check_pictures(store, [key for key in (picture, over) if key])
    standing = [e for e in taste_of(records, owner, scope).standing if isinstance(e, Voted)]
    before = [one for one in standing if (one.picture, one.over) == (picture, over)]
    events: list[Event] = []
    if not said:
        events += [Undone(id=_new_id(), at=_now(), event=one.id) for one in before]
    elif not before or before[-1].vote != said:  # undoing it gives the vote before back
        shot_over = shot_of(records, owner, over) if over else {}
        events.append(
            Voted.make(
                id=_new_id(),
                at=_now(),
                picture=picture,
                vote=said,
                over=over,
                shown=shot_of(records, owner, picture),
                shown_over=shot_over,
            )
        )
    _keep(records, owner, scope, *events)
    return taste_of(records, owner, scope)


def votes_of(records: Records, owner: str) -> Mapping[str, int]:
    """Return by picture how the owner voted on candidates and posts: 1 liked, -1 not."""
    found: dict[str, int] = {}
    for row in records.find(MarkRecord, owner):
        for picture, said in dict(row.facts.get("votes", {})).items():
            if said in (-1, 1):
                found[str(picture)] = int(said)
        said = int(bool(row.facts.get("favourite"))) - int(bool(row.facts.get("disliked")))
        kind, _, key = row.id.partition(":")
        post = records.get(PostRecord, key, owner) if kind == "post" and said else None
        if post is not None:
            found[post.picture] = said
    return found


def ballots_of(records: Records, owner: str, tastes: Sequence[Taste]) -> tuple[Ballot, ...]:
    """Return all votes that count: those on candidates and posts, and those of the tastes, which win."""
    found = {
        key: Ballot(key, said, shot_of(records, owner, key)) for key, said in votes_of(records, owner).items()
    }  # fmt: skip
    pairs: list[Ballot] = []
    for one in (vote for taste in tastes for vote in taste.votes()):
        told = Ballot(one.picture, one.vote, one.shown, one.over, one.shown_over)
        if one.over:
            pairs.append(told)
        else:
            found[one.picture] = told
    return (*found.values(), *pairs)


def count_votes(records: Records, owner: str, taste: Taste) -> tuple[int, int]:
    """Return on how many pictures the owner voted that they are liked, and not: candidates, posts, and the taste's."""
    found = dict(votes_of(records, owner)) | {one.picture: one.vote for one in taste.votes() if not one.over}
    up = sum(said > 0 for said in found.values())
    return up, len(found) - up


def shot_of(records: Records, owner: str, picture: str) -> Mapping[str, str]:
    """Return the words of the shot that a picture was drawn as, by field; {} where nobody knows."""
    if (known := shipped_shot(picture)) is not None:
        return known
    drawn = [row.facts for row in records.newest(PostRecord, owner, 1, picture=picture)]
    drawn += [row.facts for row in records.newest(CandidateRecord, owner, 1, picture=picture)]
    return dict(drawn[0].get("shot", {})) if drawn else {}


def shown_in(records: Records, owner: str, picture: str) -> Mapping[str, str]:
    """Return by field the attributes that a picture was asked to show; {} where nobody knows."""
    shot = shot_of(records, owner, picture)
    return {
        value.field: value.name
        for value in load_attributes().by_id.values()
        if len(value.shot) == 1 and shot.get(value.field) == value.shot[0]
    }


def _said(taste: Taste) -> Sequence[Said]:
    return [event for event in taste.standing if isinstance(event, Said)]


def _key(said: Said) -> tuple[str, str, int]:
    return said.text, said.picture, said.vote


def _items(text: str, reading: Reading) -> tuple[SaidItem, ...]:
    return tuple(SaidItem(attribute=i.attribute, weight=i.weight, quote=text[i.start : i.end]) for i in reading.items)


def _keep(records: Records, owner: str, scope: Scope, *events: Event) -> None:
    adds = [event for event in events if not isinstance(event, Undone)]  # what is full can still be undone
    if adds and taste_of(records, owner, scope).version + len(events) > MOST_EVENTS:
        raise BadInput("taste_full", most=MOST_EVENTS)
    for event in events:
        facts = event.model_dump(mode="json")
        records.keep(TasteRecord(id=event.id, owner=owner, created=event.at, scope=scope.key, facts=facts))


def _check_pictures(store: Store, keys: Sequence[str]) -> None:
    for key in keys:
        try:
            store.get_picture(key)
        except OSError as error:
            raise BadPicture("picture_not_readable", name=key[:12]) from error


def _new_id() -> str:
    return uuid.uuid4().hex[:16]


def _now() -> datetime:
    return datetime.now(UTC)
