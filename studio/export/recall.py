"""Re-use: what a picture or a bundle was made from. A pure reading; nothing in a file is believed beyond its words.

A bundle and an archive PNG carry their recipe. A published JPEG carries only its ProduceID, which finds the recipe in
the studio that made it. What other tools write is read by `studio.export.foreign`.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from personas.donors import Donor
from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.picture_labels import split_labels
from pipelines.pictures import is_picture, read_picture
from studio.domain.drafts import keep_valid
from studio.domain.posts import SetSettings
from studio.domain.scene import ReferenceDials
from studio.domain.style import Style
from studio.domain.values import FileKey
from studio.export.a1111 import clean_text
from studio.export.bundle import produce_id, sheet_id
from studio.export.foreign import read_foreign
from studio.export.manifest import Manifest, ManifestPersona, ManifestPost, StyleFacts, parse_manifest, read_manifest
from studio.export.provenance import DRAWN_CHUNK, RECIPE_CHUNK, read_label
from studio.library.library import Library
from studio.library.records import WHOLE, ExportedRecord, PersonaRecord, PostRecord, PostSetRecord, SceneRecord
from studio.library.store import Store
from studio.library.styles import find_style
from studio.texts.texts import LANGUAGES

__all__ = [
    "Draft", "Recalled", "RecalledLora", "RecalledShot", "draft_of", "recall", "remember_export",
]  # fmt: skip

_MOST_ZIP_BYTES, _MOST_PICTURE_BYTES = 512_000_000, 64_000_000
_MOST_SHOTS = 100


@dataclass(frozen=True)
class RecalledShot:
    """A shot as the file tells it, else None or ""; `shot` is empty for a picture that this studio did not plan."""

    prompt: str
    negative: str = ""
    seed: int | None = None
    caption: str = ""
    shot: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecalledLora:
    """`hash` as the file gives it (hex, 8 to 64 digits, "" where it does not); `known` is the name of ours that it is,
    "" if missing; `scale` how strongly it was applied, None where the file does not tell.
    """

    name: str
    hash: str
    known: str
    scale: float | None = None


@dataclass(frozen=True)
class Recalled:
    """`source`: "bundle", "archive" (own recipe), "published" (by ProduceID), "drawn" (by hash) or "foreign".

    `persona_id` and `scene_id` are "" where this owner has no such thing. `settings` are for people to read; `asked`
    are those of ours, as a set is asked for with them.
    """

    source: str
    persona: str
    persona_id: str
    scene: str
    scene_id: str
    platform: str
    shots: tuple[RecalledShot, ...]
    settings: dict[str, str]
    loras: tuple[RecalledLora, ...] = ()
    asked: SetSettings = field(default_factory=SetSettings)


@dataclass(frozen=True)
class Draft:
    """A set that is not asked for yet: `name` is its persona's; ids are "" where missing, and so is the platform's.
    Columns go with the shots. `settings` may name files that its reader must not see.
    """

    name: str
    persona: str
    scene: str
    platform: str
    settings: SetSettings
    shots: tuple[Shot, ...]
    seeds: tuple[int | None, ...]
    captions: tuple[str, ...]


def recall(library: Library, path: Path, owner: str, donors: Callable[[], Sequence[Donor]]) -> Recalled:
    """Return what a file was made from. Raises BadInput or BadPicture, naming what is wrong with it.

    `donors` returns all that there are: a file may name their LoRAs.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(32)
        zipped = not is_picture(head) and (head.startswith(b"PK") or zipfile.is_zipfile(path))
        most = _MOST_ZIP_BYTES if zipped else _MOST_PICTURE_BYTES
        if size > most:
            raise BadInput("file_too_large", file=path.name, most_mb=most // 1_000_000)
        if zipped:
            return _from_manifest(library, read_manifest(path), owner, "bundle")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput("file_not_opened", file=path.name, reason=error.strerror or str(error)) from error
    read_picture(data, path.name)  # refuses what is none, is damaged or too large
    try:
        found = _own(library, data, owner) or _foreign(library, data, owner, donors)
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise BadInput("recipe_unreadable", file=path.name) from error
    if found is None:
        raise BadInput("no_recipe", file=path.name)
    return found


def remember_export(library: Library, manifest: Manifest, owner: str) -> None:
    """Let this bundle's pictures be found again by what their labels call them."""
    kept = library.store.put_json(manifest.model_dump(mode="json"))
    library.records.keep(
        ExportedRecord(id=sheet_id(manifest.posts), owner=owner, manifest=kept, number=WHOLE),
        *(
            ExportedRecord(id=produce_id(p.drawn_sha256), owner=owner, manifest=kept, number=number)
            for number, p in enumerate(manifest.posts)
        ),
    )


def draft_of(recalled: Recalled) -> Draft | None:
    """Return what the posts page can start from. None where no shots are."""
    known = [s for s in recalled.shots if s.shot]
    if not known:
        return None
    return Draft(
        recalled.persona.rpartition(" · ")[0] or recalled.persona,
        recalled.persona_id,
        recalled.scene_id,
        recalled.platform,
        recalled.asked,
        tuple(Shot(**s.shot) for s in known),
        tuple(s.seed for s in known),
        tuple(s.caption for s in known),
    )


def _own(library: Library, data: bytes, owner: str) -> Recalled | None:
    recipe = split_labels(data)[1].texts.get(RECIPE_CHUNK)
    if recipe is not None:
        try:
            manifest = parse_manifest(str(recipe))
        except ValidationError as error:
            raise ValueError("no recipe of the studio") from error
        return _from_manifest(library, manifest, owner, "archive")
    label = read_label(data)
    exported = library.records.get(ExportedRecord, str((label or {}).get("ProduceID", "")), owner)
    if exported is not None:
        manifest = parse_manifest(library.store.get(exported.manifest))
        if exported.number != WHOLE:
            manifest = manifest.model_copy(update={"posts": (manifest.posts[exported.number],)})
        return _from_manifest(library, manifest, owner, "published")
    key = split_labels(data)[1].texts.get(DRAWN_CHUNK) or hashlib.sha256(data).hexdigest()
    drawn = library.records.find(PostRecord, owner, picture=key)
    return _from_record(library, drawn[-1], owner) if drawn else None


def _from_manifest(library: Library, manifest: Manifest, owner: str, source: str) -> Recalled:
    if len(manifest.posts) > _MOST_SHOTS:
        raise BadInput("bundle_too_many_pictures", count=len(manifest.posts), most=_MOST_SHOTS)
    persona, place, draw = manifest.persona, manifest.scene, manifest.draw
    mine = library.records.get(PersonaRecord, persona.id[:64], owner)
    scenes = [s for s in library.records.find(SceneRecord, owner, photo=place.photo) if s.name == place.name]
    style = draw.style
    own = None if style is None else find_style(library, owner, style.id)
    if own is not None and style is not None and own.lora != style.lora:
        own = None  # one that came along was learnt anew since
    # a set may leave the landmark's pixels out
    scenes.sort(key=lambda s: (s.landmark or "") == place.landmark)
    return Recalled(
        source,
        clean_text(f"{persona.name} · {persona.version}".strip(" ·"))[:200],
        "" if mine is None else mine.id,
        clean_text(place.name)[:200],
        scenes[-1].id if scenes else "",
        manifest.platform,
        tuple(_shot(p) for p in manifest.posts),
        {
            "backbone": draw.backbone,
            "size": f"{draw.width}×{draw.height}",
            "precision": f"{draw.precision}, {draw.dtype}",
            "scale": f"{place.scale:g}",
            "person_as": draw.person_as,
            "inject": draw.inject,
            "keep": draw.keep,
            "detail": f"{draw.detail:g}",
            "renoise": f"{draw.renoise:g}",
            "panels": str(draw.panels),
        },
        (*_persona_lora(persona, mine), *([] if style is None else [_style_lora(style, own)])),
        _asked(manifest, own, without_landmark=bool(scenes and scenes[-1].landmark and not place.landmark)),
    )


def _persona_lora(persona: ManifestPersona, mine: PersonaRecord | None) -> tuple[RecalledLora, ...]:
    """Return what drew the persona, with its strength where that is not the usual one."""
    if not persona.lora:
        return ()
    scale = None if persona.scale == 1.0 else persona.scale
    return (RecalledLora(persona.name, persona.lora, "" if mine is None else mine.name, scale),)


def _style_lora(told: StyleFacts, own: Style | None) -> RecalledLora:
    """Return the style, by its name in Chinese and English, and what this owner calls it."""
    name, known = (
        " · ".join(dict.fromkeys(clean_text(names[one])[:60] for one in LANGUAGES if one in names))
        for names in (told.names, {} if own is None else own.names)
    )
    return RecalledLora(name or told.id[:60], told.lora, known, told.strength)


def _asked(manifest: Manifest, style: Style | None, without_landmark: bool) -> SetSettings:
    """Return the settings; a style that its owner does not have is none."""
    place, draw = manifest.scene, manifest.draw
    return keep_valid(
        {
            "scale": place.scale, "keep_landmark": not without_landmark, "goods": place.goods,
            "goods_as": place.goods_as, "goods_box": place.goods_box, "dials": place.redux or ReferenceDials(),
            "inject": draw.inject, "keep": draw.keep, "detail": draw.detail, "renoise": draw.renoise,
            "panels": draw.panels, "blocks": draw.blocks, "person_as": draw.person_as,
            "person_picture": FileKey(draw.person_picture) if draw.person_picture else None,
            **({} if style is None or draw.style is None else {"style": style, "style_strength": draw.style.strength}),
        }
    )  # fmt: skip


def _shot(post: ManifestPost) -> RecalledShot:
    try:
        shot = asdict(Shot(**post.shot))
    except (TypeError, BadInput) as error:
        raise BadInput("bundle_shot_unknown", file=post.file[:60]) from error
    caption = " ".join(clean_text(post.caption).split())
    return RecalledShot(clean_text(post.prompt), "", post.seed, caption, shot, _steps(post.model_dump()))


def _from_record(library: Library, row: PostRecord, owner: str) -> Recalled:
    """A picture as it was drawn, before any export."""
    of = library.records.get(PostSetRecord, row.post_set, owner)
    persona = None if of is None else library.records.get(PersonaRecord, of.persona, owner)
    scene = None if of is None else library.records.get(SceneRecord, of.scene, owner)
    facts = row.facts
    return Recalled(
        "drawn",
        "" if persona is None else f"{persona.name} · {persona.version}",
        "" if persona is None else persona.id,
        "" if scene is None else scene.name,
        "" if scene is None else scene.id,
        "",
        (
            RecalledShot(
                facts["prompt"], "", facts["seed"], facts.get("caption", ""), dict(facts["shot"]), _steps(facts)
            ),
        ),
        {} if of is None else {"scale": f"{of.facts['scale']:g}", "seed": str(of.facts["seed"])},
        (RecalledLora(persona.name, persona.lora, persona.name),) if persona is not None and persona.lora else (),
    )


def _steps(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{facts[name]:g}" for name in ("num_inference_steps", "guidance_scale", "true_cfg_scale")}


def _foreign(library: Library, data: bytes, owner: str, donors: Callable[[], Sequence[Donor]]) -> Recalled | None:
    said = read_foreign(split_labels(data)[1])
    if said is None:
        return None
    known = _our_loras(library, owner, donors()) if any(lora.hash for lora in said.loras) else {}
    loras = []
    for lora in said.loras:
        ours = next((who for full, who in known.items() if lora.hash and full.startswith(lora.hash)), "")
        loras.append(RecalledLora(lora.name, lora.hash, ours, lora.scale))
    shot = RecalledShot(said.prompt, said.negative, said.seed, settings=said.settings)
    return Recalled("foreign", "", "", "", "", "", (shot,), {}, tuple(loras))


def _our_loras(library: Library, owner: str, donors: Sequence[Donor]) -> dict[str, str]:
    """Names by both hashes that tools write: of the whole file (AutoV2) and of what follows its header (A1111)."""
    found: dict[str, str] = {}
    for donor in donors:
        with suppress(OSError, OverflowError):
            found |= dict.fromkeys(_hashes(donor.lora_path), donor.name)
    for persona in library.records.find(PersonaRecord, owner):
        with suppress(OSError, OverflowError, BadInput):
            found |= dict.fromkeys(_stored_hashes(library.store, persona.lora), persona.name)
    return found


@lru_cache(maxsize=10_000)
def _stored_hashes(store: Store, key: str) -> tuple[str, str]:
    return _hashes(store.fetch(key))  # which is in a bucket perhaps, and has a gigabyte: asked for once


def _hashes(path: Path) -> tuple[str, str]:
    with path.open("rb") as stream:
        whole, first = hashlib.sha256(), stream.read(8)
        whole.update(first)
        whole.update(stream.read(int.from_bytes(first, "little")))
        tensors = hashlib.sha256()
        while block := stream.read(1 << 22):
            whole.update(block)
            tensors.update(block)
    return whole.hexdigest(), tensors.hexdigest()
