"""A drawn face in a real photo is no success, however like the persona it is; in a drawn picture it can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from studio.application import Studio
from studio.domain.persona import SwapRequest
from studio.domain.values import FileKey, NamedPicture
from studio.library.scenes import add_picture
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.swap import swap_faces
from tests.data import need
from tests.studio.domain.values import make_persona


def test_a_drawn_face_in_a_real_photo_is_said_to_be_of_another_look(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path, threads=1))
    who, other = (studio.donors(look)[0] for look in ("sweet", "mature"))
    face = studio.faces.read(np.asarray(Image.open(who.thumbnail_path).convert("RGB")))
    assert face is not None
    persona = make_persona(name="Mei").model_copy(
        update={
            "lora": FileKey(studio.store.put(who.lora_path.read_bytes())), "trigger": who.trigger,
            "enrolment": tuple(float(value) for value in face.embedding),
        }
    )  # fmt: skip
    files = {"real.jpg": need("faces/xverse_human/01_man.jpg"), "drawn.png": other.thumbnail_path}
    pictures = tuple(
        NamedPicture(name=name, picture=add_picture(studio.library, np.asarray(Image.open(file).convert("RGB")), "me"))
        for name, file in files.items()
    )
    made = swap_faces(studio, SwapRequest.make(persona=persona, pictures=pictures, any_look=True), run_directly)
    faults = {row.name: row.faults or () for row in made.pictures}
    assert "look" in faults["real.jpg"]
    assert "look" not in faults["drawn.png"]
