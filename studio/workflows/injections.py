"""Things put into posts: a scene's photo, its landmark, goods, and a picture of the person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.measures.depth import look_with
from personas.measures.subject import ShownGoods, ShownKept
from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.families.catalogue import find_family
from pipelines.families.companions import find_reader
from pipelines.pictures import fit_mask, fit_to_canvas
from pipelines.references.catalogue import find_kind
from pipelines.references.character import CharacterReference
from pipelines.references.cutout import Cutout, Place
from pipelines.references.fill import FillReference
from pipelines.references.goods import goods_pixels, place_goods
from pipelines.references.landmark import Landmark, grow_mask
from pipelines.references.layers import KeptLayers
from pipelines.references.native import NativeReferences, ReferencePicture
from pipelines.references.protocol import Reference
from pipelines.references.redux import fill_foreground
from pipelines.references.roles import Role, name_references
from studio.application import Studio
from studio.domain.capabilities import sees_people, vocabulary_of
from studio.domain.posts import ShownReference
from studio.domain.values import FileKey
from studio.domain.wording import tell_goods
from studio.library.scenes import get_mask
from studio.workflows.character import photos_of, worn_in
from studio.workflows.drawn_with import note_reader
from studio.workflows.redux_dials import clear_person, more_places, through_adapter, through_redux
from studio.workflows.shown import chosen_place, goods_cutout, stand

if TYPE_CHECKING:
    from studio.domain.posts import PostRequest

__all__ = ["LANDMARK_MARGIN_PX", "Injections"]

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

LANDMARK_MARGIN_PX = 5
_WITH_DIALS: Mapping[str, Callable[[Studio, PostRequest, Picture, Mask], Reference | None]] = {
    "redux": through_redux,
    "ip-adapter": through_adapter,
}
"""Kinds that have more to set than a scale; the others are shown by `Reference.show`."""
_IN_REFERENCE = Place(0.5, 0.95, 0.45)  # large enough to be read, with the place still around it


class Injections:
    """A scene and goods on the backbone's canvas, ready for any number of shots."""

    def __init__(self, studio: Studio, request: PostRequest) -> None:
        spec, scene, goods = studio.backbone.spec, request.scene, request.goods
        self._request = request
        self.size: tuple[int, int] = spec.size_for(request.shape, studio.backbone.model.token_px)
        """Height and width of the pictures in pixels."""
        height, width = self.size
        crop = scene.crop_for(height, width)
        self.canvas = fit_to_canvas(studio.store.get_picture(scene.photo), height, width, crop)
        self.person = studio.regions.read([self.canvas])[0].person
        self._look = look_with(studio.regions) if sees_people(studio.settings) else None
        self._marked: Mask | None = None
        if scene.landmark is not None and request.keep_landmark:
            mask = get_mask(studio.library, scene.landmark)
            self._marked = fit_mask(mask, height, width, crop)
            if not self._marked.any():
                raise BadInput("landmark_outside_crop", scene=scene.name)
        self._goods: Cutout | None = None
        self._place: Place | None = None
        self._called = ""  # what prompts call the goods
        if goods is not None:
            self._called = tell_goods(goods.name, vocabulary_of(studio.settings))
            self._goods = goods_cutout(studio, goods)
            self._place = chosen_place(request, self._goods, self.size)
        self._reader = find_reader(find_family(spec.family), spec.can)
        self._keys: dict[ReferencePicture, tuple[str, FileKey]] = {}  # what each shows is called, and its file
        self.references: tuple[Reference, ...] = self._refer(studio)
        """The references that show the place, and what goes with it, the same for every shot."""
        self.character: CharacterReference | None = photos_of(studio, request)
        """What says in the LoRA's place who is shown."""
        self.companion: str = "fill" if request.keep == "fill" else self._drawn_by(studio)
        """Which of the backbone's companions draws; "": itself."""
        if self.companion and request.styled is not None:
            raise BadInput("style_beside_companion", name=dict(request.styled.names))
        self.reader_sha256: str = note_reader(studio) if self.layered else ""
        """What says where the person is; "" where nothing is asked."""

    @property
    def referred(self) -> bool:
        """Whether the model is shown the place; else the words must say it."""
        return self._request.scale > 0 and bool(self.references)

    @property
    def shown(self) -> tuple[ShownReference, ...]:
        """Return which pictures the model reads itself, in the order of their numbers."""
        found = []
        for number, picture in enumerate(self._pictures, 1):
            name, key = self._keys[picture]
            found.append(ShownReference(number=number, role=picture.role, name=name, picture=key))
        return tuple(found)

    def landmark(self, shot: Shot, layered: bool = True) -> Landmark | None:
        """Return what is kept in this shot: the scene's landmark, the goods, both or nothing.

        Not `layered` is as posts were drawn before a person could stand in front of it, and as they are where nobody
        can say where the person is.
        """
        # Pixels cut on the exact outline clash with what is drawn beside them: some of the surroundings come along.
        kept = None if self._marked is None else Landmark(self.canvas, grow_mask(self._marked, LANDMARK_MARGIN_PX))
        place, goods = stand(self._place, shot), None
        if self._goods is not None and self._as_pixels:
            kept = place_goods(self._goods, place, self.canvas, kept)
            goods = goods_pixels(self._goods, place, self.size)
        if kept is None or not layered or self._look is None:
            return kept
        return KeptLayers(
            kept.image,
            kept.mask,
            look=self._look,
            photo=None if self._marked is None else self.canvas,
            marked=self._marked,
            goods=goods,
            held=self._place is not None,
        )

    def beside(self, landmark: Landmark | None, shot: Shot) -> tuple[Reference, ...]:
        """All references of a picture of a shot in which this is kept, in the way that was asked for.

        Raises BadInput where Fill has nothing to draw around.
        """
        shown = self.references
        if self.character is not None and (asked := self._request.photos) is not None:
            shown = (*shown, worn_in(self.character, asked, shot))
        if self._request.keep != "fill":
            return shown if landmark is None else (*shown, landmark)
        if landmark is None:
            raise BadInput("nothing_to_fill_around")
        return (*shown, FillReference(landmark))

    def words(self, prompt: str) -> str:
        """The prompt with the goods in it where the model draws them or fills around them, and what each picture shows.

        Where their own pixels are laid in, the words would have the model draw others like them. A model that reads one
        picture has nothing to tell apart.
        """
        is_laid_in = self._request.goods_as == "pixels" and self._request.keep != "fill"
        said = f"{prompt}, with {self._called}" if self._called and not is_laid_in else prompt
        if self._reader is None or self._reader.most == 1:
            return said
        return name_references(said, [p.role for p in self._pictures], self._called or "the product")

    def goods_in(self, shot: Shot) -> ShownGoods | None:
        """Return the goods that a post of this shot shows; None without goods."""
        if self._goods is None:
            return None
        return ShownGoods(self._goods, stand(self._place, shot) if self._as_pixels else None)

    @property
    def layered(self) -> bool:
        """Return whether pixels are kept, a landmark's or goods', and a person may stand before them."""
        keeps = self._marked is not None or (self._goods is not None and self._as_pixels)
        return keeps and self._look is not None

    def kept_in(self, shot: Shot) -> ShownKept | None:
        """Return what a post of this shot keeps; None where that is nothing, or nobody can say where the person is."""
        if not self.layered:
            return None
        goods = None
        if self._goods is not None and self._as_pixels:
            goods = goods_pixels(self._goods, stand(self._place, shot), self.size).mask
        return ShownKept(self.canvas, self._marked, goods)

    @property
    def _as_pixels(self) -> bool:
        return self._request.goods_as != "reference"

    @property
    def _pictures(self) -> tuple[ReferencePicture, ...]:
        """The pictures that the model reads itself, in the order of their numbers."""
        return next((r.ordered for r in self.references if isinstance(r, NativeReferences)), ())

    def _drawn_by(self, studio: Studio) -> str:
        return next((role for r in self.references if (role := r.drawn_by(studio.backbone.spec))), "")

    def _refer(self, studio: Studio) -> tuple[Reference, ...]:
        """Everything that is shown, in the way that was chosen."""
        request = self._request
        if request.inject == "references":
            pictures = self._native_pictures(studio)
            return (NativeReferences(pictures),) if pictures else ()
        if request.scale == 0:
            return ()
        shown, hidden = self._scene_picture("goods" in request.shows)
        with_dials = _WITH_DIALS.get(request.inject)
        if with_dials is None:
            return (find_kind(request.inject).load()[0].show(fill_foreground(shown, hidden), request.scale),)
        reference = with_dials(studio, request, shown, hidden)
        return () if reference is None else (reference,)

    def _scene_picture(self, with_goods: bool) -> tuple[Picture, Mask]:
        """The place, with the goods standing in it where they are shown with it, and what of it is to be hidden."""
        shown, hidden = self.canvas, clear_person(self.canvas, self.person)
        if not with_goods or self._goods is None:
            return shown, hidden
        # a stranger goes first: filled in later, they would be filled with the goods' colours
        placed = place_goods(self._goods, self._place or _IN_REFERENCE, fill_foreground(shown, hidden))
        return placed.image, hidden & ~placed.mask

    def _native_pictures(self, studio: Studio) -> tuple[ReferencePicture, ...]:
        """A picture each for place, person and goods; for a model that reads one, the goods stand in the place."""
        request, shows = self._request, self._request.shows
        joined = {"scene", "goods"} <= shows and self._reader is not None and self._reader.most == 1
        if "scene" in shows:
            scene = request.scene
            self._add("scene", fill_foreground(*self._scene_picture(joined)), scene.name, scene.photo)
            for place, (picture, hidden) in zip(
                request.dials.references, more_places(studio, request, self.size), strict=True
            ):
                self._add("scene", fill_foreground(picture, hidden), scene.name, place.photo)
        if request.person_picture is not None:
            picture = studio.store.get_picture(request.person_picture)
            self._add("person", picture, request.persona.name, request.person_picture)
        if "goods" in shows and not joined and self._goods is not None and request.goods is not None:
            packshot = np.where(self._goods.mask[..., None], self._goods.image, np.uint8(255))
            self._add("goods", packshot, request.goods.name, request.goods.picture)
        return tuple(self._keys)

    def _add(self, role: Role, image: Picture, name: str, key: FileKey) -> None:
        self._keys[ReferencePicture(role, image)] = (name, key)
