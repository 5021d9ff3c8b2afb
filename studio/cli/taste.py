"""`persona-studio taste …`: comments on pictures, what was read in them, and what follows from it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from personas.taste.attributes import load_attributes
from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, say, settings_of, tell
from studio.domain.taste import Scope, Taste
from studio.taste.keeping import count_votes, delete_taste, edit, taste_of, tastes_of, undo, votes_of
from studio.taste.keeping import vote as keep_vote
from studio.taste.saying import say_attribute, say_item, say_question
from studio.texts.terminal import terminal_texts

__all__ = ["taste"]

taste = typer.Typer(no_args_is_help=True, help="What you like in pictures, said in comments and changed by hand.")
Persona = Annotated[str, typer.Option(help="Only for the persona of this name.")]
Shop = Annotated[str, typer.Option(help="Only for the shop of this name.")]


class ReadBy(StrEnum):
    """Who reads a comment."""

    STUDIO = "studio"
    ENDPOINT = "endpoint"


@taste.command("comment")
def put_comment(
    text: Annotated[str, typer.Argument(help="What you like or dislike, in Chinese or English.")],
    picture: Annotated[str, typer.Option(help="The key of the picture that it is about.")] = "",
    vote: Annotated[int, typer.Option(min=-1, max=1, help="1 where you like the picture, -1 where you do not.")] = 0,
    read_by: Annotated[ReadBy, typer.Option(help="The studio, or the language model of the settings.")] = ReadBy.STUDIO,
    persona: Persona = "",
    shop: Shop = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Keep a comment on a picture, and say what was read in it."""
    from studio.workflows.taste import keep_comment

    studio, texts = Studio(settings_of(data, owner)), terminal_texts()
    kept = keep_comment(
        studio, studio.settings.owner, text, scope=_scope(persona, shop), picture=picture, vote=vote,
        reader=read_by.value,
    )  # fmt: skip
    signs = ((item, "+" if item.weight > 0 else "-") for item in kept.said.items)
    lines = [f"{sign} {say_attribute(texts, item.attribute)}  “{item.quote}”" for item, sign in signs]
    lines += [say_question(texts, kept.question)] if kept.question is not None else []
    lines += [texts.error(kept.failed)] if kept.failed is not None else []
    asked = None if kept.question is None else {"why": kept.question.why, "chips": list(kept.question.chips)}
    say({"comment": kept.said.model_dump(mode="json"), "question": asked}, as_json, "\n".join(lines))


@taste.command()
def show(
    persona: Persona = "",
    shop: Shop = "",
    events: Annotated[bool, typer.Option("--events", help="All comments and changes as JSON.")] = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Say what you like and dislike, the strongest first."""
    studio = Studio(settings_of(data, owner))
    found = taste_of(studio.records, studio.settings.owner, _scope(persona, shop))
    if events:
        say(found.model_dump(mode="json"), True, "")
    else:
        _say(studio, found, as_json)


@taste.command("set")
def set_item(
    attribute: Annotated[str, typer.Argument(help="Its id, as `taste attributes` lists it.")],
    weight: Annotated[float | None, typer.Option(min=-1, max=1, help="From -1, disliked, to 1, liked.")] = None,
    mute: Annotated[bool | None, typer.Option("--mute/--count", help="Whether it counts.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Let the comments say it again.")] = False,
    persona: Persona = "",
    shop: Shop = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Set by hand how an attribute is liked; no comment changes it afterwards."""
    studio = Studio(settings_of(data, owner))
    changed = edit(
        studio.records, studio.settings.owner, attribute, scope=_scope(persona, shop), weight=weight, muted=mute,
        forget=forget,
    )  # fmt: skip
    _say(studio, changed, as_json)


@taste.command("vote")
def put_vote(
    picture: Annotated[str, typer.Argument(help="The picture's key.")],
    vote: Annotated[int, typer.Argument(min=-1, max=1, help="1 where you like it, -1 where not, 0 takes it back.")],
    over: Annotated[str, typer.Option(help="The key of a picture that you like less than this one.")] = "",
    persona: Persona = "",
    shop: Shop = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Say that you like a picture or not, or which of two you prefer."""
    studio = Studio(settings_of(data, owner))
    _say(
        studio,
        keep_vote(
            studio.records, studio.store, studio.settings.owner, picture, vote, scope=_scope(persona, shop), over=over
        ),
        as_json,
    )  # fmt: skip


@taste.command("next")
def ask_next(
    count: Annotated[int, typer.Option(min=1, max=20, help="So many pictures.")] = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Name the pictures that it tells most to comment on next, by their keys."""
    from studio.taste.walk import next_pictures

    studio = Studio(settings_of(data, owner))
    mine = studio.settings.owner
    found = next_pictures(studio.records, studio.store, mine, tastes_of(studio.records, mine), count)
    say({"pictures": [one.key for one in found]}, as_json, "\n".join(one.key for one in found))


@taste.command("undo")
def undo_last(
    event: Annotated[str, typer.Argument(help="A comment's or change's id; the last one if empty.")] = "",
    persona: Persona = "",
    shop: Shop = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Undo a comment or a change."""
    studio = Studio(settings_of(data, owner))
    _say(studio, undo(studio.records, studio.settings.owner, scope=_scope(persona, shop), event=event), as_json)


@taste.command()
def delete(
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking; nothing brings it back.")] = False,
    persona: Persona = "",
    shop: Shop = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Delete a taste with all its comments, for ever."""
    if not yes:
        raise BadInput("taste_delete_unconfirmed")
    studio = Studio(settings_of(data, owner))
    count = delete_taste(studio.records, studio.settings.owner, _scope(persona, shop))
    say({"deleted": count}, as_json, tell("taste.deleted", count=count))


@taste.command()
def attributes(as_json: Json = False) -> None:
    """List all that can be liked in a picture, by field."""
    texts, told = terminal_texts(), load_attributes()
    rows = {name: {v.id: say_attribute(texts, v.id) for v in f.values.values()} for name, f in told.fields.items()}
    lines = [
        f"{say_attribute(texts, name)}: " + ", ".join(f"{key} ({word})" for key, word in row.items())
        for name, row in rows.items()
    ]
    say({"fields": rows}, as_json, "\n".join(lines))


def _scope(persona: str, shop: str) -> Scope:
    if persona and shop:
        raise BadInput("taste_scope_both")
    if persona:
        return Scope.make(kind="persona", name=persona)
    return Scope.make(kind="shop", name=shop) if shop else Scope()


def _say(studio: Studio, found: Taste, as_json: bool) -> None:
    owner, texts = studio.settings.owner, terminal_texts()
    votes, (up, down) = votes_of(studio.records, owner), count_votes(studio.records, owner, found)
    lines = [f"{item.attribute}  {say_item(texts, item)}" for item in found.items()] or [texts("taste.empty")]
    lines += [texts("taste.votes", up=up, down=down)] if up + down else []
    items = [item.model_dump(mode="json") for item in found.items()]
    say({"version": found.version, "items": items, "votes": dict(votes)}, as_json, "\n".join(lines))
