"""The store in a bucket of an S3: put-if-absent, damage, the copies on disk, sweep, repair, backup, and no server."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import BadInput, StudioError
from studio.application import Studio
from studio.library import bucket as bucket_module
from studio.library import bucket_backend, file_cache
from studio.library.backup import back_up, restore
from studio.library.bucket import Bucket
from studio.library.bucket_backend import BucketBackend
from studio.library.file_cache import FileCache
from studio.library.grants import grant
from studio.library.integrity import check_files, repair_files
from studio.library.records import JobFilesRecord, JobRecord, Records
from studio.library.store import Store
from studio.library.store_place import move_files
from studio.library.trash import disk_use, sweep
from studio.settings import Settings, read_settings
from tests.s3 import KEY, SECRET, S3Server


@pytest.fixture
def raw(s3_url: str) -> Bucket:
    return Bucket(s3_url)


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(tmp_path / "cache", 10_000_000)


@pytest.fixture
def store(raw: Bucket, cache: FileCache) -> Store:
    return Store(BucketBackend(raw, cache))


def name_of(key: str) -> str:
    return f"files/{key[:2]}/{key}"


def test_a_file_comes_back_and_is_listed(store: Store, raw: Bucket) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    key = store.put_picture(image)
    np.testing.assert_array_equal(store.get_picture(key), image)
    assert store.has(key)
    assert not store.has("0" * 64)
    assert list(store.keys()) == [key]
    (file,) = store.files()
    assert abs(time.time() - file.written) < 100
    assert file.size == len(store.get(key)) == sum(map(len, store.blocks(key)))
    assert raw.get(name_of(key)) == store.open_local(key).read_bytes()
    with pytest.raises(BadInput, match="stored_file_missing"):
        store.get("0" * 64)
    with pytest.raises(BadInput, match="stored_file_missing"):
        store.open_local("0" * 64)


def test_what_is_large_goes_in_parts_and_comes_back(store: Store) -> None:
    data = np.random.default_rng(1).bytes(bucket_module._AT_ONCE + 12_345)
    key = store.put(data)
    assert store.put(data) == key
    assert hashlib.sha256(store.open_local(key).read_bytes()).hexdigest() == key
    assert [file.size for file in store.files()] == [len(data)]


def test_one_of_many_writers_wins(s3_server: S3Server, raw: Bucket) -> None:
    if s3_server.kind == "rclone":
        pytest.skip("rclone knows no conditions: all write, and what a file is called is its content")
    with ThreadPoolExecutor(16) as hands:
        won = list(hands.map(lambda n: raw.create("files/aa/x", f"{n}".encode()), range(16)))
    assert sum(won) == 1
    assert raw.get("files/aa/x") == f"{won.index(True)}".encode()


def test_writers_of_the_same_at_once_all_have_it(store: Store) -> None:
    with ThreadPoolExecutor(8) as hands:
        keys = set(hands.map(lambda _: store.put(b"the same"), range(16)))
    assert len(keys) == 1
    assert store.get(keys.pop()) == b"the same"


def test_nothing_is_written_twice_but_what_a_sweep_would_take_is_as_new(
    s3_server: S3Server, store: Store, raw: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    if s3_server.kind == "rclone":
        pytest.skip("rclone knows no conditions: what is there is written once more, and is new")
    key = store.put(b"hello")
    written: list[str] = []

    def put(self: Bucket, name: str, data: bytes) -> str:
        written.append(name)
        return ""

    monkeypatch.setattr(Bucket, "put", put)
    assert store.put(b"hello") == key
    assert written == []
    monkeypatch.setattr(bucket_backend, "_FRESH_S", -1.0)
    store.put(b"hello")
    assert written == [name_of(key)]


def test_damage_is_told_and_heals_when_the_same_is_stored_again(store: Store, raw: Bucket) -> None:
    key = store.put(b"hello")
    raw.put(name_of(key), b"hellO")
    for read in (store.get, store.open_local, store.fetch):
        with pytest.raises(BadInput, match="stored_file_damaged"):
            read(key)
    assert not store.is_whole(key)
    store.put(b"hello")
    assert store.is_whole(key)
    assert store.get(key) == b"hello"


def test_a_copy_is_read_again_and_a_damaged_one_fetched_anew(store: Store, raw: Bucket, cache: FileCache) -> None:
    key = store.put(b"hello")
    path = store.open_local(key)
    raw.delete(name_of(key))
    assert store.open_local(key) == path
    raw.put(name_of(key), b"hello")
    path.write_bytes(b"hellO")
    assert store.open_local(key).read_bytes() == b"hello"
    path.write_bytes(b"")  # as a power cut leaves it
    assert store.get(key) == b"hello"


def test_copies_that_were_not_used_for_long_give_way(store: Store, cache: FileCache, tmp_path: Path) -> None:
    cache._most = 10_000
    keys = [store.put(bytes([n]) * 3_000) for n in range(6)]
    paths = []
    for age, key in enumerate(keys[:3]):
        paths.append(store.open_local(key))
        os.utime(paths[-1], (time.time() - 1000 + age, paths[-1].stat().st_mtime))
    store.open_local(keys[0])  # used now
    paths.append(store.open_local(keys[3]))
    assert [path.exists() for path in paths] == [True, False, True, True]
    assert cache.size() == 9_000
    for key in keys[4:]:  # used just now, all of them: whoever asked for them may not have opened them yet
        store.open_local(key)
    assert cache.size() == 12_000
    assert store.get(keys[1]) == bytes([1]) * 3_000


def test_processes_and_threads_share_the_copies(raw: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own memory of what is there; what one reads is whole, whatever the others clear meanwhile."""
    monkeypatch.setattr(file_cache, "_GRACE_S", 0.0)
    stores = [Store(BucketBackend(raw, FileCache(tmp_path / "cache", 40_000))) for _ in range(4)]
    keys = [stores[0].put(bytes([n]) * 10_000) for n in range(12)]
    wrong: list[BaseException] = []

    def read(store: Store, seed: int) -> None:
        order = np.random.default_rng(seed).integers(0, len(keys), 60)
        for n in order:
            try:
                assert store.get(keys[n]) == bytes([n]) * 10_000
            except BaseException as error:
                wrong.append(error)

    hands = [threading.Thread(target=read, args=(store, n)) for n, store in enumerate(stores)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert wrong == []
    assert FileCache(tmp_path / "cache", 40_000).size() <= 40_000 + 4 * 10_000  # what each of them brought last
    assert not list((tmp_path / "cache").glob("*.part"))


def bucket_studio(tmp_path: Path, s3_url: str, name: str = "data") -> Studio:
    return Studio(Settings(data=tmp_path / name, store=s3_url))


def filled(studio: Studio) -> list[str]:
    keys = [studio.store.put(name.encode()) for name in ("picture", "weights")]
    studio.records.keep(
        JobRecord(id="posts-1", owner="me", kind="posts", state="done", error=None, facts={}),
        JobFilesRecord(id="posts-1", owner="me", keys=[str(key) for key in keys], made=[]),
    )
    grant(studio.records, "me", keys)
    return [str(key) for key in keys]


def test_a_sweep_takes_what_is_old_and_nobodys(tmp_path: Path, s3_url: str) -> None:
    studio = bucket_studio(tmp_path, s3_url)
    needed = filled(studio)
    nobodys = studio.store.put(b"nobody's")
    assert sweep(studio.library) == (0, 0)  # it may be in no row yet
    assert sweep(studio.library, young_s=-10) == (1, 8)
    assert sorted(studio.store.keys()) == sorted(needed)
    assert not studio.store.has(nobodys)


def test_what_was_stored_again_meanwhile_is_not_swept(store: Store, raw: Bucket) -> None:
    key = store.put(b"hello")
    (file,) = store.files()
    time.sleep(1.1)  # a second is what servers tell times by
    raw.put(name_of(key), b"hello")
    assert not store.remove(file)
    (file,) = store.files()
    assert store.remove(file)
    assert not store.has(key)


def test_the_examination_and_the_repair(tmp_path: Path, s3_url: str, raw: Bucket) -> None:
    studio = bucket_studio(tmp_path, s3_url)
    picture, weights = filled(studio)
    studio.store.put(b"nobody's")
    studio.store.open_local(weights)  # a whole copy on this disk says nothing of what is stored
    assert check_files(studio.library).lost == ()
    raw.put(name_of(weights), b"weightS")
    raw.delete(name_of(picture))
    found = check_files(studio.library)
    assert {(one.key, one.damaged, one.jobs) for one in found.lost} == {
        (picture, False, ("posts-1",)), (weights, True, ("posts-1",)),
    }  # fmt: skip
    assert (found.files, found.unneeded, found.unneeded_bytes) == (2, 1, 8)
    assert repair_files(studio.library).aside == (weights,)
    assert raw.get(f"damaged/{weights}") == b"weightS"
    assert not studio.store.has(weights)
    use = disk_use(studio.library)
    assert use["stored"] == 8
    assert use["cache"] == 0
    assert "bundles" not in use


def test_a_backup_of_a_bucket_comes_back_into_a_folder_and_into_another_bucket(
    tmp_path: Path, s3_url: str, s3_server: S3Server
) -> None:
    studio = bucket_studio(tmp_path, s3_url)
    keys = filled(studio)
    donor = studio.library.shared.folder / "donors" / "sweet" / "小美"
    donor.mkdir(parents=True)
    (donor / "donor.json").write_text("{}")
    made = back_up(studio.library, tmp_path / "b.zip")
    assert made.missing == ()
    restore(tmp_path / "b.zip", tmp_path / "folder")
    again = Studio(Settings(data=tmp_path / "folder"))
    assert [again.store.get(key) for key in keys] == [b"picture", b"weights"]
    assert (tmp_path / "folder" / "donors" / "sweet" / "小美" / "donor.json").is_file()

    settings = Settings(data=tmp_path / "elsewhere", store=s3_server.new_bucket())
    restore(tmp_path / "b.zip", settings.data, bucket=settings.bucket)
    move_files(settings, Records(settings.data / "studio.sqlite"))
    other = Studio(settings)
    assert [other.store.get(key) for key in keys] == [b"picture", b"weights"]
    assert sorted(other.store.keys()) == sorted(keys)
    assert not list((settings.data / "files").glob("*/*"))
    assert studio.store.has(keys[0])


def test_a_folder_knows_its_bucket_and_a_bucket_its_records(tmp_path: Path, s3_url: str, s3_server: S3Server) -> None:
    studio = bucket_studio(tmp_path, s3_url)
    studio.store.put(b"x")
    bucket_studio(tmp_path, s3_url)
    with pytest.raises(BadInput, match="store_elsewhere"):
        Studio(Settings(data=tmp_path / "data"))
    with pytest.raises(BadInput, match="store_elsewhere"):
        bucket_studio(tmp_path, s3_server.new_bucket())
    if s3_server.kind == "moto":  # rclone lets everybody write it first
        with pytest.raises(BadInput, match="store_of_others"):
            bucket_studio(tmp_path, s3_url, "others")
        Studio(Settings(data=tmp_path / "others"))  # which was not changed
    (tmp_path / "data" / "store.url").unlink()
    with pytest.raises(BadInput, match="store_of_records_elsewhere"):
        Studio(Settings(data=tmp_path / "data"))
    with pytest.raises(BadInput, match="store_of_records_elsewhere"):
        bucket_studio(tmp_path, s3_server.new_bucket())
    older = Studio(Settings(data=tmp_path / "older"))
    older.store.put(b"x")
    with pytest.raises(BadInput, match="store_elsewhere"):
        bucket_studio(tmp_path, s3_server.new_bucket(), "older")
    Studio(Settings(data=tmp_path / "older"))


def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, s3_url: str, s3_server: S3Server) -> None:
    with pytest.raises(BadInput, match="store_without_bucket"):
        bucket_studio(tmp_path, "s3://no-such-bucket/shop")


def test_a_wrong_secret_is_told_and_nothing_of_it(
    tmp_path: Path, s3_url: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if s3_server.kind == "moto":
        pytest.skip("moto believes any secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-it-at-all")
    with pytest.raises(StudioError, match="store_refused") as told:
        bucket_studio(tmp_path, s3_url)
    said = caplog.text + str(told.value) + repr(told.value.__cause__)
    assert s3_url in caplog.text
    assert "not-it-at-all" not in said
    assert SECRET not in said


def test_secrets_stand_nowhere(tmp_path: Path, s3_url: str, caplog: pytest.LogCaptureFixture) -> None:
    studio = bucket_studio(tmp_path, s3_url)
    filled(studio)
    said = repr(studio.settings) + repr(vars(studio.store)) + caplog.text
    assert SECRET not in said
    assert KEY not in said
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_keys_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput, match="setting_invalid") as told:
        read_settings(store="s3://AKIAKEY:verysecret@bucket/prefix")
    assert "verysecret" not in str(told.value)
    for wrong in ("http://minio:9000/bucket", "s3://", "s3://bucket/../other", "gs://bucket"):
        with pytest.raises(BadInput, match="setting_invalid"):
            read_settings(store=wrong)
    assert read_settings(store="s3://bucket/a/b/").bucket == "s3://bucket/a/b"
    assert read_settings(store="~/there").shared == Path.home() / "there"


def test_a_server_that_is_away_is_waited_for_and_then_told(
    tmp_path: Path, s3_url: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if s3_server.kind == "moto":
        pytest.skip("moto forgets all when it ends")
    studio = bucket_studio(tmp_path, s3_url)
    key = studio.store.put(b"hello")
    kept = studio.store.open_local(key)
    s3_server.stop()
    back = threading.Timer(2.0, s3_server.start)
    back.start()
    try:
        assert studio.store.put(b"more")  # for which it waited
    finally:
        back.join()
    monkeypatch.setattr(bucket_module, "_RETRIES", {"max_retries": 1})
    impatient = Store(BucketBackend(Bucket(s3_url), FileCache(tmp_path / "other", 1_000_000)))
    s3_server.stop()
    try:
        for call in (lambda: impatient.put(b"x"), lambda: impatient.get(key), lambda: list(impatient.keys())):
            with pytest.raises(StudioError, match="store_unreachable"):
                call()
        assert studio.store.open_local(key) == kept  # what is here is here
    finally:
        s3_server.start()
    assert impatient.get(key) == b"hello"
