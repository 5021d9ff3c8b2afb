"""Scene packs as files: a zip of a place's photo, its mask and a typed JSON. Written for others, read from strangers.

Nothing of a file decides where anything is written: three entries are known by their names, all else is left in it.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.files import ZIP_ERRORS, open_zip
from pipelines.pictures import PICTURE_SUFFIXES
from studio.domain.names import check_name
from studio.domain.posts import PostSet
from studio.domain.scene import Scene
from studio.domain.scene_pack import PACK_VERSION, PackManifest, ScenePack
from studio.library.library import Library
from studio.library.records import MarkRecord, PostSetRecord
from studio.library.results import find_result
from studio.library.scenes import add_bundled, add_scene, bundled_scenes, keep_pack, pack_of
from studio.settings import ASSETS
from studio.texts.texts import Language

__all__ = [
    "BundledPack", "add_bundled_pack", "add_pack", "bundled_packs", "choose_pack", "newest_drawn",
    "write_pack",
]  # fmt: skip

_JSON, _MASK, _PHOTO = "pack.json", "mask.png", "photo"
_MOST_BYTES = {_JSON: 1_000_000, _MASK: 64_000_000, _PHOTO: 64_000_000}
_MOST_ENTRIES = 100
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class BundledPack:
    """A pack that comes with the studio: `names` and `voices` by language, for a bundled `place`."""

    id: str
    place: str
    names: dict[Language, str]
    voices: dict[Language, str]
    pack: ScenePack

    def spoken(self, language: Language) -> ScenePack:
        """Return what a set begins with, its voice described in this language."""
        return self.pack.model_copy(update={"voice": self.voices[language]})


@cache
def bundled_packs() -> tuple[BundledPack, ...]:
    """Return the packs that come with the studio."""
    rows = TypeAdapter(tuple[BundledPack, ...])
    return rows.validate_json((ASSETS / "packs.json").read_bytes())


def add_bundled_pack(library: Library, name: str, owner: str, language: Language) -> tuple[Scene, ScenePack]:
    """Give the owner the place of a pack that comes with the studio. Raises BadInput."""
    row = next((row for row in bundled_packs() if row.id == name), None)
    if row is None or row.place not in bundled_scenes():
        raise BadInput("pack_unknown", pack=name[:60], known=[row.id for row in bundled_packs()])
    scene, pack = add_bundled(library, row.place, owner), row.spoken(language)
    keep_pack(library, owner, scene.id, pack)
    return scene, pack


def choose_pack(library: Library, scene: Scene, owner: str, drawn: PostSet | None) -> ScenePack:
    """Return what goes into a scene's pack: the shots of a set that was `drawn` in it, else what it came with.

    The voice is the scene's own, or what its owner describes for all captions.
    """
    kept = pack_of(library, owner, scene.id) or ScenePack()
    said = library.records.get(MarkRecord, "text:voice", owner)
    pack = kept.model_copy(update={"voice": kept.voice or ("" if said is None else str(said.facts.get("voice", "")))})
    if drawn is None:
        return pack
    shots = drawn.request.shots
    light = Counter(shot.light for shot in shots).most_common(1)[0][0]
    props = tuple(dict.fromkeys(shot.goods for shot in shots if shot.goods != "nothing"))
    return ScenePack.make(light=light, props=props, shots=tuple(map(_row, shots)), voice=pack.voice)


def newest_drawn(library: Library, owner: str, scene: Scene) -> PostSet | None:
    """Return the newest set that was drawn in a scene and is not in the trash."""
    for row in reversed(library.records.find(PostSetRecord, owner, scene=scene.id)):
        mark = library.records.get(MarkRecord, f"{PostSet.kind}:{row.id}", owner)
        if mark is None or not mark.facts.get("trashed"):
            return find_result(library.records, library.store, owner, PostSet, row.id)
    return None


def write_pack(library: Library, scene: Scene, pack: ScenePack) -> bytes:
    """Return the zip: the same scene and pack are the same bytes."""
    manifest = PackManifest.make(name=check_name(scene.name), crops=scene.crops, pack=pack)
    files = {_JSON: manifest.model_dump_json(indent=2).encode(), f"{_PHOTO}.png": library.store.get(scene.photo)}
    if scene.landmark is not None:
        files[_MASK] = library.store.get(scene.landmark)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            written.writestr(entry, data, zipfile.ZIP_DEFLATED if name == _JSON else zipfile.ZIP_STORED)
    return out.getvalue()


def add_pack(library: Library, path: Path, owner: str) -> tuple[Scene, ScenePack]:
    """Keep the scene of a pack's file, and what its posts begin with. Raises BadInput, BadPicture."""
    manifest, files = _read(path)
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / name for name in files}
        for name, place in places.items():
            place.write_bytes(files[name])
        photo = next(place for name, place in places.items() if name != _MASK)
        name = check_name(manifest.name)
        scene = add_scene(library, photo, places.get(_MASK), name, owner, manifest.crops)
    keep_pack(library, owner, scene.id, manifest.pack)
    return scene, manifest.pack


def _read(path: Path) -> tuple[PackManifest, dict[str, bytes]]:
    """Return the typed part and the pictures of a pack, by the names of ours that they have."""
    try:
        with open_zip(path) as opened:
            names = opened.namelist()
            if len(names) > _MOST_ENTRIES:
                raise BadInput("pack_of_many_files", file=path.name, count=len(names), most=_MOST_ENTRIES)
            _check_names(path.name, names)
            folder = _folder(names)
            manifest = _parse(path.name, _take(opened, folder + _JSON, _JSON))
            photos = [name for name in (_PHOTO + suffix for suffix in PICTURE_SUFFIXES) if folder + name in names]
            if len(photos) != 1:
                raise BadInput("pack_without_photo", file=path.name, count=len(photos))
            files = {photos[0]: _take(opened, folder + photos[0], _PHOTO)}
            if folder + _MASK in names:
                files[_MASK] = _take(opened, folder + _MASK, _MASK)
            return manifest, files
    except ZIP_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput("not_a_pack", file=path.name, reason=reason[:300]) from error


def _check_names(file: str, names: list[str]) -> None:
    """Raise BadInput where an entry would lie outside of the pack, or there are two of a name."""
    for name in names:
        plain = name.replace("\\", "/")
        if plain.startswith("/") or ".." in PurePosixPath(plain).parts or ":" in plain.partition("/")[0]:
            raise BadInput("pack_unsafe", file=file, entry=name[:100])
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise BadInput("pack_unsafe", file=file, entry=twice[0][:100])


def _folder(names: list[str]) -> str:
    """Return what stands before the names of a pack that was unpacked and zipped again: "", or its folder and /."""
    found = [name for name in names if name.endswith("/" + _JSON) and not name.startswith("__MACOSX/")]
    return found[0].removesuffix(_JSON) if _JSON not in names and len(found) == 1 else ""


def _take(opened: zipfile.ZipFile, name: str, what: str) -> bytes:
    """Return an entry; what the zip says of its size may be a lie."""
    with opened.open(name) as stream:
        data = stream.read(_MOST_BYTES[what] + 1)
    if len(data) > _MOST_BYTES[what]:
        raise BadInput("pack_entry_too_large", entry=name, most_mb=_MOST_BYTES[what] // 1_000_000)
    return data


def _parse(file: str, text: bytes) -> PackManifest:
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > PACK_VERSION:
        raise BadInput("pack_too_new", file=file, version=version, known=PACK_VERSION)
    if not isinstance(value, dict) or value.get("kind") != "scene-pack" or type(version) is not int:
        raise ValueError(f"{_JSON} is not a scene pack's")
    try:
        return PackManifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _row(shot: Shot) -> dict[str, str]:
    """Return a shot as a pack tells it; the place is the scene's own."""
    return {name: word for name, word in asdict(shot).items() if name != "setting"}
