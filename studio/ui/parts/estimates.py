"""How long a press will take, and how much of it is left, in a person's words."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

from pydantic import ValidationError

from studio.domain.times import JobSize, estimate_job
from studio.library.job_times import read_times
from studio.library.records import JobRecord
from studio.texts.texts import Texts

if TYPE_CHECKING:
    from studio.ui.context import Ui

__all__ = ["expected_seconds", "say_duration", "say_estimate", "say_left"]

_MINUTE_S, _HOUR_S = 60, 3600


def say_duration(t: Texts, seconds: float) -> str:
    """Return a rounded duration: "25 s", "3 min", "1.5 h"."""
    if seconds < 90:
        return t("duration.seconds", count=max(5, 5 * round(seconds / 5)))
    if seconds < 90 * _MINUTE_S:
        return t("duration.minutes", count=round(seconds / _MINUTE_S))
    return t("duration.hours", count=f"{round(2 * seconds / _HOUR_S) / 2:g}")


def say_estimate(ui: Ui, kind: str, size: JobSize) -> str:
    """Return as HTML how long a job of this kind and size will take here, with the chosen backbone."""
    seconds = estimate_job(read_times(ui.studio.records, kind, ui.studio.choice), size)
    words = ui.t("estimate.unknown") if seconds is None else ui.t("estimate.about", time=say_duration(ui.t, seconds))
    return f'<p class="st-soft st-estimate">{escape(words)}</p>'


def expected_seconds(ui: Ui, job: JobRecord) -> float | None:
    """Return how long a job takes from its beginning to its end; None where nothing like it was measured."""
    try:
        size = JobSize.model_validate(job.facts.get("size"))
    except ValidationError:  # an older studio asked for it
        return None
    return estimate_job(read_times(ui.studio.records, job.kind, ui.studio.choice), size)


def say_left(ui: Ui, job: JobRecord, stage_left: float | None) -> str:
    """Return how much of a running job is left: of all of it where jobs like it were measured, else of its stage (whose
    seconds are given); "" where neither is known.
    """
    whole, began = expected_seconds(ui, job), job.facts.get("began")
    if whole is None or began is None:
        return "" if stage_left is None else ui.t("job.eta", seconds=round(stage_left))
    left = max(whole - (time.time() - float(began)), stage_left or 0.0)
    return ui.t("job.left", left=say_duration(ui.t, left), whole=say_duration(ui.t, max(whole, left)))
