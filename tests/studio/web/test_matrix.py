"""Every route and every event of the pages × another user's ids × other origins: nothing is let through.

Routes are those of the app's own table, events those that the pages really have, so that a new one is tried, too. What
was let through is seen in what matters: another's names and ids in an answer, another's rows changed, another's files
granted; and no answer is an error of ours.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from gradio.state_holder import SessionState
from PIL import Image
from sqlalchemy import select

import studio.jobs.queue as queue_module
import studio.ui as ui_package
from pipelines.errors import StudioError
from studio.application import Studio
from studio.domain.album import Album
from studio.domain.posts import post_thing
from studio.jobs.queue import Queue
from studio.library.albums import make_album, put_into
from studio.library.records import Base, FileRecord, JobRecord, MarkRecord
from studio.library.scenes import add_picture, add_scene
from studio.library.users import Users
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.web.app import _pages, make_site
from tests.library import keep_persona, keep_posts, keep_result, picture
from tests.studio.domain.values import make_style

HERS = "mei"
OPEN = {"/login", "/logout", "/health", "/manifest.json", "/language/{language}"}  # before anybody is known
ORIGINS = (
    {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, {"host": "evil.example"},
)  # fmt: skip
MEASURES = {"measure"}  # starts a process that loads models; it names nothing of anybody's


@dataclass(frozen=True)
class Hers:
    """What belongs to mei: `ids` by what they are called in requests, and `marks` that nobody else may read."""

    ids: dict[str, str]
    marks: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """One id of each kind."""
        kinds = ("scene", "persona", "set", "album", "job", "picture", "thing", "things", "done")
        return [self.ids[kind] for kind in kinds]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    studio = Studio(Settings(data=tmp_path_factory.mktemp("matrix")))
    Users(studio.records).add("me", "a long password of me")  # who chooses what all draw with
    return studio


@pytest.fixture(scope="module")
def hers(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Hers:
    photo = tmp_path_factory.mktemp("photo") / "photo.png"  # a place that comes along would be everybody's
    Image.fromarray(picture(78)).save(photo)
    scene = add_scene(studio.library, photo, None, "place of hers only", HERS)
    keep_persona(studio, HERS)
    post_set = keep_posts(studio, 1, scene, HERS, pictures=2)
    album = make_album(studio.records, HERS, "album of hers only")
    put_into(studio.records, HERS, album.id, [f"posts:{post_set.id}"])
    brought = add_picture(studio.library, picture(77), HERS)
    look = make_style("look of hers only", id="look-of-hers", lora=studio.store.put(b"layers of hers"))
    keep_result(studio, HERS, look)
    waiting = JobRecord(id="design-hers", owner=HERS, kind="design", state="queued", error=None, facts={})
    studio.records.keep(waiting, MarkRecord(id=f"posts:{post_set.id}", owner=HERS, facts={"name": "mark of hers"}))
    ids = {
        "scene": scene.id, "place": scene.id, "persona": "p1", "post_set": post_set.id, "set": post_set.id,
        "album": album.id, "job": waiting.id, "key": scene.photo, "picture": brought, "upload": "0" * 64,
        "thing": post_thing(post_set.id, 0), "things": f"posts:{post_set.id}", "id": f"{Album.kind}:{album.id}",
        "done": f"posts-{post_set.id}", "post": post_set.posts[0].picture, "mark": f"scene:{scene.id}", "design": "d",
        "style": look.id,
    }  # fmt: skip
    return Hers(ids, ("look of hers", "album of hers only", "mark of hers", "place of hers", "prompt 1", brought))


def rows_of(studio: Studio, owner: str) -> dict[str, list[str]]:
    """All that the records hold of an owner, by table."""
    found = {}
    with studio.records.transaction() as session:
        for mapper in Base.registry.mappers:
            table = mapper.local_table
            rows = session.execute(select(table).where(table.c.owner == owner)).all()
            found[str(table)] = sorted(map(repr, rows))
    return found


class Watch:
    """What of mei's was let through, request by request."""

    def __init__(self, studio: Studio, hers: Hers) -> None:
        self._studio, self._hers = studio, hers
        self._before = rows_of(studio, HERS)
        self._files = self._granted(HERS)
        self.let_through: list[str] = []
        self.tried = 0

    def _granted(self, owner: str) -> set[str]:
        return {row.id for row in self._studio.records.find(FileRecord, owner)}

    def look(self, what: str, sent: str, answer: str) -> None:
        """`answer` may say again what was `sent`, and nothing else of hers."""
        self.tried += 1
        told = [mark for mark in self._hers.marks if mark in answer and mark not in sent]
        if told:
            self.let_through.append(f"{what}: tells {told}")

    def look_at_rows(self, what: str) -> None:
        """Whether anything of hers is other than before."""
        if rows_of(self._studio, HERS) != self._before:
            self.let_through.append(f"{what}: changes her rows")
            self._before = rows_of(self._studio, HERS)

    def files(self, owner: str, his: set[str]) -> None:
        if stolen := (self._granted(owner) - his) & self._files:
            self.let_through.append(f"{owner} may see {sorted(stolen)}")


@pytest.fixture
def watch(studio: Studio, hers: Hers, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(queue_module, "_PATIENCE_S", 0.0)  # there is no worker, and nobody waits for one
    return Watch(studio, hers)


@pytest.fixture
def site(studio: Studio) -> FastAPI:
    return make_site(studio)


@pytest.fixture
def wang(studio: Studio, site: FastAPI) -> Iterator[Browser]:
    """Logged in as another, while mei is not."""
    yield from _logged_in(studio, site, "wang")


@pytest.fixture
def mei(studio: Studio, site: FastAPI) -> Iterator[Browser]:
    yield from _logged_in(studio, site, HERS)


@pytest.fixture
def nobody(site: FastAPI) -> Iterator[Browser]:
    browser = Browser(site, {})
    yield browser
    browser.close()


class Browser:
    """Asks the site in this thread: a thousand times and more."""

    def __init__(self, site: FastAPI, cookies: dict[str, str]) -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(site, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", cookies=cookies)

    def ask(self, method: str, path: str, params: dict[str, str], body: Any, **headers: str) -> httpx.Response:
        told = {} if body is None else {"json": body}
        return self._runner.run(self._client.request(method, path, params=params, headers=headers, **told))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


def _logged_in(studio: Studio, site: FastAPI, name: str) -> Iterator[Browser]:
    users = Users(studio.records)
    if name not in users.names():
        users.add(name, f"a long password of {name}")
    browser = Browser(site, {"studio_session": str(users.log_in(name, f"a long password of {name}", "here"))})
    yield browser
    browser.close()


def routes(site: FastAPI) -> list[APIRoute]:
    found: list[APIRoute] = []
    waiting = list(site.routes)
    while waiting:
        one = waiting.pop()
        if isinstance(one, APIRoute):
            found.append(one)
        waiting += getattr(getattr(one, "original_router", one), "routes", ()) or ()
    return found


def bodies(site: FastAPI, route: APIRoute, method: str, hers: Hers, word: str) -> list[Any]:
    """Bodies of this route's own schema, with another's id in every text, whole and with required fields alone."""
    schema = site.openapi()
    asked = schema["paths"].get(route.path, {}).get(method.lower(), {}).get("requestBody")
    if asked is None:
        return [None]
    wanted = next(iter(asked["content"].values())).get("schema", {})
    options = [_resolve(schema, one) for one in wanted.get("oneOf", [wanted])]
    return [_fill(schema, one, hers, word, whole, 0) for one in options for whole in (True, False)]


def _resolve(schema: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in one:
        name = one["$ref"].rpartition("/")[2]
        one = schema["components"]["schemas"].get(name) or schema.get("$defs", {}).get(name, {})
    return one


def _fill(schema: dict[str, Any], one: dict[str, Any], hers: Hers, word: str, whole: bool, depth: int) -> Any:
    one = _resolve(schema, one)
    if "const" in one:
        return one["const"]
    if "enum" in one:
        return one["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in one:
            named = [part for part in one[choice] if part.get("type") != "null"]
            return _fill(schema, named[0] if named else {}, hers, word, whole, depth + 1)
    kind = one.get("type")
    if kind == "object" or "properties" in one:
        required = one.get("required", [])
        wanted = [name for name in one.get("properties", {}) if whole or name in required]
        parts = one.get("properties", {})
        return {
            name: _fill(schema, parts[name], hers, hers.ids.get(name, word), whole, depth + 1)
            for name in wanted
            if depth < 6
        }
    if kind == "array":
        least = max(1, one.get("minItems", 1))
        item: dict[str, Any] = one.get("items") or next(iter(one.get("prefixItems", [])), {})
        return [_fill(schema, item, hers, word, whole, depth + 1)] * least
    return {"integer": one.get("minimum", 1), "number": 1.0, "boolean": True, "null": None}.get(str(kind), word)


def test_no_route_gives_or_changes_what_is_anothers(
    studio: Studio, site: FastAPI, hers: Hers, watch: Watch, wang: Browser
) -> None:
    table = routes(site)
    assert len(table) > 50
    his = {row.id for row in studio.records.find(FileRecord, "wang")}
    for route in table:
        names = re.findall(r"{(\w+)(?::path)?}", route.path)
        queries = [param.name for param in route.dependant.query_params]
        for method in sorted(route.methods or ()):
            for word in hers.words if names or queries else hers.words[:1]:
                path = re.sub(r"{(\w+)(:path)?}", lambda found: _id(hers, names, found[1], word), route.path)  # noqa: B023
                for do in _literals(route) or [""]:
                    where = path if not do else path.rsplit("/", 1)[0] + f"/{do}"
                    for body in bodies(site, route, method, hers, word):
                        answer = wang.ask(method, where, dict.fromkeys(queries, word), body)
                        what = f"{method} {where} {body}"
                        assert answer.status_code < 500 or answer.json()["code"] == "no_worker", (what, answer.text)
                        watch.look(what, what + word, answer.text)
            watch.look_at_rows(f"{method} {route.path}")
    watch.files("wang", his)
    assert watch.let_through == []
    assert watch.tried > 400


def _id(hers: Hers, names: list[str], name: str, word: str) -> str:
    """A path's only part is tried with every id, of several each with its own."""
    return word if len(names) == 1 else hers.ids.get(name, word)


def _literals(route: APIRoute) -> list[str]:
    """The words that a route's last part may be, such as {do}."""
    last = re.findall(r"/{(\w+)}$", route.path)
    for param in route.dependant.path_params:
        if last and param.name == last[0] and (words := getattr(param.field_info.annotation, "__args__", None)):
            return [str(word) for word in words]
    return []


def test_nothing_is_answered_without_a_login_or_to_another_site(
    site: FastAPI, hers: Hers, mei: Browser, nobody: Browser, watch: Watch
) -> None:
    for route in routes(site):
        path = re.sub(r"{(\w+)(:path)?}", lambda found: hers.ids.get(found[1], "x"), route.path)
        for method in sorted(route.methods or ()):
            body = bodies(site, route, method, hers, hers.ids["scene"])[0]
            if route.path not in OPEN:
                assert nobody.ask(method, path, {}, body).status_code == 401, (method, path)
            for headers in ORIGINS:
                answer = mei.ask(method, path, {}, body, **headers)
                assert answer.status_code == 403, (method, path, headers)
                assert method == "HEAD" or answer.json()["code"] == "asked_from_elsewhere", (method, path)
                watch.look(f"{method} {path} {headers}", path, answer.text)
    for path in ("/en/design", "/zh/gradio_api/queue/join", "/en/gradio_api/file=x", "/openapi.json", "/nowhere"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert nobody.ask(method, path, {}, None).status_code == 401, path
            for headers in ORIGINS:
                assert mei.ask(method, path, {}, None, **headers).status_code == 403, path
    watch.look_at_rows("another site's requests")
    assert watch.let_through == []


def _words_of(handler: Any) -> list[str]:
    """The words after which a page's module asks what was pressed: those that stand in it as do's."""
    text = Path(inspect.getfile(inspect.unwrap(handler))).read_text(encoding="utf-8")
    words = re.findall(r"""\bdo == "([\w-]+)"|get\("do"\) == "([\w-]+)"|\["do"\] == "([\w-]+)\"""", text)
    listed = re.findall(r"\b(?:do|\[\"do\"\]|get\(\"do\"\)) (?:not )?in \(([^)]*)\)", text)
    found = {word for group in words for word in group if word}
    return sorted(found | {word for group in listed for word in re.findall(r"\"([\w-]+)\"", group)}) or ["open"]


def _names_of() -> list[str]:
    """What buttons of any page may say beside what to do."""
    text = "".join(p.read_text(encoding="utf-8") for p in Path(ui_package.__path__[0]).rglob("*.py"))
    found = re.findall(r"""(?:data|said|told|event\))(?:\.get\(|\[)"(\w+)\"""", text)
    return sorted({*found, "id", "job", "scene", "set", "persona", "post", "thing", "upload", "key"} - {"do"})


def test_no_event_of_a_page_gives_or_changes_what_is_anothers(studio: Studio, hers: Hers, watch: Watch) -> None:
    ui, names = Ui(studio, Queue(studio), Texts("en")), _names_of()
    assert len(names) > 10
    his = {row.id for row in studio.records.find(FileRecord, "wang")}
    typed = {name: hers.ids.get(name, hers.ids["set"]) for name in names}
    pressed = [typed, *(dict.fromkeys(names, hers.ids[kind]) for kind in ("set", "things"))]
    shown: list[int] = []
    told_her: list[str] = []

    async def press_all() -> None:
        blocks = _pages(ui)
        for number, function in blocks.fns.items():
            if function.fn is None or inspect.unwrap(function.fn).__name__ in MEASURES:
                continue
            handler = inspect.unwrap(function.fn)
            listens = any("EventData" in str(one) for one in inspect.signature(handler).parameters.values())
            for do in _words_of(handler) if listens else [""]:
                for data in pressed if listens else pressed[:1]:
                    sent = [data["set"] if isinstance(one, gr.Textbox | gr.HTML) else None for one in function.inputs]
                    answer = await _press(blocks, number, sent, "wang", data | {"do": do})
                    watch.look(f"{handler.__module__} {handler.__qualname__} {do}", json.dumps(data), answer)
            watch.look_at_rows(f"{handler.__module__} {handler.__qualname__}")
            if not function.inputs and not listens:
                shown.append(number)
        for number in shown:  # what a page shows when it is opened: to her it tells of hers
            told_her.append(await _press(blocks, number, [], HERS, typed))

    asyncio.run(press_all())
    watch.files("wang", his)
    assert watch.let_through == []
    assert watch.tried > 400
    assert any(mark in answer for answer in told_her for mark in hers.marks)


async def _press(blocks: gr.Blocks, number: int, sent: list[Any], who: str, data: dict[str, str]) -> str:
    """What an event answers; a refusal says nothing of anybody's."""
    asker = gr.Request(username=who, headers={}, query_params=data)
    try:
        done = await blocks.process_api(number, sent, SessionState(blocks), asker, event_data=gr.EventData(None, data))
    except (gr.Error, StudioError) as refused:
        return str(refused)
    except Exception as error:  # what no page sends: Gradio's own fields refuse it before a handler runs
        return type(error).__name__
    return json.dumps(done.get("data"), default=str)
