"""A library as many days of work leave it: records and small pictures, nothing drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from studio.application import Studio
from studio.export.bundle import BundlePost, DonorFacts, DrawFacts, Manifest, SceneFacts, write_bundle
from studio.export.recall import remember_export
from studio.library.index import shelve
from studio.library.records import JobRecord, PersonaRecord
from studio.library.scenes import add_scene
from studio.settings import ASSETS

SHOT = {
    "framing": "close-up", "view": "left", "expression": "smiling", "light": "day", "outfit": "dress",
    "outfit_colour": "red", "pose": "relaxed", "setting": "studio",
}  # fmt: skip
PERSONA: dict[str, Any] = {
    "id": "p1", "name": "Lin", "version": 2, "lora": "a" * 64, "enrolment": [0.123456789] * 8, "donors": [],
    "trigger": "ohwx", "subject": "young woman", "recipe": {"category": "sweet"}, "rounds": [], "design": "d",
}  # fmt: skip


def keep_result(studio: Studio, owner: str, kind: str, result: dict[str, Any]) -> JobRecord:
    """As the engine notes a finished job."""
    studio.records.share(owner, result)
    facts = {"id": result["id"], "result": studio.store.put_json(result)}
    row = JobRecord(id=f"{kind}-{result['id']}", owner=owner, kind=kind, state="done", error=None, facts=facts)
    studio.records.keep(row)
    shelve(studio.records, owner, kind, result)
    return row


def keep_persona(studio: Studio, owner: str = "me") -> None:
    studio.records.keep(PersonaRecord(id="p1", owner=owner, name="Lin", version=2, design="d", lora="a" * 64, facts={}))
    keep_result(studio, owner, "consolidate", PERSONA)


def keep_cafe(studio: Studio, owner: str = "me") -> dict[str, Any]:
    scenes = ASSETS / "scenes"
    return add_scene(studio, scenes / "cafe.png", scenes / "cafe_landmark.png", "cafe", owner)


def picture(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(number).integers(0, 255, (256, 192, 3)).astype(np.uint8)


def keep_posts(
    studio: Studio, number: int, scene: dict[str, Any], owner: str = "me", pictures: int = 1
) -> dict[str, Any]:
    """A finished post set; its id is made from `number`."""
    keys = [studio.store.put_picture(picture(1000 * number + i)) for i in range(pictures)]
    posts = [
        {"picture": key, "prompt": f"prompt {number}", "seed": i, "shot": SHOT, "caption": "", "scores": {}}
        for i, key in enumerate(keys)
    ]
    result = {"id": f"set{number:05d}", "persona": PERSONA, "scene": scene, "posts": posts, "owner": owner}
    keep_result(studio, owner, "posts", result)
    return result


def export(studio: Studio, path: Any, platform: str, owner: str = "me") -> Manifest:
    """Three posts of the persona in the café, as the export does it."""
    scene = keep_cafe(studio, owner)
    keep_persona(studio, owner)
    posts = [
        BundlePost(picture(i), f"prompt {i}", "hi", 100 + i, 16, 0.0, 2.0, SHOT, {"identity": 0.9}, True)
        for i in range(3)
    ]
    manifest = write_bundle(
        path, posts, recipe={"seed": 1}, platform=platform, software={},
        persona={k: PERSONA[k] for k in ("id", "name", "version", "lora", "enrolment")},
        donors=[DonorFacts(id="d", name="mei", mix_weight=1.0, licence="Apache-2.0", consent="invented")],
        scene=SceneFacts(name="cafe", sha256=scene["sha256"], photo=scene["photo"], landmark=scene["landmark"],
                         scale=0.8),
        draw=DrawFacts(backbone="miniature", backbone_sha256="0", batch_size=8, batches=((0, 1, 2),), dtype="bfloat16",
                       precision="bf16", offload="none", device="cpu", threads=2, height=256, width=192),
    )  # fmt: skip
    remember_export(studio, manifest, owner)
    return manifest
