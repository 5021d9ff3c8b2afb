"""What `persona-studio dataset …` and `donors train` share: a folder looked through, a source face learnt from it."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personas.looks import find_category
from studio.application import Studio
from studio.cli.options import check_file, left_out_rows, say, say_left_out, tell
from studio.domain.consent import ConsentForm, check_not_over, read_consent
from studio.domain.dataset import DataSet, DatasetRequest, FaceRequest, FaceTrained

if TYPE_CHECKING:
    from studio.datasets.opened import OpenedDataset
    from studio.datasets.planned import PlannedDataset
    from studio.jobs.engine import Engine
    from studio.jobs.open_studio import OpenStudio

__all__ = [
    "OF_IDENTITY", "IdentityLoss", "SeveralSizes", "check_folder_words", "plan_lines", "request_to_curate",
    "say_dataset", "train_on",
]  # fmt: skip

OF_IDENTITY = "Where captions say who the person is: stop, leave these words out, or keep them."
SeveralSizes = Annotated[
    bool | None,
    typer.Option(
        "--several-sizes/--one-size",
        help="Learn each picture at every size that it is large enough for, or at one; "
        "usual for the backbone if left out.",
    ),
]
IdentityLoss = Annotated[
    float | None,
    typer.Option(
        min=0, help="How much the face recogniser's judgement weighs; 0 is off, usual for the backbone if left out."
    ),
]


def check_folder_words(folder: Path, category: str, consent: Path) -> ConsentForm:
    """Return the consent. Raises BadInput for what is wrong with these words, before anything slow is imported."""
    find_category(category)
    form = read_consent(check_file(consent))
    check_not_over(form, datetime.date.today())
    check_file(folder)
    return form


def request_to_curate(
    studio: Studio, folder: Path, category: str, form: ConsentForm, as_json: bool, name: str = "", **more: Any
) -> DatasetRequest:
    """Store a folder's pictures, say what is left out of it, and return the request to look through the rest."""
    from studio.datasets.pairs import request_of_folder
    from studio.workflows.datasets import check_may_ask

    if more.get("writer") == "endpoint":
        check_may_ask(studio, form.outside)
    request = request_of_folder(studio.library, folder, category, form, studio.settings.owner, name, **more)
    say_left_out((row.error for row in request.left_out), as_json)
    return request


def train_on(studio: Studio, jobs: Engine | OpenStudio, request: FaceRequest, as_json: bool) -> None:
    """Train the source face and say what it is; to machines also which pictures took no part, and why."""
    from studio.datasets.opened import open_dataset
    from studio.datasets.planned import plan_dataset
    from studio.datasets.telling import tell_dataset
    from studio.texts.terminal import terminal_texts

    opened = open_dataset(studio.library, request.owner, request.dataset, request.edits)
    if not as_json:
        planned = plan_dataset(opened, studio.backbone_spec, request.several_sizes)
        print("\n".join(_lines(opened, each=False) + plan_lines(planned)), file=sys.stderr, flush=True)
    made = jobs.run(request, FaceTrained)
    rows = tell_dataset(terminal_texts(), opened)["pictures"]
    told = {
        "id": made.donor, "name": made.name, "pictures": made.pictures, "dataset": request.dataset.id,
        "identity_loss": made.identity_loss,
        "left_out": left_out_rows(row.error for row in request.dataset.request.left_out)
        + [
            {"name": row["name"], "code": (*row["reasons"], "by_hand")[0], "error": "; ".join(row["why"])}
            for row in rows
            if not row["kept"]
        ],
    }  # fmt: skip
    say(told, as_json, tell("cli.donor_added", name=made.name, id=made.donor))


def say_dataset(studio: Studio, dataset: DataSet, as_json: bool, *, each: bool) -> None:
    """Say which pictures are good and why others are not; with captions where `each` is to be told of."""
    from studio.datasets.opened import open_dataset
    from studio.datasets.telling import tell_dataset
    from studio.texts.terminal import terminal_texts

    opened = open_dataset(studio.library, studio.settings.owner, dataset)
    say(tell_dataset(terminal_texts(), opened), as_json, "\n".join(_lines(opened, each=each)))


def plan_lines(planned: PlannedDataset) -> list[str]:
    """Return at which sizes a training would show the good pictures, and what is cut off or enlarged."""
    from studio.datasets.telling import tell_plan

    told = tell_plan(planned)
    lines = [
        tell("cli.plan_size", size=row["size"], count=row["pictures"], batch=row["batch"], share=f"{row['share']:.0%}")
        for row in told["sizes"]
    ]
    return lines + [
        tell(f"cli.plan_{name}", pictures=", ".join(map(str, told[name])))
        for name in ("cut", "not_whole", "enlarged")
        if told[name]
    ]


def _lines(opened: OpenedDataset, *, each: bool) -> list[str]:
    from studio.datasets.telling import tell_dataset
    from studio.texts.terminal import terminal_texts

    t, dataset = terminal_texts(), opened.dataset
    told = tell_dataset(t, opened)
    rows = told["pictures"]
    lines = [tell("cli.dataset", name=told["name"], id=told["id"], kept=told["kept"], count=len(rows))]
    for row in rows:
        if each or not row["kept"]:
            sign, hand = "✓" if row["kept"] else "✗", f" ({t('dataset.by_hand')})" if row["by_hand"] else ""
            lines.append(f"{sign} {row['number']:4} {row['name']}{hand}  {'; '.join(row['why'])}".rstrip())
        if each and row["kept"]:
            lines.append(f"       {row['caption']}")
    if told["second"]:
        lines.append(tell("dataset.second", count=len(told["second"])))
    lines += [tell("cli.dataset_hole", hole=hole) for hole in told["holes"]]
    lines += [tell("cli.dataset_finding", finding=one["said"], count=len(one["pictures"])) for one in told["captions"]]
    lines += [t("left_out", why=one["error"]) for one in told["left_out"]]
    if dataset.unasked:
        lines.append(tell("cli.dataset_unasked", count=dataset.unasked, estimate=dataset.estimate))
    if unchecked := sum(not row["checked"] for row in rows):
        lines.append(tell("cli.dataset_checked", count=unchecked))
    return lines
