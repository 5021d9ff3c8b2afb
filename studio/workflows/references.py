"""What is put into posts besides the person: a scene's photo, its landmark, and goods."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from personas.shots import Shot
from pipelines.references.goods import Cutout, Place, cut_out, goods_similarity, place_goods
from pipelines.references.landmark import Landmark, grow_mask
from pipelines.references.redux import ReduxReference
from studio.application import Studio
from studio.places import get_mask, put_mask
from studio.scenes import fit_mask, fit_to_canvas, load_goods

__all__ = ["Injections", "add_goods"]

_LANDMARK_MARGIN_PX = 5
_PLACES = {"close-up": Place(0.8, 1.0, 0.3), "half-body": Place(0.82, 1.0, 0.28), "full-body": Place(0.84, 0.97, 0.16)}

Picture = npt.NDArray[np.uint8]


def add_goods(studio: Studio, photo: Path, name: str, place: Place | None = None) -> dict[str, Any]:
    """Check, cut out and store a product's photo; the goods as JSON. Raises BadPicture, BadInput.

    Without a `place` they stand where the framing of each shot leaves room; `name` is what prompts call them.
    """
    image, alpha = load_goods(photo)
    goods = cut_out(image, alpha)
    return {
        "name": name,
        "sha256": hashlib.sha256(photo.read_bytes()).hexdigest(),
        "picture": studio.store.put_picture(goods.image),
        "mask": put_mask(studio, goods.mask),
        "place": None if place is None else asdict(place),
    }


class Injections:
    """A scene and goods on the backbone's canvas, ready for any number of shots."""

    def __init__(
        self, studio: Studio, scene: dict[str, Any], goods: dict[str, Any] | None, redux_scale: float,
        keep_landmark: bool,
    ) -> None:  # fmt: skip
        spec = studio.backbone.spec
        self.canvas = fit_to_canvas(studio.store.get_picture(scene["photo"]), spec.height, spec.width)
        self.person = studio.regions.read([self.canvas])[0].person
        self.reference: ReduxReference | None = None
        if redux_scale > 0:
            mask = self.person if self.person.mean() > 0.02 else None
            self.reference = ReduxReference(self.canvas, mask, scale=redux_scale)
        self._landmark: Landmark | None = None
        if scene["landmark"] is not None and keep_landmark:
            mask = get_mask(studio, scene["landmark"])
            # Pixels cut on the exact outline clash with what is drawn beside them: some of the surroundings come along.
            kept = grow_mask(fit_mask(mask, spec.height, spec.width), _LANDMARK_MARGIN_PX)
            self._landmark = Landmark(self.canvas, kept)
        self._goods: Cutout | None = None
        if goods is not None:
            self._goods = Cutout(studio.store.get_picture(goods["picture"]), get_mask(studio, goods["mask"]))
            self._name, self._place = goods["name"], goods["place"]

    def landmark(self, shot: Shot) -> Landmark | None:
        """What is kept in this shot: the scene's landmark, the goods, both or nothing."""
        if self._goods is None:
            return self._landmark
        return place_goods(self._goods, self._stand(shot), self.canvas, self._landmark)

    def words(self, prompt: str) -> str:
        """The prompt with the goods in it, so that the drawing makes sense of them."""
        return prompt if self._goods is None else f"{prompt}, with {self._name}"

    def goods_score(self, shot: Shot, picture: Picture) -> float | None:
        """See `goods_similarity`; None without goods."""
        return None if self._goods is None else goods_similarity(picture, self._goods, self._stand(shot))

    def _stand(self, shot: Shot) -> Place:
        return _PLACES[shot.framing] if self._place is None else Place(**self._place)
