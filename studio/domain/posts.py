"""A set of posts: one persona in one scene, in several shots. Its request says all that decides its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from personas.shots import Shot, vary_shots
from pipelines.errors import BadInput
from pipelines.references.catalogue import find_kind, kinds_that
from studio.domain.persona import Persona
from studio.domain.scene import Goods, ReferenceDials, Scene
from studio.domain.values import Caption, FileKey, IndexEntry, Request, Result, Seed, Value

__all__ = [
    "MOST_SHOTS", "Box", "Drawing", "DrawnShot", "Fix", "IpAdapterFacts", "Post", "PostRequest", "PostSet", "Scores",
    "check_box", "plain_caption", "plan_shots",
]  # fmt: skip

MOST_SHOTS = 35

if TYPE_CHECKING:
    InjectWay = str
    KeepWay = str
else:
    InjectWay = Literal[kinds_that("show")]  # one of the table's rows
    KeepWay = Literal[kinds_that("keep")]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of the picture."""
Scores = Mapping[str, float | None]


def plain_caption(name: str, shot: Shot) -> str:
    """Return the caption of a post for which nobody wrote one."""
    goods = "" if shot.goods == "nothing" else f", {shot.goods}"
    return f"{name}: {shot.outfit_colour} {shot.outfit}{goods}"


def plan_shots(count: int, seed: int) -> tuple[Shot, ...]:
    """Return shots of one set: one light, framings that leave some of the place to see, the rest varied."""
    return vary_shots(count, seed, framings=("half-body", "full-body", "half-body"), lights=("day",))


def check_box(box: Box) -> None:
    """Raise BadInput where the four numbers are no box in the picture."""
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadInput("goods_box_invalid", box=[left, top, right, bottom])


class PostRequest(Request):
    """A set of posts. `scale` is how much the model is shown of the scene, 0 nothing; `panels` how many shots are
    drawn as one picture (1: each alone), later ones around the set's first post.

    `detail` and `renoise` are those of `pipelines.sampling`, off at 0. `goods` is a product (a shot's own goods
    are a kind of thing that the model draws into the hand), `goods_as` how it is shown, `goods_box` where: left, top,
    right, bottom in shares. `inject` is how the scene becomes a reference, with `dials`, and `blocks` of the IP-Adapter
    (see `block_scales`); `keep` is how pixels are kept. `seeds` and `captions` go with the shots: None, or none at all,
    leaves a seed to `seed` and a caption to the studio, which writes an English one.
    """

    persona: Persona
    scene: Scene
    shots: tuple[Shot, ...] = Field(min_length=1, max_length=MOST_SHOTS)
    seed: Seed = 1
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
    goods_as: Literal["pixels", "reference"] = "pixels"
    goods_box: Box | None = None
    seeds: tuple[Seed | None, ...] = Field((), max_length=MOST_SHOTS)
    captions: tuple[Caption | None, ...] = Field((), max_length=MOST_SHOTS)

    @model_validator(mode="after")
    def _check_together(self) -> PostRequest:
        """Raises BadInput for fields that do not go together: known before anything is drawn."""
        self._check_goods()
        self._check_fill()
        dials, inject = self.dials, self.inject
        if 0 < (most := find_kind(inject).most_scale) < self.scale:
            raise BadInput("scale_too_large", scale=self.scale, inject=inject, most=most)
        if self.blocks and inject != "ip-adapter":
            raise BadInput("blocks_need_ip_adapter", inject=inject)
        if (dials.weights, dials.pool, dials.merge) != (None, 1, 1.0) and inject != "redux":
            raise BadInput("dials_need_redux", inject=inject)
        if dials.references and inject not in ("redux", "ip-adapter"):
            raise BadInput("references_need_redux", inject=inject)
        return self

    def _check_goods(self) -> None:
        if self.goods_box is not None:
            check_box(self.goods_box)
            if self.goods is None:
                raise BadInput("goods_box_without_goods")
        if self.goods_as == "reference" and self.goods is not None and self.scale == 0:
            raise BadInput("goods_reference_unseen")

    def _check_fill(self) -> None:
        if self.keep != "fill":
            return
        landmark = self.keep_landmark and self.scene.landmark is not None
        if not landmark and (self.goods is None or self.goods_as == "reference"):
            raise BadInput("fill_keeps_nothing")
        if self.inject == "ip-adapter" and self.scale > 0:
            raise BadInput("fill_with_ip_adapter")
        if self.inject == "kontext" and self.scale > 0:
            raise BadInput("fill_with_kontext")


class Fix(Value):
    """A painted region that was drawn anew: `mask` is a picture, white there; `parent` the pixels' hash before."""

    mask: FileKey
    seed: Seed
    strength: float = Field(gt=0, le=1)
    parent: str


class DrawnShot(Value):
    """Facts that one picture was drawn from, besides its set's request."""

    prompt: str
    seed: Seed
    shot: Shot
    num_inference_steps: int
    guidance_scale: float
    true_cfg_scale: float
    identity_guidance: bool = False


class Post(DrawnShot):
    """One picture of a set, and what was measured on it.

    `origin` is the drawing that it is from (the id of a set or a take) and its number in it. `fixes` were done to it
    afterwards, one after the other.
    """

    picture: FileKey
    scores: Scores
    caption: str
    fixes: tuple[Fix, ...] = ()
    origin: tuple[str, int]


class Drawing(Value):
    """Posts that were drawn in one go, exported or not: how they are batched decides their last bits."""

    id: str
    posts: tuple[Post, ...]
    batches: tuple[tuple[int, ...], ...]


class IpAdapterFacts(Value):
    """The IP-Adapter that was on."""

    sha256: str
    licence: str


class PostSet(Result):
    """The posts in their order; `batches` says which were drawn together, `companion` which model drew ("": the
    backbone itself).

    `drawings` are empty for a set as it was drawn. A set that a person arranged holds those that its posts are from,
    its own first.
    """

    kind: ClassVar[str] = "posts"

    request: PostRequest
    posts: tuple[Post, ...] = Field(min_length=1)
    batches: tuple[tuple[int, ...], ...]
    companion: str = ""
    ip_adapter: IpAdapterFacts | None = None
    drawings: tuple[Drawing, ...] = ()

    def index_entry(self) -> IndexEntry:
        who, where, posts = self.request.persona.name, self.request.scene.name, self.posts
        facts: dict[str, str | int] = {"name": who, "scene": where, "count": len(posts), "picture": posts[0].picture}
        words = (word for p in posts for word in (p.prompt, p.caption, *asdict(p.shot).values()))
        return IndexEntry(facts, (who, where, *words))
