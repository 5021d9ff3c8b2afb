"""The way from a look category to a persona, each step on its own and resumable; and the main job in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from personas.gates import CHOOSABLE
from personas.looks import find_category
from personas.measures.catalogue import CANDIDATE_MEASURES
from pipelines.errors import BadInput
from pipelines.file_names import file_name, keep_beside
from studio.application import Studio
from studio.cli.options import (
    ANY_LOOK,
    LOOKS,
    Data,
    Json,
    Owner,
    Seed,
    ToTaste,
    find_person,
    left_out_rows,
    open_jobs,
    option,
    read_photos,
    say,
    say_guidance,
    say_left_out,
    settings_of,
    tell,
)
from studio.cli.outputs import check_folder
from studio.domain.design import Design, DesignRequest
from studio.domain.persona import ConsolidateRequest, Persona, Swap, SwapRequest
from studio.domain.thresholds import check_thresholds
from studio.domain.values import NamedPicture
from studio.library.picture_folders import list_pictures, load_pictures
from studio.settings import ASSETS
from studio.taste.guiding import guide_candidates
from studio.taste.keeping import tastes_of

__all__ = ["way"]

way = typer.Typer()
_MEASURES = ", ".join(row.words["en"] for row in CANDIDATE_MEASURES)


@way.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")] = Path("out"),
    category: Annotated[str, typer.Option(help=f"The look: {LOOKS}.")] = "sweet",
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
    backbone: Annotated[
        str | None,
        typer.Option(help="miniature, a folder, a file, or a fetched model's name; else the one that is set."),
    ] = None,
) -> None:
    """The main job: a new person, nine posts in one place, one bundle."""
    find_category(category)
    out = check_folder(out)
    from studio.jobs.main_job import MainJobRequest, run_main_job  # takes seconds: a refusal does not

    scenes = ASSETS / "scenes"
    with open_jobs(Studio(settings_of(data or out / "data", owner, backbone=backbone)), as_json) as engine:
        job = run_main_job(
            engine,
            MainJobRequest(category, seed, scenes / "cafe.png", scenes / "cafe_landmark.png", out / "bundle.zip"),
        )
    say({"bundle": str(job.bundle), "seconds": job.seconds}, as_json, tell("cli.bundle", path=job.bundle))


@way.command(epilog=f"Every candidate is measured: {_MEASURES}.")
def design(
    category: Annotated[str, typer.Argument(help=f"The look: {LOOKS}.")],
    seed: Seed = 1,
    mix: Annotated[int, option(DesignRequest, "donors", "Donors in the mix.")] = 4,
    candidates: Annotated[int, option(DesignRequest, "candidates", "Pictures to choose from.")] = 48,
    templates: Annotated[Path | None, typer.Option(help="A folder of pictures that the face is put into, too.")] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help=f"A gate's threshold, such as min_sharpness=0.3; may be repeated: {', '.join(CHOOSABLE)}."),
    ] = None,
    to_taste: ToTaste = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """A new face: fuse donors of a look category, draw candidates, keep those that agree."""
    from studio.library.scenes import add_picture

    gates = _read_gates(gate or ())
    found, unread = ([], ()) if templates is None else load_pictures(list_pictures(templates), 1)
    images = [(picture.path.name, picture.image) for picture in found]
    studio = Studio(settings_of(data, owner))
    asked = DesignRequest.make(
        owner=studio.settings.owner, category=category, seed=seed, donors=mix, candidates=candidates, gates=gates
    )
    asked = _to_taste(studio, to_taste, asked)
    with open_jobs(studio, as_json) as engine:
        say_left_out(unread, as_json)
        kept = tuple(
            NamedPicture(name=name, picture=add_picture(studio.library, image, asked.owner)) for name, image in images
        )
        result = engine.run(asked.changed(templates=kept), Design)
    sheet, report = studio.store.open_local(result.contact_sheet), studio.store.open_local(result.report)
    text = tell(
        "cli.design", id=result.id, kept=len(result.kept), count=len(result.pictures), nearest=result.novelty_max,
        ceiling=result.novelty_ceiling, sheet=sheet, report=report,
    )  # fmt: skip
    told = {"id": result.id, "kept": result.kept, "contact_sheet": str(sheet), "report": str(report)}
    missing = left_out_rows([*unread, *(picture.error for picture in result.left_out)])
    say(told | {"left_out": missing}, as_json, text)


def _to_taste(studio: Studio, boldly: float | None, asked: DesignRequest) -> DesignRequest:
    """Return the request with its candidates' clothes and places to their owner's taste; as it was for None."""
    if boldly is None:
        return asked
    tastes = tastes_of(studio.records, asked.owner)
    guided = guide_candidates(tastes, asked.candidates, asked.seed, adventurous=boldly)
    say_guidance(guided, each=False)
    return asked.changed(guided=guided)


def _read_gates(given: Sequence[str]) -> Mapping[str, float]:
    """Read thresholds as name=number. Raises BadInput."""
    values = {}
    for said in given:
        name, _, number = said.partition("=")
        try:
            values[name] = float(number)
        except ValueError:
            raise BadInput("threshold_no_number", threshold=name) from None
    return check_thresholds(values)


@way.command()
def consolidate(
    name: Annotated[str, typer.Argument(help="What the persona will be called.")],
    design_id: Annotated[str, typer.Option(help="Whose face; the newest design if empty.")] = "",
    seed: Seed = 1,
    steps: Annotated[int, option(ConsolidateRequest, "steps", "Training steps; 0 is the backbone's default.")] = 0,
    rounds: Annotated[int, option(ConsolidateRequest, "rounds", "How often its own best pictures train it.")] = 1,
    pool: Annotated[int, option(ConsolidateRequest, "pool", "Pictures to choose from, per candidate; 0: usual.")] = 0,
    keep: Annotated[int, option(ConsolidateRequest, "keep", "How many of them train it.")] = 24,
    identity_loss: Annotated[
        float | None,
        option(ConsolidateRequest, "identity_loss", "How much the face recogniser's judgement weighs; 0 is off."),
    ] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Train the persona LoRA of a design (the newest if none is named)."""
    studio = Studio(settings_of(data, owner))
    asked = ConsolidateRequest.make(
        owner=studio.settings.owner, design=studio.result_of(Design, design_id), name=name, seed=seed, steps=steps,
        rounds=rounds, pool=pool, keep=keep, identity_loss=identity_loss,
    )  # fmt: skip
    with open_jobs(studio, as_json) as engine:
        result = engine.run(asked, Persona)
    assert result.lora is not None, "it was trained"
    lora = studio.store.open_local(result.lora)
    text = tell("cli.persona", name=result.name, version=result.version, id=result.id, path=lora)
    say({"id": result.id, "version": result.version, "lora": str(lora)}, as_json, text)


@way.command()
def swap(
    photos: Annotated[list[Path], typer.Argument(help="Pictures whose face becomes the persona's.")],
    out: Annotated[Path, typer.Option(help="The folder for the new pictures.")] = Path("swapped"),
    persona: Annotated[str, typer.Option(help="Whose face; the newest persona if empty.")] = "",
    strength: Annotated[float, option(SwapRequest, "strength", "More persona, or (less) more of the photo.")] = 0.8,
    hair: Annotated[bool, typer.Option(help="Change the hair, too.")] = True,
    any_look: Annotated[bool, typer.Option("--any-look", help=ANY_LOOK)] = False,
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Put the persona's face into existing pictures; everything outside the face region stays as it was.

    A picture without a face, or that cannot be read, is left out and named, and the exit status is 1; the others are
    done. No file is replaced by a different one.
    """
    from studio.library.scenes import add_picture

    studio, out = Studio(settings_of(data, owner)), check_folder(out)
    asker, who = studio.settings.owner, find_person(studio, persona)
    images, unread = read_photos(photos)
    with open_jobs(studio, as_json) as engine:
        say_left_out(unread, as_json)
        pictures = tuple(
            NamedPicture(name=photo.name[-300:], picture=add_picture(studio.library, image, asker))
            for _, photo, image in images
        )
        asked = SwapRequest.make(
            owner=asker, persona=who, pictures=pictures, seed=seed, strength=strength, hair=hair, any_look=any_look
        )
        result = engine.run(asked, Swap)
    rows, lines = [], []
    for row in result.pictures:
        number, photo, _ = images[row.seed - asked.seed]
        wanted = out / file_name(f"{number:03d}-{photo.stem}", ".png")
        file = keep_beside(wanted, studio.store.get(row.picture)).resolve()
        rows.append(row.model_dump(mode="json") | {"file": str(file)})
        lines.append(tell("cli.swapped", file=file, before=row.identity_before, after=row.identity))
        if row.faults:
            why = tell("swap.and").join(tell(f"swap.fault.{fault}") for fault in row.faults)
            lines.append(f"  ⚠ {tell('swap.weak', why=why)}")
    missing = left_out_rows([*unread, *(picture.error for picture in result.left_out)])
    lines += [f"✗ {row['error']}" for row in missing]
    say({"id": result.id, "pictures": rows, "left_out": missing}, as_json, "\n".join(lines))
    if missing:
        raise typer.Exit(1)
