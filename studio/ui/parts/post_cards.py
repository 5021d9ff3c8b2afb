"""The posts of a set as cards: scores, caption, order, other takes; and those that arrive while a job runs."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from personas.measures.catalogue import POST_MEASURES
from personas.shots import Shot
from studio.domain.arrangement import Arranged, Arrangement, Slot, TakeJobs, arrange, weak_slots
from studio.domain.migration import read_marks
from studio.domain.posts import Post, PostSet, Scores
from studio.domain.report import say_stage
from studio.domain.scores import say_scores, weak_scores
from studio.domain.takes import FixTake, VaryTake
from studio.domain.values import MOST_CAPTION
from studio.library.records import JobRecord
from studio.library.results import jobs_of_set
from studio.ui.context import Ui
from studio.ui.parts.html import button, card, file_url, grid, picture
from studio.ui.parts.shots_table import describe_shot
from studio.ui.parts.taste_fill import show_why

__all__ = [
    "arrange_shown",
    "keep_arrangement",
    "newest_set",
    "read_arrangement",
    "show_arriving",
    "show_scores",
    "show_set",
    "take_jobs",
]

_RECENT = 100
_TAKES: Mapping[str, type[VaryTake] | type[FixTake]] = {one.kind: one for one in (VaryTake, FixTake)}
_Which = Mapping[str, Any]  # a post, as its buttons name it


def read_arrangement(ui: Ui, owner: str, post_set: PostSet) -> Arrangement:
    """Return what a person said of a set."""
    return read_marks(ui.said(owner, f"posts:{post_set.id}"))


def keep_arrangement(ui: Ui, owner: str, post_set: PostSet, said: Arrangement) -> None:
    ui.mark(owner, f"posts:{post_set.id}", **said.as_marks())


def arrange_shown(ui: Ui, owner: str, post_set: PostSet) -> Arranged:
    """Return the set as its page shows it: as a person arranged it, with the takes that are done."""
    said = read_arrangement(ui, owner, post_set)
    return arrange(post_set, said, take_jobs(ui, owner, post_set.id), ui.least_identity)


def newest_set(ui: Ui, owner: str) -> PostSet | None:
    """The newest set that is not in the trash; asked every second, so only its own result is read."""
    for row in ui.queue.jobs(owner, _RECENT, kind=PostSet.kind, state="done"):
        if not ui.said(owner, f"posts:{row.facts['id']}").get("trashed"):
            return ui.queue.result(row, PostSet)
    return None


def take_jobs(ui: Ui, owner: str, post_set: str) -> TakeJobs:
    """The takes of a set that were asked for, by job: a finished one's result, None while it waits or runs.

    All of its takes: one that is put aside may be what the shown one is drawn from.
    """
    found: dict[str, VaryTake | FixTake | None] = {}
    for row in jobs_of_set(ui.studio.records, owner, post_set):
        if row.kind in _TAKES and row.state in ("done", "queued", "running"):
            found[row.id] = ui.queue.result(row, _TAKES[row.kind]) if row.state == "done" else None
    return found


def show_arriving(ui: Ui, owner: str, job: JobRecord | None) -> str:
    """The posts of a running job that are there already, with their scores."""
    if job is None or job.state not in ("queued", "running"):
        return ""
    report = ui.queue.report(job.id, owner)
    scored = {post.picture for post in report.posts}
    none: Scores = {}
    rows = [(post.picture, post.scores) for post in report.posts]
    rows += [(key, none) for key in report.pictures if key not in scored]
    cards = [
        card(picture(key, ui.t("picture")), [f"<strong>{i + 1}</strong>", f"<span>{show_scores(ui, scores)}</span>"])
        for i, (key, scores) in enumerate(rows)
    ]
    return f"<h2>{escape(ui.t('posts.arriving'))}</h2>{grid(cards)}" if cards else ""


def show_set(ui: Ui, owner: str, post_set: PostSet, made: str = "") -> str:
    """All cards of a set as a person arranged it; `made` is HTML beside what can be done with them."""
    t = ui.t
    arranged = arrange_shown(ui, owner, post_set)
    title = t("posts.set", name=post_set.request.persona.name, count=len(arranged.shown))
    cards = "".join(_card(ui, owner, post_set.id, arranged, place) for place in range(len(arranged.slots)))
    buttons = button(t("posts.export"), "export", big=True, set=post_set.id)
    buttons += button(t("posts.look"), "look", set=post_set.id) + button(t("posts.write"), "write", set=post_set.id)
    if weak := weak_slots(arranged, ui.least_identity):
        buttons += button(t("posts.redraw_weak", count=len(weak)), "redraw-weak", set=post_set.id)
    buttons += made
    more = button(t("posts.settings"), "settings", set=post_set.id)
    why = "" if post_set.request.guided is None else show_why(ui, post_set.request.guided, is_open=False)
    return (
        f"<h2>{escape(title)}</h2><div class='st-row st-actions'>{buttons}</div><div class='st-grid'>{cards}</div>"
        f"<div class='st-row st-after'>{more}</div>{why}<p class='st-soft'>{escape(t('posts.order_hint'))}</p>"
    )


def _card(ui: Ui, owner: str, key: str, arranged: Arranged, place: int) -> str:
    t, slot = ui.t, arranged.slots[place]
    which = {"set": key, "number": str(slot.number)}
    shot = describe_shot(t, slot.post.shot)
    last = place == len(arranged.slots) - 1
    order = (
        _arrow("←", t("posts.earlier", number=place + 1), "earlier", place - 1, place == 0, which)
        + f"<strong>{place + 1}</strong>"
        + _arrow("→", t("posts.later", number=place + 1), "later", place + 1, last, which)
    )
    label = escape(t("posts.caption", number=place + 1))
    caption = (
        f'<textarea rows="3" data-do="caption" data-set="{key}" data-number="{slot.number}" maxlength="{MOST_CAPTION}" '
        f'data-key="caption-{key}-{slot.number}" aria-label="{label}">{escape(slot.caption)}</textarea>'
    )
    body = [
        f'<div class="st-row">{order}</div>',
        f"<span class='st-soft'>{escape(shot)}</span><span>{show_scores(ui, slot.post.scores, slot.post.shot)}</span>",
        caption,
        f'<div class="st-row">{_buttons(ui, slot, which)}</div>',
    ]
    body += [_waiting(ui, owner, job) for job in slot.waiting]
    if slot.weaker is not None:
        body.append(_weaker(ui, slot.weaker, which))
    if slot.choices:
        body.append(_choices(ui, slot, which))
    shown = picture(slot.post.picture, shot, large=slot.post.large)
    link = f'<a href="{file_url(slot.post.large)}" target="_blank">{shown}</a>'
    classes = "dropped" if slot.left_out else ""
    return (
        f'<div class="st-card {classes}" draggable="true" data-drag="{slot.number}" data-place="{place}" '
        f'data-set="{key}">{link}<div class="in">{"".join(body)}</div></div>'
    )


def _arrow(sign: str, words: str, name: str, to: int, off: bool, which: _Which) -> str:
    """Moves a post one place: the keyboard's way to do what dragging does."""
    said = escape(words)
    return (
        f'<button type="button" class="st-btn" data-do="move" data-set="{which["set"]}" '
        f'data-number="{which["number"]}" '
        f'data-to="{to}" data-key="{name}-{which["set"]}-{which["number"]}" title="{said}" aria-label="{said}"'
        f"{' disabled' if off else ''}>{sign}</button>"
    )


def _buttons(ui: Ui, slot: Slot, which: _Which) -> str:
    t = ui.t
    row = button(t("posts.redraw"), "redraw", **which) + button(t("posts.vary"), "vary", **which)
    row += button(t("posts.fix"), "fix", seek="fixing", **which)
    if slot.can_undo:
        row += button(t("posts.undo"), "undo", **which)
    if slot.can_redo:
        row += button(t("posts.redo"), "redo", **which)
    return row + button(t("posts.leave"), "leave", quiet=True, pressed=slot.left_out, **which)


def _waiting(ui: Ui, owner: str, job: str) -> str:
    """How far a job is that draws another take, beside the button that asked for it, and what it has drawn so far."""
    t, report = ui.t, ui.queue.report(job, owner)
    now = report.current
    words, share = (t("posts.take_waits"), 0.03) if now is None else (say_stage(t, now), max(now.share, 0.03))
    drawn = "".join(picture(key, t("picture"), 96) for key in report.pictures)
    return (
        f'<div class="st-waiting" role="status"><span>{escape(words)}</span><div class="st-bar">'
        f'<i style="width:{100 * share:.0f}%"></i></div>{drawn}{button(t("job.stop"), "stop", job=job)}</div>'
    )


def _weaker(ui: Ui, other: tuple[str, Post], which: _Which) -> str:
    """The new take, which is not shown because the one before is better; nothing is lost."""
    t, (take, post) = ui.t, other
    shown = picture(post.picture, t("posts.weaker"), 96, post.large)
    return (
        f'<div class="st-weaker">{shown}<div><span>{escape(t("posts.weaker"))}'
        f"</span> <span>{show_scores(ui, post.scores, post.shot)}</span> "
        f"{button(t('posts.show_weaker'), 'choose', take=take, **which)}</div></div>"
    )


def _choices(ui: Ui, slot: Slot, which: _Which) -> str:
    t = ui.t
    parts = [
        f"<div>{picture(post.picture, t('posts.variant', number=i + 1), large=post.large)}"
        f"<span>{show_scores(ui, post.scores, post.shot)}</span>"
        f"{button(t('posts.choose', number=i + 1), 'choose', pressed=take == slot.take, take=take, **which)}</div>"
        for i, (take, post) in enumerate(slot.choices)
    ]
    done = button(t("posts.close"), "close", **which)
    return f'<div class="st-choices"><strong>{escape(t("posts.variants"))}</strong>{"".join(parts)}{done}</div>'


def show_scores(ui: Ui, scores: Scores, shot: Shot | None = None) -> str:
    """As HTML; what is too low is marked, and not by its colour alone."""
    weak = weak_scores(scores, ui.least_identity)
    said = {name: escape(text) for name, text in say_scores(ui.t, scores, POST_MEASURES, shot).items()}
    return " · ".join(f'<span class="st-bad">⚠ {text}</span>' if n in weak else text for n, text in said.items())
