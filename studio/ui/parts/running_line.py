"""The slim line under the navigation of every page: the job that runs, how far it is, and what waits behind it."""

from __future__ import annotations

from html import escape

import gradio as gr

from studio.domain.report import say_stage
from studio.domain.times import say_duration
from studio.jobs.line import Line, look_at_line, page_of, say_job
from studio.ui.context import Ui, owner_of
from studio.ui.parts.job_list import say_in_all, small_picture
from studio.ui.parts.pulse import Pulse

__all__ = ["build_running_line", "show_line"]


def build_running_line(ui: Ui, pulse: Pulse) -> None:
    """Lay the line out where the caller is; it is empty while nothing runs or waits."""
    line = gr.HTML("", padding=False, apply_default_css=False, js_on_load=None, elem_id="running")
    pulse.shows(lambda said, request: {line: show_line(ui, owner_of(request))}, [line], at_load=True)


def show_line(ui: Ui, owner: str) -> str:
    """Return the line as HTML."""
    t, line = ui.t, look_at_line(ui.queue, owner)
    if line.is_empty:
        return ""
    job = line.running or line.waiting[0]
    if not line.served and not line.paused:
        words, share = t("line.unserved"), 0.0
    elif line.running is not None:
        words, share = _progress(ui, line)
    elif line.paused:
        words, share = t("line.held", count=len(line.waiting)), 0.0
    else:
        words, share = t("job.queued"), 0.0
    queue = f'<a class="st-line-queue" href="{ui.url("library")}?kind=jobs#jobs">{escape(_behind(ui, line))}</a>'
    return (
        f'<div class="st-line" role="status" aria-label="{escape(t("line"))}">'
        f'<a href="{escape(ui.url(page_of(job)))}" data-job="{escape(job.id)}">{small_picture(job)}'
        f"<span><strong>{escape(say_job(t, job))}</strong> <span>{escape(words)}</span></span></a>{queue}"
        f'<i style="width:{100 * share:.0f}%"></i></div>'
    )


def _progress(ui: Ui, line: Line) -> tuple[str, float]:
    """What the running job does and how long it will, and the share of its stage that is done."""
    t, now = ui.t, line.report.current
    said = [t("job.starting") if now is None else say_stage(t, now)]
    if line.seconds_left is not None:
        said.append(t("line.left", time=say_duration(t, line.seconds_left)))
    return " · ".join(said), 0.0 if now is None else now.share


def _behind(ui: Ui, line: Line) -> str:
    """What waits behind the job that the line names, and when all is done."""
    behind = len(line.waiting) - (line.running is None)
    if not behind:
        return ui.t("line.queue")
    said = [ui.t("line.waiting", count=behind), say_in_all(ui, line)]
    return " · ".join(part for part in said if part)
