"""A data set told to programs: every picture with its verdict and caption, what is missing, what is wrong."""

from __future__ import annotations

from typing import Any

from pipelines.training.buckets import histogram
from studio.datasets.opened import OpenedDataset
from studio.datasets.planned import PlannedDataset
from studio.datasets.saying import say_finding, say_hole, say_reason
from studio.texts.texts import Texts

__all__ = ["tell_dataset", "tell_left_out", "tell_plan"]


def tell_dataset(t: Texts, opened: OpenedDataset) -> dict[str, Any]:
    """Return it as JSON; pictures are numbered from 1, sentences are in the language of `t`."""
    dataset, judged = opened.dataset, opened.judged
    rows = [
        {
            "number": i + 1, "name": given.name, "picture": given.picture, "kept": verdict.kept,
            "by_hand": verdict.by_hand, "checked": verdict.checked,
            "reasons": [reason.name for reason in verdict.reasons],
            "why": [say_reason(t, reason, dataset) for reason in verdict.reasons],
            "caption": opened.captions[i], "differs": list(opened.fused[i].differs),
            "failed": t.error(opened.failed[i]) if i in opened.failed else "",
        }
        for i, (given, verdict) in enumerate(zip(dataset.request.pictures, judged.verdicts, strict=True))
    ]  # fmt: skip
    return {
        "id": dataset.id, "name": dataset.request.name, "kept": len(judged.kept), "pictures": rows,
        "piles": [[i + 1 for i in pile] for pile in judged.piles],
        "second": [i + 1 for i in judged.people.second],
        "holes": [say_hole(t, hole) for hole in judged.coverage.holes],
        "counts": {name: dict(words) for name, words in judged.coverage.counts.items()},
        "captions": [
            {
                "code": one.code, "phrase": one.phrase, "stops": one.stops, "said": say_finding(t, one),
                "pictures": [row + 1 for row in one.rows],
            }
            for one in opened.findings
        ],
        "say": list(opened.edits.say), "trigger": opened.edits.trigger,
        "limits": opened.limits.model_dump(), "unasked": dataset.unasked, "estimate": dataset.estimate,
        "left_out": tell_left_out(t, opened),
    }  # fmt: skip


def tell_plan(planned: PlannedDataset) -> dict[str, Any]:
    """Return how a training would show the good pictures: sizes with how many are of each, the share of steps and the
    pictures a step; and of each picture the size, the part (x0, y0, x1, y1 in shares) and the caption.
    """
    pictures = planned.opened.dataset.request.pictures
    return {
        "several_sizes": planned.several,
        "sizes": [
            {"size": size, "pictures": count, "batch": batch, "share": round(share, 4)}
            for size, count, batch, share in histogram(planned.plan)
        ],
        "pictures": [
            {
                "number": row + 1, "name": pictures[row].name, "caption": planned.caption(row),
                "part": [round(side, 4) for side in planned.window(row)],
                "sizes": [f"{frame.width}×{frame.height}" for frame in frames],
            }
            for row, frames in sorted(planned.frames.items())
        ],
        "cut": [row + 1 for row in planned.cut], "not_whole": [row + 1 for row in planned.not_whole],
        "enlarged": [row + 1 for row in planned.enlarged], "joined": planned.plan.joined,
    }  # fmt: skip


def tell_left_out(t: Texts, opened: OpenedDataset) -> list[dict[str, str]]:
    """Return files that are none of the pictures, and why."""
    return [
        {"name": row.name, "code": row.error.code, "error": t.error(row.error)}
        for row in opened.dataset.request.left_out
    ]
