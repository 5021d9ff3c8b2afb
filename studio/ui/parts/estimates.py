"""How long a press will take, and how much of it is left, in a person's words."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

from studio.domain.times import JobSize, say_duration
from studio.jobs.estimates import estimate_kind
from studio.jobs.line import expected_seconds
from studio.library.records import JobRecord

if TYPE_CHECKING:
    from studio.ui.context import Ui

__all__ = ["say_estimate", "say_left"]


def say_estimate(ui: Ui, kind: str, size: JobSize) -> str:
    """Return as HTML how long a job of this kind and size will take here, with the chosen backbone."""
    seconds = estimate_kind(ui.studio, kind, size)
    words = ui.t("estimate.unknown") if seconds is None else ui.t("estimate.about", time=say_duration(ui.t, seconds))
    return f'<p class="st-soft st-estimate">{escape(words)}</p>'


def say_left(ui: Ui, job: JobRecord, stage_left: float | None) -> str:
    """Return how much of a running job is left: of all of it where jobs like it were measured, else of its stage (whose
    seconds are given); "" where neither is known.
    """
    whole, began = expected_seconds(ui.studio, job), job.facts.get("began")
    if whole is None or began is None:
        return "" if stage_left is None else ui.t("job.eta", seconds=round(stage_left))
    left = max(whole - (time.time() - float(began)), stage_left or 0.0)
    return ui.t("job.left", left=say_duration(ui.t, left), whole=say_duration(ui.t, max(whole, left)))
