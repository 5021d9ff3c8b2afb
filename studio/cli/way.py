"""The way from a look category to a bundle, each step on its own and resumable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from personas.gates import CHOOSABLE
from personas.looks import find_category
from personas.measures.catalogue import POST_MEASURES
from pipelines.errors import BadInput
from pipelines.references.catalogue import kinds_that
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, Seed, open_engine, say, settings_of
from studio.cli.progress import Bars
from studio.domain.scores import say_scores
from studio.domain.thresholds import check_thresholds
from studio.export.platforms import find_platform, load_platforms
from studio.settings import ASSETS
from studio.texts.texts import Texts

__all__ = ["way"]

way = typer.Typer()


@way.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")] = Path("out"),
    category: str = "sweet",
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
    backbone: str | None = None,
) -> None:
    """The main job: a new person, nine posts in one place, one bundle."""
    from studio.jobs.main_job import MainJobRequest, run_main_job

    scenes = ASSETS / "scenes"
    find_category(category)
    with open_engine(Studio(settings_of(data or out / "data", owner, backbone=backbone)), as_json) as engine:
        job = run_main_job(
            engine,
            MainJobRequest(category, seed, scenes / "cafe.png", scenes / "cafe_landmark.png", out / "bundle.zip"),
        )
    say({"bundle": str(job.bundle), "seconds": job.seconds}, as_json, f"The bundle is {job.bundle}")


@way.command()
def design(
    category: str,
    seed: Seed = 1,
    mix: Annotated[int, typer.Option(min=3, help="Donors in the mix.")] = 4,
    candidates: Annotated[int, typer.Option(min=2)] = 48,
    templates: Annotated[Path | None, typer.Option(help="A folder of pictures that the face is put into, too.")] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help=f"A gate's threshold, such as min_sharpness=0.3; may be repeated: {', '.join(CHOOSABLE)}."),
    ] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """A new face: fuse donors of a look category, draw candidates, keep those that agree."""
    from pipelines.pictures import load_scene
    from studio.domain.design import Design, DesignRequest
    from studio.domain.values import NamedPicture
    from studio.library.scenes import add_picture

    find_category(category)
    gates = _read_gates(gate or ())
    if templates is not None and not templates.is_dir():
        raise BadInput(f"{templates} is no folder.", "Name the folder that holds the pictures.")
    files = [] if templates is None else sorted(p for p in templates.iterdir() if p.is_file())
    images = [(file.name, load_scene(file).image) for file in files]
    studio = Studio(settings_of(data, owner))
    with open_engine(studio, as_json) as engine:
        owner = studio.settings.owner
        pictures = tuple(
            NamedPicture(name=name, picture=add_picture(studio.library, image, owner)) for name, image in images
        )
        request = DesignRequest.make(
            category=category,
            seed=seed,
            owner=owner,
            donors=mix,
            candidates=candidates,
            gates=gates,
            templates=pictures,
        )
        result = engine.run(request, Design)
    sheet, report = studio.store.path(result.contact_sheet), studio.store.path(result.report)
    kept, drawn, nearest = len(result.kept), len(result.pictures), result.novelty_max
    text = (
        f"Design {result.id}: {kept} of {drawn} kept, nearest donor {nearest:.2f} "
        f"(ceiling {result.novelty_ceiling:.2f}).\nContact sheet: {sheet}\nReport: {report}"
    )
    say({"id": result.id, "kept": result.kept, "contact_sheet": str(sheet), "report": str(report)}, as_json, text)


@way.command()
def consolidate(
    name: Annotated[str, typer.Argument(help="What the persona will be called.")],
    design_id: Annotated[str, typer.Option(help="Whose face; the newest design if empty.")] = "",
    seed: Seed = 1,
    steps: int = 0,
    rounds: Annotated[int, typer.Option(min=1, max=5, help="How often its own best pictures train it.")] = 1,
    identity_loss: Annotated[
        float | None, typer.Option(min=0, max=10, help="How much the face recogniser's judgement weighs; 0 is off.")
    ] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Train the persona LoRA of a design (the newest if none is named)."""
    from studio.domain.design import Design
    from studio.domain.persona import ConsolidateRequest, Persona

    studio = Studio(settings_of(data, owner))
    request = ConsolidateRequest.make(
        design=studio.result_of(Design, design_id), name=name, seed=seed, owner=studio.settings.owner, steps=steps,
        rounds=rounds, identity_loss=identity_loss,
    )  # fmt: skip
    with open_engine(studio, as_json) as engine:
        result = engine.run(request, Persona)
    lora = studio.store.path(result.lora)
    text = f"{name} version {result.version} ({result.id}).\nLoRA: {lora}"
    say({"id": result.id, "version": result.version, "lora": str(lora)}, as_json, text)


@way.command()
def scene(
    photo: Path, mask: Path | None = None, name: str = "", data: Data = None, owner: Owner = None, as_json: Json = False
) -> None:
    """Check and keep a scene: a photo of a place, and a mask whose white part is its landmark."""
    from studio.library.scenes import add_scene

    studio = Studio(settings_of(data, owner))
    value = add_scene(studio.library, photo, mask, name or photo.stem, studio.settings.owner)
    say(value.model_dump(mode="json"), as_json, f"Scene {value.name} ({value.id}).")


@way.command(epilog=f"Every post is scored: {', '.join(Texts('en')(f'score.{row.name}') for row in POST_MEASURES)}.")
def posts(
    photo: Annotated[Path, typer.Argument(help="The scene's photo.")],
    mask: Path | None = None,
    persona: str = "",
    count: Annotated[int, typer.Option(min=1, max=35)] = 9,
    inject: Annotated[
        str, typer.Option(help=f"How the place is shown to the model: {', '.join(kinds_that('show'))}.")
    ] = "redux",
    scale: Annotated[float, typer.Option(min=0, max=2, help="How strongly, 0 to 1 (ip-adapter: 2).")] = 1.0,
    blocks: Annotated[str, typer.Option(help="The IP-Adapter's blocks, such as 0-4,9=0.5; all if empty.")] = "",
    also: Annotated[list[Path] | None, typer.Option(help="A photo of one more place to show; may be repeated.")] = None,
    weights: Annotated[Path | None, typer.Option(help="A picture over the photo: white counts, black not.")] = None,
    pool: Annotated[int, typer.Option(min=1, help="So many Redux tokens a side are averaged into one.")] = 1,
    merge: Annotated[float, typer.Option(help="Redux tokens at least this alike (cosine) become one; 1: none.")] = 1.0,
    detail: Annotated[float, typer.Option(min=0, max=2, help="More fine detail (0.1 to 1 is usual).")] = 0.0,
    renoise: Annotated[float, typer.Option(min=0, max=1, help="Fresh noise halfway: less smooth.")] = 0.0,
    goods: Annotated[Path | None, typer.Option(help="A product's photo: every post shows its exact pixels.")] = None,
    goods_name: Annotated[str, typer.Option(help="What prompts call it.")] = "a product",
    panels: Annotated[int, typer.Option(help="So many shots in one drawing (2, 3, 4, 6 or 9); 1: each alone.")] = 1,
    keep: Annotated[str, typer.Option(help="How the landmark is kept: inpaint or fill.")] = "inpaint",
    goods_as: Annotated[str, typer.Option(help="pixels: exact; reference: drawn anew from the photo.")] = "pixels",
    goods_box: Annotated[str, typer.Option(help="Where the goods stand: left,top,right,bottom in shares.")] = "",
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Draw a set of posts of a persona (the newest if none is named) in one place."""
    from pipelines.pictures import load_mask, load_scene
    from studio.domain.persona import Persona
    from studio.domain.posts import PostRequest, PostSet, plan_shots
    from studio.library.scenes import add_goods, add_scene

    box = _read_box(goods_box)
    studio = Studio(settings_of(data, owner))
    who = studio.settings.owner
    who_is_it = studio.result_of(Persona, persona)
    shown = load_scene(photo).image
    if mask is not None:
        load_mask(mask, (shown.shape[0], shown.shape[1]))
    with open_engine(studio, as_json) as engine:
        from studio.workflows.redux_dials import add_redux  # takes seconds: a refusal does not

        place = add_scene(studio.library, photo, mask, photo.stem, who)
        request = PostRequest.make(
            persona=who_is_it,
            scene=place,
            shots=plan_shots(count, seed),
            seed=seed,
            owner=who,
            scale=scale,
            detail=detail,
            renoise=renoise,
            panels=panels,
            goods=None if goods is None else add_goods(studio.library, goods, goods_name, who),
            inject=inject,
            dials=add_redux(studio, place, weights, also or (), pool, merge, who),
            blocks=blocks,
            keep=keep,
            goods_as=goods_as,
            goods_box=box,
        )
        result = engine.run(request, PostSet)
    rows = [dict(p.scores) for p in result.posts]
    said = [say_scores(Texts("en"), row, POST_MEASURES).values() for row in rows]
    text = "\n".join(f"{i + 1:2} {'  '.join(words)}" for i, words in enumerate(said))
    say({"id": result.id, "scores": rows}, as_json, f"Post set {result.id}\n{text}")


def _read_gates(given: Sequence[str]) -> dict[str, float]:
    """Read thresholds as name=number. Raises BadInput."""
    values = {}
    for said in given:
        name, _, number = said.partition("=")
        try:
            values[name] = float(number)
        except ValueError:
            raise BadInput("threshold_no_number", threshold=name) from None
    return check_thresholds(values)


def _read_box(text: str) -> tuple[float, ...] | None:
    try:
        box = tuple(float(part) for part in text.split(",")) if text else None
    except ValueError:
        box = ()
    if box is not None and len(box) != 4:
        raise BadInput(f"{text!r} is no box.", "Give left,top,right,bottom as shares, such as 0.6,0.5,0.9,1.")
    return box


@way.command()
def swap(
    photos: Annotated[list[Path], typer.Argument(help="Pictures whose face becomes the persona's.")],
    out: Annotated[Path, typer.Option(help="The folder for the new pictures.")] = Path("swapped"),
    persona: str = "",
    strength: Annotated[float, typer.Option(min=0.05, max=1, help="More persona, or (less) more of the photo.")] = 0.8,
    hair: Annotated[bool, typer.Option(help="Change the hair, too.")] = True,
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Put the persona's face into existing pictures; everything outside the face region stays as it was."""
    from pipelines.pictures import load_scene
    from studio.domain.persona import Persona, Swap, SwapRequest
    from studio.domain.values import NamedPicture
    from studio.library.scenes import add_picture

    studio = Studio(settings_of(data, owner))
    store, asker = studio.store, studio.settings.owner
    who = studio.result_of(Persona, persona)
    images = [(photo.name, load_scene(photo).image) for photo in photos]
    with open_engine(studio, as_json) as engine:
        pictures = tuple(
            NamedPicture(name=name, picture=add_picture(studio.library, image, asker)) for name, image in images
        )
        request = SwapRequest.make(persona=who, pictures=pictures, seed=seed, owner=asker, strength=strength, hair=hair)
        result = engine.run(request, Swap)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, row in enumerate(result.pictures, 1):
        file = (out / f"{number:03d}-{Path(row.name).stem}.png").resolve()
        file.write_bytes(store.get(row.picture))
        rows.append(row.model_dump(mode="json") | {"file": str(file)})
    text = "\n".join(f"{r['file']}: identity {r['identity_before']:.2f} → {r['identity']:.2f}" for r in rows)
    say({"id": result.id, "pictures": rows}, as_json, text)


@way.command()
def bundle(
    out: Annotated[Path, typer.Argument(help="The zip to write.")],
    post_set: str = "",
    platform: Annotated[
        str, typer.Option(help=f"One of {', '.join(row.id for row in load_platforms())}.")
    ] = "xiaohongshu",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Export a post set (the newest if none is named) for a platform."""
    from studio.domain.posts import PostSet

    find_platform(platform)
    studio = Studio(settings_of(data, owner))
    chosen = studio.result_of(PostSet, post_set)
    with open_engine(studio, as_json):  # nobody else draws or empties the trash meanwhile
        from studio.workflows.bundling import export_bundle  # takes seconds: a refusal does not

        manifest = export_bundle(studio, chosen, platform, out)
    say({"bundle": str(out.resolve()), "pictures": len(manifest.posts)}, as_json, f"The bundle is {out.resolve()}")


@way.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A bundle.")],
    redraw: Annotated[bool, typer.Option(help="Draw every post again and compare pixels.")] = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Check every hash of a bundle; with --redraw, draw its posts again from the manifest."""
    from studio.export.bundle import verify_bundle

    wrong = verify_bundle(path)
    if redraw:
        from studio.workflows import run_directly
        from studio.workflows.bundling import redraw_bundle

        with Bars(as_json) as bars:
            wrong += redraw_bundle(Studio(settings_of(data, owner)), path, run_directly, bars)
    say({"wrong": list(wrong)}, as_json, "\n".join(wrong) or "Everything is as the manifest says.")
    if wrong:
        raise typer.Exit(1)
