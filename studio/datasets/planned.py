"""How a training would show the good pictures of a data set: at which sizes, which part of each, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from personas.captions.compose import compose
from personas.captions.fusion import fuse
from personas.captions.measured import describe
from personas.captions.schema import CaptionFacts
from personas.datasets.facts import PictureFacts
from personas.datasets.framed import Window, keep_boxes, seen_in
from pipelines.families.catalogue import find_family
from pipelines.families.folders import read_json, token_px_of
from pipelines.families.spec import BackboneSpec
from pipelines.training.buckets import Box, BucketPlan, Frame, Measured, bucket_areas, plan_buckets
from studio.datasets.opened import OpenedDataset
from studio.datasets.pairs import LONGEST_PX

__all__ = ["PlannedDataset", "boxes_in", "learns_several", "plan_dataset", "sizes_to_learn"]

_MUCH = 0.08  # of a side
_LARGER = 1.06  # a little more than buckets may enlarge


@dataclass(frozen=True, eq=False)
class PlannedDataset:
    """`plan` places the data set's good pictures, its rows are theirs; `own` (height, width) is the backbone's size."""

    opened: OpenedDataset
    several: bool
    plan: BucketPlan
    own: tuple[int, int]
    token_px: int
    sizes: tuple[tuple[int, int], ...]

    def frame(self, row: int) -> Frame:
        """Return how a picture is shown at its largest; of one that is left out, how it would be."""
        return self.frames[row][0] if row in self.frames else self._alone(row)

    @cached_property
    def frames(self) -> Mapping[int, tuple[Frame, ...]]:
        """Return the frames of each good picture, the largest first."""
        found: dict[int, list[Frame]] = {}
        for bucket in self.plan.buckets:
            for place in bucket.placements:
                found.setdefault(place.row, []).append(place.frame)
        return {row: tuple(sorted(some, key=lambda f: -f.height * f.width)) for row, some in found.items()}

    def window(self, row: int) -> Window:
        """Return which part of a picture its largest frame shows, in shares."""
        return _shares(self.opened.facts[row], self.frame(row))

    def framing(self, row: int) -> str | None:
        """Return the framing that a caption made of measures says after the cut; None where it says none."""
        return self._facts(row).shot.framing

    def caption(self, row: int) -> str:
        """Return a good picture's caption: what was written by hand or lay beside it, else what is known of the part
        that is shown; a framing that its frames do not agree on is left out.
        """
        opened = self.opened
        if opened.is_written(row):
            return opened.captions[row]
        return compose(self._facts(row), opened.policy)

    @property
    def cut(self) -> tuple[int, ...]:
        """Return the good pictures that lose more than 8% of a side."""
        return tuple(row for row, some in sorted(self.frames.items()) if any(f.cropped > _MUCH + 1e-9 for f in some))

    @property
    def not_whole(self) -> tuple[int, ...]:
        """Return the good pictures of which no window holds all that should be kept."""
        return tuple(row for row, some in sorted(self.frames.items()) if not all(frame.whole for frame in some))

    @property
    def enlarged(self) -> tuple[int, ...]:
        """Return the good pictures that are smaller than the smallest size."""
        return tuple(row for row, some in sorted(self.frames.items()) if any(map(_is_enlarged, some)))

    def _alone(self, row: int) -> Frame:
        plan = plan_buckets([_measured(self.opened.facts[row])], self.token_px, self.own, 1, sizes=self.sizes)
        frames = [place.frame for bucket in plan.buckets for place in bucket.placements]
        return max(frames, key=lambda frame: frame.height * frame.width)

    def _facts(self, row: int) -> CaptionFacts:
        facts, told = self.opened.facts[row], self.opened.told[row]
        known = [
            fuse(describe(seen), _without_framing(told, seen is facts)).facts
            for frame in self.frames.get(row) or (self.frame(row),)
            for seen in [seen_in(facts, _shares(facts, frame), whole=frame.whole)]
        ]
        first = known[0]
        if len({one.shot.framing for one in known}) == 1:
            return first
        return first.model_copy(update={"shot": first.shot.model_copy(update={"framing": None})})


def learns_several(spec: BackboneSpec) -> bool:
    """Return whether pictures are learnt at several sizes unless somebody says otherwise: where the backbone draws any
    size and is large enough for more than one. One that knows few sizes learns no more of a face so
    (docs/measured.md).
    """
    return not spec.sizes and len(bucket_areas(token_px_of(spec.folder), (spec.height, spec.width))) > 1


def sizes_to_learn(spec: BackboneSpec, several: bool) -> tuple[tuple[int, int], ...]:
    """Return the (height, width) that pictures are fitted to; () for all that fit the backbone's areas."""
    return spec.sizes if several else ((spec.height, spec.width),)


def plan_dataset(opened: OpenedDataset, spec: BackboneSpec, several: bool | None = None) -> PlannedDataset:
    """Place the good pictures; nothing is read but facts. `several` None is what is usual for the backbone."""
    several = learns_several(spec) if several is None else several
    own, token_px, sizes = (spec.height, spec.width), token_px_of(spec.folder), sizes_to_learn(spec, several)
    kept = opened.judged.kept
    plan = plan_buckets(
        [_measured(opened.facts[row]) for row in kept], token_px, own, _batch(spec), sizes=sizes
    )  # fmt: skip
    buckets = tuple(
        replace(bucket, placements=tuple(replace(one, row=kept[one.row]) for one in bucket.placements))
        for bucket in plan.buckets
    )
    return PlannedDataset(opened, several, BucketPlan(buckets, plan.joined), own, token_px, sizes)


def boxes_in(facts: PictureFacts, height: int, width: int) -> tuple[Box, ...]:
    """Return what no crop of a picture of these pixels may cut."""
    return tuple(
        (int(x0 * width), int(y0 * height), -int(-x1 * width // 1), -int(-y1 * height // 1))
        for x0, y0, x1, y1 in keep_boxes(facts)
    )


def _measured(facts: PictureFacts) -> Measured:
    """The picture as it is stored: large photos are made smaller."""
    scale = min(1.0, LONGEST_PX / max(facts.height, facts.width))
    height, width = max(1, round(facts.height * scale)), max(1, round(facts.width * scale))
    return Measured(height, width, boxes_in(facts, height, width))


def _shares(facts: PictureFacts, frame: Frame) -> Window:
    measured, (x0, y0, x1, y1) = _measured(facts), frame.window
    wide, tall = measured.width, measured.height
    return x0 / wide, y0 / tall, x1 / wide, y1 / tall


def _is_enlarged(frame: Frame) -> bool:
    x0, y0, x1, y1 = frame.window
    return max(frame.height / (y1 - y0), frame.width / (x1 - x0)) > _LARGER


def _without_framing(told: CaptionFacts | None, whole: bool) -> CaptionFacts | None:
    if told is None or whole:
        return told
    return told.model_copy(update={"shot": told.shot.model_copy(update={"framing": None})})


def _batch(spec: BackboneSpec) -> int:
    from personas.consolidation import default_batch  # which brings torch

    config = read_json(spec.folder / "transformer" / "config.json")
    return default_batch(find_family(spec.family).hidden_width(config))
