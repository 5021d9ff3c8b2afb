"""Folders that several machines share through a bucket: donors, uploads, checkpoints; each machine is a data folder."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.errors import BadInput, StudioError
from pipelines.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue
from studio.library import bucket as bucket_module
from studio.library import shared as shared_module
from studio.library import uploads
from studio.library.bucket import Bucket
from studio.library.grants import grant
from studio.library.records import JobRecord, Records
from studio.library.saved_settings import SavedFile, SavedOnServer
from studio.library.shared import Shared, _Mirror, _open, open_shared
from studio.settings import ASSETS, Settings
from studio.web.app import make_site
from tests.s3 import S3Server
from tests.site import TestClient
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind


@pytest.fixture
def machines(s3_url: str, tmp_path: Path) -> tuple[Shared, Shared]:
    return _Mirror(tmp_path / "one", Bucket(s3_url)), _Mirror(tmp_path / "two", Bucket(s3_url))


def write(shared: Shared, name: str, text: str) -> None:
    path = shared.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def texts(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_what_one_machine_writes_changes_and_deletes_the_other_has(machines: tuple[Shared, Shared]) -> None:
    one, two = machines
    write(one, "donors/sweet/小美/donor.json", "{}")
    write(one, "donors/sweet/小美/lora #1 100%.safetensors", "weights")
    one.sync("donors")
    assert texts(two.sync("donors")) == {
        "sweet/小美/donor.json": "{}",
        "sweet/小美/lora #1 100%.safetensors": "weights",
    }
    write(two, "donors/sweet/小美/donor.json", '{"revoked": true}')
    two.sync("donors")
    assert texts(one.sync("donors"))["sweet/小美/donor.json"] == '{"revoked": true}'
    shutil.rmtree(one.folder / "donors" / "sweet" / "小美")
    one.sync("donors")
    assert texts(two.sync("donors")) == {}
    assert texts(one.sync("donors")) == {}


def test_nothing_is_sent_twice_and_half_written_files_not_at_all(
    machines: tuple[Shared, Shared], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    write(one, "donors/a/donor.json", "{}")
    write(one, "donors/a/lora.safetensors.part", "half")
    write(one, "donors/a/.hidden", "half")
    sent: list[str] = []
    put, blocks = Bucket.put, Bucket.blocks

    def note_put(self: Bucket, name: str, data: bytes | Path) -> str:
        sent.append(name)
        return put(self, name, data)

    def note_blocks(self: Bucket, name: str) -> Iterator[bytes]:
        sent.append(name)
        return blocks(self, name)

    monkeypatch.setattr(Bucket, "put", note_put)
    monkeypatch.setattr(Bucket, "blocks", note_blocks)
    for shared in (one, two, one, two):
        shared.sync("donors")
    assert sent == ["donors/a/donor.json"] * 2  # there, and here


def test_a_lost_disk_is_nobodys_wish_to_delete(machines: tuple[Shared, Shared]) -> None:
    one, _ = machines
    write(one, "donors/a/donor.json", "{}")
    one.sync("donors")
    shutil.rmtree(one.folder / "donors")
    assert texts(one.sync("donors")) == {"a/donor.json": "{}"}


def test_of_two_changes_the_later_one_stays(machines: tuple[Shared, Shared]) -> None:
    one, two = machines
    for shared, text in ((one, "first"), (two, "second one")):
        write(shared, "donors/a/donor.json", text)
    one.sync("donors")
    later = time.time() + 5
    os.utime(two.folder / "donors" / "a" / "donor.json", (later, later))
    two.sync("donors")
    assert texts(one.sync("donors")) == texts(two.sync("donors")) == {"a/donor.json": "second one"}


def test_donors_are_those_of_all_machines(s3_url: str, tmp_path: Path) -> None:
    none = tmp_path / "none"
    one = Studio(Settings(data=tmp_path / "one", store=s3_url, bundled_donors=none))
    source = sorted((ASSETS / "donors" / "sweet").iterdir())[0]
    assert one.donors() == ()
    shutil.copytree(source, tmp_path / "one" / "donors" / "sweet" / source.name)  # as a data folder of before has it
    (mine,) = one.donors()
    two = _Mirror(tmp_path / "two", Bucket(s3_url))
    folder = two.sync("donors") / "sweet" / source.name
    assert (folder / "lora.safetensors").read_bytes() == mine.lora_path.read_bytes()
    record = json.loads((folder / "donor.json").read_text())
    record["consent"]["revoked"] = True
    (folder / "donor.json").write_text(json.dumps(record))
    two.sync("donors")
    assert one.donors()[0].consent.revoked


def test_an_upload_of_another_machine_is_found_for_a_day(s3_url: str, tmp_path: Path) -> None:
    one, two = (Settings(data=tmp_path / name, store=s3_url) for name in ("one", "two"))

    async def blocks() -> AsyncIterator[bytes]:
        yield b"a picture"

    token = asyncio.run(uploads.keep_upload(one, "me", "小美.png", blocks()))
    assert uploads.find_upload(two, "me", token).read_bytes() == b"a picture"
    assert uploads.find_upload(two, "me", token).name == uploads.find_upload(one, "me", token).name
    with pytest.raises(BadInput, match="no_upload"):
        uploads.find_upload(two, "wang", token)
    uploads.forget_old_uploads(one, time.time() + 23 * 3600)
    assert uploads.find_upload(two, "me", token)
    for settings in (one, two):
        uploads.forget_old_uploads(settings, time.time() + 25 * 3600)
    assert list(Bucket(s3_url).list("uploads")) == []
    with pytest.raises(BadInput, match="no_upload"):
        uploads.find_upload(two, "me", token)


def test_another_machine_goes_on_at_the_last_checkpoint(machines: tuple[Shared, Shared], s3_url: str) -> None:
    one, two = machines
    name = "work/persona/round-0"
    for steps in (1, 2, 3):
        weights = {"a": torch.full((4, 4), float(steps))}
        write_checkpoint(one.sync(name), "a training", Checkpoint(weights, {"b": torch.zeros(2)}, [0.5] * steps))
        one.sync(name)
    found = read_checkpoint(two.sync(name), "a training")
    assert found is not None
    assert len(found.losses) == 3
    assert found.weights["a"][0, 0] == 3
    assert len(list((two.folder / name).glob("step-*"))) == 2  # as many as are kept
    two.drop(name)
    assert list(Bucket(s3_url).list("work")) == []
    assert texts(one.sync(name)) == {}  # which frees its disk, too


def test_folders_of_one_machine_are_left_alone(tmp_path: Path) -> None:
    shared = open_shared(Settings(data=tmp_path))
    write(shared, "donors/a/donor.json", "{}")
    before = texts(tmp_path)
    assert shared.sync("donors") == tmp_path / "donors"
    shared.drop("donors")
    shared.forget_older("donors", time.time())
    assert texts(tmp_path) == before
    elsewhere = Settings(data=tmp_path / "data", store=str(tmp_path / "network"))
    assert open_shared(elsewhere).sync("donors") == tmp_path / "network" / "donors"
    studio = Studio(elsewhere)
    key = studio.store.put(b"x")
    assert (tmp_path / "network" / "files" / key[:2] / key).read_bytes() == b"x"
    with pytest.raises(BadInput, match="store_elsewhere"):
        Studio(Settings(data=tmp_path / "data"))


def test_a_job_that_lost_its_store_is_tried_again_behind_its_last_step(
    s3_server: S3Server, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if s3_server.kind == "moto":
        pytest.skip("moto forgets all when it ends")
    monkeypatch.setattr(bucket_module, "_RETRIES", {"max_retries": 1})
    _open.cache_clear()
    calls: list[str] = []

    def job(studio: Studio, request: WorkRequest, run: object, progress: object) -> Work:
        def step(name: str) -> str:
            calls.append(name)
            if name == request.word and calls.count(name) == 1:
                s3_server.stop()
            return str(studio.store.put(name.encode()))

        assert callable(run)
        keys = tuple(run(name, lambda name=name: step(name)) for name in ("first", "second", "third"))
        if request.word == "end" and calls.count("end") == 0:
            calls.append("end")
            s3_server.stop()
        return Work(id=request.word, keys=keys)

    add_kind(monkeypatch, job)
    studio = Studio(Settings(data=tmp_path / "data", store=s3_url))
    with Engine(studio) as engine:
        for word, steps in (
            ("second", ["first", "second", "second", "third"]),
            ("end", ["first", "second", "third", "end"]),
        ):
            calls.clear()
            with pytest.raises(StudioError, match="store_unreachable"):
                engine.run(WorkRequest(owner="li", word=word), Work)
            row = Queue(studio).jobs("li")[0]
            assert (row.state, row.facts["code"]) == ("failed", "store_unreachable")
            s3_server.start()
            done = engine.run(WorkRequest(owner="li", word=word), Work)
            assert calls == steps
            assert [studio.store.get(key) for key in done.keys] == [b"first", b"second", b"third"]
            (row,) = [job for job in studio.records.find(JobRecord, "li") if job.facts.get("id") == word]
            assert row.state == "done"


def test_pages_do_not_wait_one_after_the_other_for_a_store_that_is_away(
    s3_server: S3Server, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if s3_server.kind == "moto":
        pytest.skip("moto forgets all when it ends")
    monkeypatch.setattr(bucket_module, "_RETRIES", {"max_retries": 3})
    monkeypatch.setattr(shared_module, "_AWAY_S", 1.0)
    _open.cache_clear()
    studio = Studio(Settings(data=tmp_path / "data", store=s3_url))
    key = studio.store.put_picture(np.zeros((8, 8, 3), np.uint8))
    grant(studio.records, "me", [key])
    bundled = studio.donors()[0]
    site = TestClient(make_site(studio))
    s3_server.stop()
    try:
        for _ in range(2):
            with pytest.raises(StudioError, match="store_unreachable"):
                studio.donors()
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(StudioError, match="store_unreachable"):
                studio.donors()
        assert time.monotonic() - began < 0.5
        assert site.get(f"/donors/{bundled.id}").status_code == 200  # comes along, and is asked nobody for
        answer = site.get(f"/files/{key}")
        assert answer.status_code == 503
        assert answer.json()["code"] == "store_unreachable"
    finally:
        s3_server.start()
    assert site.get(f"/files/{key}").status_code == 200
    assert site.get(f"/thumbs/{key}").status_code == 200
    time.sleep(1.1)
    assert studio.donors()


def test_what_is_saved_on_a_server_all_machines_see(tmp_path: Path) -> None:
    records = Records(tmp_path / "a.sqlite")
    file = SavedFile(tmp_path)
    file.choose(BackboneChoice(backbone="/models/a"))
    one, two = SavedOnServer(tmp_path, records), SavedOnServer(tmp_path / "two", records)
    assert one.read().backbone == file.read().backbone  # what a folder said before
    assert two.read().backbone is None
    one.choose(BackboneChoice(backbone="/models/b"))
    assert one.read().backbone == BackboneChoice(backbone="/models/b")
    time.sleep(1.1)
    assert two.read().backbone == one.read().backbone
    assert [place.backbone for place in two.read().places] == ["/models/b", "/models/a"]
