"""Page, API and command line offer the same kinds of job and the same fields, a new kind by its row alone."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli import app
from studio.cli.options import read_request_file
from studio.domain.job_title import JobTitle
from studio.domain.values import Request, Result
from studio.jobs.bodies import body_of
from studio.jobs.kinds import KINDS, Kind
from studio.settings import Settings
from studio.ui.parts.html import PAGES
from studio.web.app import make_site
from tests.site import TestClient

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
_WIDE = {"COLUMNS": "2000", "TERMINAL_WIDTH": "2000"}
_NOT_ASKED = {"owner", "schema_version"}  # whose it is, is known


def fields_of(kind: Kind) -> set[str]:
    return set(kind.request.model_fields) - _NOT_ASKED


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return TestClient(make_site(Studio(Settings(data=tmp_path_factory.mktemp("same")))))


def bodies_in(site: TestClient) -> dict[str, dict[str, Any]]:
    """The bodies of POST /api/jobs in the API's description, by kind."""
    described = site.get("/openapi.json").json()
    schema = described["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    parts = described["components"]["schemas"]
    return {kind: parts[ref.rpartition("/")[2]] for kind, ref in schema["discriminator"]["mapping"].items()}


@every_kind
def test_the_api_has_every_field_with_its_limits(site: TestClient, kind: Kind) -> None:
    body = bodies_in(site)[kind.name]
    assert fields_of(kind) | {"kind"} <= set(body["properties"])
    assert body["additionalProperties"] is False
    own = kind.request.model_json_schema()["properties"]
    for name in fields_of(kind):
        for limit in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxLength", "maxItems", "enum"):
            assert body["properties"][name].get(limit) == own[name].get(limit), (name, limit)


@every_kind
def test_the_api_lists_it(site: TestClient, kind: Kind) -> None:
    said = {row["name"]: row for row in site.get("/api/kinds").json()}[kind.name]
    assert said["page"] == kind.page
    assert fields_of(kind) <= set(said["body"]["properties"])
    assert site.get(f"/api/results/{kind.name}").status_code == 200


@every_kind
def test_the_command_line_takes_every_field(kind: Kind) -> None:
    said = CliRunner().invoke(app, ["jobs", "kinds"], env=_WIDE).output
    words = next(line for line in said.splitlines() if line.split()[0] == kind.name)
    assert fields_of(kind) <= set(words.replace(",", " ").split())
    schemas = json.loads(CliRunner().invoke(app, ["jobs", "kinds", "--json"]).output)
    assert schemas[kind.name] == body_of(kind.name).model_json_schema()
    assert kind.name in CliRunner().invoke(app, ["jobs", "run", "--help"], env=_WIDE).output


def test_the_command_for_posts_names_every_field() -> None:
    said = CliRunner().invoke(app, ["posts", "--help"], env=_WIDE).output
    assert [name for name in fields_of(KINDS["posts"]) if name not in said] == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.page], ids=lambda kind: kind.name)
def test_its_page_asks_for_it(kind: Kind) -> None:
    assert kind.page in PAGES
    asks = f"{kind.request.__name__}.make("
    assert any(asks in Path(str(sys.modules[name].__file__)).read_text("utf-8") for name in parts_of(kind.page))


def parts_of(page: str) -> Iterator[str]:
    """The modules that a page is made of: those of the pages, and those that compose requests for it and the API."""
    waiting, seen = [f"studio.ui.pages.{page}"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        yield name
        tree = ast.parse(Path(str(sys.modules[name].__file__)).read_text("utf-8"))
        found = (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module)
        # what other pages lend is no part of this one
        waiting += [module for module in found if module.startswith(("studio.ui.parts.", "studio.jobs.album"))]


class _Tea(Request):
    cups: int = 1


class _Teapot(Result):
    kind: ClassVar[str] = "tea"


def test_a_new_row_is_everywhere_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = Kind("tea", _Tea, _Teapot, "nowhere:brew", "library", {}, lambda _: JobTitle(), draws=False)
    monkeypatch.setitem(KINDS, "tea", row)
    studio = Studio(Settings(data=tmp_path / "data"))
    site = TestClient(make_site(studio))
    assert set(bodies_in(site)["tea"]["properties"]) == {"kind", "cups"}
    assert "tea" in {row["name"] for row in site.get("/api/kinds").json()}
    assert site.post("/api/jobs", json={"kind": "tea", "cups": "many"}).json()["fields"]["field"] == "cups"
    (tmp_path / "tea.json").write_text('{"cups": 3}')
    assert read_request_file(studio, "tea", tmp_path / "tea.json") == _Tea(cups=3)
    assert "tea" in CliRunner().invoke(app, ["jobs", "kinds"]).output
    (tmp_path / "tea.json").write_text('{"owner": "wang"}')
    with pytest.raises(BadInput):
        read_request_file(studio, "tea", tmp_path / "tea.json")
    body_of.cache_clear()
