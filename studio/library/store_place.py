"""Opens the store of a data folder: its own folder, another one, or a bucket of an S3.

Files that are looked for in another place than they are in look lost, and files without their records like files that
nobody needs. So a data folder writes down where its files are, and a bucket whose it is; neither is opened otherwise.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from uuid import uuid4

from sqlalchemy.exc import IntegrityError

from pipelines.errors import BadInput, StudioError
from pipelines.files import write_whole
from studio.library.bucket import Bucket
from studio.library.bucket_backend import BucketBackend
from studio.library.file_cache import FileCache
from studio.library.marks import marks_of
from studio.library.records import MarkRecord, Records
from studio.library.store import Store
from studio.settings import Settings

__all__ = ["leave_bucket", "move_files", "open_store"]

_NOTE, _FILES, _CACHE = "store.url", "files", "cache"
_SHARED = ("donors", "uploads")
_OWNER = "studio"  # the object that says which records a bucket belongs to
_NOBODY, _MARK = "", "store"  # the mark that says which bucket the records' files are in


def open_store(settings: Settings, records: Records) -> Store:
    """Open the store that the settings name.

    Raises BadInput where the data folder's files are in another place, or the bucket belongs to other records;
    StudioError where the bucket cannot be reached.
    """
    note, own = settings.data / _NOTE, settings.data / _FILES
    known = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
    place = _place_of(settings)
    if known != place and (known or any(own.glob("*/*"))):
        raise BadInput("store_elsewhere", folder=str(settings.data), store=known or str(own))
    if settings.bucket:
        bucket = Bucket(settings.bucket)
        bucket.check()
        _check_owner(bucket, settings.bucket, records)
        cache = FileCache(settings.data / _CACHE, round(settings.store_cache_gb * 1e9))
        store = Store(BucketBackend(bucket, cache))
    else:
        if told := marks_of(records, _NOBODY, _MARK):
            raise BadInput("store_of_records_elsewhere", store=told["url"])
        store = Store(settings.shared / _FILES)
    if place and not known:
        write_whole(note, f"{place}\n".encode(), mode=0o600)
    return store


def leave_bucket(records: Records, bucket: str = "") -> None:
    """Let records that were restored from a backup have their files in another place than the bucket that they had,
    unless that is this very one."""
    if marks_of(records, _NOBODY, _MARK).get("url") != bucket:
        records.remove(MarkRecord, _MARK, _NOBODY)


def move_files(settings: Settings, records: Records) -> None:
    """Bring the files that a restored data folder holds itself to where the settings want them; nothing where that is
    the same. Raises what `open_store` raises, and then the files lie where they lay.
    """
    if not _place_of(settings):
        return
    own, leaving = settings.data / _FILES, settings.data / "files.moving"
    own.mkdir(exist_ok=True)
    own.rename(leaving)
    try:
        store = open_store(settings, records)
    except StudioError:
        leaving.rename(own)
        raise
    for path in leaving.glob("*/*"):
        store.put(path.read_bytes())
    for name in () if settings.bucket else _SHARED:
        if (settings.data / name).is_dir():
            shutil.copytree(settings.data / name, settings.shared / name, dirs_exist_ok=True)
            shutil.rmtree(settings.data / name)
    shutil.rmtree(leaving)


def _place_of(settings: Settings) -> str:
    """Return where the files are, "" for the data folder itself."""
    folder = settings.shared.resolve()
    return settings.bucket or ("" if folder == settings.data.resolve() else str(folder))


def _check_owner(bucket: Bucket, url: str, records: Records) -> None:
    """Raise BadInput where other records wrote into the bucket before these, or these have their files in another."""
    if not (told := marks_of(records, _NOBODY, _MARK)):
        with suppress(IntegrityError), records.transaction() as session:  # two machines may come here at once
            session.add(MarkRecord(id=_MARK, owner=_NOBODY, facts={"id": uuid4().hex, "url": url}))
    now = told or marks_of(records, _NOBODY, _MARK)
    if now["url"] != url:
        raise BadInput("store_of_records_elsewhere", store=now["url"])
    if not bucket.create(_OWNER, now["id"].encode()) and bucket.get(_OWNER).decode() != now["id"]:
        if not told:
            records.remove(MarkRecord, _MARK, _NOBODY)
        raise BadInput("store_of_others", store=url)
