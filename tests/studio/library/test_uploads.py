"""Uploads: how much one may keep, and for how long."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import studio.library.uploads as uploads
from pipelines.errors import BadInput, OutOfDisk
from studio.application import Studio
from studio.library.grants import grant
from studio.settings import Settings, make_data_folder
from studio.web.app import make_site
from tests.library import picture
from tests.site import TestClient


async def _blocks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


def keep(settings: Settings, owner: str, data: bytes, announced: int = 0) -> str:
    return asyncio.run(uploads.keep_upload(settings, owner, "a.bin", _blocks(data), announced))


def test_one_users_uploads_have_a_most_and_anothers_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=tmp_path)
    monkeypatch.setattr(uploads, "_MOST_KEPT_BYTES", 100_000)
    keep(settings, "mei", b"a" * 60_000)
    with pytest.raises(BadInput, match="uploads_full"):
        keep(settings, "mei", b"b" * 60_000, announced=60_000)
    monkeypatch.setattr(uploads, "_BETWEEN_LOOKS", 20_000)
    with pytest.raises(BadInput, match="uploads_full"):  # that nobody announced
        keep(settings, "mei", b"b" * 80_000)
    token = keep(settings, "wang", b"b" * 80_000, announced=80_000)
    assert uploads.find_upload(settings, "wang", token).read_bytes() == b"b" * 80_000
    assert not list(tmp_path.glob("uploads/*/.*.part"))
    monkeypatch.setattr(uploads, "_MOST_KEPT", 1)
    with pytest.raises(BadInput, match="uploads_full"):
        keep(settings, "wang", b"c")


def test_a_disk_that_is_nearly_full_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_000_000_500))
    settings = Settings(data=tmp_path)
    keep(settings, "mei", b"a" * 100, announced=100)
    with pytest.raises(OutOfDisk):
        keep(settings, "mei", b"a" * 1000, announced=1000)


def test_everybodys_uploads_go_after_a_day(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    tokens = {owner: keep(settings, owner, owner.encode()) for owner in ("mei", "wang")}
    page = uploads.pages_folder(settings) / "0123"
    page.mkdir(parents=True)
    (page / "a.png").write_bytes(b"x")
    uploads.forget_old_uploads(settings, time.time() + 23 * 3600)
    assert all(uploads.find_upload(settings, owner, token) for owner, token in tokens.items())
    assert page.exists()
    uploads.forget_old_uploads(settings, time.time() + 25 * 3600)
    for owner, token in tokens.items():
        with pytest.raises(BadInput, match="no_upload"):
            uploads.find_upload(settings, owner, token)
    assert not page.exists()


def test_a_picture_has_few_thumbnails_whatever_is_asked_for(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    key = studio.store.put_picture(picture(1))
    grant(studio.records, "me", [key])
    site = TestClient(make_site(studio))
    for width in (*range(32, 641, 29), 640):
        answer = site.get(f"/thumbs/{key}?width={width}")
        assert answer.status_code == 200
    kept = sorted((tmp_path / "thumbs").glob("*.webp"))
    assert len(kept) <= 7


def test_no_other_account_looks_into_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "studio.sqlite").touch(0o644)
    make_data_folder(Settings(data=folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "studio.sqlite").stat().st_mode) == 0o600
    umask = os.umask(0o022)
    try:
        make_data_folder(Settings(data=tmp_path / "new"))
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
