"""`persona-studio personas …`: who there is, how the training went, and how strongly posts draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import LOOKS, Data, Json, Owner, check_file, open_jobs, say, settings_of, tell
from studio.domain.capabilities import sees_people
from studio.domain.character import MOST_SCALE as MOST_STRENGTH
from studio.domain.character import CharacterConsent
from studio.domain.checkpoints import DrawnAs, best_checkpoint, draw_as, kept_checkpoints, say_checkpoint, say_drawn_as
from studio.domain.consent import read_consent
from studio.domain.persona import MOST_SCALE, ConsolidateRequest, Persona
from studio.library.characters import add_character
from studio.library.drawn_as import choose_drawn_as, drawn_as, undo_drawn_as
from studio.texts.terminal import terminal_texts

__all__ = ["personas"]

personas = typer.Typer(no_args_is_help=True, help="Personas: kept stages of their trainings, and how they are drawn.")
Key = Annotated[str, typer.Argument(help="The persona's id; the newest if empty.")]


@personas.command()
def show(persona: Key = "", data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """Say which stages of the training were kept, how near each is to the person, and which is the best."""
    studio = Studio(settings_of(data, owner))
    who, texts = studio.result_of(Persona, persona), terminal_texts()
    how, best, kept = (
        drawn_as(studio.records, studio.settings.owner, who.id),
        best_checkpoint(who),
        kept_checkpoints(who),
    )
    lines = [f"{who.id}  {who.name} · {texts('version')} {who.version}"]
    for sample in who.samples:
        stage = say_checkpoint(texts, who, sample.step)
        mark = f"--checkpoint {sample.step}" if sample in kept else ""
        lines.append(f"{texts('checkpoint.at', stage=stage, value=f'{sample.identity:.2f}')}  {mark}".rstrip())
    if best is not None and best.why != "only":
        stage = say_checkpoint(texts, who, best.step)
        lines.append(texts(f"checkpoint.{best.why}", stage=stage, value=f"{best.identity:.2f}"))
    told = {
        "id": who.id, "name": who.name, "version": who.version, "drawn_as": _told(how),
        "checkpoints": [{"step": s.step, "likeness": s.identity, "kept": s in kept} for s in who.samples],
        "best": None if best is None else {"step": best.step or who.samples[-1].step, "why": best.why},
    }  # fmt: skip
    say(told, as_json, "\n".join([*lines, _say_how(who, how)]))


@personas.command()
def enrol(
    name: Annotated[str, typer.Argument(help="What the persona will be called.")],
    photos: Annotated[list[Path], typer.Argument(help="One to four photos of them.")],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires")],
    look: Annotated[str, typer.Option(help=f"What posts call them: {LOOKS}.")],
    clothes: Annotated[Path | None, typer.Option(help="A photo of clothes, worn or not: they wear these.")] = None,
    strength: Annotated[
        float, typer.Option(min=0.05, max=MOST_STRENGTH, help="How truly the photos are followed.")
    ] = 1.0,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Make a persona of photos of somebody who agreed to it, without training: posts show them from then on."""
    studio = Studio(settings_of(data, owner))
    asker, agreed = studio.settings.owner, CharacterConsent.of(read_consent(check_file(consent)))
    for photo in (*photos, *([] if clothes is None else [clothes])):
        check_file(photo)
    with open_jobs(studio, as_json) as engine:
        reader = studio.regions if sees_people(studio.settings) else None
        character = add_character(studio.library, photos, asker, clothes, reader=reader, strength=strength)
        asked = ConsolidateRequest.make(
            owner=asker, character=character, character_consent=agreed, category=look, name=name
        )
        made = engine.run(asked, Persona)
    worn = None if made.character is None else made.character.worn
    strip = made.samples[-1]
    word = terminal_texts().word
    shown = "" if worn is None else tell(
        "cli.enrolled_worn", colour=word(worn.outfit_colour), outfit=word(worn.outfit)
    )  # fmt: skip
    text = tell("cli.enrolled", name=made.name, version=made.version, id=made.id, value=f"{strip.identity:.2f}")
    told = {"id": made.id, "version": made.version, "likeness": strip.identity, "pictures": list(strip.pictures)}
    say(told | {"worn": None if worn is None else worn.model_dump()}, as_json, f"{text}\n{shown}".rstrip())


@personas.command()
def use(
    persona: Key = "",
    strength: Annotated[
        float | None, typer.Option(min=0, max=MOST_SCALE, help="How strongly; as before if left out.")
    ] = None,
    checkpoint: Annotated[
        int | None, typer.Option(min=0, help="A kept step of the training, 0 its end; as before if left out.")
    ] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Let all further posts draw the persona so."""
    studio = Studio(settings_of(data, owner))
    who, asker = studio.result_of(Persona, persona), studio.settings.owner
    how = choose_drawn_as(studio.records, asker, who, scale=strength, checkpoint=checkpoint)
    say({"id": who.id, "drawn_as": _told(how)}, as_json, _say_how(who, how))


@personas.command()
def undo(persona: Key = "", data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """Take the last choice of `use` back."""
    studio = Studio(settings_of(data, owner))
    who = studio.result_of(Persona, persona)
    how = undo_drawn_as(studio.records, studio.settings.owner, who.id)
    say({"id": who.id, "drawn_as": _told(how)}, as_json, _say_how(who, how))


def _told(how: DrawnAs) -> dict[str, object]:
    return {"strength": how.scale, "checkpoint": how.checkpoint}


def _say_how(who: Persona, how: DrawnAs) -> str:
    said = say_drawn_as(terminal_texts(), draw_as(who, how)) or tell("drawn_as.usual")
    return tell("drawn_as.now", name=f"{who.name} · {tell('version')} {who.version}", how=said)
