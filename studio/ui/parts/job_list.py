"""Jobs as rows: what each is called, how far it is, what it made, and its place in the queue."""

from __future__ import annotations

from datetime import datetime
from html import escape

from studio.domain.album_export import AlbumExport
from studio.domain.bundle import Bundle
from studio.domain.report import say_stage
from studio.domain.times import say_duration
from studio.jobs.line import Line, look_at_line, page_of, say_job, title_of
from studio.library.records import JobRecord
from studio.ui.context import Ui
from studio.ui.parts.html import button, empty, file_url, link, table, thumb_url

__all__ = ["act_on_job", "job_row", "say_in_all", "show_jobs", "show_moment", "small_picture"]

_MOST = 30


def small_picture(job: JobRecord) -> str:
    """Return a job's picture as HTML, beside its name and no bigger than it."""
    title = title_of(job)
    if title is None or title.picture is None:
        return '<span class="st-mini"></span>'
    return f'<img class="st-mini" src="{thumb_url(title.picture, 96)}" alt="" loading="lazy">'


def show_moment(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def show_jobs(ui: Ui, owner: str) -> str:
    """All jobs: what runs, what waits in its order, and what was done, the newest first."""
    t, line = ui.t, look_at_line(ui.queue, owner)
    begun = [] if line.running is None else [line.running]
    done = [job for job in ui.queue.jobs(owner, _MOST) if job.state not in ("queued", "running")]
    rows = [job_row(ui, owner, job, line) for job in (*begun, *line.waiting, *done)]
    headers = [t(f"jobs.{name}") for name in ("kind", "when", "state", "why", "do")]
    body = table(headers, rows) if rows else empty(t("jobs.empty"))
    held = ui.queue.paused(owner)
    pause = button(t("jobs.go_on" if held else "jobs.pause"), "go-on" if held else "pause")
    note = f' <span class="st-bad">{escape(t("jobs.paused"))}</span>' if held else ""
    in_all = f' <span class="st-soft">{escape(say_in_all(ui, line))}</span>'
    return f"<h2>{escape(t('jobs.title'))}</h2><p>{pause}{note}{in_all}</p>{body}"


def say_in_all(ui: Ui, line: Line) -> str:
    """Return when the whole queue will be done; "" where that is not known."""
    return "" if line.seconds_in_all is None else ui.t("line.in_all", time=say_duration(ui.t, line.seconds_in_all))


def job_row(ui: Ui, owner: str, job: JobRecord, line: Line | None = None) -> list[str]:
    """Return a job's cells as HTML: name, since when, state, why it failed, buttons and links."""
    name = f'<span class="st-job">{small_picture(job)}<span>{escape(say_job(ui.t, job))}</span></span>'
    buttons = f'<div class="st-row">{_buttons(ui, job, line)}</div>'
    state = escape(_state(ui, owner, job, line))
    if job.state == "running" and (host := job.facts.get("host")):
        state = f'<span title="{escape(ui.t("job.where", host=str(host)))}">{state}</span>'
    return [name, show_moment(job.created), state, escape(ui.why(job)), buttons]


def _state(ui: Ui, owner: str, job: JobRecord, line: Line | None) -> str:
    t = ui.t
    said = [t(f"job.{job.state}")]
    if job.state == "running":
        now = ui.queue.report(job.id, owner).current
        said += [] if now is None else [say_stage(t, now)]
        if line is not None and line.seconds_left is not None:
            said.append(t("line.left", time=say_duration(t, line.seconds_left)))
    return " · ".join(said)


def _buttons(ui: Ui, job: JobRecord, line: Line | None) -> str:
    t, name = ui.t, say_job(ui.t, job)
    if job.state in ("failed", "cancelled"):
        return button(t("job.resume"), "retry", job=job.id)
    page = page_of(job)
    see = link(t("job.open" if job.state == "done" else "job.watch"), ui.url(page), big=False) if page else ""
    if job.state == "done":
        return see + _download(ui, job)
    stop = button(t("job.stop"), "stop", job=job.id)
    if job.state == "running":
        return see + stop
    waiting = [] if line is None else [row.id for row in line.waiting]
    arrows = ""
    if job.id in waiting[1:]:
        arrows += button("↑", "up", title=t("job.up", name=name), job=job.id)
    if job.id in waiting[:-1]:
        arrows += button("↓", "down", title=t("job.down", name=name), job=job.id)
    return arrows + button(t("job.next"), "next", job=job.id) + stop


def _download(ui: Ui, job: JobRecord) -> str:
    if job.kind == AlbumExport.kind:
        archives = ui.queue.result(job, AlbumExport).archives
        return "".join(
            link(f"{ui.t('job.download')} {one.name}", file_url(one.bundle, one.name), big=False, download=True)
            for one in archives
        )
    if job.kind != Bundle.kind:
        return ""
    made = ui.queue.result(job, Bundle)
    return link(ui.t("job.download"), file_url(made.bundle, made.name), big=False, download=True)


def act_on_job(ui: Ui, owner: str, do: str, job: str) -> bool:
    """Do what a button of the list says; whether it was one."""
    if do == "next":
        ui.queue.run_next(job, owner)
    elif do in ("up", "down"):
        ui.queue.move(job, owner, -1 if do == "up" else 1)
    elif do in ("pause", "go-on"):
        ui.queue.pause(owner, do == "pause")
    else:
        return False
    return True
