"""The one reader of folders of pictures as people have them: what is left out is named, nothing is dropped silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput, BadPicture, NotEnough, StudioError
from pipelines.pictures import PICTURE_SUFFIXES, is_picture, load_scene

__all__ = ["LoadedPicture", "PictureFolder", "list_pictures", "load_pictures"]

CAPTION_ENDINGS = (".txt", ".caption")
_OF_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin")
_OF_TRAINERS = (".npz", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".csv", ".md")  # they lie beside pictures


@dataclass(frozen=True)
class PictureFolder:
    """`pictures` by their names, `captions` {picture: file}, and why what else lies there is `left_out`.

    `in_subfolders` counts pictures by the names of subfolders, which are not looked into any deeper.
    """

    folder: Path
    pictures: tuple[Path, ...]
    captions: dict[Path, Path]
    left_out: tuple[StudioError, ...]
    in_subfolders: dict[str, int]

    def check_enough(self, least: int) -> None:
        """Raise NotEnough where there are fewer than `least` pictures, with what a person sees there instead."""
        self.check_usable(len(self.pictures), least, self.left_out)

    def check_usable(self, count: int, least: int, left_out: tuple[StudioError, ...]) -> None:
        """The same for the `count` that are left of them once they were opened."""
        if count >= least:
            return
        name, codes = str(self.folder), Counter(error.code for error in left_out)
        if self.in_subfolders and not count:
            where, inside = list(self.in_subfolders), sum(self.in_subfolders.values())
            raise NotEnough("pictures_in_subfolders", folder=name, count=inside, subfolders=where)
        if codes["picture_heic"] and codes["picture_heic"] == codes.total():
            raise NotEnough("folder_of_heic", folder=name, count=codes["picture_heic"], usable=count, needed=least)
        if left_out:
            names = [str(error.fields.get("name", error.fields.get("file", ""))) for error in left_out]
            total = count + len(left_out)
            raise NotEnough(
                "folder_usable_too_few", folder=name, count=count, total=total, needed=least, names=names[:20]
            )
        raise NotEnough("donor_pictures_too_few", count=count, folder=name, needed=least)


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """`image` uint8 [h, w, 3], upright."""

    path: Path
    image: npt.NDArray[np.uint8]


def list_pictures(folder: Path) -> PictureFolder:
    """Return what of a folder is a picture, by the files' first bytes; hidden files are out. Raises BadInput."""
    if not folder.is_dir():
        raise BadInput("no_folder", folder=str(folder))
    pictures: list[Path] = []
    texts: dict[str, Path] = {}
    left_out: list[StudioError] = []
    inside: dict[str, int] = {}
    for path in sorted(folder.iterdir()):
        if _is_systems(path):
            continue
        if path.is_dir():
            if count := sum(_says_picture(one) for one in path.iterdir() if not _is_systems(one)):
                inside[path.name] = count
                left_out.append(BadInput("subfolder_left_out", name=path.name, count=count))
        elif path.suffix.lower() in CAPTION_ENDINGS:
            texts[path.name.casefold()] = path
        elif _says_picture(path):
            pictures.append(path)
        elif path.suffix.lower() not in _OF_TRAINERS:
            left_out.append(BadPicture("picture_not_readable", name=path.name))
    captions = {}
    for path in pictures:
        names = [stem + ending for stem in (path.stem, path.name) for ending in CAPTION_ENDINGS]
        if found := next((texts[n.casefold()] for n in names if n.casefold() in texts), None):
            captions[path] = found
    alone = sorted(set(texts.values()) - set(captions.values()))
    left_out += [BadInput("caption_without_picture", file=path.name) for path in alone]
    return PictureFolder(folder, tuple(pictures), captions, tuple(left_out), inside)


def load_pictures(
    found: PictureFolder, least: int = 0, check: Callable[[], None] = lambda: None
) -> tuple[list[LoadedPicture], tuple[StudioError, ...]]:
    """Open a folder's pictures: those that can be, and why all others are left out.

    `check` is called before each. Raises NotEnough where fewer than `least` are left.
    """
    found.check_enough(least)
    loaded: list[LoadedPicture] = []
    left_out = list(found.left_out)
    for path in found.pictures:
        check()
        try:
            loaded.append(LoadedPicture(path, load_scene(path).image))
        except BadPicture as error:
            left_out.append(error)
    found.check_usable(len(loaded), least, tuple(left_out))
    return loaded, tuple(left_out)


def _is_systems(path: Path) -> bool:
    """Whether nobody put it there: macOS writes ._NAME beside every file, Windows its thumbnails."""
    return path.name.startswith(".") or path.name.casefold() in _OF_SYSTEMS


def _says_picture(path: Path) -> bool:
    """Whether a file's first bytes or its name say that it is a picture; opening it may still find that it is none."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(32)
    except OSError:
        return True  # opening it says why
    return is_picture(head) or path.suffix.lower() in PICTURE_SUFFIXES
