"""The command line: every step of the way on its own, resumable, for people and (--json) for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.errors import StudioError
from studio.application import Studio
from studio.cli.progress import Bars
from studio.settings import ASSETS, Settings

__all__ = ["main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
donors = typer.Typer(no_args_is_help=True, help="List, add or train donors.")
app.add_typer(donors, name="donors")
lora = typer.Typer(no_args_is_help=True, help="Look into LoRA files.")
app.add_typer(lora, name="lora")

Data = Annotated[Path | None, typer.Option(help="Where the studio keeps its files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and no progress.")]
Owner = Annotated[str | None, typer.Option(help="Whose work this is.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1)]


def main() -> None:
    """The entry point: errors that somebody can act on are sentences, not tracebacks."""
    try:
        app()
    except StudioError as error:
        print(f"{error.message}\n  → {error.advice}" if error.advice else error.message, file=sys.stderr)
        raise SystemExit(1) from error


def _settings(data: Path | None, owner: str | None, **more: Any) -> Settings:
    given = {"data": data, "owner": owner, **more}
    return Settings(**{key: value for key, value in given.items() if value is not None})


@contextmanager
def _engine(data: Path | None, owner: str | None, quiet: bool, **more: Any) -> Iterator[Any]:
    from studio.engine import Engine

    with Bars(quiet) as bars, Engine(Studio(_settings(data, owner, **more)), bars) as engine:
        yield engine


def _say(value: dict[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(value, ensure_ascii=False) if as_json else text)


@app.command()
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
    from studio.workflows.demo import MainJobRequest, run_main_job

    scenes = ASSETS / "scenes"
    with _engine(data or out / "data", owner, as_json, backbone=backbone) as engine:
        job = run_main_job(
            engine,
            MainJobRequest(category, seed, scenes / "cafe.png", scenes / "cafe_landmark.png", out / "bundle.zip"),
        )
    _say({"bundle": str(job.bundle), "seconds": job.seconds}, as_json, f"The bundle is {job.bundle}")


@donors.command("list")
def list_donors(category: str | None = None, data: Data = None, as_json: Json = False) -> None:
    """Every donor, with licence and consent."""
    rows = [
        {
            "id": d.id,
            "name": d.name,
            "category": d.category,
            "trigger": d.trigger,
            "licence": d.licence,
            "consent": d.consent.who,
        }
        for d in Studio(_settings(data, None)).donors(category)
    ]
    text = "\n".join(f"{r['category']:8}{r['name']:12}{r['id']}  {r['licence']}  {r['consent']}" for r in rows)
    _say({"donors": rows}, as_json, text)


@donors.command("add")
def add_donor(
    lora: Path,
    category: Annotated[str, typer.Option()],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires")],
    name: str = "",
    trigger: str = "",
    licence: str = "unknown",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make any FLUX LoRA file a donor. It is checked against the backbone before it is kept."""
    from studio.workflows.donors import add_lora_donor

    donor = add_lora_donor(Studio(_settings(data, None)), lora, category, consent, name, trigger, licence)
    _say({"id": donor.id, "name": donor.name}, as_json, f"{donor.name} is a donor now ({donor.id}).")


@lora.command("inspect")
def inspect(file: Path, as_json: Json = False) -> None:
    """Format, rank, alpha, base model, trigger words, licence, layers and hashes; or why it cannot be used."""
    from pipelines.lora.inspect import inspect_lora

    report = asdict(inspect_lora(file))
    text = "\n".join(f"{key.replace('_', ' '):14}{_plain(value)}" for key, value in report.items())
    _say(report, as_json, text)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {kind}" for kind, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value) or "(not said)"


@donors.command("train")
def train_donor(
    folder: Path,
    category: Annotated[str, typer.Option()],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires")],
    name: str = "",
    licence: str = "unknown",
    steps: int = 0,
    seed: Seed = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Train a donor from a folder of pictures; NAME.txt beside a picture is its caption."""
    from studio.workflows.donors import train_folder_donor

    with Bars(as_json) as bars:
        donor = train_folder_donor(
            Studio(_settings(data, None)), folder, category, consent, name, licence, steps, seed, bars
        )
    _say({"id": donor.id, "name": donor.name}, as_json, f"{donor.name} is a donor now ({donor.id}).")


@app.command()
def design(
    category: str,
    seed: Seed = 1,
    mix: Annotated[int, typer.Option(min=3, help="Donors in the mix.")] = 4,
    candidates: Annotated[int, typer.Option(min=2)] = 48,
    templates: Annotated[Path | None, typer.Option(help="A folder of pictures that the face is put into, too.")] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """A new face: fuse donors of a look category, draw candidates, keep those that agree."""
    from studio.scenes import load_scene
    from studio.workflows.design import DesignRequest

    with _engine(data, owner, as_json) as engine:
        files = [] if templates is None else sorted(p for p in templates.iterdir() if p.is_file())
        pictures = [(f.name, engine.studio.store.put_picture(load_scene(f).image)) for f in files]
        request = DesignRequest(
            category, seed, engine.studio.settings.owner, donors=mix, candidates=candidates, templates=pictures
        )
        result = engine.run("design", asdict(request))
        sheet = engine.studio.store.path(result["contact_sheet"])
        report = engine.studio.store.path(result["report"])
    text = (
        f"Design {result['id']}: {len(result['kept'])} of {len(result['pictures'])} kept, "
        f"nearest donor {result['novelty_max']:.2f} (ceiling {result['novelty_ceiling']:.2f}).\nContact sheet: {sheet}\nReport: {report}"
    )
    _say(
        {"id": result["id"], "kept": result["kept"], "contact_sheet": str(sheet), "report": str(report)}, as_json, text
    )


@app.command()
def consolidate(
    name: str,
    design_id: str = "",
    seed: Seed = 1,
    steps: int = 0,
    rounds: Annotated[int, typer.Option(min=1, max=5, help="How often its own best pictures train it anew.")] = 2,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Train the persona LoRA of a design (the newest if none is named)."""
    from studio.workflows.consolidate import ConsolidateRequest

    with _engine(data, owner, as_json) as engine:
        request = ConsolidateRequest(
            engine.recall("design", design_id), name, seed, engine.studio.settings.owner, steps, rounds
        )
        result = engine.run("consolidate", asdict(request))
        lora = engine.studio.store.path(result["lora"])
    text = f"{name} version {result['version']} ({result['id']}).\nLoRA: {lora}"
    _say({"id": result["id"], "version": result["version"], "lora": str(lora)}, as_json, text)


@app.command()
def scene(
    photo: Path, mask: Path | None = None, name: str = "", data: Data = None, owner: Owner = None, as_json: Json = False
) -> None:
    """Check and keep a scene: a photo of a place, and a mask whose white part is its landmark."""
    from studio.workflows.references import add_scene

    studio = Studio(_settings(data, owner))
    value = add_scene(studio, photo, mask, name or photo.stem, studio.settings.owner)
    _say(value, as_json, f"Scene {value['name']} ({value['id']}).")


@app.command()
def posts(
    photo: Annotated[Path, typer.Argument(help="The scene's photo.")],
    mask: Path | None = None,
    persona: str = "",
    count: Annotated[int, typer.Option(min=1, max=35)] = 9,
    redux_scale: Annotated[float, typer.Option(min=0, max=1)] = 1.0,
    detail: Annotated[float, typer.Option(min=0, max=2, help="More fine detail (0.1 to 1 is usual).")] = 0.0,
    renoise: Annotated[float, typer.Option(min=0, max=1, help="Fresh noise halfway: less smooth.")] = 0.0,
    goods: Annotated[Path | None, typer.Option(help="A product's photo: every post shows its exact pixels.")] = None,
    goods_name: Annotated[str, typer.Option(help="What prompts call it.")] = "a product",
    panels: Annotated[int, typer.Option(help="So many shots in one drawing (2, 3, 4, 6 or 9); 1: each alone.")] = 1,
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Draw a set of posts of a persona (the newest if none is named) in one place."""
    from studio.workflows.post import PostRequest, plan_shots
    from studio.workflows.references import add_goods, add_scene

    with _engine(data, owner, as_json) as engine:
        who = engine.studio.settings.owner
        place = add_scene(engine.studio, photo, mask, photo.stem, who)
        shots = [asdict(s) for s in plan_shots(count, seed)]
        who_is_it = engine.recall("consolidate", persona)
        product = None if goods is None else add_goods(engine.studio, goods, goods_name)
        more: dict[str, Any] = {"detail": detail, "renoise": renoise, "panels": panels, "goods": product}
        request = PostRequest(who_is_it, place, shots, seed, who, redux_scale, **more)
        result = engine.run("posts", asdict(request))
    rows = [p["scores"] for p in result["posts"]]
    text = "\n".join(
        f"{i + 1:2} " + "  ".join(f"{k} {v:.2f}" for k, v in r.items() if v is not None) for i, r in enumerate(rows)
    )
    _say({"id": result["id"], "scores": rows}, as_json, f"Post set {result['id']}\n{text}")


@app.command()
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
    from studio.scenes import load_scene
    from studio.workflows.swap import SwapRequest

    with _engine(data, owner, as_json) as engine:
        store = engine.studio.store
        pictures = [(photo.name, store.put_picture(load_scene(photo).image)) for photo in photos]
        who = engine.recall("consolidate", persona)
        request = SwapRequest(who, pictures, seed, engine.studio.settings.owner, strength, hair)
        result = engine.run("swap", asdict(request))
        out.mkdir(parents=True, exist_ok=True)
        rows = []
        for number, row in enumerate(result["pictures"], 1):
            file = (out / f"{number:03d}-{Path(row['name']).stem}.png").resolve()
            file.write_bytes(store.get(row["picture"]))
            rows.append(row | {"file": str(file)})
    text = "\n".join(f"{r['file']}: identity {r['identity_before']:.2f} → {r['identity']:.2f}" for r in rows)
    _say({"id": result["id"], "pictures": rows}, as_json, text)


@app.command()
def bundle(
    out: Annotated[Path, typer.Argument(help="The zip to write.")],
    post_set: str = "",
    platform: str = "xiaohongshu",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Export a post set (the newest if none is named) for a platform."""
    from studio.workflows.post import export_bundle

    with _engine(data, owner, as_json) as engine:
        manifest = export_bundle(engine.studio, engine.recall("posts", post_set), platform, out)
    _say({"bundle": str(out.resolve()), "pictures": len(manifest.posts)}, as_json, f"The bundle is {out.resolve()}")


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A bundle.")],
    redraw: Annotated[bool, typer.Option(help="Draw every post again and compare pixels.")] = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Check every hash of a bundle; with --redraw, draw its posts again from the manifest."""
    from studio.bundle import verify_bundle

    wrong = verify_bundle(path)
    if redraw:
        from studio.workflows import run_directly
        from studio.workflows.post import redraw_bundle

        with Bars(as_json) as bars:
            wrong += redraw_bundle(Studio(_settings(data, owner)), path, run_directly, bars)
    _say({"wrong": list(wrong)}, as_json, "\n".join(wrong) or "Everything is as the manifest says.")
    if wrong:
        raise typer.Exit(1)


@app.command()
def calibrate(
    photos: Annotated[Path, typer.Argument(help="A folder with one subfolder of photos per person.")],
    pack: Annotated[Path, typer.Option(help="The insightface pack's folder.")],
    as_json: Json = False,
) -> None:
    """Measure what a face pack's cosines mean on labelled photos, and set its gates."""
    from studio.workflows.calibrate import calibrate_folder

    with Bars(as_json) as bars:
        found = calibrate_folder(pack, photos, bars)
    gates = found["gates"]
    lines = [
        "false accepts   threshold   true accepts",
        *(f"{rate:13.3f}   {cut:9.2f}   {true:12.3f}" for rate, cut, true in found["roc"]),
        f"gates: face {gates['min_face_similarity']:.2f}, novelty {gates['novelty_ceiling']:.2f}",
        "R(τ): " + "  ".join(f"{t:.1f}: {r:.2f}" for t, r in found["match_rate"]),
        *(f"no face: {name}" for name in found["without_face"]),
    ]
    _say(found, as_json, "\n".join(lines))


@app.command()
def backbones(as_json: Json = False) -> None:
    """The models that the studio knows: what a merchant may do with them, and how much memory they take."""
    from pipelines.registry import LICENCES, MODELS

    rows = [asdict(m) | {"licence_words": LICENCES[m.licence].words, "bf16_bytes": 2 * m.parameters}
            for m in MODELS.values()]  # fmt: skip
    text = "\n".join(
        f"{r['id']} ({r['role']}, {r['bf16_bytes'] / 1e9:.2g} GB in bf16, or {2 * r['largest_part'] / 1e9:.2g} GB one "
        f"part at a time)\n   {r['licence']}: {r['licence_words']}"
        for r in rows
    )
    _say({"backbones": rows}, as_json, text)


@app.command()
def doctor(data: Data = None, as_json: Json = False) -> None:
    """Check the installation: models, versions, hardware, known flaws."""
    from studio.workflows.doctor import examine

    findings = examine(Studio(_settings(data, None)))
    text = "\n".join(f"{'ok ' if f['ok'] else 'BAD'}  {f['what']}: {f['found']}" for f in findings)
    _say({"findings": findings}, as_json, text)
    if not all(f["ok"] for f in findings):
        raise typer.Exit(1)
