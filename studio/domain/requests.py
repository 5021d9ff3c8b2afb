"""What is asked of each workflow: plain values, so that a page can make them without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from personas.shots import Shot, vary_shots

__all__ = [
    "ConsolidateRequest", "DesignRequest", "DonorRequest", "ExportRequest", "FixRequest", "PostRequest",
    "PreviewRequest", "StrengthsRequest", "VaryRequest", "plain_caption", "plan_shots",
]  # fmt: skip


@dataclass(frozen=True)
class DesignRequest:
    """`category` is a look category; `donors` how many are mixed; `candidates` how many pictures are drawn.

    `recipes` is how many mixes are tried until one is new enough; `gates` are fields of Gates that replace defaults.
    A `recipe` of one's own (fields of Recipe) is the only one tried.
    `templates`, pairs of a name and a store key, are pictures that the face is put into: more candidates.
    """

    category: str
    seed: int
    owner: str = "me"
    donors: int = 4
    candidates: int = 48
    equalise: bool = True
    recipes: int = 8
    gates: dict[str, float] = field(default_factory=dict)
    templates: list[tuple[str, str]] = field(default_factory=list)
    recipe: dict[str, Any] | None = None


@dataclass(frozen=True)
class ConsolidateRequest:
    """`design` is the JSON that `design_persona` gave; `steps` and `pool` 0 leave the default; `rounds` is at most how
    many. `identity_loss` weighs what the face recogniser says of the pictures in training, 0 leaves it out, None is the
    backbone's default.

    Each round chooses the best `keep` of `pool` times as many pictures as the design had candidates: a LoRA repeats
    what its pictures differ in, so they must agree, and only many can be agreed on strictly.
    """

    design: dict[str, Any]
    name: str
    seed: int
    owner: str = "me"
    steps: int = 0
    rounds: int = 1
    pool: int = 0
    keep: int = 24
    identity_loss: float | None = None


def plain_caption(name: str, shot: Shot) -> str:
    """Of a post for which nobody wrote one."""
    goods = "" if shot.goods == "nothing" else f", {shot.goods}"
    return f"{name}: {shot.outfit_colour} {shot.outfit}{goods}"


def plan_shots(count: int, seed: int) -> tuple[Shot, ...]:
    """Shots of one set: one light, framings that leave some of the place to see, everything else varied."""
    return vary_shots(count, seed, framings=("half-body", "full-body", "half-body"), lights=("day",))


@dataclass(frozen=True)
class PostRequest:
    """`persona` and `scene` are JSON of earlier steps, `shots` fields of Shot; `scale` 0 does not show the scene.

    `detail` and `renoise` are those of `pipelines.sampling`, off at 0. `panels` shots are drawn as one picture
    (1: each alone); pictures after the first are drawn around the set's first post. `goods` is JSON of `add_goods`, a
    product's photo (a shot's own goods are a kind of thing that the model draws into the hand). `inject` is how the
    scene becomes a reference ("redux", "ip-adapter", "kontext"), with `redux`, JSON of `add_redux`, and `blocks` of the
    IP-Adapter (see `block_scales`). `keep` is how pixels are kept ("inpaint", "fill"), `goods_as` how goods are shown
    ("pixels", "reference"); `goods_box` is left, top, right, bottom in shares. `seeds` are one for each shot; None, or
    none at all, leaves it to `seed`. `captions` go with the posts, one for each shot; for None or "" the studio writes
    an English one.
    """

    persona: dict[str, Any]
    scene: dict[str, Any]
    shots: list[dict[str, str]]
    seed: int
    owner: str = "me"
    scale: float = 1.0
    keep_landmark: bool = True
    detail: float = 0.0
    renoise: float = 0.0
    panels: int = 1
    goods: dict[str, Any] | None = None
    inject: str = "redux"
    redux: dict[str, Any] | None = None
    blocks: str = ""
    keep: str = "inpaint"
    goods_as: str = "pixels"
    goods_box: tuple[float, float, float, float] | None = None
    seeds: list[int | None] = field(default_factory=list)
    captions: list[str | None] = field(default_factory=list)


@dataclass(frozen=True)
class PreviewRequest:
    """`recipes` are fields of Recipe, all of one category; each is drawn once per seed of `seeds`."""

    recipes: list[dict[str, Any]]
    seeds: list[int]
    owner: str = "me"


@dataclass(frozen=True)
class StrengthsRequest:
    """A set's first shot at each strength. `asked` are fields of PostRequest, `scales` replace its `scale`."""

    asked: dict[str, Any]
    scales: list[float]
    owner: str = "me"


@dataclass(frozen=True)
class VaryRequest:
    """`count` new takes of one shot. `asked` are the fields of the set's own request, its shots one for each take.

    `set` is the set's id and `slot` the post's number in it; `given`, the set's first post, is what panels are drawn
    around; None where shots are drawn alone.
    """

    asked: dict[str, Any]
    set: str
    slot: int
    owner: str = "me"
    given: dict[str, Any] | None = None


@dataclass(frozen=True)
class FixRequest:
    """A painted region of a post is drawn anew. `post` is its JSON, `asked` are the fields of its set's request.

    `mask` is the store's key of a picture, white where it was painted, of any size; `strength` in (0, 1] is how much
    may change there. `set` and `slot` as in VaryRequest.
    """

    asked: dict[str, Any]
    post: dict[str, Any]
    mask: str
    seed: int
    set: str
    slot: int
    owner: str = "me"
    strength: float = 0.8


@dataclass(frozen=True)
class ExportRequest:
    """`post_set` is the JSON of `draw_posts` or of `studio.domain.post_set.compose`; `platform` an id of the platforms'
    file.

    `title` and `body` go before the captions.
    """

    post_set: dict[str, Any]
    platform: str
    owner: str = "me"
    title: str = ""
    body: str = ""


@dataclass(frozen=True)
class DonorRequest:
    """`upload` is the token of an uploaded LoRA file; `who` agreed to `scope` until `expires` (ISO date, "" no end).

    `family` is the id of the model family that a person stated where the file leaves the choice.
    """

    upload: str
    category: str
    name: str
    who: str
    scope: str
    owner: str = "me"
    expires: str = ""
    trigger: str = ""
    licence: str = "unknown"
    family: str = ""
