"""Holds workers of one database to one folder of files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from sqlalchemy.exc import IntegrityError

from pipelines.errors import BadInput
from pipelines.files import write_whole
from studio.library.marks import marks_of
from studio.library.records import MarkRecord, Records

__all__ = ["check_same_files"]

_NOTE = "studio.id"
_NOBODY, _MARK = "", "files"


def check_same_files(folder: Path, records: Records) -> None:
    """Raise BadInput where the database's files are in another folder: what one worker drew, another would not find.

    The first to work on a database notes an id in both.
    """
    mine = _id_of(folder)
    if not marks_of(records, _NOBODY, _MARK):
        with suppress(IntegrityError), records.transaction() as session:  # two may come here at once
            session.add(MarkRecord(id=_MARK, owner=_NOBODY, facts={"id": mine}))
    if marks_of(records, _NOBODY, _MARK)["id"] != mine:
        raise BadInput("files_elsewhere", folder=str(folder))


def _id_of(folder: Path) -> str:
    """Return the folder's id; of several that give it one at once, the first does."""
    note = folder / _NOTE
    if not note.is_file():
        mine = uuid4().hex
        part = folder / f"{_NOTE}.{mine}"
        write_whole(part, mine.encode(), mode=0o600)
        try:
            os.link(part, note)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            part.replace(note)
        part.unlink(missing_ok=True)
    return note.read_text(encoding="utf-8").strip()
