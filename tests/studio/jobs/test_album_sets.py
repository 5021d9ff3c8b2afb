"""An album's archives: its sets and posts in its order, as they are arranged, in folders; the bad one is named."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.errors import BadInput
from pipelines.picture_labels import split_labels
from studio.application import Studio
from studio.cli import app
from studio.domain.album import Album
from studio.domain.album_export import AlbumExport
from studio.domain.posts import post_thing
from studio.export.content_credentials import read_credentials
from studio.export.manifest import parse_manifest
from studio.jobs.album_sets import album_request
from studio.jobs.engine import Engine
from studio.library.albums import make_album, put_into
from studio.library.marks import mark_thing
from studio.library.trash import empty_trash
from studio.settings import Settings
from studio.web.app import make_site
from studio.workflows import run_directly
from studio.workflows.album_export import export_album
from tests.library import keep_cafe, keep_posts
from tests.site import TestClient


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data", threads=1))


@pytest.fixture
def album(studio: Studio) -> Album:
    """A set of two, one post of a set of three, and a set of six."""
    cafe, made = keep_cafe(studio), make_album(studio.records, "me", "春装")
    one, two, six = (keep_posts(studio, number, cafe, pictures=count) for number, count in ((1, 2), (2, 3), (3, 6)))
    things = [f"posts:{one.id}", post_thing(two.id, 1), f"posts:{six.id}"]
    put_into(studio.records, "me", made.id, things)
    mark_thing(studio.records, "me", things[0], favourite=True)  # favourites come first
    return made


def command(studio: Studio, *words: str, fails: bool = False) -> Any:
    done = CliRunner().invoke(app, ["albums", *words, "--data", str(studio.settings.data), "--json"])
    assert (done.exit_code != 0) is fails, done.output
    if isinstance(done.exception, BadInput):
        return done.exception
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_sets_come_as_they_are_arranged_and_posts_alone(studio: Studio, album: Album) -> None:
    mark_thing(studio.records, "me", "posts:set00001", left_out=[0], captions={"1": "mine"})
    mark_thing(studio.records, "me", "posts:set00002", left_out=[1])  # the album wants it all the same
    sets = album_request(studio, "me", album.id, ("tiktok",)).sets
    shown = {one.id: [(post.origin[1], post.caption) for post in one.posts] for one in sets}
    assert shown["set00001"] == [(1, "mine")]
    assert [number for number, _ in shown["set00002"]] == [1]
    assert len(shown["set00003"]) == 6
    assert next(iter(shown)) == "set00001"


def test_archives_have_numbered_folders_and_what_is_too_much_is_named(studio: Studio, album: Album) -> None:
    asked = album_request(studio, "me", album.id, ("xiaohongshu", "taobao"))
    made = export_album(studio, asked, run_directly)
    assert [(a.platforms, a.pictures) for a in made.archives] == [(("xiaohongshu",), 9), (("taobao",), 3)]
    assert [(row.post_set, row.platform) for row in made.left_out] == [("set00003", "taobao")]  # at most five there
    assert made.archives[0].name == "春装-xiaohongshu.zip"
    with zipfile.ZipFile(io.BytesIO(studio.store.get(made.archives[0].bundle))) as zipped:
        names = zipped.namelist()
        folders = list(dict.fromkeys(name.split("/")[0] for name in names))
        assert [name[:7] for name in folders] == ["01 Lin ", "02 Lin ", "03 Lin "]
        assert f"{folders[0]}/pictures/02.jpg" in names
        manifest = parse_manifest(zipped.read(f"{folders[0]}/manifest.json"))
        assert manifest.persona.name == "Lin"
    plain = export_album(studio, asked.changed(content="pictures", together=True), run_directly)
    (archive,) = plain.archives
    with zipfile.ZipFile(io.BytesIO(studio.store.get(archive.bundle))) as zipped:
        assert {name.split("/")[0] for name in zipped.namelist()} == {"xiaohongshu", "taobao"}
        assert not any("manifest" in name for name in zipped.namelist())
    assert (archive.pictures, archive.name) == (12, "春装.zip")


def test_the_same_album_gives_the_same_pictures_each_signed_anew(studio: Studio, album: Album) -> None:
    asked = album_request(studio, "me", album.id, ("xiaohongshu",))
    pixels = []
    for made in (export_album(studio, asked, run_directly), export_album(studio, asked, run_directly)):
        with zipfile.ZipFile(io.BytesIO(studio.store.get(made.archives[0].bundle))) as zipped:
            pictures = {name: zipped.read(name) for name in zipped.namelist() if name.endswith(".jpg")}
        assert {read_credentials(data).state for data in pictures.values()} == {"valid"}
        pixels.append({name: split_labels(data)[0] for name, data in pictures.items()})
    assert pixels[0] == pixels[1]


@pytest.mark.parametrize("platforms", [("taobao",)])
def test_what_no_platform_takes_is_refused_before(studio: Studio, platforms: tuple[str, ...]) -> None:
    made = make_album(studio.records, "me", "much")
    with pytest.raises(BadInput, match="album_empty"):
        album_request(studio, "me", made.id, platforms)
    put_into(studio.records, "me", made.id, [f"posts:{keep_posts(studio, 1, keep_cafe(studio), pictures=9).id}"])
    with pytest.raises(BadInput) as raised:
        album_request(studio, "me", made.id, platforms).check_before()
    assert raised.value.code != "album_empty"
    with pytest.raises(BadInput):
        album_request(studio, "me", made.id, ("nowhere",))
    with pytest.raises(BadInput, match="album_unknown"):
        album_request(studio, "you", made.id, platforms)


def test_the_command_line_fills_and_exports(studio: Studio, tmp_path: Path) -> None:
    one, two = (keep_posts(studio, number, keep_cafe(studio), pictures=2) for number in (1, 2))
    assert command(studio, "add", "春装", "--set", one.id, "--post", f"{two.id}:2")["count"] == 2
    (listed,) = command(studio, "list")["albums"]
    assert (listed["name"], listed["count"]) == ("春装", 2)
    assert {row["id"] for row in command(studio, "list", "春装")["things"]} == {
        f"posts:{one.id}", post_thing(two.id, 1),
    }  # fmt: skip
    assert command(studio, "remove", listed["id"], "--set", one.id)["count"] == 1
    told = command(studio, "bundle", "春装", str(tmp_path / "out"))
    (row,) = told["archives"]
    assert (row["pictures"], told["left_out"]) == (1, [])
    assert zipfile.is_zipfile(row["file"])
    assert command(studio, "add", "春装", fails=True).code == "album_nothing_named"
    assert command(studio, "add", "春装", "--post", "x", fails=True).code == "album_post_unreadable"
    assert command(studio, "add", "春装", "--set", "x", fails=True).code == "album_takes_posts"
    assert command(studio, "remove", "nothing", "--set", one.id, fails=True).code == "album_unknown"


def test_the_api_queues_it_and_the_trash_takes_it_with_its_set(studio: Studio, album: Album) -> None:
    with Engine(studio, None) as engine:
        site = TestClient(make_site(Studio(studio.settings)))
        asked = site.post(f"/api/albums/{album.id}/bundle", json={"platforms": ["xiaohongshu"]})
        assert asked.status_code == 202, asked.text
        made = engine.run(album_request(studio, "me", album.id, ("xiaohongshu",)), AlbumExport)
        assert site.get(f"/api/jobs/{asked.json()['id']}").json()["result"]["id"] == made.id
        assert site.get(f"/files/{made.archives[0].bundle}").status_code == 200
        mark_thing(studio.records, "me", "posts:set00002", trashed=True)
        forgotten: list[str] = []
        empty_trash(studio.library, "me", lambda jobs, owner: forgotten.extend(jobs))
        assert asked.json()["id"] in forgotten
