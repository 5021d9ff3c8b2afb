"""A studio for the cases: a scratch folder, a persona and a set of posts as finished jobs left them, and commands."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from personas.donors import Donor
from personas.recipes import Recipe
from personas.shots import Shot
from pipelines.lora import LoraLayer
from pipelines.pictures import load_scene
from pipelines.progress import SILENT, Progress
from studio.application import Studio
from studio.datasets.pairs import request_of_folder
from studio.domain.consent import read_consent
from studio.domain.dataset import DatasetEdits, FaceRequest
from studio.domain.design import UsedDonor
from studio.domain.persona import Persona
from studio.domain.posts import Post, PostRequest, PostSet
from studio.domain.values import FileKey, Result
from studio.library.grants import grant
from studio.library.index import index_result
from studio.library.records import JobFilesRecord, JobRecord, PersonaRecord
from studio.library.scenes import add_bundled, scenes_of
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.datasets import curate_dataset
from studio.workflows.donors import train_face

__all__ = ["Bench", "delta_norms", "run_command", "train_folder", "unpack"]

_ROOT = Path(__file__).resolve().parent.parent
_COMMAND = "from studio.cli import main; main()"


@dataclass(frozen=True)
class Bench:
    """`scratch` is an empty folder; the studio's data lie in it."""

    scratch: Path

    @cached_property
    def studio(self) -> Studio:
        return Studio(Settings(data=self.scratch / "data"))

    @property
    def face(self) -> Path:
        """A face LoRA that comes with the studio."""
        return self.studio.donors()[0].lora_path

    def consent(self) -> Path:
        path = self.scratch / "consent.json"
        path.write_text('{"who": "Synthetic Person", "scope": "tests"}')
        return path

    def train(self, pictures: Path, name: str) -> Donor:
        """Train a donor for one step."""
        return train_folder(self.studio, pictures, self.consent(), name, steps=1)

    def keep_persona(self, photo: Path | None = None) -> Persona:
        """Keep a persona who is drawn by a bundled donor's LoRA; their enrolment is the face of `photo`."""
        donor = self.studio.donors()[0]
        face = None if photo is None else self.studio.faces.read(load_scene(photo).image)
        enrolment = (1.0, 0.0) if face is None else tuple(float(v) for v in face.embedding)
        persona = Persona(
            id="p1", name="Lin", version=1, lora=self.studio.store.put(donor.lora_path.read_bytes()),
            enrolment=enrolment, trigger=donor.trigger, subject="young woman",
            recipe=Recipe("r", "sweet", (donor.id,), (1.0,), 1, True),
            donors=(UsedDonor(id=donor.id, name=donor.name, licence=donor.licence, consent=donor.consent.who),),
        )  # fmt: skip
        row = PersonaRecord(id="p1", owner="me", name="Lin", version=1, design="d", lora=persona.lora, facts={})
        self.studio.records.keep(row)
        self._keep(persona)
        return persona

    def keep_post_set(self) -> PostSet:
        """Keep a set of one post of that persona."""
        persona = self.keep_persona()
        add_bundled(self.studio.library, "cafe", "me")
        picture = np.random.default_rng(1).integers(0, 255, (256, 192, 3)).astype(np.uint8)
        shot = Shot()
        post = Post(
            picture=self.studio.store.put_picture(picture), prompt="a prompt", seed=1, shot=shot, scores={},
            caption="", num_inference_steps=16, guidance_scale=0.0, true_cfg_scale=2.0, origin=("set00001", 0),
        )  # fmt: skip
        asked = PostRequest.make(persona=persona, scene=scenes_of(self.studio.library, "me")[0], shots=(shot,))
        post_set = PostSet(id="set00001", request=asked, posts=(post,), batches=((0,),))
        self._keep(post_set)
        return post_set

    def _keep(self, result: Result) -> None:
        """Keep a result as the engine notes a finished job's."""
        studio, files = self.studio, sorted(result.file_keys())
        grant(studio.records, "me", files)
        kept: FileKey = studio.store.put_json(result.model_dump(mode="json"))
        facts = {"id": result.id, "result": kept}
        job = f"{result.kind}-{result.id}"
        studio.records.keep(
            JobRecord(id=job, owner="me", kind=result.kind, state="done", error=None, facts=facts),
            JobFilesRecord(id=job, owner="me", keys=[*files, kept], made=files),
        )
        index_result(studio.records, "me", result)


def train_folder(
    studio: Studio, folder: Path, consent: Path, name: str, progress: Progress = SILENT, **asked: Any
) -> Donor:
    """Train a donor of the look "sweet" as `donors train --all` does; `asked` are a `FaceRequest`'s fields."""
    owner = studio.settings.owner
    request = request_of_folder(studio.library, folder, "sweet", read_consent(consent), owner, name)
    dataset = curate_dataset(studio, request, run_directly, progress)
    every = DatasetEdits(held=tuple(range(len(dataset.request.pictures))))
    face = FaceRequest.make(owner=owner, dataset=dataset, edits=every, name=name, **asked)
    made = train_face(studio, face, run_directly, progress)
    return next(donor for donor in studio.donors() if donor.id == made.donor)


def run_command(
    bench: Bench, *words: str, data: bool = True, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `persona-studio` in a process of its own, on the bench's data unless told otherwise."""
    if data:
        words = (*words, "--data", str(bench.scratch / "data"))
    told = {**os.environ, "PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8", **environment}
    command = [sys.executable, "-c", _COMMAND, *words]
    return subprocess.run(command, cwd=cwd or bench.scratch, env=told, capture_output=True, text=True)


def unpack(packed: Path, folder: Path) -> Path:
    with zipfile.ZipFile(packed) as file:
        file.extractall(folder)
    return folder


def delta_norms(layers: Sequence[LoraLayer]) -> dict[str, float]:
    """Return the norm of ΔW = alpha / rank · up · down, by module."""
    return {
        layer.module: float(torch.linalg.norm(layer.scale * layer.up.double() @ layer.down.double()))
        for layer in layers
    }
