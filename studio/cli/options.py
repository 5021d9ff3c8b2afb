"""Parts of commands: options, the engine, requests from files, and how results are said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from personas.looks import LOOK_CATEGORIES
from pipelines.errors import BadInput, BadPicture, StudioError
from pipelines.families.catalogue import FAMILIES
from pipelines.models.licences import Use
from pipelines.pictures import load_scene
from pipelines.text_files import decode_text, parse_json
from studio.application import Studio
from studio.cli.progress import Bars
from studio.domain.capabilities import usual_way
from studio.domain.guidance import Guidance
from studio.domain.licences import LicenceWarning
from studio.domain.limits import limits_of
from studio.domain.persona import Persona
from studio.domain.style import Style
from studio.domain.values import Request, Result
from studio.domain.wording import say_doubts
from studio.jobs.bodies import parse_body
from studio.jobs.licences import backbone_warnings, warnings_before
from studio.jobs.notes import doubts_before
from studio.library.drawn_as import as_chosen
from studio.library.results import find_result
from studio.library.styles import find_style, styles_of
from studio.settings import Settings, read_settings
from studio.taste.saying import say_choice
from studio.texts.licences import say_warning
from studio.texts.terminal import terminal_texts

if TYPE_CHECKING:
    from studio.jobs.engine import Engine
    from studio.jobs.open_studio import OpenStudio

__all__ = [
    "ANY_LOOK", "AllowFlagged",
    "FAMILY_HELP", "FINISH", "RETAKES", "TOUCH_UP", "LOOKS", "Data", "Json", "Owner", "RequestFile", "Seed", "ToTaste",
    "Unlabelled",
    "check_file", "chosen_style", "find_person", "left_out_rows", "open_engine", "open_jobs", "option", "read_photos",
    "read_request_file", "say", "say_guidance", "say_left_out", "settings_of", "tell", "warn_of_licence",
]  # fmt: skip

Data = Annotated[Path | None, typer.Option(help="Where the studio keeps its files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and no progress.")]
Owner = Annotated[str | None, typer.Option(help="Whose work this is.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same number gives the same pictures.")]
Unlabelled = Annotated[
    bool,
    typer.Option(
        "--unlabelled",
        help="My word: leave away the label that is seen, I label what I publish myself. Kept with day and name.",
    ),
]
AllowFlagged = Annotated[
    bool,
    typer.Option(
        "--allow-flagged",
        help="My word: export what the content checker stops, too, I looked at it. Kept with day and name.",
    ),
]
FAMILY_HELP = f"What it was trained on, where the file does not tell: {', '.join(row.id for row in FAMILIES)}."
ANY_LOOK = "Draw from real photos, too, which a model of drawn people cannot do well."
FINISH = "Enlarge and sharpen posts for export and a close look; where drawings are small if you say neither."
RETAKES = "How often posts with a weak score are drawn again; the better one of each shot is kept."
TOUCH_UP = "Draw small faces of finished posts once more, larger; where drawings are small if you say neither."
LOOKS = ", ".join(f"{look.id} ({look.name_zh})" for look in LOOK_CATEGORIES)
ToTaste = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="How boldly what you left open follows your taste, from 0, safe, to 1, adventurous."
    ),
]
RequestFile = Annotated[
    Path | None,
    typer.Option("--request", help="The whole request as JSON; - is standard input."),
]


def option(request: type[Request], field: str, words: str) -> Any:
    """Return a command's option with the limits of the request's field; `words` go before its choices."""
    limits = limits_of(request, field)
    if limits.choices:
        words = f"{words}: {', '.join(map(str, limits.choices))}."
    return typer.Option(min=limits.least, max=limits.most, help=words)


def check_file(file: Path) -> Path:
    """Return the path. Raises BadInput where nothing is there, before anything that takes seconds is imported."""
    if not file.exists():
        raise BadInput("upload_no_file", file=str(file))
    return file


def settings_of(data: Path | None, owner: str | None, **more: Any) -> Settings:
    given = {"data": data, "owner": owner, **more}
    return read_settings(**{key: value for key, value in given.items() if value is not None})


def read_request_file(studio: Studio, kind: str, path: Path) -> Request:
    """Return the request of this kind that a JSON file asks for. Raises BadInput."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        value = parse_json(decode_text(data, path.name))
    except OSError as error:
        raise BadInput("request_file_missing", file=str(path)) from error
    except ValueError as error:
        raise BadInput("request_file_unreadable", file=path.name, why=str(error)[:200]) from error
    if not isinstance(value, dict):
        raise BadInput("request_file_no_object", file=path.name)
    owner = studio.settings.owner

    def find(wanted: type[Result], key: str) -> Result:
        return as_chosen(studio.records, owner, find_result(studio.records, studio.store, owner, wanted, key))

    return parse_body(kind, value, owner, find, usual_way(studio.settings))


def find_person(studio: Studio, key: str) -> Persona:
    """Return the persona of this id, the newest for "", as its owner chose to draw it. Raises BadInput."""
    return as_chosen(studio.records, studio.settings.owner, studio.result_of(Persona, key))


def chosen_style(studio: Studio, key: str) -> Style | None:
    """Return the style of this id, None for "". Raises BadInput."""
    owner = studio.settings.owner
    found = find_style(studio.library, owner, key)
    if key and found is None:
        known = [style.id for style in styles_of(studio.library, owner)]
        raise BadInput("style_unknown", style=key[:60], known=known)
    return found


@contextmanager
def open_jobs(studio: Studio, quiet: bool) -> Iterator[Engine | OpenStudio]:
    """Whoever does this folder's jobs: the studio that is open in it, by its queue, else an engine of our own.

    Takes seconds to start: look at what was asked for before.
    """
    from studio.jobs.open_studio import OpenStudio, is_open

    if not is_open(studio):
        with open_engine(studio, quiet) as engine:
            yield engine
        return
    if not quiet:
        print(tell("cli.queued"), file=sys.stderr, flush=True)
    with Bars(quiet) as bars:
        yield OpenStudio(studio, bars, _warner(studio))


@contextmanager
def open_engine(studio: Studio, quiet: bool) -> Iterator[Engine]:
    """An engine of our own, alone in the folder. Takes seconds to start: look at what was asked for before."""
    from studio.jobs.engine import Engine

    with Bars(quiet) as bars, Engine(studio, bars, _warner(studio)) as engine:
        yield engine


def _warner(studio: Studio) -> Callable[[Request], None]:
    """Say once on standard error what licences forbid of each request."""

    said: set[LicenceWarning] = set()

    def warn(request: Request) -> None:
        fresh = [warning for warning in warnings_before(studio, request) if warning not in said]
        said.update(fresh)
        _say_warnings(fresh)
        if unsure := say_doubts(doubts_before(studio, request), terminal_texts()):
            print(f"! {unsure}", file=sys.stderr)

    return warn


def left_out_rows(reasons: Iterable[StudioError]) -> list[dict[str, str]]:
    """Return what took no part, for machines: its name, the error's code, and why in the terminal's language."""
    texts = terminal_texts()
    return [
        {
            "name": str(reason.fields.get("name") or reason.fields.get("file") or ""),
            "code": reason.code,
            "error": texts.error(reason),
        }
        for reason in reasons
    ]


def say_left_out(reasons: Iterable[StudioError], quiet: bool) -> None:
    """Say on standard error what takes no part."""
    for row in [] if quiet else left_out_rows(reasons):
        print(terminal_texts()("left_out", why=row["error"]), file=sys.stderr, flush=True)


def say_guidance(guidance: Guidance | None, *, each: bool = True) -> None:
    """Say on standard error how much follows a taste, and why `each` choice was made."""
    texts = terminal_texts()
    moved = () if guidance is None else tuple(one for one in guidance.choices if one.word != one.was)
    told = texts("taste.moved", count=len(moved)) if moved else texts("taste.moved_none")
    print("\n".join([told, *(say_choice(texts, one) for one in moved if each)]), file=sys.stderr, flush=True)


def read_photos(
    photos: Sequence[Path],
) -> tuple[list[tuple[int, Path, npt.NDArray[np.uint8]]], tuple[StudioError, ...]]:
    """Return (number from 1, file, picture) of the photos that can be read, and why others cannot.

    Raises BadPicture where none can.
    """
    images, unread = [], []
    for number, photo in enumerate(photos, 1):
        try:
            images.append((number, photo, load_scene(photo).image))
        except BadPicture as error:
            unread.append(error)
    if not images:
        raise unread[0]
    return images, tuple(unread)


def warn_of_licence(studio: Studio, *uses: Use) -> None:
    """Say on standard error what the backbone's licence forbids of these uses; nothing is stopped."""
    _say_warnings(backbone_warnings(studio, uses))


def _say_warnings(warnings: Iterable[LicenceWarning]) -> None:
    texts = terminal_texts()
    for warning in warnings:
        print(f"{'!! ' if warning.forbids else '! '}{say_warning(texts, warning)}", file=sys.stderr)


def tell(key: str, **fields: object) -> str:
    """Return a sentence of the texts in the terminal's language."""
    return terminal_texts()(key, **fields)


def say(value: Mapping[str, object], as_json: bool, text: str) -> None:
    print(json.dumps(value, ensure_ascii=False) if as_json else text)
