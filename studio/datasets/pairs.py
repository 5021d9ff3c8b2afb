"""Data sets as other trainers have them: a folder of pictures, each with a text of the same name beside it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.errors import BadInput, BadPicture, StudioError
from pipelines.file_names import file_name
from pipelines.files import storing, write_whole
from pipelines.pictures import load_scene
from pipelines.text_files import plain_spaces, read_text_file, unquoted
from studio.datasets.opened import OpenedDataset
from studio.domain.consent import ConsentForm
from studio.domain.dataset import MOST_CAPTION_LETTERS, MOST_PICTURES, DatasetPicture, DatasetRequest
from studio.domain.values import LeftOutPicture
from studio.library.consents import check_dataset
from studio.library.library import Library
from studio.library.picture_folders import PictureFolder, list_pictures
from studio.library.scenes import add_picture

__all__ = [
    "LONGEST_PX", "bring_folder", "bring_pictures", "check_folder", "name_left_out", "name_of_folder", "pack_pairs",
    "request_of_folder", "write_pairs",
]  # fmt: skip

_MOST_NAME = 60
LONGEST_PX = 2048  # no model here learns from more
_EPOCH = (2026, 1, 1, 0, 0, 0)


def bring_folder(
    library: Library, folder: Path, owner: str, check: Callable[[int, int], None] = lambda done, total: None
) -> tuple[tuple[DatasetPicture, ...], tuple[StudioError, ...]]:
    """Store a folder's pictures with the texts beside them; return them, and why other files are none of them.

    `check` is told how many of how many are there, and may raise. Raises BadInput where there are too many or none.
    """
    found = list_pictures(folder)
    check_folder(found)
    kept, left_out = bring_pictures(library, list(found.pictures), found.captions, owner, check)
    found.check_usable(len(kept), 1, (*found.left_out, *left_out))
    return kept, (*found.left_out, *left_out)


def name_of_folder(folder: Path) -> str:
    """Return what is made of a folder is called where nobody says so."""
    return file_name(folder.resolve().name)[:_MOST_NAME].strip(" .")


def request_of_folder(
    library: Library, folder: Path, category: str, form: ConsentForm, owner: str, name: str = "", **more: object
) -> DatasetRequest:
    """Store a folder's pictures and return the request to look through them under the consent; `more` are other fields.
    Raises as `bring_folder`.
    """
    pictures, left_out = bring_folder(library, folder, owner)
    return DatasetRequest.make(
        owner=owner, name=name or name_of_folder(folder), category=category, who=form.who, scope=form.scope,
        expires="" if form.expires is None else form.expires.isoformat(), outside=form.outside, document=form.document,
        adult=form.adult, pictures=pictures, left_out=name_left_out(left_out), **more,
    )  # fmt: skip


def check_folder(found: PictureFolder) -> None:
    """Raise NotEnough for a folder without pictures, BadInput for one with too many."""
    found.check_enough(1)
    if len(found.pictures) > MOST_PICTURES:
        raise BadInput("dataset_too_large", count=len(found.pictures), most=MOST_PICTURES)


def name_left_out(errors: Iterable[StudioError]) -> tuple[LeftOutPicture, ...]:
    """Return files that take no part, by their names, and why."""
    return tuple(
        LeftOutPicture(name=str(one.fields.get("name") or one.fields.get("file") or "")[:300], raised=one.as_json())
        for one in errors
    )


def bring_pictures(
    library: Library,
    pictures: list[Path],
    captions: dict[Path, Path],
    owner: str,
    check: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[tuple[DatasetPicture, ...], tuple[StudioError, ...]]:
    """Store pictures as pixels alone, without the places and cameras that files tell of; a text that cannot be read is
    named, and its picture is taken without it.
    """
    kept: list[DatasetPicture] = []
    left_out: list[StudioError] = []
    for number, path in enumerate(pictures):
        check(number, len(pictures))
        try:
            image = load_scene(path).image
        except BadPicture as error:
            left_out.append(error)
            continue
        caption = ""
        if path in captions:
            try:
                caption = " ".join(unquoted(plain_spaces(read_text_file(captions[path])).strip()).split())
            except StudioError as error:
                left_out.append(error)
        height, width = image.shape[:2]
        key = add_picture(library, _reduced(image), owner)
        kept.append(
            DatasetPicture(
                name=path.name[:300], picture=key, height=height, width=width, caption=caption[:MOST_CAPTION_LETTERS]
            )
        )
    check(len(pictures), len(pictures))
    return tuple(kept), tuple(left_out)


def write_pairs(library: Library, opened: OpenedDataset, folder: Path) -> int:
    """Write the kept pictures and their captions into an empty folder; return how many. Raises BadInput, OutOfDisk, and
    ConsentMissing where who is in them no longer agrees.
    """
    check_dataset(library.records, opened.dataset.request.owner, opened.dataset)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("dataset_folder_not_empty", folder=str(folder))
    count = 0
    with storing():
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in _pairs(library, opened):
            write_whole(folder / name, data)
            count += name.endswith(".png")
    return count


def pack_pairs(library: Library, opened: OpenedDataset) -> bytes:
    """Return the same as a zip. Raises as `write_pairs`."""
    check_dataset(library.records, opened.dataset.request.owner, opened.dataset)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, data in _pairs(library, opened):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, data, zipfile.ZIP_STORED)
    return out.getvalue()


def _pairs(library: Library, opened: OpenedDataset) -> Iterator[tuple[str, bytes]]:
    kept = opened.judged.kept
    if not kept:
        raise BadInput("dataset_nothing_kept", name=opened.dataset.request.name)
    for place, row in enumerate(kept, 1):
        given = opened.dataset.request.pictures[row]
        stem = f"{place:04d}-{file_name(Path(given.name).stem)[:80]}"
        yield f"{stem}.png", library.store.get(given.picture)
        yield f"{stem}.txt", (opened.captions[row] + "\n").encode()


def _reduced(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture at no more than 2048 pixels a side."""
    if max(image.shape[:2]) <= LONGEST_PX:
        return image
    small = Image.fromarray(image)
    small.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
    return np.asarray(small)
