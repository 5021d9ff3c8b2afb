"""Nobody is given another's file by writing its key into a text, and nobody's words keep a file from the trash."""

from __future__ import annotations

import copy
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from personas.datasets.limits import usual_limits
from pipelines.errors import BadInput, StudioError
from studio.application import Studio
from studio.domain.album_export import AlbumArchive, AlbumExport, AlbumExportRequest
from studio.domain.bundle import CheckedPicture, ExportCheck
from studio.domain.captions import Captions
from studio.domain.dataset import DataSet, DatasetPicture, DatasetRequest, FaceRequest, FaceTrained
from studio.domain.design import Design
from studio.domain.grid import Grid, GridRequest, plan_cells
from studio.domain.migration import read_stored
from studio.domain.more import MoreCandidates, MoreRequest
from studio.domain.posts import PostRequest, PostSet
from studio.domain.style import StyleRequest
from studio.domain.values import Request, Result, Stored
from studio.jobs.files import JobFiles, note_older_files
from studio.jobs.kinds import KINDS, read_request
from studio.jobs.queue import admit
from studio.library.grants import check_readable, grant, may_read
from studio.library.records import FileRecord, JobFilesRecord, JobRecord, MarkRecord
from studio.library.scenes import add_goods
from studio.library.trash import empty_trash, sweep
from studio.settings import Settings
from tests.library import keep_cafe, keep_posts, keep_result
from tests.stored import place_in
from tests.studio.domain.values import key, make_style

OLD = Path(__file__).parents[1] / "domain" / "version_0_1"
FOREIGN = key("another's picture")
RESULTS = {name: name for name in KINDS if name not in ("export", "donor")} | {"export-publish": "export"}


def _result(name: str) -> Result:
    if name == "check":  # kinds that version 0.1 did not know
        shown = CheckedPicture(picture=key("shown"), caption="a caption", bytes=1)
        return ExportCheck(id="check", post_set="set", platform="xiaohongshu", pictures=(shown,))
    if name == "captions":
        return Captions(
            id="captions", post_set="set", platform="xiaohongshu", language="zh", writer="templates", title="a title",
            body="a body", tags=("a tag",), captions=("a caption",),
        )  # fmt: skip
    if name == "grid":
        asked = _request("grid")
        assert isinstance(asked, GridRequest)
        (cell,) = plan_cells(asked)
        drawn = cell.model_copy(update={"picture": key("a cell"), "scores": {"identity": 0.5}})
        return Grid(
            id="grid", personas=asked.personas, scene="a place", shot=asked.asked.shots[0], cells=(drawn,),
            sheet={"en": key("a sheet")},
        )  # fmt: skip
    if name == "archive":
        zipped = AlbumArchive(platforms=("tiktok",), name="a.zip", bundle=key("an album"), bytes=1, pictures=3)
        return AlbumExport(id="album", name="Spring", post_sets=("set",), archives=(zipped,))
    if name == "more":
        design = _result("design")
        assert isinstance(design, Design)
        return MoreCandidates(
            id="more", design=design.id, shots=design.shots[:1], prompts=design.prompts[:1], seeds=(7,),
            pictures=(key("another candidate"),), measures=key("its measures"),
        )  # fmt: skip
    if name == "dataset":
        asked = _request("dataset")
        assert isinstance(asked, DatasetRequest)
        limits = usual_limits(256, 192, 0.4)
        return DataSet(id="set", request=asked, facts=key("facts"), told=key("told"), limits=limits, pixels=192 * 256)
    if name == "face":
        return FaceTrained(id="face", donor="a donor", name="Lin", category="sweet", pictures=9)
    if name == "style":
        return make_style(sample=key("a sample"), dataset="set")
    return read_stored(KINDS[RESULTS[name]].result, json.loads((OLD / f"{name}.json").read_text(encoding="utf-8")))


def _request(name: str) -> Request:
    if name in ("check", "captions"):
        return KINDS[name].request.make(post_set=_result("posts"), owner=_request("posts").owner)
    if name == "archive":
        drawn = _result("posts")
        told = {"sets": (drawn,), "platforms": ("tiktok",), "owner": _request("posts").owner}
        return AlbumExportRequest.make(name="Spring", **told)
    if name == "grid":
        posts = _request("posts")
        assert isinstance(posts, PostRequest)
        return GridRequest.make(asked=posts, owner=posts.owner)
    if name == "more":
        return MoreRequest.make(design=_result("design"), number=0, owner=_request("posts").owner)
    if name == "dataset":
        brought = DatasetPicture(name="a.jpg", picture=key("a photo"), height=64, width=48, caption="a caption")
        return DatasetRequest.make(
            owner=_request("posts").owner, name="Lin", category="sweet", who="Lin", scope="posts", pictures=(brought,)
        )
    if name == "face":
        return FaceRequest.make(dataset=_result("dataset"), owner=_request("posts").owner)
    if name == "style":
        return StyleRequest.make(dataset=_result("dataset"), owner=_request("posts").owner)
    told = json.loads((OLD / f"{name}.request.json").read_text(encoding="utf-8"))
    return read_request(RESULTS[name], told, lambda kind, _: read_stored(PostSet, _json(_result("posts"))))


def _json(value: Stored) -> dict[str, Any]:
    return value.model_dump(mode="json")


def _texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where texts stand in a JSON value."""
    if isinstance(value, str | None):
        yield path
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in rows:
        yield from _texts(part, (*path, name))


def _get(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def _with(value: dict[str, Any], path: tuple[Any, ...], text: str) -> dict[str, Any]:
    changed = copy.deepcopy(value)
    _get(changed, path[:-1])[path[-1]] = text
    return changed


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(Settings(data=tmp_path))
    grant(studio.records, "wang", [FOREIGN])
    return studio


@pytest.mark.parametrize("name", RESULTS)
def test_no_field_of_a_result_gives_away_a_file_that_its_job_did_not_make(studio: Studio, name: str) -> None:
    """Every text and every key, one after the other, is another's key."""
    told, made = _json(_result(name)), _result(name).file_keys()
    kind, tried = KINDS[RESULTS[name]], 0
    for path in _texts(told):
        try:
            result = read_stored(kind.result, _with(told, path, FOREIGN))
        except StudioError:
            continue  # the field takes no such text
        tried += 1
        files = JobFiles(studio.records, f"job-{tried}", "me")
        files.made |= made
        files.finish(result, key("the result"))
        assert not may_read(studio.records, "me", FOREIGN), path
    assert tried
    granted = {row.id for row in studio.records.find(FileRecord, "me")}
    assert granted <= made


@pytest.mark.parametrize("name", RESULTS)
def test_a_request_names_only_files_that_its_owner_may_see(studio: Studio, name: str) -> None:
    request = _request(name)
    grant(studio.records, request.owner, request.file_keys())
    told, kind = _json(request), KINDS[RESULTS[name]]
    texts = refused = admitted = 0
    for path in _texts(told):
        if path == ("owner",):
            continue
        try:
            changed = read_stored(kind.request, _with(told, path, FOREIGN))
        except StudioError:
            continue
        files = JobFiles(studio.records, "job", request.owner)
        if FOREIGN in changed.file_keys():
            refused += 1
            with pytest.raises(BadInput) as error:
                admit(studio, changed)
            assert error.value.code == "file_not_yours"
            continue
        texts += 1
        with suppress(BadInput):  # as the name of a family, or as a title, it may be refused
            admit(studio, changed)
            admitted += 1
        files.keep(changed)
        row = studio.records.get(JobFilesRecord, "job", request.owner)
        assert row is not None
        assert FOREIGN not in row.keys
    assert (texts and admitted) or name == "design"  # a look category is one of four words
    assert refused or not request.file_keys()
    assert not may_read(studio.records, request.owner, FOREIGN)


def test_a_file_that_is_not_there_is_refused_in_the_same_words(studio: Studio) -> None:
    said = set()
    for wanted in (FOREIGN, key("nothing at all")):
        with pytest.raises(BadInput) as refused:
            check_readable(studio.records, "me", [wanted])
        said.add((refused.value.code, tuple(refused.value.fields)))
    assert len(said) == 1


def test_words_keep_no_file(studio: Studio) -> None:
    lost = studio.store.put(b"\x89PNG nobody's any more")
    post_set = keep_posts(studio, 1, keep_cafe(studio))
    said = post_set.model_copy(
        update={
            "id": "said",
            "posts": (post_set.posts[0].model_copy(update={"caption": str(lost), "prompt": str(lost)}),),
        }
    )
    keep_result(studio, "me", said)
    sweep(studio.library, young_s=0, draft_s=0)
    assert not place_in(studio.store, lost).exists()
    assert place_in(studio.store, post_set.posts[0].picture).exists()


def test_what_is_stored_again_is_as_new_for_a_sweep(studio: Studio) -> None:
    """Its grant may still be to be written."""
    again, lost = studio.store.put(b"brought again"), studio.store.put(b"nobody's")
    for file in (again, lost):
        os.utime(place_in(studio.store, file), (0, 0))
    studio.store.put(b"brought again")
    sweep(studio.library, young_s=60)
    assert place_in(studio.store, again).exists()
    assert not place_in(studio.store, lost).exists()


@pytest.mark.parametrize("table", ["workflow_input", "workflow_status"])
def test_an_older_failed_job_keeps_what_it_was_asked_with(studio: Studio, table: str) -> None:
    """The engine keeps inputs in a table of their own, and reads those that it once kept beside the state."""
    mask, step, lost = (studio.store.put(what) for what in (b"a mask", b"a step's picture", b"nobody's"))
    told = json.dumps({"positionalArgs": ["fix", {"mask": mask}], "namedArgs": {}})
    studio.records.keep(JobRecord(id="fix-1", owner="me", kind="fix", state="failed", error="It failed.", facts={}))
    with closing(sqlite3.connect(studio.settings.data / "engine.sqlite")) as engine:
        engine.execute("create table workflow_status (workflow_uuid text, status text, inputs text)")
        engine.execute("create table workflow_input (workflow_uuid text, inputs text)")
        engine.execute("create table operation_outputs (workflow_uuid text, output text)")
        engine.execute(
            "insert into workflow_status values ('fix-1', 'ERROR', ?)", [told if table == "workflow_status" else None]
        )
        if table == "workflow_input":
            engine.execute("insert into workflow_input values ('fix-1', ?)", [told])
        engine.execute("insert into operation_outputs values ('fix-1', ?)", [json.dumps([step])])
        engine.commit()
    with pytest.raises(BadInput, match="busy"):  # nobody has looked yet at what it needs
        sweep(studio.library, young_s=0)
    note_older_files(studio.library)
    sweep(studio.library, young_s=0, draft_s=0)
    assert [place_in(studio.store, file).exists() for file in (mask, step, lost)] == [True, True, False]


def test_goods_that_somebody_has_just_chosen_outlive_anothers_trash(studio: Studio, tmp_path: Path) -> None:
    image = Image.new("RGB", (240, 300), (215, 215, 215))
    ImageDraw.Draw(image).rectangle((80, 60, 160, 260), fill=(190, 30, 40))
    image.save(tmp_path / "tin.png")
    goods = add_goods(studio.library, tmp_path / "tin.png", "a red tin", "me")
    post_set = keep_posts(studio, 1, keep_cafe(studio))
    with_goods = post_set.model_copy(
        update={"request": post_set.request.changed(goods=goods), "id": "tins"},
    )
    keep_result(studio, "me", with_goods)
    again = add_goods(studio.library, tmp_path / "tin.png", "my tin", "wang")  # in no row yet: a page's draft
    assert again.file_keys() == goods.file_keys()
    studio.records.keep(MarkRecord(id="posts:tins", owner="me", facts={"trashed": True}))

    def forget(jobs: list[str], owner: str) -> None:
        for job in jobs:
            for table in (JobRecord, JobFilesRecord):
                studio.records.remove(table, job, owner)

    assert empty_trash(studio.library, "me", forget, young_s=0).things == 1
    assert all(place_in(studio.store, file).exists() for file in goods.file_keys())
    assert all(may_read(studio.records, "wang", file) for file in goods.file_keys())
    assert np.asarray(studio.store.get_picture(again.picture)).any()
