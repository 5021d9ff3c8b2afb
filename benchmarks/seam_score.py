"""Kept pixels in drawn posts, counted: whom a landmark cuts, and how much its border and that of goods shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.bench import Bench, Picture
from benchmarks.finishing_score import text_goods
from benchmarks.statistics import Score, mean_score
from miniature.world import World, render, sample_scenes
from personas.measures.catalogue import measure_subject
from personas.measures.depth import look_with
from personas.measures.regions import LABELS, Regions
from personas.measures.seam import EXACT, SEAM
from personas.measures.subject import ShownKept, Subject
from personas.shots import Shot, vary_shots
from pipelines.masks import MARGIN_PX
from pipelines.references.goods import goods_pixels, place_goods
from pipelines.references.landmark import Landmark, grow_mask
from pipelines.references.layers import KeptLayers
from pipelines.references.redux import ReduxReference
from pipelines.sampling.request import request_from
from studio.workflows.shown import stand

__all__ = ["SEAMS", "kept_parts", "share_cut"]

SEAMS: dict[str, tuple[str, float]] = {"person_cut": ("≤", 0.0), "seam": ("≤", 1.2), "kept_exact": ("≥", 1.0)}
_SEED = 7_000_000
_SETTINGS = ("cafe", "street", "park", "kitchen", "office", "gym")
_SET = 9
_CUT = 0.01  # share of a person that is missed
_LANDMARK = LABELS.index("landmark")

Mask = NDArray[np.bool_]


def share_cut(free: Mask, person: Mask, kept: Mask) -> float:
    """Share of a person, as the same seed draws them where nothing is kept (`free` bool [h, w]), that the kept pixels
    lie over: they are inside of that outline and are not the `person` of the post.
    """
    inside = ndimage.binary_erosion(free, iterations=3)
    missed = inside & kept & ~ndimage.binary_dilation(person, iterations=2)
    return float(missed.sum() / max(1, inside.sum()))


def kept_parts(bench: Bench) -> dict[str, Score]:
    """Nine posts each at places with a landmark, every other with goods, close-ups among them; `_before` where the
    landmark is laid over everybody, as it was. Beside each other on the sheets: as it was, as it is.
    """
    cut: dict[str, list[float]] = {"": [], "_before": []}
    seams, exact = list[float](), list[float]()
    for k, setting in enumerate(_SETTINGS[: bench.count(6, 2)]):
        goods = text_goods() if k % 2 else None
        empty = render(
            World(torch.zeros(1, 26), (Shot("full-body"),), sample_scenes([setting], [_SEED + k]), k, with_person=False)
        )
        photo, marked = empty.images[0].numpy(), empty.labels[0].numpy() == _LANDMARK
        shots = tuple(replace(s, goods="nothing") for s in vary_shots(_SET, _SEED + k, lights=("day",)))
        layered: list[Landmark] = []
        flat: list[Landmark] = []
        for shot in shots:
            one = Landmark(photo, grow_mask(marked, MARGIN_PX))
            placed = None if goods is None else goods_pixels(goods, stand(None, shot), marked.shape)
            whole = one if goods is None else place_goods(goods, stand(None, shot), photo, one)
            flat.append(whole)
            look = look_with(bench.studio.regions)
            layered.append(KeptLayers(whole.image, whole.mask, look=look, photo=photo, marked=marked, goods=placed))
        free = _draw(bench, photo, shots, k, [None] * _SET)
        people = [regions.person for regions in bench.studio.regions.read(free)]
        rows = {"": _draw(bench, photo, shots, k, layered), "_before": _draw(bench, photo, shots, k, flat)}
        ring = grow_mask(marked, MARGIN_PX)
        for end, pictures in rows.items():
            for person, seen in zip(people, bench.studio.regions.read(pictures), strict=True):
                cut[end].append(float(share_cut(person, seen.person, ring) > _CUT))
        for picture, kept, seen in zip(rows[""], layered, bench.studio.regions.read(rows[""]), strict=True):
            found = _measured(picture, kept, seen)
            seams += [value] if (value := found["seam"]) is not None else []
            exact += [float(value == 1.0)] if (value := found["exact"]) is not None else []
        bench.sheet(f"kept-{setting}", [p for pair in zip(rows["_before"], rows[""], strict=True) for p in pair], 6)
    return {
        "person_cut": mean_score(cut[""]),
        "person_cut_before": mean_score(cut["_before"]),
        "seam": mean_score(seams),
        "kept_exact": mean_score(exact),
    }


def _draw(
    bench: Bench, photo: Picture, shots: tuple[Shot, ...], k: int, kept: list[Landmark] | list[None]
) -> list[Picture]:
    spec, shown = bench.studio.backbone.spec, ReduxReference(photo)
    return bench.draw([
        request_from(
            spec, s.prompt("a woman", with_setting=False), _SEED + 50 * k + i,
            references=(shown,) if one is None else (shown, one),
        )
        for i, (s, one) in enumerate(zip(shots, kept, strict=True))
    ])  # fmt: skip


def _measured(picture: Picture, kept: Landmark, seen: Regions) -> dict[str, float | None]:
    assert isinstance(kept, KeptLayers)
    assert kept.photo is not None
    shown = ShownKept(kept.photo, kept.marked, None if kept.goods is None else kept.goods.mask)
    return measure_subject(Subject(picture=picture, regions=seen, kept=shown), (SEAM, EXACT))
