"""What reads strangers' files, texts and requests in the studio, called as the studio calls it."""

from __future__ import annotations

import asyncio
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from personas.taste.comments import check_comment, read_comment
from pipelines.errors import StudioError
from pipelines.file_names import file_name
from pipelines.lora.files import read_lora
from pipelines.pictures import load_goods, load_scene
from studio.application import Studio
from studio.domain.names import check_name
from studio.export.bundle import verify_bundle
from studio.export.recall import draft_of, recall
from studio.jobs.queue import Queue
from studio.library.albums import make_album
from studio.library.backup import restore
from studio.library.donor_files import inspect_header
from studio.library.scene_packs import add_pack
from studio.taste.keeping import comment
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.shots_table import read_shots
from studio.ui.parts.text_form import read_tags
from studio.web.app import make_site

__all__ = ["read_input", "send_requests"]

_SUFFIXES = {"picture": ".png", "recipe": ".png", "lora": ".safetensors", "text": ".txt"}


def read_input(studio: Studio, scratch: Path, kind: str, data: bytes) -> str:
    """Let the studio read an input. Return the codes of what it refused; "" where all was taken.

    Raises whatever nobody foresaw.
    """
    path = scratch / f"input{_SUFFIXES.get(kind, '.zip')}"
    path.write_bytes(data)
    refused = [_refusal(one) for one in _CALLS[kind](studio, scratch, path)]
    return " ".join(code for code in refused if code)


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except StudioError as error:
        for language in ("en", "zh"):  # and it can be said
            Texts(language).error(error)
        json.dumps(error.as_json()).encode()
        return error.code
    return ""


Calls = list[Callable[[], object]]


def _picture(studio: Studio, scratch: Path, path: Path) -> Calls:
    return [lambda: load_scene(path), lambda: load_goods(path)]


def _lora(studio: Studio, scratch: Path, path: Path) -> Calls:
    return [lambda: inspect_header(path), lambda: read_lora(path, "flux1")]


def _bundle(studio: Studio, scratch: Path, path: Path) -> Calls:
    return [lambda: verify_bundle(path), lambda: draft_of(recall(studio.library, path, "me", studio.donors))]


def _recipe(studio: Studio, scratch: Path, path: Path) -> Calls:
    return [lambda: draft_of(recall(studio.library, path, "me", studio.donors))]


def _pack(studio: Studio, scratch: Path, path: Path) -> Calls:
    return [lambda: add_pack(studio.library, path, "me")]


def _backup(studio: Studio, scratch: Path, path: Path) -> Calls:
    def take_back() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            restore(path, Path(folder) / "data")

    return [take_back]


def _text(studio: Studio, scratch: Path, path: Path) -> Calls:
    said, records = path.read_bytes().decode("utf-8", "surrogatepass"), studio.records
    ui = Ui(studio, Queue(studio), Texts("zh"))
    return [
        lambda: check_name(said), lambda: file_name(said), lambda: read_tags(said),
        lambda: read_comment(check_comment(said)), lambda: comment(records, "me", said),
        lambda: make_album(records, "me", said), lambda: read_shots(ui, [[said] * 8, [said[:40]] * 8]),
    ]  # fmt: skip


_CALLS: dict[str, Callable[[Studio, Path, Path], Calls]] = {
    "picture": _picture, "lora": _lora, "bundle": _bundle, "recipe": _recipe, "pack": _pack, "backup": _backup,
    "text": _text,
}  # fmt: skip


def send_requests(studio: Studio, seed: int, count: int, begun: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Send requests that schemathesis makes of the API's own description, right and wrong ones, some of each route.

    Yields each request as JSON and what came of it: "" for an answer, else what went wrong. `begun` is told first.
    """
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as with_seed
    from schemathesis.generation import GenerationMode

    site = make_site(studio)
    schema: Any = schemathesis.openapi.from_dict(site.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    each = max(1, count // (2 * len(operations)))
    done: list[tuple[str, str]] = []
    with asyncio.Runner() as runner, _browser(site, runner) as ask, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @with_seed(seed)
                @settings(
                    max_examples=each, database=None, deadline=None, phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )  # fmt: skip
                @given(case=operation.as_strategy(generation_mode=mode))
                def send(case: Any) -> None:
                    told = case.as_transport_kwargs(base_url="http://127.0.0.1")
                    said = repr({name: value for name, value in told.items() if value})[:20_000]
                    begun(said)
                    done.append((said, ask(told)))

                try:
                    send()
                except Exception as error:  # nothing of such a kind can be made: a route without anything to get wrong
                    if type(error).__name__ not in ("Unsatisfiable", "UnsatisfiableParameter"):
                        raise
                yield from done
                done.clear()


@contextmanager
def _browser(site: Any, runner: asyncio.Runner) -> Iterator[Callable[[dict[str, Any]], str]]:
    client = httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://127.0.0.1", timeout=60)

    def ask(told: dict[str, Any]) -> str:
        wanted = {name: told.get(name) for name in ("params", "json", "headers", "cookies", "content", "data", "files")}
        try:
            request = client.build_request(told["method"], told["url"], **wanted)
        except (httpx.InvalidURL, ValueError, TypeError, AttributeError):
            return "not sent"
        try:
            answer = runner.run(client.send(request))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if answer.status_code >= 500 and answer.status_code not in (503, 507):
            return f"status {answer.status_code}: {answer.text[:200]}"
        return "a traceback is told" if "Traceback (most recent" in answer.text else ""

    yield ask
    runner.run(client.aclose())
