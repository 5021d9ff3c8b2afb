"""Small valid values of every type of `studio.domain`, for tests. A key is made from a word: see `key`."""

from __future__ import annotations

import hashlib
from typing import Any

from personas.recipes import Recipe
from personas.shots import Shot
from studio.domain.design import Design, DesignRequest, UsedDonor
from studio.domain.persona import ConsolidateRequest, Persona, Round, Sample
from studio.domain.posts import Post, PostRequest, PostSet
from studio.domain.scene import Goods, Scene
from studio.domain.style import Style
from studio.domain.takes import VaryTake
from studio.domain.values import FileKey

__all__ = [
    "RECIPE", "key", "make_design", "make_goods", "make_persona", "make_post", "make_post_set", "make_scene",
    "make_style", "make_take",
]  # fmt: skip

RECIPE = Recipe("r", "sweet", ("a", "b", "c"), (0.5, 0.25, 0.25), 1, True)
DONORS = tuple(UsedDonor(id=d, name=d.upper(), licence="Apache-2.0", consent="invented") for d in "abc")


def key(word: str) -> FileKey:
    return FileKey(hashlib.sha256(word.encode()).hexdigest())


def make_design(pictures: int = 3, owner: str = "me") -> Design:
    rows = range(pictures)
    return Design(
        id="design",
        request=DesignRequest.make(category="sweet", owner=owner, candidates=pictures),
        recipe=RECIPE,
        redraws=0,
        predicted_similarity=0.8,
        donors=DONORS,
        trigger="ohwx",
        subject="a young woman",
        shots=tuple(Shot() for _ in rows),
        prompts=tuple(f"prompt {i}" for i in rows),
        seeds=tuple(rows),
        pictures=tuple(key(f"candidate {i}") for i in rows),
        measures=key("measures"),
        consistency=0.9,
        kept=tuple(rows),
        enrolment=(1.0, 0.0),
        donor_faces={"a": (0.0, 1.0)},
        report=key("report"),
        novelty_max=0.5,
        novelty_ceiling=0.7,
        contact_sheet=key("sheet"),
    )


def make_persona(owner: str = "me", name: str = "Lin", lora: str = "lora") -> Persona:
    return Persona(
        id="persona",
        name=name,
        version=1,
        design="design",
        trigger="ohwx",
        subject="a young woman",
        enrolment=(1.0, 0.0),
        recipe=RECIPE,
        donors=DONORS,
        request=ConsolidateRequest.make(design=make_design(), name="Lin", owner=owner).consolidation,
        rounds=(Round(drawn=3, kept=3, consistency=0.9, kept_consistency=0.9, contact_sheet=key("round")),),
        lora=key(lora),
        losses=key("losses"),
        config={"steps": 3},
        samples=(Sample(step=1, pictures=(key("sample"),), identity=0.5),),
    )


def make_style(name: str = "window light", **changed: Any) -> Style:
    told = {"id": "style", "names": {"en": name, "zh": name}, "lora": key("a style's layers"), "pictures": 30}
    return Style.make(**told | changed)


def make_scene(name: str = "cafe", landmark: bool = True) -> Scene:
    mask = key("landmark") if landmark else None
    return Scene(id="scene", name=name, sha256=key("photo file"), photo=key("photo"), landmark=mask)


def make_goods(name: str = "a tin") -> Goods:
    return Goods(name=name, sha256=key("goods file"), picture=key("goods"), mask=key("goods mask"))


def make_post(number: int = 0, drawing: str = "set", **changed: Any) -> Post:
    told: dict[str, Any] = {
        "picture": key(f"{drawing} {number}"),
        "prompt": f"prompt {number}",
        "seed": number,
        "shot": Shot(),
        "scores": {"identity": 0.9, "prompt": 1.0, "goods": None},
        "caption": f"c{number}",
        "num_inference_steps": 16,
        "guidance_scale": 0.0,
        "true_cfg_scale": 2.0,
        "origin": (drawing, number),
    }
    return Post(**told | changed)


def make_post_set(posts: int = 3, owner: str = "me", key: str = "set", **asked: Any) -> PostSet:
    told: dict[str, Any] = {
        "persona": make_persona(owner),
        "scene": make_scene(),
        "shots": tuple(Shot() for _ in range(posts)),
        "owner": owner,
    }
    return PostSet(
        id=key,
        request=PostRequest.make(**told | asked),
        posts=tuple(make_post(i, key) for i in range(posts)),
        batches=(tuple(range(posts)),),
    )


def make_take(number: int = 0, owner: str = "me", name: str = "take") -> VaryTake:
    return VaryTake(id=name, post_set="set", number=number, posts=(make_post(0, name, caption="x"),), batches=((0,),))
