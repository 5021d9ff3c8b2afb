"""What the machine has left and which programs draw, on the settings page; on all pages a warning before it is full."""

from __future__ import annotations

from html import escape

import gradio as gr

from pipelines.errors import StudioError
from studio.export.content_check import find_checker
from studio.jobs.kinds import KINDS
from studio.jobs.workers import WorkerState, list_workers
from studio.library.machine import look_at_machine
from studio.ui.context import Ui, owner_of
from studio.ui.parts.html import panel, table
from studio.ui.parts.pulse import Pulse

__all__ = ["build_disk_notice", "build_machine_state", "show_disk_notice", "show_machine"]


def build_disk_notice(ui: Ui, pulse: Pulse) -> None:
    """Lay the warning out where the caller is; it is empty as long as there is room."""
    notice = gr.HTML("", padding=False, apply_default_css=False, js_on_load=None, elem_id="disk-notice")
    pulse.shows(lambda said, request: {notice: show_disk_notice(ui)}, [notice], at_load=True)


def show_disk_notice(ui: Ui) -> str:
    """Return the warning as HTML, "" while there is room."""
    here = look_at_machine(ui.studio.settings.shared)
    if not here.disk_is_low:
        return ""
    words = ui.t("machine.full" if here.disk_is_full else "machine.low", free=f"{here.disk_free / 1e9:.1f}")
    kind, role = ("failed", "alert") if here.disk_is_full else ("warn", "status")
    return f'<div class="st-panel {kind}" role="{role}"><p>{escape(words)}</p></div>'


def build_machine_state(ui: Ui, pulse: Pulse) -> None:
    """Lay out what is left, and for the administrator the workers."""
    state = gr.HTML("", padding=False, apply_default_css=False, js_on_load=None, elem_id="machine")
    pulse.shows(lambda said, request: {state: show_machine(ui, owner_of(request))}, [state], at_load=True)


def show_machine(ui: Ui, owner: str) -> str:
    """Return disk and memory as HTML; to the administrator also what workers there are and how they stand."""
    t, here = ui.t, look_at_machine(ui.studio.settings.data)
    left = t(
        "settings.left", disk=_gb(here.disk_free), disk_total=_gb(here.disk_total), memory=_gb(here.memory_free),
        memory_total=_gb(here.memory_total), process=_gb(here.process),
    )  # fmt: skip
    html = f"<h2>{escape(t('settings.state'))}</h2><p class='st-soft'>{escape(left)}</p>{_content_check(ui)}"
    if ui.users.administrator(ui.studio.settings.owner) not in (None, owner):
        return html
    workers = list_workers(ui.studio.records)
    if not workers:
        return html + panel(escape(t("settings.worker.none")), "warn")
    names = [t(f"settings.worker.{name}") for name in ("host", "does", "memory", "disk")]
    return f'{html}<div class="st-stacked">{table(names, [_row(ui, worker) for worker in workers])}</div>'


def _content_check(ui: Ui) -> str:
    """What looks at pictures before they are exported from this computer."""
    t, settings = ui.t, ui.studio.settings
    try:
        found = find_checker(settings)
    except StudioError as error:
        return f"<p class='st-bad'>⚠ {escape(t.error(error))}</p>"
    if found is None:
        return f"<p class='st-soft'>{escape(t('settings.content_none'))}</p>"
    told = t(
        "settings.content", name=found.name, threshold=f"{settings.content_threshold:.2f}", sha=found.sha256[:12]
    )  # fmt: skip
    return f"<p class='st-soft' title='{found.sha256}'>{escape(told)}</p>"


def _row(ui: Ui, worker: WorkerState) -> list[str]:
    t, known = ui.t, bool(worker.memory)
    kind = KINDS.get(worker.job.partition("-")[0])
    if not worker.is_alive:
        does = f"<span class='st-bad'>{escape(t('settings.worker.silent', minutes=round(worker.silent_s / 60)))}</span>"
    else:
        does = escape(t("settings.worker.idle") if kind is None else kind.words[t.language])
    where = escape(" · ".join(part for part in (worker.facts["host"], worker.facts["device"]) if part))
    return [where, does, _gb(worker.memory) if known else "–", _gb(worker.disk_free) if known else "–"]


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
