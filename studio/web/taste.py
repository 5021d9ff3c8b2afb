"""Routes for tastes: comments, what was read in them, changes by hand, and shots that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from personas.shots import Shot
from personas.taste.attributes import load_attributes
from personas.taste.reading import Question
from studio.application import Studio
from studio.domain.capabilities import vocabulary_of
from studio.domain.guidance import USUAL_ADVENTUROUS, Adventurous, Guidance
from studio.domain.posts import MOST_AGAIN, MOST_SHOTS
from studio.domain.taste import SaidItem, Scope, Taste, TasteItem
from studio.domain.values import Seed, Sha256
from studio.library.grants import check_readable
from studio.taste.guiding import guide_set
from studio.taste.keeping import count_votes, delete_taste, edit, shot_of, taste_of, tastes_of, undo, vote
from studio.taste.order import Picture, liking_of, unknown_liking
from studio.taste.saying import say_attribute, say_choice, say_item, say_question
from studio.taste.walk import next_pictures
from studio.texts.errors import say_error
from studio.texts.texts import Texts, choose_language
from studio.workflows.taste import Reader, keep_comment

__all__ = ["add_taste"]

Kind = Literal["everywhere", "persona", "shop"]
Name = Annotated[str, Field(max_length=60)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Scoped(_Body):
    """`scope` is where it holds, `name` the persona's or the shop's, "" for everywhere."""

    scope: Kind = "everywhere"
    name: Name = ""

    @property
    def of(self) -> Scope:
        return Scope.make(kind=self.scope, name=self.name.strip())


class CommentBody(_Scoped):
    """A comment, perhaps on a `picture` by its key, and how it was voted; `endpoint` asks the language model of the
    settings to read it."""

    text: str = Field(max_length=20_000)
    picture: Sha256 | Literal[""] = ""
    vote: Literal[-1, 0, 1] = 0
    reader: Reader = "studio"


class EditBody(_Scoped):
    """A change by hand: how an attribute is liked, whether it counts, or that the comments say it again."""

    attribute: str = Field(max_length=60)
    weight: float | None = Field(None, ge=-1, le=1)
    muted: bool | None = None
    forget: bool = False


class VoteBody(_Scoped):
    """A vote on a picture by its key: 1 liked, -1 not, 0 takes it back; with `over` it is preferred to that one."""

    picture: Sha256
    vote: Literal[-1, 0, 1] = 1
    over: Sha256 | Literal[""] = ""


class OrderBody(_Body):
    """Pictures by their keys, to be put in the owner's order; `persona` and `shop` as for a set's shots."""

    pictures: list[Sha256] = Field(max_length=500)
    persona: Name = ""
    shop: Name = ""


class UndoBody(_Scoped):
    """The event to undo, "" for the last one that counts."""

    event: str = Field("", max_length=64)


class GuideBody(_Body):
    """A set's shots: `shots` by what was said of each, field by field, or `count` planned ones, of which nothing was.

    The tastes are the owner's: everywhere, of a `shop`, and of a `persona`, by their names.
    """

    shots: list[dict[str, Annotated[str, Field(max_length=200)]]] = Field(default_factory=list, max_length=MOST_SHOTS)
    count: int = Field(9, ge=1, le=MOST_SHOTS)
    seed: Seed = 1
    again: int = Field(0, ge=0, le=MOST_AGAIN)
    persona: Name = ""
    shop: Name = ""
    adventurous: Adventurous = USUAL_ADVENTUROUS


class ChipSaid(_Body):
    """An attribute, or a field, to answer a question with."""

    id: str
    name: str


class QuestionSaid(_Body):
    """What is asked back; `why` stays the same, `text` is in the language that was asked for."""

    why: str
    field: str
    text: str
    chips: list[ChipSaid]


class CommentKept(_Body):
    """What was read in a comment, what is asked back, and why the language model did not read it ("": it did, or was
    not asked)."""

    id: str
    items: list[SaidItem]
    question: QuestionSaid | None
    note: str


class ItemSaid(_Body):
    """An attribute of a taste, its name, and how it is liked in words."""

    name: str
    text: str
    item: TasteItem


class TasteSaid(_Body):
    """A taste; `version` counts its events, `liked` and `disliked` the owner's votes on candidates and posts."""

    scope: Kind
    name: str
    version: int
    items: list[ItemSaid]
    liked: int
    disliked: int


class RankedSaid(_Body):
    """A picture in the owner's order: how likely it is liked, how sure that is (the spread of what it is worth), and
    which attributes spoke for it (above 0) and against it."""

    picture: str
    chance: float
    spread: float
    spoke: dict[str, float]


class GuidedSaid(_Body):
    """Fields of a set's request: `shots`, `detail`, and `guided`, null where nothing moved; `why` says it in words."""

    shots: list[Shot]
    detail: float
    guided: Guidance | None
    why: list[str]


class AttributeSaid(_Body):
    """An attribute by its id, its field, their names, and how it acts."""

    id: str
    name: str
    field: str
    field_name: str
    acts: str


def add_taste(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""
    _add_reading(api, studio, owner_of)
    _add_changes(api, studio, owner_of)
    _add_order(api, studio, owner_of)

    @api.post("/taste/shots")
    def shots(body: GuideBody, request: Request) -> GuidedSaid:
        """Return a set's shots to the owner's taste: what was said of them stays, and nothing is drawn yet."""
        tastes = tastes_of(studio.records, owner_of(request), body.persona, body.shop)
        found = guide_set(
            tastes, body.shots, body.count, body.seed, again=body.again, adventurous=body.adventurous,
            vocabulary=vocabulary_of(studio.settings),
        )  # fmt: skip
        choices = () if found.guidance is None else found.guidance.choices
        why = [say_choice(_texts(request), choice) for choice in choices]
        return GuidedSaid(shots=list(found.shots), detail=found.detail, guided=found.guidance, why=why)


def _add_reading(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    @api.get("/taste/attributes")
    def attributes(request: Request) -> list[AttributeSaid]:
        """Return all that can be liked in a picture."""
        texts = _texts(request)
        return [
            AttributeSaid(
                id=one.id, name=say_attribute(texts, one.id), field=one.field, acts=one.acts,
                field_name=say_attribute(texts, one.field),
            )
            for one in load_attributes().by_id.values()
        ]  # fmt: skip

    @api.get("/taste")
    def taste(
        request: Request, scope: Kind = "everywhere", name: Annotated[str, Query(max_length=60)] = ""
    ) -> TasteSaid:
        """Return what the owner likes and dislikes, the strongest first."""
        owner = owner_of(request)
        return _say(studio, owner, taste_of(studio.records, owner, _Scoped(scope=scope, name=name).of), request)

    @api.get("/taste/events")
    def events(request: Request, scope: Kind = "everywhere", name: Annotated[str, Query(max_length=60)] = "") -> Taste:
        """Return all comments and changes of a taste, to keep elsewhere."""
        return taste_of(studio.records, owner_of(request), _Scoped(scope=scope, name=name).of)


def _add_order(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    records, store = studio.records, studio.store

    @api.post("/taste/votes", status_code=201)
    def put_vote(body: VoteBody, request: Request) -> TasteSaid:
        """Keep a vote on a picture, or which of two is preferred."""
        owner = owner_of(request)
        changed = vote(records, store, owner, body.picture, body.vote, scope=body.of, over=body.over)
        return _say(studio, owner, changed, request)

    @api.post("/taste/order")
    def put_in_order(body: OrderBody, request: Request) -> list[RankedSaid]:
        """Return pictures in the owner's order, the likeliest first: an order and never a gate."""
        owner = owner_of(request)
        check_readable(records, owner, body.pictures)
        liking = liking_of(records, store, owner, tastes_of(records, owner, body.persona, body.shop))
        pictures = [Picture(key, shot_of(records, owner, key)) for key in body.pictures]
        ranked = (liking or unknown_liking(store)).rank(pictures)
        return [
            RankedSaid(picture=pictures[r.place].key, chance=r.chance, spread=r.spread, spoke=dict(r.spoke))
            for r in ranked
        ]

    @api.get("/taste/next")
    def ask_next(request: Request, count: Annotated[int, Query(ge=1, le=20)] = 1) -> list[str]:
        """Return the keys of pictures to say something of next: those that tell most, and one by chance."""
        owner = owner_of(request)
        found = next_pictures(records, store, owner, tastes_of(records, owner), count)
        return [one.key for one in found]


def _add_changes(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    records = studio.records

    @api.post("/taste/comments", status_code=201)
    def put_comment(body: CommentBody, request: Request) -> CommentKept:
        """Read a comment and keep it."""
        texts, owner = _texts(request), owner_of(request)
        kept = keep_comment(
            studio, owner, body.text, scope=body.of, picture=body.picture, vote=body.vote, reader=body.reader
        )
        note = "" if kept.failed is None else say_error(kept.failed, texts)[0]
        question = None if kept.question is None else _ask(texts, kept.question)
        return CommentKept(id=kept.said.id, items=list(kept.said.items), question=question, note=note)

    @api.post("/taste/items")
    def put_item(body: EditBody, request: Request) -> TasteSaid:
        """Change an attribute by hand; no comment changes it afterwards."""
        owner = owner_of(request)
        changed = edit(
            records, owner, body.attribute, scope=body.of, weight=body.weight, muted=body.muted, forget=body.forget
        )
        return _say(studio, owner, changed, request)

    @api.post("/taste/undo")
    def put_undo(body: UndoBody, request: Request) -> TasteSaid:
        """Undo a comment or a change."""
        owner = owner_of(request)
        return _say(studio, owner, undo(records, owner, scope=body.of, event=body.event), request)

    @api.delete("/taste")
    def delete(
        request: Request, scope: Kind = "everywhere", name: Annotated[str, Query(max_length=60)] = ""
    ) -> TasteSaid:
        """Delete a taste with all its comments, for ever."""
        owner, of = owner_of(request), _Scoped(scope=scope, name=name).of
        delete_taste(records, owner, of)
        return _say(studio, owner, taste_of(records, owner, of), request)


def _say(studio: Studio, owner: str, taste: Taste, request: Request) -> TasteSaid:
    texts, (up, down) = _texts(request), count_votes(studio.records, owner, taste)
    items = [
        ItemSaid(name=say_attribute(texts, item.attribute), text=say_item(texts, item), item=item)
        for item in taste.items()
    ]
    return TasteSaid(
        scope=taste.scope.kind, name=taste.scope.name, version=taste.version, items=items,
        liked=up, disliked=down,
    )  # fmt: skip


def _ask(texts: Texts, question: Question) -> QuestionSaid:
    chips = [ChipSaid(id=chip, name=say_attribute(texts, chip)) for chip in question.chips]
    return QuestionSaid(why=question.why, field=question.field, text=say_question(texts, question), chips=chips)


def _texts(request: Request) -> Texts:
    return Texts(choose_language(request.headers.get("accept-language", "")))
