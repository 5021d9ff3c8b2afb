"""Rows about drawing: nine recipes previewed, eight pictures of a person, nine posts, two hundred candidates measured.

The peer of each is plain code with the same weights, number type and threads: `FluxPipeline.__call__` of diffusers, in
sixteen Euler steps with classifier-free guidance in each, and loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.speed_lora import add_adapters
from benchmarks.speed_timing import SpeedRow, interleave, row_of
from personas.donors import Donor
from personas.looks import find_category
from personas.measures.face import mean_embedding
from personas.measures.prompt import attributes_obeyed
from personas.shots import GOODS, Shot, vary_shots
from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.families.flux1.model import Flux1Model
from pipelines.lora import Lora, read_lora
from pipelines.sampling.draw import draw
from pipelines.sampling.request import DrawRequest, identity_request, request_from
from studio.application import Studio
from studio.settings import Settings
from studio.workflows.drawing import measure_pictures

__all__ = ["Drawing", "pictures", "posts", "recipes", "scoring"]

PEER_STEPS = 16
_PREVIEW_STEPS = 4
_CPU = torch.device("cpu")
_TOLD = ("outfit", "outfit_colour", "framing", "pose", "view", "expression")
_MEASURED = 48

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawing:
    """A studio of its own in `folder`, and a second copy of its model for the peer."""

    folder: Path

    @cached_property
    def studio(self) -> Studio:
        return Studio(Settings(data=self.folder, threads=1))

    @cached_property
    def peer(self) -> Backbone:
        return load_backbone(resolve_backbone("miniature"), _CPU, self.studio.backbone.dtype)

    @property
    def ours(self) -> Backbone:
        return self.studio.backbone

    @cached_property
    def donors(self) -> tuple[Donor, ...]:
        """One of each look."""
        every = self.studio.donors()
        return tuple(next(d for d in every if d.category == c) for c in dict.fromkeys(d.category for d in every))

    def lora(self, donor: Donor) -> Lora:
        return Lora(read_lora(donor.lora_path, donor.family).layers)

    def draw(self, requests: Sequence[DrawRequest], batch: int = 8) -> list[Picture]:
        return [picture for _, picture in draw(self.ours, requests, batch)]

    def draw_plainly(self, requests: Sequence[DrawRequest], steps: int) -> list[Picture]:
        """Draw the same prompts, sizes and seeds together by diffusers' own pipeline."""
        assert isinstance(self.peer.model, Flux1Model)
        pipe, first = self.peer.model.pipeline, requests[0]
        pipe.set_progress_bar_config(disable=True)
        made = pipe(
            prompt=[r.prompt for r in requests], height=first.height, width=first.width, num_inference_steps=steps,
            guidance_scale=first.distilled_guidance, true_cfg_scale=first.cfg_scale,
            negative_prompt=[""] * len(requests) if first.cfg_scale > 1 else None,
            generator=[torch.Generator().manual_seed(r.seed) for r in requests], output_type="np",
            max_sequence_length=self.peer.spec.max_sequence_length,
        )  # fmt: skip
        return [(picture * 255).round().astype(np.uint8) for picture in made.images]


def recipes(at: Drawing, repeats: int) -> list[SpeedRow]:
    """Nine recipes of the same four donors previewed: in one batch, or one after the other with adapters not fused."""
    donors = [at.lora(donor) for donor in at.donors]
    rng = np.random.default_rng(9)
    weights = rng.dirichlet(np.ones(len(donors)), 9).round(3)
    plain = [
        request_from(at.ours.spec, "photo of a young woman, close-up, smiling, in a studio", 40 + i,
                     num_inference_steps=_PREVIEW_STEPS)
        for i in range(9)
    ]  # fmt: skip
    ours = [
        replace(request, loras=tuple(Lora(x.layers, float(w)) for x, w in zip(donors, row, strict=True)), mixed=True)
        for request, row in zip(plain, weights, strict=True)
    ]
    drawn: dict[str, list[Picture]] = {}
    names = add_adapters(at.peer, [lora.layers for lora in donors])

    def peer() -> None:
        drawn["peer"] = []
        for request, row in zip(plain, weights.tolist(), strict=True):
            at.peer.transformer.set_adapters(names, row)
            drawn["peer"] += at.draw_plainly([request], _PREVIEW_STEPS)

    seconds = interleave(repeats, lambda: drawn.update(ours=at.draw(ours, 9)), peer)
    at.peer.transformer.unload_lora()
    far = float(np.abs(np.stack(drawn["ours"]).astype(float) - np.stack(drawn["peer"])).mean())
    # in half precision, sums in another order differ by as much
    note = f"four steps, four donors of rank 8; pixels differ by {far:.2f} of 255 on average"
    return [row_of("recipes", seconds[0], seconds[1], 2.0, agrees=far < 2, note=note)]


def pictures(at: Drawing, repeats: int) -> list[SpeedRow]:
    """Eight pictures of one person, with the studio's identity guidance; the peer guides in each of sixteen steps."""
    donor = at.donors[0]
    ours, plain = _shots(at, donor, 8, 500)

    def peer() -> None:
        with ExitStack() as on:
            on.callback(at.peer.put_on, ())
            at.peer.put_on((at.lora(donor),))
            at.draw_plainly(plain, PEER_STEPS)

    seconds = interleave(repeats, lambda: at.draw(ours), peer)
    identity, obeyed = _gaps(at)
    agrees = identity > -0.01 and obeyed > -0.01
    note = f"over {_MEASURED} pictures, ours over the peer's: identity {identity:+.3f}, as asked {obeyed:+.3f}"
    return [row_of("picture", seconds[0], seconds[1], 1.8, agrees=agrees, note=note)]


def posts(at: Drawing, repeats: int) -> list[SpeedRow]:
    """Nine pictures drawn, measured and saved: together, or by a plain loop."""
    donor = at.donors[0]
    ours, plain = _shots(at, donor, 9, 700)
    saved = at.folder / "plain"
    saved.mkdir(exist_ok=True)

    def work() -> None:
        keys = [at.studio.store.put_picture(picture) for picture in at.draw(ours, 9)]
        measure_pictures(at.studio, keys)

    def peer() -> None:
        at.peer.put_on((at.lora(donor),))
        for number, request in enumerate(plain):
            (picture,) = at.draw_plainly([request], PEER_STEPS)
            at.studio.faces.read(picture)
            at.studio.regions.read([picture])
            Image.fromarray(picture).save(saved / f"{number}.png")
        at.peer.put_on(())

    seconds = interleave(repeats, work, peer)
    note = "faces, regions, hair and proportions measured by the same networks, PNG files written"
    return [row_of("posts", seconds[0], seconds[1], 1.8, agrees=True, note=note)]


def scoring(at: Drawing, repeats: int, count: int = 200) -> list[SpeedRow]:
    """Two hundred candidates measured: together, or one by one."""
    ours, _ = _shots(at, at.donors[0], min(40, count), 900)
    keys = [at.studio.store.put_picture(picture) for picture in at.draw(ours)]
    keys *= count // len(keys)
    found: dict[str, Any] = {}

    def one_by_one() -> None:
        found["peer"] = tuple(measure_pictures(at.studio, [key])[0] for key in keys)

    seconds = interleave(repeats, lambda: found.update(ours=measure_pictures(at.studio, keys)), one_by_one)
    faces = [
        float(np.dot(a.face, b.face))
        for a, b in zip(found["ours"], found["peer"], strict=True)
        if a.face is not None and b.face is not None
    ]
    least = min(faces)
    note = f"the least cosine of a face to itself is {least:.5f}"
    return [row_of("scoring", seconds[0], seconds[1], 2.0, agrees=least > 0.9999, note=note)]


def _shots(at: Drawing, donor: Donor, count: int, seed: int) -> tuple[list[DrawRequest], list[DrawRequest]]:
    """The same shots as the studio asks for them, and as the peer does: with plain guidance."""
    look, lora = find_category(donor.category), at.lora(donor)
    ours, plain = [], []
    for i, shot in enumerate(vary_shots(count, seed, goods=GOODS)):
        words = shot.prompt(look.subject, donor.trigger)
        ours.append(identity_request(at.ours.spec, words, seed + i, loras=(lora,)))
        plain.append(request_from(at.peer.spec, words, seed + i))
    return ours, plain


def _gaps(at: Drawing) -> tuple[float, float]:
    """How much nearer to the person, and to what was asked, our pictures are than the peer's, on average."""
    identity, obeyed = [], []
    for donor in at.donors:
        own = at.draw(_shots(at, donor, 8, 2000)[0])
        faces = [face.embedding for picture in own if (face := at.studio.faces.read(picture)) is not None]
        centre, count = mean_embedding(np.stack(faces)), _MEASURED // len(at.donors)
        shots = vary_shots(count, 3000, goods=GOODS)
        ours, plain = _shots(at, donor, count, 3000)
        at.peer.put_on((at.lora(donor),))
        rows = [_measured(at, some, shots, centre) for some in (at.draw(ours), at.draw_plainly(plain, PEER_STEPS))]
        at.peer.put_on(())
        identity.append(rows[0][0] - rows[1][0])
        obeyed.append(rows[0][1] - rows[1][1])
    return float(np.mean(identity)), float(np.mean(obeyed))


def _measured(
    at: Drawing, some: Sequence[Picture], shots: Sequence[Shot], centre: NDArray[np.float32]
) -> tuple[float, float]:
    cosines = [0.0 if face is None else float(face.embedding @ centre) for face in at.studio.faces.read_many(some)]
    told = [
        attributes_obeyed(shot, regions.attributes, _TOLD)
        for shot, regions in zip(shots, at.studio.regions.read(list(some)), strict=True)
    ]
    return float(np.mean(cosines)), float(np.mean([one for one in told if one is not None]))
