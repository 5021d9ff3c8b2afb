"""`persona-studio dataset …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from personas.datasets.limits import Limits
from personas.looks import find_category
from pipelines.errors import BadInput
from pipelines.file_names import file_name
from studio.application import Studio
from studio.cli.options import (
    LOOKS,
    Data,
    Json,
    Owner,
    Seed,
    check_file,
    left_out_rows,
    open_jobs,
    option,
    say,
    say_left_out,
    settings_of,
    tell,
    warn_of_licence,
)
from studio.cli.progress import Bars
from studio.domain.consent import check_not_over, read_consent
from studio.domain.dataset import DataSet, DatasetRequest
from studio.domain.values import LeftOutPicture

__all__ = ["datasets"]

datasets = typer.Typer(
    no_args_is_help=True,
    help="Data sets: somebody's pictures looked through and described, for training a source face.",
)
Which = Annotated[
    str, typer.Argument(help="The data set's name, or the beginning of its id; the newest if empty.")
]  # fmt: skip
_NUMBERS = typer.Option(help="Keep this picture whatever is measured, by its number; may be repeated.")


@datasets.command()
def curate(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures; NAME.txt beside a picture is its caption.")],
    category: Annotated[str, typer.Option(help=f"The look: {LOOKS}.")],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires, outside")],
    name: Annotated[str, typer.Option(help="What the data set will be called; the folder's name if empty.")] = "",
    captions: Annotated[
        str,
        option(DatasetRequest, "writer", "Who describes the pictures"),
    ] = "measured",
    most_tokens: Annotated[
        int, typer.Option(min=0, help="How many of the model's tokens it may take; 0 is what is left of the day's.")
    ] = 0,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Look through a folder of pictures of one person: which are good, why others are not, and what each shows."""
    import datetime

    find_category(category)
    form = read_consent(check_file(consent))
    check_not_over(form, datetime.date.today())
    check_file(folder)
    from studio.datasets.pairs import bring_folder
    from studio.workflows.datasets import check_may_ask

    studio = Studio(settings_of(data, owner))
    if captions == "endpoint":
        check_may_ask(studio, form.outside)
    asker = studio.settings.owner
    pictures, left_out = bring_folder(studio.library, folder, asker)
    say_left_out(left_out, as_json)
    request = DatasetRequest.make(
        owner=asker, name=file_name(name or folder.resolve().name)[:60].strip(" ."), category=category, who=form.who,
        scope=form.scope, expires="" if form.expires is None else form.expires.isoformat(), outside=form.outside,
        document=form.document,
        adult=form.adult,
        pictures=pictures, writer=captions, most_tokens=most_tokens,
        left_out=tuple(LeftOutPicture(name=row["name"], raised=error.as_json())
                       for row, error in zip(left_out_rows(left_out), left_out, strict=True)),
    )  # fmt: skip
    with open_jobs(studio, as_json) as jobs:
        made = jobs.run(request, DataSet)
    _say(studio, made, as_json, each=False)


@datasets.command("list")
def list_datasets(data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """List all data sets."""
    studio = Studio(settings_of(data, owner))
    rows = [
        {"id": one.id, "name": one.request.name, "pictures": len(one.request.pictures), "who": one.request.who}
        for one in _all(studio)
    ]
    text = "\n".join(f"{row['id']}  {row['name']}  {row['pictures']}  {row['who']}" for row in rows)
    say({"datasets": rows}, as_json, text or tell("cli.no_datasets"))


@datasets.command()
def show(
    dataset: Which = "",
    limit: Annotated[
        list[str] | None,
        typer.Option(help="A limit, such as crisp=0.25; may be repeated. Judged by it now and later."),
    ] = None,
    keep: Annotated[list[int] | None, _NUMBERS] = None,
    drop: Annotated[
        list[int] | None, typer.Option(help="Leave this picture out, by its number; may be repeated.")
    ] = None,
    caption: Annotated[
        list[str] | None,
        typer.Option(help="A caption by hand, such as 3=photo of ohwx woman; may be repeated."),
    ] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Every picture with its verdict and caption; what is missing; what is wrong with captions."""
    from studio.datasets import keeping

    studio = Studio(settings_of(data, owner))
    found, asker = _find(studio, dataset), studio.settings.owner
    if limit:
        now = dict(keeping.edits_of(studio.library, asker, found).limits)
        keeping.set_limits(studio.library, asker, found, now | dict(map(_limit, limit)))
    for rows, kept in ((keep, True), (drop, False)):
        if rows:
            keeping.decide(studio.library, asker, found, [number - 1 for number in rows], kept)
    if caption:
        keeping.write_captions(studio.library, asker, found, dict(map(_caption, caption)))
    _say(studio, found, as_json, each=True)


@datasets.command()
def export(
    out: Annotated[Path, typer.Argument(help="An empty folder, or one that is made.")],
    dataset: Which = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Write the good pictures and their captions into a folder: NAME.png with NAME.txt."""
    from studio.datasets.opened import open_dataset
    from studio.datasets.pairs import write_pairs

    studio = Studio(settings_of(data, owner))
    opened = open_dataset(studio.library, studio.settings.owner, _find(studio, dataset))
    count = write_pairs(studio.library, opened, out)
    say({"folder": str(out), "pictures": count}, as_json, tell("cli.dataset_exported", count=count, folder=out))


@datasets.command()
def train(
    dataset: Which = "",
    identity: Annotated[
        Literal["stop", "strip", "keep"],
        typer.Option(help="Where captions say who the person is: stop, leave these words out, or keep them."),
    ] = "stop",
    name: Annotated[str, typer.Option(help="What the donor will be called; the data set's name if empty.")] = "",
    licence: Annotated[str, typer.Option(help="The licence it was given under, such as CC-BY-4.0.")] = "unknown",
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0 is the backbone's default.")] = 0,
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Train a donor from the good pictures of a data set and their captions."""
    from studio.datasets.opened import open_dataset
    from studio.workflows.donors import train_dataset_donor

    studio = Studio(settings_of(data, owner))
    opened = open_dataset(studio.library, studio.settings.owner, _find(studio, dataset))
    warn_of_licence(studio, "running", "fine_tuning")
    with Bars(as_json) as bars:
        donor = train_dataset_donor(studio, opened, identity, name, licence, steps, seed, bars)
    say({"id": donor.id, "name": donor.name}, as_json, tell("cli.donor_added", name=donor.name, id=donor.id))


def _say(studio: Studio, dataset: DataSet, as_json: bool, *, each: bool) -> None:
    """Say which pictures are good and why others are not; with captions where `each` is to be told of."""
    from studio.datasets.opened import open_dataset
    from studio.datasets.saying import say_finding, say_hole, say_reason
    from studio.texts.terminal import terminal_texts

    opened, t = open_dataset(studio.library, studio.settings.owner, dataset), terminal_texts()
    judged = opened.judged
    rows: list[dict[str, Any]] = []
    lines = [
        tell("cli.dataset", name=dataset.request.name, id=dataset.id, kept=len(judged.kept), count=len(opened.facts))
    ]
    for i, (given, verdict) in enumerate(zip(dataset.request.pictures, judged.verdicts, strict=True)):
        reasons = [say_reason(t, reason, dataset) for reason in verdict.reasons]
        rows.append(
            {
                "number": i + 1, "name": given.name, "kept": verdict.kept, "by_hand": verdict.by_hand,
                "reasons": [reason.name for reason in verdict.reasons], "why": reasons,
                "caption": opened.captions[i], "differs": list(opened.fused[i].differs),
                "failed": t.error(opened.failed[i]) if i in opened.failed else "",
            }
        )  # fmt: skip
        if each or not verdict.kept:
            sign, hand = "✓" if verdict.kept else "✗", f" ({t('dataset.by_hand')})" if verdict.by_hand else ""
            lines.append(f"{sign} {i + 1:4} {given.name}{hand}  {'; '.join(reasons)}".rstrip())
        if each and verdict.kept:
            lines.append(f"       {opened.captions[i]}")
    holes = [say_hole(t, hole) for hole in judged.coverage.holes]
    lines += [tell("cli.dataset_hole", hole=hole) for hole in holes]
    findings = [(say_finding(t, one), one) for one in opened.findings]
    lines += [tell("cli.dataset_finding", finding=said, count=len(one.rows)) for said, one in findings]
    if dataset.unasked:
        lines.append(tell("cli.dataset_unasked", count=dataset.unasked, estimate=dataset.estimate))
    if dataset.told is None:
        lines.append(tell("cli.dataset_checked"))
    told = {
        "id": dataset.id, "name": dataset.request.name, "kept": len(judged.kept), "pictures": rows,
        "piles": [[i + 1 for i in pile] for pile in judged.piles], "holes": holes,
        "counts": {name: dict(words) for name, words in judged.coverage.counts.items()},
        "captions": [
            {"code": one.code, "phrase": one.phrase, "stops": one.stops, "pictures": [row + 1 for row in one.rows]}
            for _, one in findings
        ],
        "limits": opened.limits.model_dump(), "unasked": dataset.unasked, "estimate": dataset.estimate,
        "left_out": left_out_rows([row.error for row in dataset.request.left_out]),
    }  # fmt: skip
    say(told, as_json, "\n".join(lines))


def _all(studio: Studio) -> list[DataSet]:
    from studio.library.records import JobRecord
    from studio.library.results import read_result

    rows = studio.records.newest(JobRecord, studio.settings.owner, 10_000, kind=DataSet.kind, state="done")
    return [read_result(studio.store, DataSet, row) for row in rows]


def _find(studio: Studio, key: str) -> DataSet:
    """Return the newest data set of this name or id. Raises BadInput."""
    if named := next((one for one in _all(studio) if key and one.request.name == key), None):
        return named
    return studio.result_of(DataSet, key)


def _limit(said: str) -> tuple[str, float]:
    name, sign, value = said.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        known = sorted(Limits.model_fields)
        raise BadInput("dataset_limit_unknown", name=(name if sign else said)[:40], known=known) from None


def _caption(said: str) -> tuple[int, str]:
    number, _, text = said.partition("=")
    if not number.strip().isdecimal():
        raise BadInput("dataset_caption_unreadable", said=said[:60])
    return int(number) - 1, text
