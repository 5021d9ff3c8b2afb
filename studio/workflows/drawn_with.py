"""Notes of the backbone that a set is drawn with: its bundle can then be made while the studio draws with another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from pipelines.families.catalogue import family_name
from pipelines.families.companions import drawing_spec
from pipelines.models.weights import hash_weights
from studio.application import Studio
from studio.domain.capabilities import backbone_facts
from studio.domain.fit import misfit
from studio.domain.posts import DrawnCompanion, DrawnWith, PostSet
from studio.library.made_on import made_on_persona

__all__ = ["drawn_with", "note_drawing", "note_reader"]


def note_drawing(studio: Studio, companion: str, size: tuple[int, int] | None = None) -> DrawnWith:
    """Return what pictures depend on besides their requests, as it is now; `companion` is the role of the model that
    draws in the backbone's place ("": none), `size` the pictures' height and width (None: the backbone's own).
    """
    backbone = studio.backbone
    height, width = size or (backbone.spec.height, backbone.spec.width)
    return DrawnWith(
        backbone=backbone.spec.id,
        backbone_sha256=studio.backbone_sha256,
        batch_size=studio.settings.batch_size,
        dtype=str(backbone.dtype).removeprefix("torch."),
        precision=backbone.plan.precision,
        offload=backbone.plan.offload,
        device=backbone.device.type,
        threads=torch.get_num_threads(),
        height=height,
        width=width,
        companions=_note_companion(studio, companion),
    )


def drawn_with(studio: Studio, post_set: PostSet) -> DrawnWith:
    """Return what a set was drawn with. Of one from before that was noted: the backbone of now where its persona fits
    it, else what is known, with no hashes.
    """
    if post_set.drawn_with is not None:
        return post_set.drawn_with
    persona = post_set.request.persona
    made = made_on_persona(studio.store, persona)
    if misfit(backbone_facts(studio.settings), persona.name, made) is None:
        return note_drawing(studio, post_set.companion)
    height, width = studio.store.get_picture(post_set.posts[0].picture).shape[:2]
    return DrawnWith(
        backbone=made.backbone or family_name(made.family), backbone_sha256="", batch_size=1, dtype="", precision="",
        offload="", device="", threads=1, height=height, width=width,
    )  # fmt: skip


def note_reader(studio: Studio) -> str:
    """Return the SHA-256 of the weights that say where in a picture a person is, as hexadecimal digits.

    Those of a reader for photographs are its parser's, matter's and pose model's, and the face pack's.
    """
    from personas.measures.face import find_pack
    from personas.measures.facexlib_nets import MATTING, PARSING, are_facexlib_nets

    folder = studio.settings.reader
    if not are_facexlib_nets(folder):
        return hash_weights(folder / "reader.onnx")
    files = [folder / PARSING, folder / MATTING, *_weights_in(folder / "pose")]
    files += _weights_in(find_pack(studio.settings.face_pack))
    return hashlib.sha256("".join(map(hash_weights, files)).encode()).hexdigest()


def _weights_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in (".onnx", ".safetensors", ".bin", ".pth"))


def _note_companion(studio: Studio, role: str) -> tuple[DrawnCompanion, ...]:
    if not role:
        return ()
    spec = drawing_spec(studio.backbone.spec, role)
    return (DrawnCompanion(role=role, id=spec.id, sha256=hash_weights(spec.folder), licence=spec.licence),)
