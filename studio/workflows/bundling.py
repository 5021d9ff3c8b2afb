"""Bundling: a post set, as drawn or as a person arranged it, to a zip; and a look at each picture before."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.file_names import keep_beside
from pipelines.progress import SILENT, Progress
from studio.application import Studio, software_versions
from studio.domain.bundle import Bundle, CheckedPicture, CheckRequest, ExportCheck, ExportRequest, bundle_name
from studio.domain.finishing import FinishedWith
from studio.domain.persona import Persona
from studio.domain.posts import DrawnShot, Post, PostRequest, PostSet
from studio.domain.scene import ReferenceDials
from studio.domain.values import FileKey
from studio.export.bundle import BundlePost, label_of, pixels_sha256, write_bundle, write_white
from studio.export.content_check import as_exported, check_content
from studio.export.content_credentials import open_credentials
from studio.export.framing import frame_picture
from studio.export.manifest import (
    ON_RECORD,
    CompanionFacts,
    ContentCheck,
    DonorFacts,
    DrawFacts,
    Drawing,
    FinishingFacts,
    FixFacts,
    Manifest,
    ManifestPersona,
    ManifestShot,
    SceneFacts,
    StyleFacts,
)
from studio.export.pictures import encode_for_platform, encode_white
from studio.export.recall import remember_export
from studio.library.older import note_platform
from studio.library.records import BundleRecord, RightsRecord, content_id
from studio.texts.texts import LANGUAGES, Texts
from studio.workflows import Run
from studio.workflows.drawn_with import drawn_with
from studio.workflows.finishing import check_finishing, finish_picture, touched_face
from studio.workflows.shown import goods_cutout, parts_of

__all__ = [
    "bundle_posts", "check_export", "donor_facts", "export_bundle", "export_posts", "is_composite", "keep_bundle",
]  # fmt: skip

Picture = npt.NDArray[np.uint8]


def export_bundle(studio: Studio, asked: ExportRequest, path: Path) -> Manifest | None:
    """Write the zip and record it as the owner's who asks, whoever the set says that it was drawn for: a program may
    send a set of its own making. Return what it is made of, None for goods alone, which nobody drew.

    Raises what `write_bundle` raises.
    """
    manifest, check = _write(studio, asked, path)
    _record(studio, asked, path, manifest, check)
    return manifest


def keep_bundle(studio: Studio, asked: ExportRequest, wanted: Path) -> Path:
    """Write the zip at `wanted`, or beside it where another file has that name, record it, and return its place.

    Raises what `export_bundle` raises.
    """
    studio.library.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=studio.library.work) as folder:
        scratch = Path(folder) / "bundle.zip"
        manifest, check = _write(studio, asked, scratch)
        place = keep_beside(wanted, scratch.read_bytes())
    _record(studio, asked, place, manifest, check)
    return place


def bundle_posts(studio: Studio, exported: ExportRequest) -> list[BundlePost]:
    """Return a set's pictures with all that a bundle says of them, and where in them what matters is."""
    post_set, asked = exported.post_set, exported.post_set.request
    drawings = [drawing.id for drawing in post_set.drawings]
    rows = []
    for p in post_set.posts:
        image = studio.store.get_picture(p.picture)
        plain = BundlePost(
            image=image,
            caption=p.caption,
            scores=dict(p.scores),
            composite=is_composite(asked),
            origin=(drawings.index(p.origin[0]), p.origin[1]) if drawings else None,
            fixes=tuple(FixFacts(**fix.model_dump()) for fix in p.fixes),
            masks=parts_of(studio, asked, p.shot, image),
            **_as_told(p),
        )
        large, told = finished_for(studio, exported, p, plain)
        rows.append(replace(plain, large=large, finishing=told))
    return rows


def finished_for(
    studio: Studio, exported: ExportRequest, post: Post, drawn: BundlePost
) -> tuple[Picture | None, FinishingFacts | None]:
    """Return a post's picture finished for the platform's size, and what made it; None where the drawn one is exported.

    What was stored with the post is taken where it has that size, or nothing here can make another. Raises as
    `check_finishing`.
    """
    target, asked = exported.target, exported.post_set.request
    if target.height == 0 or exported.finish is False:
        return None, None
    size, kept = frame_picture(drawn.content, target).size_of_whole(drawn.content), post.finished
    wished = asked if exported.finish is None else asked.model_copy(update={"finish": exported.finish})
    if kept is None or ((kept.height, kept.width) != size and studio.finisher is not None):
        finisher = check_finishing(studio, wished, *drawn.content.size)
        if finisher is None:
            return None, None
        large, told = finish_picture(studio, finisher, asked, post, drawn.image, size, touched_face(studio, post))
    else:
        facts = kept.model_dump(exclude={"picture", "face_picture"})
        large, told = studio.store.get_picture(kept.picture), FinishedWith(**facts)
    return large, FinishingFacts(**told.model_dump(), pixels_sha256=pixels_sha256(large))


def is_composite(asked: PostRequest) -> bool:
    """Return whether real pixels, a landmark's or goods', are in the pictures of a set."""
    landmark = asked.keep_landmark and asked.scene.landmark is not None
    return landmark or (asked.goods is not None and asked.goods_as != "reference")


def _write(studio: Studio, asked: ExportRequest, path: Path) -> tuple[Manifest | None, ContentCheck]:
    """Write the zip and return what it is made of, and what was found in its pictures before."""
    post_set, target = asked.post_set, asked.target
    asked.check_word()
    if target.white_background:
        asked.check_before()
        assert post_set.request.goods is not None  # checked just now
        goods = goods_cutout(studio, post_set.request.goods)
        check = _check_content(studio, [_decoded(encode_white(goods, target))], asked.allow_flagged)
        write_white(path, goods, target, asked.title, asked.body, asked.tags)
        return None, check
    persona, credentials = post_set.request.persona, open_credentials(studio.settings)
    posts = bundle_posts(studio, asked)
    check = _check_content(studio, (as_exported(post, target) for post in posts), asked.allow_flagged)
    manifest = write_bundle(
        path,
        posts,
        persona=ManifestPersona(
            **{name: getattr(persona, name) for name in ManifestPersona.model_fields} | {"lora": persona.lora or ""}
        ),
        recipe=persona.recipe,
        donors=donor_facts(persona),
        scene=_scene_facts(post_set.request),
        draw=_draw_facts(studio, post_set),
        drawings=[
            Drawing(shots=tuple(ManifestShot(**_as_told(p)) for p in drawing.posts)) for drawing in post_set.drawings
        ],
        platform=asked.platform,
        title=asked.title,
        body=asked.body,
        tags=asked.tags,
        content=asked.content,
        software=software_versions(),
        credentials=credentials,
        unlabelled=asked.unlabelled,
        content_check=check,
    )
    return manifest, check


def _check_content(studio: Studio, pictures: Iterable[Picture], allowed: bool) -> ContentCheck:
    return check_content(studio.content_checker, studio.settings.content_threshold, pictures, allowed=allowed)


def _decoded(data: bytes) -> Picture:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _record(studio: Studio, asked: ExportRequest, path: Path, manifest: Manifest | None, check: ContentCheck) -> None:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    studio.records.keep(
        BundleRecord(
            id=sha256[:16],
            owner=asked.owner,
            post_set=asked.post_set.id,
            platform=asked.platform,
            path=str(path.resolve()),
            sha256=sha256,
        ),
        *_words(asked, manifest, check, sha256),
    )
    note_platform(studio.library, asked.owner, asked.post_set.id, asked.platform)
    if manifest is not None:
        remember_export(studio.library, manifest, asked.owner)


def _words(
    asked: ExportRequest, manifest: Manifest | None, check: ContentCheck, sha256: str
) -> tuple[RightsRecord, ...]:
    """Return what stays of the user's words for this export: that they label the pictures themselves, and that they
    looked at those that the content checker would have stopped. A word that nothing needed is not kept.
    """
    facts = {
        "platform": asked.platform, "bundle": sha256,
        "pictures": [] if manifest is None else [post.drawn_sha256 for post in manifest.posts],
    }  # fmt: skip
    given: dict[str, dict[str, Any]] = {}
    if manifest is not None and asked.unlabelled:
        given["unlabelled"] = facts | {"said": _said("text.unlabelled")}
    if check.allowed:
        found = check.model_dump(mode="json")
        given["flagged"] = facts | {"said": _said("text.allow_flagged"), "content_check": found}
    thing = f"{PostSet.kind}:{asked.post_set.id}"
    return tuple(
        RightsRecord(id=f"{kind}-{sha256[:16]}", owner=asked.owner, kind=kind, thing=thing, facts=told)
        for kind, told in given.items()
    )


def _said(key: str) -> dict[str, str]:
    return {language: Texts(language)(key) for language in LANGUAGES}


def donor_facts(persona: Persona) -> list[DonorFacts]:
    """Return what a manifest tells of a persona's donors. Who consented stays here, found by the donor's id: a bundle
    goes to strangers."""
    weights = dict(zip(persona.recipe.donors, persona.recipe.mix_weights, strict=True))
    return [
        DonorFacts(id=d.id, name=d.name, mix_weight=weights[d.id], licence=d.licence, consent=ON_RECORD)
        for d in persona.donors
    ]


def _scene_facts(asked: PostRequest) -> SceneFacts:
    """Return what the manifest says of the place and the goods."""
    scene = asked.scene
    return SceneFacts(
        name=scene.name,
        sha256=scene.sha256,
        photo=scene.photo,
        landmark=(scene.landmark if asked.keep_landmark else None) or "",
        scale=asked.scale,
        redux=None if asked.dials == ReferenceDials() else asked.dials,
        goods=asked.goods,
        goods_as=asked.goods_as,
        goods_box=asked.goods_box,
        crops=scene.crops,
    )


def _draw_facts(studio: Studio, post_set: PostSet) -> DrawFacts:
    """Return what else than the requests decides pixels."""
    asked, drawn = post_set.request, drawn_with(studio, post_set)
    return DrawFacts(
        **drawn.model_dump(exclude={"companions"}),
        batches=post_set.batches,
        detail=asked.detail,
        renoise=asked.renoise,
        panels=asked.panels,
        keep=asked.keep,
        inject=asked.inject,
        person_as=asked.person_as,
        person_picture=asked.person_picture or "",
        blocks=asked.blocks,
        shape=asked.shape,
        ip_adapter_sha256="" if post_set.ip_adapter is None else post_set.ip_adapter.sha256,
        ip_adapter_licence="" if post_set.ip_adapter is None else post_set.ip_adapter.licence,
        style=_style_facts(asked),
        character=asked.photos,
        character_sha256="" if post_set.character_adapter is None else post_set.character_adapter.sha256,
        character_licence="" if post_set.character_adapter is None else post_set.character_adapter.licence,
        character_reader_sha256="" if post_set.character_adapter is None else post_set.character_adapter.reader_sha256,
        companions=tuple(CompanionFacts(**one.model_dump()) for one in drawn.companions),
        references=post_set.references,
    )


def _style_facts(asked: PostRequest) -> StyleFacts | None:
    style = asked.styled
    if style is None:
        return None
    told = {name: getattr(style, name) for name in StyleFacts.model_fields if name != "strength"}
    return StyleFacts(**told, strength=asked.style_strength)


def _as_told(post: DrawnShot) -> dict[str, Any]:
    """The fields of ManifestShot."""
    return {name: getattr(post, name) for name in ManifestShot.model_fields} | {"shot": asdict(post.shot)}


def export_posts(studio: Studio, request: ExportRequest, run: Run, progress: Progress = SILENT) -> Bundle:
    """Write a set's bundle into the store."""
    progress.check_cancelled()

    def export() -> tuple[str, int, int]:
        with tempfile.TemporaryDirectory(dir=studio.library.work) as scratch:
            path = Path(scratch) / f"{request.platform}.zip"
            export_bundle(studio, request, path)
            data = path.read_bytes()
        return studio.store.put(data), len(data), request.picture_count

    studio.library.work.mkdir(parents=True, exist_ok=True)
    key, size, pictures = run("export", export)
    return Bundle(
        id=key[:16],
        post_set=request.post_set.id,
        platform=request.platform,
        name=bundle_name(request.post_set, request.platform),
        bundle=FileKey(key),
        bytes=size,
        pictures=pictures,
        content=request.content,
    )


def check_export(studio: Studio, request: CheckRequest, run: Run, progress: Progress = SILENT) -> ExportCheck:
    """Store each picture's file as the platform would get it, and what crop and label do to it."""
    progress.check_cancelled()
    shown = run("check", lambda: [row.model_dump(mode="json") for row in _checked(studio, request)])
    rows = tuple(CheckedPicture.model_validate_json(json.dumps(row)) for row in shown)
    told = {"set": request.post_set.id, "platform": request.platform, "pictures": shown}
    return ExportCheck(
        id=content_id(told), post_set=request.post_set.id, platform=request.platform, pictures=rows
    )  # fmt: skip


def _checked(studio: Studio, request: CheckRequest) -> list[CheckedPicture]:
    target, post_set = request.target, request.post_set
    if target.white_background:
        request.check_before()
        assert post_set.request.goods is not None  # checked just now
        data = encode_white(goods_cutout(studio, post_set.request.goods), target)
        judged = _judged(studio, _decoded(data))
        return [CheckedPicture(picture=studio.store.put(data), caption="", bytes=len(data), **judged)]
    rows, credentials = [], open_credentials(studio.settings)
    for post in bundle_posts(studio, request):
        framing = frame_picture(post.content, target)
        label = label_of(post.image, post.composite)
        data = encode_for_platform(
            post.shown, framing, target, label, drawn=post.content.size, credentials=credentials
        )  # fmt: skip
        rows.append(
            CheckedPicture(
                picture=studio.store.put(data), caption=post.caption, bytes=len(data), corner=framing.corner,
                covers=framing.covers, cut=framing.cut, hidden=framing.hidden,
                **_judged(studio, as_exported(post, target)),
            )
        )  # fmt: skip
    return rows


def _judged(studio: Studio, image: Picture) -> dict[str, Any]:
    """What the content checker says of one picture; nothing where none is installed."""
    check = _check_content(studio, [image], allowed=True)
    return {} if not check.scores else {"content_score": check.scores[0], "flagged": check.allowed}
