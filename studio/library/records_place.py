"""Opens the records of a data folder: in its own file, or in the database that it was first opened with.

Files without their records look like files that nobody needs. So a folder writes down which database its records are
in, and is not opened with another, or with none.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import BadInput
from pipelines.files import write_whole
from studio.library.database import without_password
from studio.library.records import Records
from studio.settings import Settings

__all__ = ["open_records"]

_NOTE, _FILE = "records.url", "studio.sqlite"


def open_records(settings: Settings) -> Records:
    """Open the records of the settings' data folder.

    Raises BadInput where they are in another place than the settings say, and what `Records` raises.
    """
    note, place = settings.data / _NOTE, settings.records_place
    known = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
    if isinstance(place, Path):
        if known:
            raise BadInput("records_elsewhere", folder=str(settings.data), url=known)
        return Records(place)
    if not known and (settings.data / _FILE).is_file():
        raise BadInput("records_in_folder", folder=str(settings.data))
    records, url = Records(place), without_password(place)
    if known and known != url:
        raise BadInput("records_elsewhere", folder=str(settings.data), url=known)
    if not known:
        write_whole(note, f"{url}\n".encode(), mode=0o600)
    return records
