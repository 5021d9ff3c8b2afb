"""A data folder goes into one file while it is used, and comes back whole, in another place."""

import json
import os
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput, OutOfDisk
from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue
from studio.library import backup
from studio.library.backup import back_up, restore
from studio.library.grants import grant
from studio.library.integrity import check_files, repair_files
from studio.library.records import FileRecord, JobFilesRecord, JobRecord, PersonaRecord
from studio.settings import Settings
from tests.stored import place_in
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind


def filled(data: Path) -> tuple[Studio, list[str]]:
    """A studio with two stored files that its records name, a donor's folder, and settings."""
    studio = Studio(Settings(data=data))
    keys = [studio.store.put(name.encode()) for name in ("picture", "weights")]
    studio.records.keep(
        JobRecord(id="posts-1", owner="me", kind="posts", state="done", error=None, facts={}),
        JobFilesRecord(id="posts-1", owner="me", keys=[str(key) for key in keys], made=[]),
        PersonaRecord(id="p1", owner="me", name="小美", version=1, design="d", lora=str(keys[1]), facts={}),
    )
    grant(studio.records, "me", keys)
    (data / "donors" / "mine").mkdir(parents=True)
    (data / "donors" / "mine" / "donor.json").write_text("{}")
    (data / "settings.json").write_text("{}")
    return studio, [str(key) for key in keys]


def test_everything_comes_back_elsewhere(tmp_path: Path) -> None:
    studio, keys = filled(tmp_path / "data")
    (tmp_path / "data" / "thumbs").mkdir()
    (tmp_path / "data" / "thumbs" / "small.webp").write_bytes(b"made again at any time")
    made = back_up(studio.library, tmp_path / "b.zip")
    assert made.missing == ()
    assert (tmp_path / "b.zip").stat().st_mode & 0o077 == 0
    found = restore(tmp_path / "b.zip", tmp_path / "other")
    assert (found.files, found.bytes) == (made.files, made.bytes)
    again = Studio(Settings(data=tmp_path / "other"))
    assert [row.name for row in again.records.find(PersonaRecord, "me")] == ["小美"]
    assert [again.store.get(key) for key in keys] == [b"picture", b"weights"]
    assert len(again.records.find(FileRecord, "me")) == 2
    assert (tmp_path / "other" / "donors" / "mine" / "donor.json").read_text() == "{}"
    assert not (tmp_path / "other" / "thumbs").exists()


def test_what_others_write_meanwhile_is_in_it_whole_or_not_at_all(tmp_path: Path) -> None:
    studio, _ = filled(tmp_path / "data")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            key = studio.store.put(f"picture {number}".encode())
            studio.records.keep(JobFilesRecord(id=f"j{number}", owner="me", keys=[str(key)], made=[str(key)]))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            assert back_up(studio.library, tmp_path / f"{number}.zip").missing == ()
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        restore(tmp_path / f"{number}.zip", tmp_path / f"d{number}")
        lists = Studio(Settings(data=tmp_path / f"d{number}"))
        assert all(lists.store.has(k) for row in lists.records.find(JobFilesRecord, "me") for k in row.keys)


def test_a_job_that_ran_goes_on_in_the_restored_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its engine knows it under the name of a worker of another folder."""
    calls: list[str] = []
    backed = threading.Event()

    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        def begin() -> str:
            calls.append("first")
            return str(studio.store.put(b"first"))

        first = run("first", begin)
        if not backed.is_set():
            back_up(studio.library, tmp_path / "b.zip")
            backed.set()
        run("second", lambda: calls.append("second"))
        return Work(id="it", keys=(first,))

    add_kind(monkeypatch, job)
    with Engine(Studio(Settings(data=tmp_path / "data"))) as engine:
        engine.run(WorkRequest(owner="li"), Work)
    assert calls == ["first", "second"]
    restore(tmp_path / "b.zip", tmp_path / "other")
    studio = Studio(Settings(data=tmp_path / "other"))
    (row,) = studio.records.find(JobRecord, "li")
    assert row.state == "running"
    with Engine(studio, None):
        done = Queue(studio)
        for _ in range(1200):
            if (now := done.find(row.id, "li")) is not None and now.state == "done":
                break
            threading.Event().wait(0.05)
    (row,) = studio.records.find(JobRecord, "li")
    assert row.state == "done"
    assert calls == ["first", "second", "second"]  # the first step's result was in the backup


def test_a_job_that_is_put_between_the_two_copies_is_not_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records' copy would have a job that the engine's never heard of, and its request would have gone."""
    data = tmp_path / "data"
    add_kind(monkeypatch, lambda *_: Work(id="it"))
    with Engine(Studio(Settings(data=data))) as engine:
        engine.run(WorkRequest(owner="li"), Work)
    studio, copied = Studio(Settings(data=data)), backup._copy_database
    seen: list[str] = []

    def copy(source: Path, target: Path) -> None:
        copied(source, target)
        if source.name == "engine.sqlite":
            seen.append("engine")
            row = JobRecord(id=f"work-{len(seen)}", owner="li", kind="work", state="queued", error=None, facts={})
            studio.records.keep(row)

    monkeypatch.setattr(backup, "_copy_database", copy)
    back_up(studio.library, tmp_path / "b.zip")
    assert len(seen) == 5
    restore(tmp_path / "b.zip", tmp_path / "other")
    rows = Studio(Settings(data=tmp_path / "other")).records.find(JobRecord, "li")
    assert [row.state for row in rows] == ["done"]


@pytest.mark.parametrize("linked", [True, False])
def test_it_comes_back_into_a_folder_that_is_there(linked: bool, tmp_path: Path) -> None:
    """As where another disk is mounted, or linked to."""
    studio, _ = filled(tmp_path / "data")
    back_up(studio.library, tmp_path / "b.zip")
    (tmp_path / "disk").mkdir()
    place = tmp_path / "disk"
    if linked:
        place = tmp_path / "link"
        place.symlink_to(tmp_path / "disk")
    before = (tmp_path / "disk").stat().st_ino
    restore(tmp_path / "b.zip", place)
    assert (tmp_path / "disk").stat().st_ino == before
    assert sorted(path.name for path in (tmp_path / "disk").iterdir() if "-" not in path.name) == [
        "donors", "files", "settings.json", "studio.sqlite",
    ]  # fmt: skip


def test_files_that_are_missing_already_are_said(tmp_path: Path) -> None:
    studio, keys = filled(tmp_path / "data")
    place_in(studio.store, keys[0]).unlink()
    assert back_up(studio.library, tmp_path / "b.zip").missing == (keys[0],)


def test_nothing_is_replaced(tmp_path: Path) -> None:
    studio, _ = filled(tmp_path / "data")
    (tmp_path / "b.zip").write_text("a diary")
    with pytest.raises(BadInput, match="backup_exists"):
        back_up(studio.library, tmp_path / "b.zip")
    back_up(studio.library, tmp_path / "c.zip")
    with pytest.raises(BadInput, match="restore_not_empty"):
        restore(tmp_path / "c.zip", tmp_path / "data")
    assert (tmp_path / "b.zip").read_text() == "a diary"


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def _one_bit(file: Path) -> None:
    """In a stored picture, whose check sum zip tells of, and ours."""
    data = file.read_bytes()
    file.write_bytes(data.replace(b"weights", b"weightS", 1))


def _outside(file: Path) -> None:
    """An entry that would be written beside the folder."""
    with zipfile.ZipFile(file) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    listed = json.loads(contents.pop("backup.json"))
    listed["files"]["../evil"] = listed["files"].pop("settings.json")
    contents["../evil"] = contents.pop("settings.json")
    with zipfile.ZipFile(file, "w") as new:
        for name, data in (contents | {"backup.json": json.dumps(listed).encode()}).items():
            new.writestr(name, data)


def _no_list(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as new:
        new.writestr("settings.json", "{}")


def _no_zip(file: Path) -> None:
    file.write_text("a diary")


def _moved(file: Path) -> None:
    """The zip's list points before the file's beginning: the list of contents ends earlier than it says."""
    data = file.read_bytes()
    end = data.rindex(b"PK\5\6")
    size = int.from_bytes(data[end + 12 : end + 16], "little")
    file.write_bytes(data[: end + 12] + (size + 2000).to_bytes(4, "little") + data[end + 16 :])


def _entry_elsewhere(file: Path) -> None:
    """An entry begins where no file can be read from."""
    data = bytearray(file.read_bytes())
    at = data.index(b"PK\1\2")
    data[at + 42 : at + 46] = (2**32 - 2).to_bytes(4, "little")
    file.write_bytes(bytes(data))


def _encrypted(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    file.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [_cut, _one_bit, _outside, _no_list, _no_zip, _moved, _entry_elsewhere, _encrypted])
def test_a_damaged_backup_restores_nothing(harm: Any, tmp_path: Path) -> None:
    studio, _ = filled(tmp_path / "data")
    back_up(studio.library, tmp_path / "b.zip")
    harm(tmp_path / "b.zip")
    with pytest.raises(BadInput, match="backup_"):
        restore(tmp_path / "b.zip", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "evil").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "data"]


def test_a_full_disk_leaves_no_half_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio, _ = filled(tmp_path / "data")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OutOfDisk):
        back_up(studio.library, tmp_path / "b.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_the_examination_finds_what_is_missing_damaged_and_unneeded(tmp_path: Path) -> None:
    studio, (picture, weights) = filled(tmp_path / "data")
    nobodys = studio.store.put(b"nobody's")
    assert check_files(studio.library).lost == ()
    place_in(studio.store, weights).write_bytes(b"weightS")
    shutil.move(place_in(studio.store, picture), tmp_path / "aside")
    found = check_files(studio.library)
    assert {(one.key, one.damaged, one.jobs) for one in found.lost} == {
        (picture, False, ("posts-1",)),
        (weights, True, ("posts-1",)),
    }
    assert (found.files, found.unneeded, found.unneeded_bytes) == (2, 1, 8)
    assert studio.store.has(nobodys)


def test_a_damaged_file_heals_when_the_same_is_stored_again(tmp_path: Path) -> None:
    studio, (_, weights) = filled(tmp_path / "data")
    place_in(studio.store, weights).write_bytes(b"weightS")
    with pytest.raises(BadInput, match="stored_file_damaged"):
        studio.store.open_local(weights)
    studio.store.put(b"weights")
    assert studio.store.open_local(weights).read_bytes() == b"weights"


def test_repair_puts_damaged_files_aside_and_frees_what_nobody_needs(tmp_path: Path) -> None:
    studio, (picture, weights) = filled(tmp_path / "data")
    nobodys = studio.store.put(b"nobody's")
    os.utime(place_in(studio.store, nobodys), (0, 0))
    place_in(studio.store, weights).write_bytes(b"weightS")
    done = repair_files(studio.library)
    assert (done.aside, done.freed, done.bytes) == ((weights,), 1, 8)
    assert (tmp_path / "data" / "damaged" / weights).read_bytes() == b"weightS"
    assert studio.store.has(picture)
    studio.records.keep(JobRecord(id="j", owner="me", kind="posts", state="queued", error=None, facts={}))
    with pytest.raises(BadInput, match="busy"):
        repair_files(studio.library)
