"""A set of posts: one persona in one scene, in several shots. Its request says all that decides its pictures."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from personas.shots import Shot, vary_shots
from pipelines.errors import BadInput
from pipelines.references.catalogue import current_id, find_kind, kinds_that
from pipelines.references.roles import Role
from pipelines.shapes import Box, CanvasShape
from studio.domain.character import Character, CharacterConsent, check_agreed
from studio.domain.finishing import FinishedPicture
from studio.domain.guidance import Guidance
from studio.domain.persona import Persona
from studio.domain.scene import Goods, ReferenceDials, Scene
from studio.domain.style import MOST_STYLE_STRENGTH, Style
from studio.domain.values import Caption, FileKey, IndexEntry, IndexPart, Request, Result, Seed, Value, later_field

__all__ = [
    "MOST_AGAIN", "MOST_RETAKES", "MOST_SHOTS", "USUAL_RETAKES", "Box", "Drawing", "DrawnCompanion", "DrawnShot",
    "DrawnWith", "Fix", "IpAdapterFacts", "Post", "PostRequest", "PostSet", "Scores", "SetSettings", "ShownReference",
    "check_box", "plain_caption", "plan_shots", "post_thing",
]  # fmt: skip

MOST_SHOTS = 35
MOST_RETAKES, USUAL_RETAKES = 3, 2  # where a person says nothing else
MOST_AGAIN = 999_999

if TYPE_CHECKING:
    InjectWay = str
    KeepWay = str
else:
    InjectWay = Annotated[Literal[kinds_that("show")], BeforeValidator(current_id)]  # one of the table's rows
    KeepWay = Literal[kinds_that("keep")]

Scores = Mapping[str, float | None]


def plain_caption(name: str, shot: Shot) -> str:
    """Return the caption of a post for which nobody wrote one."""
    goods = "" if shot.goods == "nothing" else f", {shot.goods}"
    return f"{name}: {f'{shot.worn_colour} {shot.outfit}'.strip()}{goods}"


def plan_shots(count: int, seed: int, again: int = 0) -> tuple[Shot, ...]:
    """Return shots of one set: one light, framings that leave some of the place to see, the rest varied.

    `again` as in `vary_shots`.
    """
    return vary_shots(count, seed, framings=("half-body", "full-body", "half-body"), lights=("day",), again=again)


def post_thing(post_set: str, number: int) -> str:
    """Return the library's id of one post of a set; `number` from 0, in the set as it was drawn."""
    return f"post:{post_set}-{number:03d}"


def check_box(box: Box) -> None:
    """Raise BadInput where the four numbers are no box in the picture."""
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadInput("goods_box_invalid", box=[left, top, right, bottom])


class SetSettings(Value):
    """How a set is drawn, whoever and whatever it shows; a field each, which need not go together yet.

    `person_as` says what tells the model who is shown: the persona's LoRA, a picture of the persona (`person_picture`,
    as a reference), or both. `scale` is how much the model is shown of the scene, 0 nothing; `panels` how many shots
    are drawn as one picture (1: each alone), later ones around the set's first post.

    `detail` and `renoise` are those of `pipelines.sampling`, off at 0. `goods` is a product (a shot's own goods
    are a kind of thing that the model draws into the hand), `goods_as` how it is shown (its own pixels, drawn anew from
    a reference, or both), `goods_box` where: left, top, right, bottom in shares. `shape` is what the pictures are drawn
    for, "" for the backbone's own size. `inject` is how pictures become references, with `dials`, and `blocks` of the
    IP-Adapter (see `block_scales`); `keep` is how pixels are kept. `any_look` draws even where the scene is no picture
    that the backbone could have drawn (`pipelines.own_look`). `finish` brings each post to the size that it is
    shown in, `finish_px` along its shorter side; None: where the drawing is small and the backbone has an upscaler.
    `touch_up` draws small faces of finished posts once more; None: where the drawing is small. `style` is a look that
    all pictures have, `style_strength` how much of it: 1 as it was measured, 0 none. `retakes` is how often what comes
    out weak (`weak_scores`) is drawn again, each time with another seed, unless a person said its seed; the better one
    of a shot is kept.
    """

    seed: Seed = 1
    person_as: Literal["lora", "reference", "both"] = "lora"
    person_picture: FileKey | None = None
    scale: float = Field(1.0, ge=0, le=2)
    keep_landmark: bool = True
    detail: float = Field(0.0, ge=0, le=2)
    renoise: float = Field(0.0, ge=0, le=1)
    panels: Literal[1, 2, 3, 4, 6, 9] = 1
    goods: Goods | None = None
    inject: InjectWay = "redux"
    dials: ReferenceDials = ReferenceDials()
    blocks: str = Field("", max_length=300)
    keep: KeepWay = "inpaint"
    goods_as: Literal["pixels", "reference", "both"] = "pixels"
    goods_box: Box | None = None
    shape: CanvasShape = later_field("")
    any_look: bool = later_field(False)
    finish: bool | None = later_field(None)
    finish_px: int = later_field(1080, ge=256, le=4096)
    touch_up: bool | None = later_field(None)
    style: Style | None = later_field(None)
    style_strength: float = later_field(1.0, ge=0, le=MOST_STYLE_STRENGTH)
    retakes: int = later_field(0, ge=0, le=MOST_RETAKES)

    @property
    def styled(self) -> Style | None:
        """Return the style that pictures are drawn in; None for none, and where nothing of it is wanted."""
        return self.style if self.style_strength > 0 else None

    @property
    def shows(self) -> frozenset[Role]:
        """Return what the model is shown in pictures, whichever way."""
        shown: dict[Role, bool] = {
            "scene": self.scale > 0,
            "person": self.person_as != "lora",
            "goods": self.goods is not None and self.goods_as != "pixels",
        }
        return frozenset(role for role, is_shown in shown.items() if is_shown)


class PostRequest(Request, SetSettings):
    """A set of posts: who, where, in which shots, and how (`SetSettings`).

    `seeds` and `captions` go with the shots: None, or none at all, leaves a seed to `seed` and a caption to the studio,
    which writes an English one. `again` ≥ 1 asks for another set with the same `seed`: its number takes part in the
    seeds that are left to the studio, and in the shots where those are. `guided` says how the shots came to be to their
    owner's taste, and what is said behind each prompt for it. `character` are photos that say who is shown in place of
    the persona's LoRA, by `character_consent`; what is measured is still the likeness to the persona.
    """

    persona: Persona
    scene: Scene
    shots: tuple[Shot, ...] = Field(min_length=1, max_length=MOST_SHOTS)
    seeds: tuple[Seed | None, ...] = Field((), max_length=MOST_SHOTS)
    captions: tuple[Caption | None, ...] = Field((), max_length=MOST_SHOTS)
    again: int = later_field(0, ge=0, le=MOST_AGAIN)
    guided: Guidance | None = later_field(None)
    character: Character | None = later_field(None)
    character_consent: CharacterConsent | None = later_field(None)

    @property
    def photos(self) -> Character | None:
        """Return the photos that say who is shown: the request's own, or those that the persona is made of."""
        if self.character is not None or self.person_as != "lora":
            return self.character
        return self.persona.character

    @property
    def photos_consent(self) -> CharacterConsent | None:
        """Return who agreed to be shown in them."""
        return self.character_consent if self.character is not None else self.persona.character_consent

    @property
    def by_lora(self) -> bool:
        """Return whether the persona's LoRA says who is shown; else a picture alone, or a character's photos, do."""
        return self.person_as != "reference" and self.photos is None

    def check_before(self) -> None:
        """Raises BadInput where nobody agreed to be shown in the photos that say who it is.

        Whether they still do is asked where it is known what was said since (`studio.jobs.consents`).
        """
        if self.photos is not None and self.photos_consent is None:
            check_agreed(None, datetime.date.today())

    @model_validator(mode="after")
    def _check_together(self) -> PostRequest:
        """Raises BadInput for fields that do not go together: known before anything is drawn."""
        self._check_person()
        if self.by_lora and self.persona.lora is None:
            raise BadInput("persona_without_lora", name=self.persona.name)
        self._check_goods()
        self._check_fill()
        dials, inject = self.dials, self.inject
        if 0 < (most := find_kind(inject).most_scale) < self.scale:
            raise BadInput("scale_too_large", scale=self.scale, inject=inject, most=most)
        if self.blocks and inject != "ip-adapter":
            raise BadInput("blocks_need_ip_adapter", inject=inject)
        if (dials.weights, dials.pool, dials.merge) != (None, 1, 1.0) and inject != "redux":
            raise BadInput("dials_need_redux", inject=inject)
        return self

    def _check_person(self) -> None:
        if self.character is not None and self.person_as != "lora":
            raise BadInput("character_beside_picture")
        if self.person_as == "lora":
            if self.person_picture is not None:
                raise BadInput("person_picture_unused")
            return
        if "person" not in find_kind(self.inject).roles:
            ways = [kind for kind in kinds_that("show") if "person" in find_kind(kind).roles]
            raise BadInput("person_reference_unseen", inject=self.inject, ways=ways)
        if self.person_picture is None:
            raise BadInput("person_picture_missing")

    def _check_goods(self) -> None:
        if self.goods_box is not None:
            check_box(self.goods_box)
            if self.goods is None:
                raise BadInput("goods_box_without_goods")
        if "goods" in self.shows and self.scale == 0 and "goods" not in find_kind(self.inject).roles:
            raise BadInput("goods_reference_unseen")

    def _check_fill(self) -> None:
        if self.keep != "fill":
            return
        landmark = self.keep_landmark and self.scene.landmark is not None
        if not landmark and (self.goods is None or self.goods_as == "reference"):
            raise BadInput("fill_keeps_nothing")
        if self.inject == "ip-adapter" and self.scale > 0:
            raise BadInput("fill_with_ip_adapter")
        if self.inject == "references" and self.shows:
            raise BadInput("fill_with_kontext")


class Fix(Value):
    """A painted region that was drawn anew: `mask` is a picture, white there; `parent` the pixels' hash before.

    `reader_sha256` is of what said where the person is, who may then stand before a landmark in the region; "" where
    the region ends at it, as in earlier versions and where a post is not `layered`.
    """

    mask: FileKey
    seed: Seed
    strength: float = Field(gt=0, le=1)
    parent: str
    reader_sha256: str = later_field("")


class DrawnShot(Value):
    """Facts that one picture was drawn from, besides its set's request.

    `layered` says that the person may stand before the landmark, which earlier versions laid over them;
    `reader_sha256` is of what said where the person is ("" where it is not, or was not noted).
    """

    prompt: str
    seed: Seed
    shot: Shot
    num_inference_steps: int
    guidance_scale: float
    true_cfg_scale: float
    identity_guidance: bool = False
    layered: bool = later_field(False)
    reader_sha256: str = later_field("")


class Post(DrawnShot):
    """One picture of a set, and what was measured on it.

    `origin` is the drawing that it is from (the id of a set or a take) and its number in it. `fixes` were done to it
    afterwards, one after the other. `finished` is the picture as it is shown large, None where it was not finished.
    """

    picture: FileKey
    scores: Scores
    caption: str
    fixes: tuple[Fix, ...] = ()
    origin: tuple[str, int]
    finished: FinishedPicture | None = later_field(None)

    @property
    def large(self) -> FileKey:
        """Return the picture that is shown large."""
        return self.picture if self.finished is None else self.finished.picture


class Drawing(Value):
    """Posts that were drawn in one go, exported or not: how they are batched decides their last bits."""

    id: str
    posts: tuple[Post, ...]
    batches: tuple[tuple[int, ...], ...]


class IpAdapterFacts(Value):
    """The IP-Adapter, or the character adapter, that was on; `reader_sha256` is of what said where the parts of the
    people in photos are, "" where nothing did, or it was not noted.
    """

    sha256: str
    licence: str
    reader_sha256: str = later_field("")


class ShownReference(Value):
    """A picture that the model read itself: its number in the prompt ("image 1"), what it shows, and what that is
    called."""

    number: int = Field(ge=1)
    role: Role
    name: str
    picture: FileKey


class DrawnCompanion(Value):
    """A model that drew in the backbone's place, by its role."""

    role: str
    id: str
    sha256: str
    licence: str


class DrawnWith(Value):
    """The backbone that a set was drawn with, and what of the machine decides its pixels; sizes in pixels."""

    backbone: str
    backbone_sha256: str
    batch_size: int = Field(ge=1)
    dtype: str
    precision: str
    offload: str
    device: str
    threads: int = Field(ge=1)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    companions: tuple[DrawnCompanion, ...] = ()


class PostSet(Result):
    """The posts in their order; `batches` says which were drawn together, `companion` which model drew ("": the
    backbone itself), `references` which pictures it read itself, and `drawn_with` the backbone, None for sets from
    before it was noted.

    `drawings` are empty for a set of one drawing. One of which weak posts were drawn again, or that a person arranged,
    holds those that its posts are from, its own first.
    """

    kind: ClassVar[str] = "posts"

    request: PostRequest
    posts: tuple[Post, ...] = Field(min_length=1)
    batches: tuple[tuple[int, ...], ...]
    companion: str = ""
    ip_adapter: IpAdapterFacts | None = None
    character_adapter: IpAdapterFacts | None = later_field(None)
    references: tuple[ShownReference, ...] = ()
    drawn_with: DrawnWith | None = None
    drawings: tuple[Drawing, ...] = ()

    @property
    def all_drawings(self) -> tuple[Drawing, ...]:
        """Return the drawings that the posts are from, the set's own first."""
        return self.drawings or (Drawing(id=self.id, posts=self.posts, batches=self.batches),)

    def check_has_posts(self) -> None:
        """Raise BadInput where a person who arranged the set left all of its posts out."""
        if not self.posts:
            raise BadInput("posts_all_left_out")

    def index_entry(self) -> IndexEntry:
        who, where, posts = self.request.persona.name, self.request.scene.name, self.posts
        facts: dict[str, str | int] = {"name": who, "scene": where, "count": len(posts), "picture": posts[0].picture}
        parts = tuple(
            IndexPart(
                post_thing(self.id, number),
                {"name": who, "scene": where, "set": self.id, "number": number, "picture": post.picture},
                (who, where, post.prompt, post.caption, *asdict(post.shot).values()),
                (post.picture,),
            )
            for number, post in enumerate(posts)
        )
        words = (word for part in parts for word in part.words)
        return IndexEntry(facts, (who, where, *words), (f"person:{who}", f"place:{where}"), parts)
