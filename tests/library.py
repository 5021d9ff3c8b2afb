"""A library as many days of work leave it: records and small pictures, nothing drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from personas.shots import Shot
from studio.application import Studio
from studio.domain.persona import Persona
from studio.domain.posts import Post, PostRequest, PostSet
from studio.domain.scene import Scene
from studio.domain.values import Result
from studio.export.bundle import BundlePost, write_bundle
from studio.export.content_credentials import open_credentials
from studio.export.manifest import DonorFacts, DrawFacts, Manifest, ManifestPersona, SceneFacts
from studio.export.recall import remember_export
from studio.library.grants import grant
from studio.library.index import index_result
from studio.library.records import JobFilesRecord, JobRecord, PersonaRecord
from studio.library.scenes import add_scene
from studio.settings import ASSETS
from tests.studio.domain.values import RECIPE, key, make_post

SHOT = Shot(framing="close-up", view="left", expression="smiling", outfit="dress", outfit_colour="red")
PERSONA = Persona(
    id="p1", name="Lin", version=2, lora=key("a LoRA"), enrolment=(0.123456789,) * 8, donors=(), trigger="ohwx",
    subject="young woman", recipe=RECIPE, design="d",
)  # fmt: skip


def keep_result(studio: Studio, owner: str, result: Result) -> JobRecord:
    """As the engine notes a finished job."""
    files = sorted(result.file_keys())
    grant(studio.records, owner, files)
    kept = studio.store.put_json(result.model_dump(mode="json"))
    facts = {"id": result.id, "result": kept}
    job = f"{result.kind}-{result.id}"
    row = JobRecord(id=job, owner=owner, kind=result.kind, state="done", error=None, facts=facts)
    studio.records.keep(row, JobFilesRecord(id=job, owner=owner, keys=[*files, kept], made=files))
    index_result(studio.records, owner, result)
    return row


def keep_persona(studio: Studio, owner: str = "me") -> None:
    row = PersonaRecord(id="p1", owner=owner, name="Lin", version=2, design="d", lora=PERSONA.lora, facts={})
    studio.records.keep(row)
    keep_result(studio, owner, PERSONA)


def keep_cafe(studio: Studio, owner: str = "me") -> Scene:
    scenes = ASSETS / "scenes"
    return add_scene(studio.library, scenes / "cafe.png", scenes / "cafe_landmark.png", "cafe", owner)


def picture(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(number).integers(0, 255, (256, 192, 3)).astype(np.uint8)


def make_posts(studio: Studio, number: int, pictures: int = 1) -> tuple[Post, ...]:
    """Posts with stored pictures of noise; `number` decides which."""
    keys = [studio.store.put_picture(picture(1000 * number + i)) for i in range(pictures)]
    return tuple(
        make_post(i, f"set{number:05d}", picture=k, prompt=f"prompt {number}", shot=SHOT, caption="", scores={})
        for i, k in enumerate(keys)
    )


def keep_posts(
    studio: Studio, number: int, scene: Scene, owner: str = "me", pictures: int = 1, **changed: Any
) -> PostSet:
    """A post set, exported as it is drawn; its id is made from `number`."""
    posts = make_posts(studio, number, pictures)
    asked = PostRequest.make(persona=PERSONA, scene=scene, shots=(SHOT,) * pictures, owner=owner, finish=False)
    told: dict[str, Any] = {
        "id": f"set{number:05d}",
        "request": asked,
        "posts": posts,
        "batches": (tuple(range(pictures)),),
    }
    result = PostSet(**told | changed)
    keep_result(studio, owner, result)
    return result


def export(studio: Studio, path: Any, platform: str, owner: str = "me") -> Manifest:
    """Three posts of the persona in the café, signed, as the export does it."""
    scene = keep_cafe(studio, owner)
    keep_persona(studio, owner)
    posts = [
        BundlePost(picture(i), f"prompt {i}", "hi", 100 + i, 16, 0.0, 2.0, asdict(SHOT), {"identity": 0.9}, True)
        for i in range(3)
    ]
    manifest = write_bundle(
        path, posts, recipe=RECIPE, platform=platform, software={},
        persona=ManifestPersona(**{name: getattr(PERSONA, name) for name in ManifestPersona.model_fields}),
        donors=[DonorFacts(id="d", name="mei", mix_weight=1.0, licence="Apache-2.0", consent="invented")],
        scene=SceneFacts(name="cafe", sha256=scene.sha256, photo=scene.photo, landmark=scene.landmark or "",
                         scale=0.8),
        draw=DrawFacts(backbone="miniature", backbone_sha256="0", batch_size=8, batches=((0, 1, 2),), dtype="bfloat16",
                       precision="bf16", offload="none", device="cpu", threads=2, height=256, width=192),
        credentials=open_credentials(studio.settings),
    )  # fmt: skip
    remember_export(studio.library, manifest, owner)
    return manifest
