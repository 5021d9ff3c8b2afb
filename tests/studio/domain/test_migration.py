"""What version 0.1 stored is read, keeps every fact, and is what it was when it is stored again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput
from studio.domain.migration import read_marks, read_stored
from studio.domain.posts import PostSet
from studio.domain.takes import FixRequest, VaryRequest
from studio.domain.values import Result
from studio.export.manifest import parse_manifest
from studio.jobs.kinds import KINDS, read_request

OLD = Path(__file__).parent / "version_0_1"
RESULTS = {
    "design": "design", "consolidate": "consolidate", "posts": "posts", "vary": "vary", "fix": "fix", "swap": "swap",
    "preview": "preview", "strengths": "strengths", "export-publish": "export", "export-archive": "export",
}  # fmt: skip


def _read(name: str) -> Any:
    return json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))


def _post_set(kind: type[Result], key: str) -> Result:
    """What a new take is of: the one set of that time."""
    assert kind is PostSet
    found = read_stored(PostSet, _read("posts"))
    assert found.id == key
    return found


def _facts(value: Any) -> list[Any]:
    """Every leaf of a JSON value."""
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _facts(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _facts(part)]
    return [value]


def _keys(value: Any) -> set[str]:
    return {leaf for leaf in _facts(value) if isinstance(leaf, str) and re.fullmatch("[0-9a-f]{64}", leaf)}


def _values(value: Any, names: set[str]) -> list[Any]:
    """The values of all fields of these names."""
    if isinstance(value, dict):
        own = [part for name, part in value.items() if name in names]
        return own + [found for part in value.values() for found in _values(part, names)]
    return [found for part in value for found in _values(part, names)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_of_version_0_1_keeps_every_fact(name: str) -> None:
    old, kind = _read(name), KINDS[RESULTS[name]]
    value = read_stored(kind.result, old)
    again = value.model_dump(mode="json")
    assert read_stored(kind.result, again) == value
    lost = set(map(repr, _facts(old))) - set(map(repr, _facts(again)))
    assert lost <= {repr(kind.name)}  # a take's kind is its type now
    # every key in it names a stored file, but for hashes of files as they were brought and of pixels
    assert value.file_keys() <= _keys(old)
    brought = {leaf for part in _values(old, {"sha256", "parent", "ip_adapter_sha256"}) for leaf in _facts(part)}
    assert _keys(old) - value.file_keys() <= brought


@pytest.mark.parametrize("name", RESULTS)
def test_a_request_of_version_0_1_asks_for_the_same(name: str) -> None:
    old, kind = _read(f"{name}.request"), KINDS[RESULTS[name]]
    request = read_request(kind.name, old, _post_set)
    assert read_request(kind.name, request.model_dump(mode="json"), _post_set) == request
    assert request.owner == old["owner"]
    if not isinstance(request, VaryRequest | FixRequest):
        lost = set(map(repr, _facts(old))) - set(map(repr, _facts(request.model_dump(mode="json"))))
        assert lost <= {"{}"}
        return
    asked = request.asked.model_dump(mode="json")
    for field, wanted in old["asked"].items():
        if field not in ("persona", "redux"):
            now = asked[field]
            assert now == (now | wanted if isinstance(wanted, dict) else wanted), field
    if isinstance(request, FixRequest):
        assert request.shown.picture == old["post"]["picture"]
        assert (request.mask, request.seed, request.strength) == (old["mask"], old["seed"], old["strength"])


@pytest.mark.parametrize("name", ["publish.manifest", "archive.manifest", "archive-01.recipe"])
def test_a_manifest_of_version_0_1_is_read(name: str) -> None:
    old = _read(name)
    manifest = parse_manifest(json.dumps(old))
    assert parse_manifest(manifest.model_dump_json()) == manifest
    assert set(map(repr, _facts(old))) <= set(map(repr, _facts(manifest.model_dump(mode="json"))))
    with pytest.raises(BadInput) as refused:
        parse_manifest(json.dumps(old | {"version": 2}))
    assert refused.value.code == "bundle_too_new"


def test_marks_of_version_0_1() -> None:
    facts = {
        "order": [2, 0, 1], "left_out": [1], "captions": {"0": "mine"}, "takes": {"0": ["vary-1:0"]},
        "undone": {"0": []}, "choices": {"1": "vary-2"}, "turns": 3, "title": "t", "trashed": False, "tags": " a ",
    }  # fmt: skip
    said = read_marks(facts)
    assert said.takes == {"0": ("vary-1:0",)}
    assert said.jobs_of(1) == {"vary-2"}
    assert facts | said.as_marks() == facts | {"compared": []}
