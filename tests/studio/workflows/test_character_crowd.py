"""Photos with somebody else in them: the face that counts is of whom the mask shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from studio.application import Studio
from studio.domain.character import Character
from studio.domain.posts import PostRequest
from studio.library.scenes import add_picture
from studio.workflows.character import photos_of
from tests.studio.workflows.test_character import (  # noqa: F401
    asked,
    by_parts,
    drawn_people_are_known,
    studio,
    worn,
)


def test_of_two_people_in_a_photo_the_face_is_the_chosen_ones(
    by_parts: Studio,  # noqa: F811
    asked: PostRequest,  # noqa: F811
    tmp_path: Path,
) -> None:
    mei, lin = (np.asarray(Image.open(worn(tmp_path / f"{seed}.png", seed))) for seed in (5, 6))
    both = np.concatenate([mei, lin], axis=1)
    picture = add_picture(by_parts.library, np.ascontiguousarray(both[..., :3]), "me")
    for chosen in (0, 1):
        alpha = both[..., 3].copy()
        alpha[:, (1 - chosen) * mei.shape[1] : (2 - chosen) * mei.shape[1]] = 0
        mask = add_picture(by_parts.library, np.stack([alpha] * 3, axis=-1), "me")
        told = {"photos": [{"picture": picture, "mask": mask}]}
        character = Character.model_validate_json(json.dumps(told))
        read = photos_of(by_parts, asked.changed(character=character))
        assert read is not None
        (only,) = read.photos
        assert only.landmarks is not None
        column, row = only.landmarks.mean(axis=0).astype(int)
        assert only.mask[row, column]
