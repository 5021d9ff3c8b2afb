"""A data set as HTML: what is kept and why the rest is not, what is missing, limits, captions, and every picture."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from personas.captions.policy import SWITCHES
from personas.captions.schema import DEFECTS
from personas.datasets.framed import Window
from personas.datasets.limits import Limits
from pipelines.training.buckets import histogram
from studio.datasets.opened import OpenedDataset
from studio.datasets.planned import PlannedDataset
from studio.datasets.saying import say_finding, say_hole, say_reason, say_words
from studio.domain.dataset import LEAST_PICTURES
from studio.ui.context import Ui
from studio.ui.parts.html import button, empty, grid, link, panel, picture

__all__ = ["SHOWN", "View", "show_cards", "show_summary", "show_training", "show_words"]

SHOWN = ("all", "kept", "out", "doubles", "hand")
_PAGE, _MOST_NAMED = 24, 200
# (limit, from, to, step): the fewest and the most that make sense to a person, of all that a limit may be
_SLIDERS = (
    ("crisp", 0, 0.5, 0.01), ("face_px", 0, 256, 2), ("same_person", 0, 0.9, 0.02), ("brightest", 0, 0.9, 0.02),
    ("darkest", 0.2, 1, 0.02), ("noise", 0, 40, 1), ("area", 0, 1.5, 0.05), ("second", 0, 1, 0.05),
    ("blocks", 1, 6, 0.1), ("bars", 0, 0.5, 0.01), ("dhash", 0, 20, 1),
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """What of which data set is seen: `shown` is one of SHOWN, `page` counts from 0. `several` says whether a training
    would use several sizes, None is as usual.
    """

    dataset: str = ""
    shown: str = "all"
    page: int = 0
    limits: bool = False
    several: bool | None = None


def show_summary(ui: Ui, opened: OpenedDataset, view: View) -> str:
    """Return how many are good, what was not brought, what is missing, and the limits where they are unfolded."""
    t, judged, dataset = ui.t, opened.judged, opened.dataset
    good = t("dataset.kept", kept=len(judged.kept), count=len(opened.facts))
    lines = [f"<strong>{escape(good)}</strong>"]
    if judged.people.second:
        lines.append(f'<span class="st-bad">{escape(t("dataset.second", count=len(judged.people.second)))}</span>')
    if unchecked := sum(not verdict.checked for verdict in judged.verdicts):
        lines.append(f'<span class="st-soft">{escape(t("dataset.unchecked", count=unchecked))}</span>')
    lines += [_left_out(ui, opened)] if dataset.request.left_out else []
    holes = "".join(f"<li>{escape(say_hole(t, hole))}</li>" for hole in judged.coverage.holes)
    missing = f"<h3>{escape(t('dataset.missing'))}</h3><ul class='st-list'>{holes}</ul>" if holes else ""
    shows = f"<h3>{escape(t('dataset.shows'))}</h3>{_counts(ui, opened)}"
    fold = button(t("dataset.limits"), "limits", pressed=view.limits)
    sliders = _sliders(ui, opened) if view.limits else ""
    body = "".join(f"<p>{line}</p>" for line in lines)
    return f'{panel(body)}<div class="st-two"><div>{missing}</div><div>{shows}</div></div>{fold}{sliders}'


def _left_out(ui: Ui, opened: OpenedDataset) -> str:
    t, rows = ui.t, opened.dataset.request.left_out
    said = "".join(f"<li>{escape(t.error(row.error))}</li>" for row in rows[:_MOST_NAMED])
    if more := rows[_MOST_NAMED:]:
        said += f"<li>{escape(t('dataset.left_out_more', count=len(more)))}</li>"
    summary = escape(t("dataset.left_out", count=len(rows)))
    return f"<details><summary>{summary}</summary><ul class='st-list'>{said}</ul></details>"


def _counts(ui: Ui, opened: OpenedDataset) -> str:
    """What the good pictures show, such as "front 12 · left 3"; places have numbers and no names where nobody knows."""
    t, rows = ui.t, ""
    for field, words in opened.judged.coverage.counts.items():
        known = {word: count for word, count in words.items() if not word.startswith("#")}
        said = " · ".join(f"{say_words(t, word)} {count}" for word, count in known.items())
        if len(known) < len(words):
            said = " · ".join(filter(None, (said, t("dataset.places", count=len(words) - len(known)))))
        if said:
            rows += f"<li>{escape(t('dataset.pair', name=t(f'dataset.field.{field}'), value=said))}</li>"
    return f'<ul class="st-list">{rows}</ul>'


def _sliders(ui: Ui, opened: OpenedDataset) -> str:
    t, now, usual, rows = ui.t, opened.limits, opened.dataset.limits, ""
    for name, low, high, step in _SLIDERS:
        value = getattr(now, name)
        label = escape(t(f"dataset.limit.{name}"))
        mark = "" if value == getattr(usual, name) else f" <em>({escape(t('dataset.changed'))})</em>"
        rows += (
            f'<label class="st-slide"><span>{label} <b>{value:.3g}</b>{mark}</span>'
            f'<input type="range" min="{low}" max="{high}" step="{step}" value="{value:g}" data-do="limit" '
            f'data-name="{name}" data-key="limit-{name}"></label>'
        )
    back = button(t("dataset.usual"), "usual")
    return f'<div class="st-sliders" id="limits">{rows}</div><p>{back}</p>'


def show_words(ui: Ui, opened: OpenedDataset) -> str:
    """Return what captions leave out, what is wrong with them, and who writes them."""
    t, dataset = ui.t, opened.dataset
    switches = "".join(
        button(t(f"dataset.say.{one}"), "say", pressed=one in opened.edits.say, name=one) for one in SWITCHES
    )
    trigger = (
        f'<label class="st-soft">{escape(t("dataset.word"))} <input type="text" class="st-tag" data-do="word" '
        f'data-key="word" maxlength="40" value="{escape(opened.edits.trigger)}"></label>'
    )
    found = "".join(
        f'<li class="{"st-bad" if one.stops else ""}">{escape(say_finding(t, one))} '
        f"{escape(t('dataset.in_pictures', count=len(one.rows)))}</li>"
        for one in opened.findings
    )
    wrong = f"<ul class='st-list'>{found}</ul>" if found else f"<p>✓ {escape(t('dataset.no_findings'))}</p>"
    body = f"<p>{escape(t('dataset.words_what'))}</p><div class='st-row'>{switches}{trigger}</div>{wrong}"
    if opened.failed:
        body += f"<p class='st-bad'>{escape(t('dataset.failed', count=len(opened.failed)))}</p>"
    if dataset.unasked:
        said = t("dataset.unasked", count=dataset.unasked, estimate=f"{dataset.estimate:,}")
        body += f"<p>{escape(said)} {button(t('dataset.ask_rest'), 'describe', writer='endpoint', rest='1')}</p>"
    return f"<h2>{escape(t('dataset.words'))}</h2>{panel(body)}"


def show_cards(ui: Ui, planned: PlannedDataset, view: View) -> str:
    """Return the pictures of the view, a page at a time, dark where a training does not look."""
    t, opened, judged = ui.t, planned.opened, planned.opened.judged
    rows = {
        "all": list(range(len(opened.facts))),
        "kept": list(judged.kept),
        "out": [i for i, verdict in enumerate(judged.verdicts) if not verdict.kept],
        "doubles": [pile[0] for pile in judged.piles],
        "hand": [i for i, verdict in enumerate(judged.verdicts) if verdict.by_hand],
    }
    tabs = "".join(
        button(f"{t(f'dataset.show.{name}')} {len(rows[name])}", "show", pressed=name == view.shown, name=name)
        for name in SHOWN
    )
    bar = f'<div class="st-row st-after" role="group" aria-label="{escape(t("dataset.show"))}">{tabs}</div>'
    chosen = rows[view.shown]
    if not chosen:
        return bar + empty(t("dataset.none_here"))
    pages = -(-len(chosen) // _PAGE)
    page = min(view.page, pages - 1)
    part = chosen[page * _PAGE : (page + 1) * _PAGE]
    piles = {pile[0]: pile for pile in judged.piles} if view.shown == "doubles" else {}
    cards = [_card(ui, planned, i, piles.get(i, ())) for i in part]
    return f"{bar}{grid(cards)}{_pager(ui, page, pages)}"


def _pager(ui: Ui, page: int, pages: int) -> str:
    if pages < 2:
        return ""
    t = ui.t
    back = button(t("zoom.back"), "page", page=page - 1) if page else ""
    more = button(t("zoom.next"), "page", page=page + 1) if page + 1 < pages else ""
    said = escape(t("dataset.page", page=page + 1, pages=pages))
    return f'<div class="st-row st-after">{back}<span class="st-soft">{said}</span>{more}</div>'


def _card(ui: Ui, planned: PlannedDataset, row: int, pile: tuple[int, ...]) -> str:
    t, opened = ui.t, planned.opened
    dataset, verdict = opened.dataset, opened.judged.verdicts[row]
    given, facts = dataset.request.pictures[row], opened.facts[row]
    state = t("dataset.is_kept" if verdict.kept else "dataset.is_out")
    if verdict.by_hand:
        state += f" ({t('dataset.by_hand')})"
    mark = "st-good" if verdict.kept else "st-bad"
    body = f'<strong class="{mark}">{"✓" if verdict.kept else "✗"} {escape(state)}</strong>'
    body += f'<span class="st-soft">{row + 1} · {escape(given.name)}</span>'
    if verdict.reasons:
        reasons = "".join(f"<li>{escape(say_reason(t, one, dataset))}</li>" for one in verdict.reasons)
        body += f'<ul class="st-list">{reasons}</ul>'
    if row in opened.failed:
        body += f'<span class="st-bad">{escape(t.error(opened.failed[row]))}</span>'
    known = {reason.name for reason in verdict.reasons}
    for one in DEFECTS:
        if one in _told(opened, row) and one not in known:
            seen = t("dataset.pair", name=t("dataset.told"), value=t(f"dataset.defect.{one}"))
            body += f'<span class="st-soft">{escape(seen)}</span>'
    said = opened.captions[row]
    label = escape(t("dataset.caption_of", name=given.name))
    by_hand = (
        f"<span class='st-soft'>{escape(t('dataset.by_hand'))}</span>" if str(row) in opened.edits.captions else ""
    )
    body += (
        f'<textarea data-do="caption" data-row="{row}" data-key="caption-{row}" maxlength="2000" lang="en" '
        f'aria-label="{label}">{escape(said)}</textarea>{by_hand}{_after_cut(ui, planned, row)}'
    )
    choice = "keep" if verdict.by_hand and verdict.kept else "drop" if verdict.by_hand else "measure"
    keys = "".join(
        button(
            t("dataset.drop_it" if do == "drop" else f"dataset.{do}"),
            do,
            pressed=do == choice,
            title=given.name,
            row=row,
        )
        for do in ("keep", "drop", *(("measure",) if verdict.by_hand else ()))
    )
    body += f'<div class="st-row">{keys}</div>'
    if pile[1:]:
        body += _copies(ui, opened, pile)
    image = _cropped(picture(given.picture, given.name), facts.height, facts.width, planned.window(row))
    return f'<div class="st-card {"kept" if verdict.kept else "dropped"}">{image}<div class="in">{body}</div></div>'


def _told(opened: OpenedDataset, row: int) -> tuple[str | None, ...]:
    told = opened.told[row]
    return () if told is None or told.defects is None else told.defects


def _after_cut(ui: Ui, planned: PlannedDataset, row: int) -> str:
    """What the caption says of the framing where a training is shown a part that has another one."""
    before, after = planned.opened.fused[row].facts.shot.framing, planned.framing(row)
    if planned.opened.is_written(row) or before == after:
        return ""
    said = ui.t("dataset.after_cut", framing=ui.t.word(after)) if after else ui.t("dataset.after_cut_unsaid")
    return f"<span class='st-soft'>{escape(said)}</span>"


def _cropped(image: str, height: int, width: int, window: Window) -> str:
    """A whole picture, dark where a training does not look."""
    x0, y0, x1, y1 = window
    sides = f"{100 * y0:.2f}% {100 * (1 - x1):.2f}% {100 * (1 - y1):.2f}% {100 * x0:.2f}%"
    return f'<div class="st-trained" style="aspect-ratio:{width}/{height}">{image}<i style="inset:{sides}"></i></div>'


def _copies(ui: Ui, opened: OpenedDataset, pile: tuple[int, ...]) -> str:
    """The copies behind the picture of a pile that is in front; each can be kept in its place."""
    t, shown = ui.t, ""
    for row in pile[1:]:
        given = opened.dataset.request.pictures[row]
        name = f"{row + 1} · {given.name}"
        keep = button(t("dataset.instead"), "keep", title=given.name, row=row)
        shown += f"<div>{picture(given.picture, given.name, 96)}<span class='st-soft'>{escape(name)}</span>{keep}</div>"
    said = escape(t("dataset.copies", count=len(pile) - 1))
    return f'<div class="st-choices"><strong>{said}</strong>{shown}</div>'


def show_training(ui: Ui, planned: PlannedDataset) -> str:
    """Return the ways out: a face that is learnt, at which sizes, a look, and a zip. Where captions say who somebody
    is, a person decides.
    """
    t, opened = ui.t, planned.opened
    told = [one for one in opened.findings if one.code == "identity"]
    kept = len(opened.judged.kept)
    if kept < LEAST_PICTURES:
        body = f"<p class='st-bad'>{escape(t('dataset.too_few', count=kept, needed=LEAST_PICTURES))}</p>"
    elif told:
        phrases = ", ".join(f"“{one.phrase}”" for one in told[:5])
        body = f"<p class='st-bad'>{escape(t('dataset.identity_said', phrases=phrases))}</p>"
        body += f"<p>{escape(t('dataset.identity_why'))}</p><div class='st-row'>"
        body += button(t("dataset.strip"), "train", big=True, identity="strip")
        body += f"{button(t('dataset.anyway'), 'train', identity='keep')}</div>"
    else:
        body = button(t("dataset.train"), "train", big=True, identity="stop")
    if kept >= LEAST_PICTURES:
        body += f"<p class='st-soft'>{escape(t('dataset.train_what', count=kept))}</p>"
    out = link(t("dataset.export"), f"/api/datasets/{opened.dataset.id}/pairs", big=False, download=True)
    look = button(t("dataset.learn_look"), "learn-look")
    look += f"<p class='st-soft'>{escape(t('dataset.learn_look_what'))}</p>"
    return panel(body + _sizes(ui, planned)) + panel(look) + (f"<p>{out}</p>" if kept else "")


def _sizes(ui: Ui, planned: PlannedDataset) -> str:
    """How many photos are learnt at which sizes, and what that costs them."""
    t = ui.t
    lines = [
        t("dataset.plan_size", size=size, count=count) for size, count, _, _ in histogram(planned.plan)
    ]  # fmt: skip
    for name in ("cut", "not_whole", "enlarged"):
        if rows := getattr(planned, name):
            lines.append(t(f"dataset.plan_{name}", count=len(rows)))
    if planned.plan.joined:
        lines.append(t("dataset.plan_joined", count=planned.plan.joined))
    said = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h3>{escape(t('dataset.plan'))}</h3><ul class='st-list' id='plan'>{said}</ul>" if lines else ""


assert {name for name, *_ in _SLIDERS} <= set(Limits.model_fields)
