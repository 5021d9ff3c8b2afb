"""What became of the pictures of a swap: before and after, how well it went, what was left out, undone and back."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from pathlib import Path
from typing import Any

from pipelines.errors import error_from_json
from pipelines.file_names import file_name
from studio.domain.persona import Swap, SwappedPicture
from studio.domain.swap_scores import swap_faults
from studio.ui.context import Pressed, Ui
from studio.ui.parts.html import button, card, file_url, grid, link, panel, picture

__all__ = ["UNREAD", "act_on_swap", "show_swaps"]

UNREAD = "unread"
"""The fact of a job that says, as JSON errors, which brought files are no pictures."""
_MOST_JOBS, _MOST_PICTURES, _SIDE_PX = 20, 24, 320


def show_swaps(ui: Ui, owner: str) -> str:
    """Return as HTML how far unfinished swaps are, and what the last ones made, the newest first."""
    panels, cards, left_out = [], [], []
    for place, job in enumerate(ui.queue.jobs(owner, _MOST_JOBS, kind=Swap.kind)):
        left_out += [error_from_json(raised) for raised in job.facts.get(UNREAD, ())] if place == 0 else []
        if job.state == "done":
            made = ui.queue.result(job, Swap)
            left_out += [one.error for one in made.left_out] if place == 0 else []
            undone = _undone(ui, owner, made.id)
            cards += [_card(ui, made.id, row, row.seed in undone) for row in made.pictures]
        elif place == 0 or job.state in ("queued", "running"):
            panels.append(ui.job_panel(owner, job))
    missing = "".join(f"<li>{escape(ui.t('left_out', why=ui.t.error(error)))}</li>" for error in left_out)
    said = [*panels, panel(f'<ul class="st-list">{missing}</ul>', "failed") if missing else ""]
    return "".join(said) + (grid(cards[:_MOST_PICTURES]) if cards else "")


def act_on_swap(ui: Ui, owner: str, data: Pressed) -> None:
    """Undo one picture, or bring its new face back. The pictures themselves are never touched."""
    do = data.get("do")
    if do not in ("undo", "redo"):
        return
    key, seed = data["swap"], int(data["seed"])
    with ui.turn:
        undone = set(_undone(ui, owner, key))
        undone = undone | {seed} if do == "undo" else undone - {seed}
        ui.mark(owner, f"{Swap.kind}:{key}", undone=sorted(undone))


def _undone(ui: Ui, owner: str, key: str) -> Collection[int]:
    """Return the seeds of those pictures of a swap that go back to the original."""
    said: Any = ui.said(owner, f"{Swap.kind}:{key}").get("undone", ())
    return frozenset(int(seed) for seed in said)


def _card(ui: Ui, key: str, row: SwappedPicture, undone: bool) -> str:
    t = ui.t
    name = f"<strong>{escape(row.name)}</strong>"
    before = (
        f"<figure>{_picture(row.before, t('swap.before'))}<figcaption>{escape(t('swap.before'))}</figcaption></figure>"
    )
    if undone:
        back = button(t("swap.redo"), "redo", swap=key, seed=row.seed)
        return card(f'<div class="st-swap">{before}</div>', [name, _soft(t("swap.undone")), back], "wide")
    after = (
        f'<figure><button type="button" class="st-flip" title="{escape(t("swap.hold"))}">'
        f"{_picture(row.picture, t('swap.after'))}{_picture(row.before, t('swap.before'))}</button>"
        f"<figcaption>{escape(t('swap.after'))} · {escape(t('swap.hold'))}</figcaption></figure>"
    )
    url = file_url(row.picture, file_name(Path(row.name).stem, ".png", "picture"))
    buttons = link(t("swap.save"), url, big=False, download=True) + button(
        t("swap.undo"), "undo", swap=key, seed=row.seed
    )
    body = [name, _verdict(ui, row), _soft(_numbers(ui, row)), f'<div class="st-row">{buttons}</div>']
    return card(f'<div class="st-swap">{before}{after}</div>', body, "wide")


def _picture(key: str, alt: str) -> str:
    return picture(key, alt, _SIDE_PX)


def _soft(text: str) -> str:
    return f"<span class='st-soft'>{escape(text)}</span>"


def _verdict(ui: Ui, row: SwappedPicture) -> str:
    t, faults = ui.t, row.faults
    if faults is None:  # an earlier version swapped it
        faults = swap_faults(row, ui.least_identity)
    if not faults:
        return f"<span class='st-good'>✓ {escape(t('swap.worked'))}</span>"
    why = t("swap.and").join(t(f"swap.fault.{fault}") for fault in faults)
    return f"<span class='st-bad'>⚠ {escape(t('swap.weak', why=why))}</span>"


def _numbers(ui: Ui, row: SwappedPicture) -> str:
    """Return the scores in words; what was not measured is left out."""
    said = [ui.t("swap.scores", before=f"{row.identity_before:.2f}", after=f"{row.identity:.2f}")]
    if row.old_face is not None:
        said.append(ui.t("swap.old_face", value=f"{row.old_face:.2f}"))
    if row.old_hair is not None:
        said.append(ui.t("swap.old_hair", share=round(100 * row.old_hair)))
    return " · ".join(said)
