"""Pictures that a page or a program brought in one file, a zip or a tar, unpacked as the folder that they were.

Nothing of a file decides where anything is written: names are made ones of this disk, and what is deeper than a
subfolder lies in that. Hidden files are left in it.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO

from pipelines.errors import BadInput
from pipelines.file_names import file_name
from pipelines.files import ZIP_ERRORS, open_zip, storing
from studio.domain.dataset import MOST_PICTURES

__all__ = ["unpack"]

_MOST_FILES = 4 * MOST_PICTURES  # a caption beside each, and what else lies there
_MOST_BYTES = 6_000_000_000
_BLOCK = 1 << 20
_UTF8 = 0x800  # PKWARE's APPNOTE 6.3.10, 4.4.4: the name is UTF-8
_Entry = tuple[str, Callable[[], IO[bytes] | None]]


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip or a tar into `folder`, which is made; a single picture is copied there. A folder that all of it
    lies in is left away.

    Raises BadInput for a file that is damaged, encrypted or holds too much, OutOfDisk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(path):
            with closing(open_zip(path)) as packed:
                _write([(_name_of(one), partial(packed.open, one)) for one in packed.infolist()], folder)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                files = [one for one in tar if one.isreg()]
                _write([(one.name, partial(tar.extractfile, one)) for one in files], folder)
        else:
            with storing():
                shutil.copyfile(path, folder / path.name)
    except (tarfile.TarError, *ZIP_ERRORS) as error:
        raise BadInput("dataset_file_damaged", file=path.name, why=str(error)[:120]) from error


def _write(entries: list[_Entry], folder: Path) -> None:
    found = [(parts, opens) for name, opens in entries if (parts := _parts(name))]
    if len(found) > _MOST_FILES:
        raise BadInput("dataset_too_large", count=len(found), most=MOST_PICTURES)
    tops = {parts[0] for parts, _ in found}
    deeper = 1 if len(tops) == 1 and all(len(parts) > 1 for parts, _ in found) else 0
    left, taken = _MOST_BYTES, set[Path]()
    for parts, opens in found:
        own = [_plain(part) for part in parts[deeper:]]
        place = folder / own[0] if len(own) == 1 else folder / own[0] / own[-1]
        place = _free(place, taken)
        with storing():
            place.parent.mkdir(exist_ok=True)
            stream = opens()
            if stream is None:
                continue
            with stream, place.open("wb") as file:
                for block in _blocks(stream):
                    left -= len(block)
                    if left < 0:
                        raise BadInput("too_large", most_gb=_MOST_BYTES / 1e9)
                    file.write(block)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _name_of(entry: zipfile.ZipInfo) -> str:
    """What a zip's entry is called; names that are said to be of IBM's first code page are UTF-8 or Chinese."""
    if entry.is_dir() or entry.flag_bits & _UTF8:
        return "" if entry.is_dir() else entry.filename
    raw = entry.filename.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.filename


def _parts(name: str) -> list[str]:
    """The folders and the name of an entry; none of a hidden one."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return [] if any(part.startswith(".") or part == "__MACOSX" for part in parts) else parts


def _plain(part: str) -> str:
    stem, dot, ending = part.rpartition(".")
    return file_name(stem, f".{file_name(ending)}") if dot else file_name(part)


def _free(place: Path, taken: set[Path]) -> Path:
    """A place that nothing of the file has: names may differ only in what disks do not take."""
    number, free = 2, place
    while free in taken:
        free = place.with_name(f"{place.stem} {number}{place.suffix}")
        number += 1
    taken.add(free)
    return free
