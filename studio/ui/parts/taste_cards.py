"""A taste as HTML: the picture of the walk, what was read in a comment, and what is liked and disliked as chips."""

from __future__ import annotations

from collections.abc import Collection
from html import escape

from personas.taste.attributes import load_attributes
from personas.taste.reading import Question
from studio.domain.taste import Said, Scope, Taste, TasteItem
from studio.taste.saying import say_attribute, say_question
from studio.taste.walk import WALK, Walk
from studio.ui.context import Ui
from studio.ui.parts.html import button, empty, panel, picture

__all__ = ["scope_name", "show_question", "show_read", "show_taste", "show_walk"]

_STEP = 25  # of the strength, in hundredths


def show_walk(ui: Ui, walk: Walk) -> str:
    """Return the picture that is shown, and what can be tapped; where the walk is over, how to begin again."""
    t = ui.t
    if walk.over:
        said = t("taste.walk_over" if len(walk.passed) >= WALK else "taste.walk_ended")
        return panel(f"<p>{escape(said)}</p>{button(t('taste.walk_again'), 'walk-again')}", "done")
    number = len(walk.passed) + 1
    said = t("taste.walk_at", number=number, count=WALK)
    key = walk.picture
    row = (
        button(t("taste.like"), "walk-like", picture=key)
        + button(t("taste.dislike"), "walk-dislike", picture=key)
        + button(t("taste.skip"), "walk-skip", picture=key)
        + button(t("taste.walk_end"), "walk-end", quiet=True)
    )
    bar = f'<div class="st-bar"><i style="width:{100 * len(walk.passed) / WALK:.0f}%"></i></div>'
    shown = picture(walk.picture, t("taste.walk_picture", number=number), 640)
    return f'<p aria-live="polite"><strong>{escape(said)}</strong></p>{bar}{shown}<div class="st-row">{row}</div>'


def show_read(
    ui: Ui, said: Said | None, question: Question | None, note: str = "", removed: Collection[str] = ()
) -> str:
    """Return what was read in a comment, and what is asked back with chips to answer it; what was `removed` by hand
    before does not count, which is said, and one tap brings it back."""
    t = ui.t
    if said is None:
        return ""
    words = [f"{'+' if item.weight > 0 else '−'} {say_attribute(t, item.attribute)}" for item in said.items]
    told = f"<p>{escape(t('taste.read', what=' · '.join(words)))}</p>" if words else ""
    asked = "" if question is None else show_question(ui, question)
    warn = f"<p class='st-soft'>{escape(note)}</p>" if note else ""
    for one in dict.fromkeys(item.attribute for item in said.items if item.attribute in removed):
        again = button(t("taste.count"), "forget", attribute=one)
        warn += f"<p>{escape(t('taste.removed', what=say_attribute(t, one)))} {again}</p>"
    return panel(told + asked + warn, "warn" if asked or warn else "")


def show_question(ui: Ui, question: Question) -> str:
    """Return a question with its chips: a field opens its values, a value is liked or disliked with one tap."""
    t, known = ui.t, load_attributes()
    chips = ""
    for chip in question.chips:
        if chip in known.fields:
            chips += button(say_attribute(t, chip), "ask-field", field=chip)
            continue
        name = say_attribute(t, chip)
        chips += (
            f'<span class="st-chip">{escape(name)} '
            f"{button('＋', 'chip', title=t('taste.like_it', what=name), attribute=chip, weight='1')}"
            f"{button('－', 'chip', title=t('taste.dislike_it', what=name), attribute=chip, weight='-1')}</span>"
        )
    return f'<p>{escape(say_question(t, question))}</p><div class="st-row">{chips}</div>'


def show_taste(ui: Ui, taste: Taste, up: int, down: int) -> str:
    """Return what is liked and what not as chips, with how strongly and why; each can be changed and removed."""
    t, items = ui.t, [item for item in taste.items() if item.weight or not item.muted]  # the others were removed
    votes = f"<p class='st-soft'>{escape(t('taste.votes', up=up, down=down))}</p>" if up or down else ""
    if not items:
        return votes + f"<p>{escape(t('taste.votes_alone'))}</p>" if votes else empty(t("taste.none_yet"))
    rows = ""
    for key, chosen in (
        ("taste.liked", [item for item in items if item.weight > 0]),
        ("taste.disliked", [item for item in items if item.weight < 0]),
        ("taste.either", [item for item in items if item.weight == 0]),
    ):
        if chosen:
            chips = "".join(_chip(ui, item) for item in chosen)
            rows += f'<h3>{escape(t(key))}</h3><div class="st-taste">{chips}</div>'
    return rows + votes


def _chip(ui: Ui, item: TasteItem) -> str:
    t, one = ui.t, item.attribute
    name = f"{say_attribute(t, one.partition('.')[0])}: {say_attribute(t, one)}"
    label = escape(t("taste.strength", what=name))
    slider = (
        f'<input type="range" min="-100" max="100" step="{_STEP}" value="{round(100 * item.weight)}" data-do="weight" '
        f'data-attribute="{one}" data-key="weight-{one}" aria-label="{label}">'
        f'<div class="st-ends" aria-hidden="true"><span>{escape(t("taste.dislike"))}</span>'
        f"<span>{escape(t('taste.like'))}</span></div>"
    )
    notes = [t("taste.by_hand")] if item.source == "hand" else []
    notes += [t("taste.muted")] if item.muted else []
    marks = "".join(f'<span class="st-soft">{escape(note)}</span>' for note in notes)
    if item.conflicts:
        marks += f'<span class="st-bad">⚠ {escape(t("taste.conflicts"))}</span>'
    quotes = [one.quote for one in item.evidence]
    why = ""
    if quotes:
        lines = "".join(f"<li>“{escape(quote)}”</li>" for quote in quotes[:5])
        hover = escape(" · ".join(quotes[:5]))
        summary = escape(t("taste.why_so", count=len(quotes)))
        why = f'<details title="{hover}"><summary>{summary}</summary><ul>{lines}</ul></details>'
    count = button(t("taste.count" if item.muted else "taste.mute"), "mute", pressed=item.muted,
                   title=t("taste.mute_what", what=name), attribute=one, muted="" if item.muted else "1")  # fmt: skip
    off = button("×", "remove", title=t("taste.remove", what=name), attribute=one)
    muted = " muted" if item.muted else ""
    return (
        f'<div class="st-chip{muted}"><div class="st-row"><strong>{escape(name)}</strong>{marks}</div>{slider}'
        f'<div class="st-row">{count}{off}</div>{why}</div>'
    )


def scope_name(ui: Ui, scope: Scope) -> str:
    """Return where a taste holds in words."""
    return ui.t(f"taste.scope.{scope.kind}", name=scope.name)
