"""How a training went, and which of its kept checkpoints draws the persona: curves, samples, the best one and why."""

from __future__ import annotations

from html import escape

from studio.domain.checkpoints import (
    Best,
    DrawnAs,
    best_checkpoint,
    draw_as,
    kept_checkpoints,
    say_checkpoint,
    say_drawn_as,
)
from studio.domain.persona import Persona, Sample
from studio.library.drawn_as import can_undo, choose_drawn_as, drawn_as, undo_drawn_as
from studio.ui.context import Pressed, Ui
from studio.ui.parts.html import button, curve, picture

__all__ = ["act_on_drawn_as", "show_drawn_as", "show_training", "smooth"]


def act_on_drawn_as(ui: Ui, owner: str, data: Pressed) -> bool:
    """Choose how a persona is drawn, or take that back; whether it was this."""
    if data.get("do") not in ("draw-as", "undo-draw-as"):
        return False
    persona = ui.find(owner, Persona, data.get("persona"))
    if persona is None:
        return True
    with ui.turn:
        if data["do"] == "undo-draw-as":
            undo_drawn_as(ui.studio.records, owner, persona.id)
        else:
            scale = float(data["scale"]) if "scale" in data else None
            step = int(data["checkpoint"]) if "checkpoint" in data else None
            choose_drawn_as(ui.studio.records, owner, persona, scale=scale, checkpoint=step)
    return True


def show_drawn_as(ui: Ui, owner: str, persona: Persona) -> str:
    """Return as HTML how posts draw the persona, with an undo where somebody chose it; "" where nobody did."""
    if not can_undo(ui.studio.records, owner, persona.id):
        return ""
    now = draw_as(persona, drawn_as(ui.studio.records, owner, persona.id))
    how = say_drawn_as(ui.t, now) or ui.t("drawn_as.usual")
    words = ui.t("drawn_as.now", name=f"{persona.name} · {ui.t('version')} {persona.version}", how=how)
    undo = button(ui.t("swap.undo"), "undo-draw-as", title=ui.t("drawn_as.undo"), persona=persona.id)
    return f'<div class="st-row st-drawn-as" role="status"><span>✓ {escape(words)}</span>{undo}</div>'


def show_training(ui: Ui, owner: str, persona: Persona) -> str:
    """Return as HTML the curves of a training and a card for each checkpoint, those that were kept with a button."""
    t = ui.t
    losses = [] if persona.losses is None else ui.studio.store.get_json(persona.losses)
    chart = curve([(i + 1, v) for i, v in enumerate(smooth(losses))], t("loss"), t("step"), t("loss"))
    if not persona.samples:
        return chart
    name, best = t("samples.identity"), best_checkpoint(persona)
    likeness = curve([(row.step, row.identity) for row in persona.samples], name, t("step"), name)
    now = drawn_as(ui.studio.records, owner, persona.id)
    kept = kept_checkpoints(persona)
    figures = "".join(_figure(ui, persona, row, best, now, row in kept) for row in persona.samples)
    return (
        f'{show_drawn_as(ui, owner, persona)}<div class="st-curves">{chart}{likeness}</div>'
        f"{_say_best(ui, persona, best)}"
        f'<div class="st-strip st-samples st-wrap">{figures}</div>'
    )


def smooth(values: list[float], over: int = 10) -> list[float]:
    """Return the means of each value and those before it."""
    means = []
    for i in range(len(values)):
        part = values[max(0, i - over + 1) : i + 1]
        means.append(sum(part) / len(part))
    return means


def _say_best(ui: Ui, persona: Persona, best: Best | None) -> str:
    if best is None or best.why == "only":
        return ""
    words = ui.t(f"checkpoint.{best.why}", stage=say_checkpoint(ui.t, persona, best.step), value=f"{best.identity:.2f}")
    return f"<p>★ {escape(words)}</p>"


def _figure(ui: Ui, persona: Persona, row: Sample, best: Best | None, now: DrawnAs, kept: bool) -> str:
    t, last = ui.t, persona.samples[-1].step
    step = 0 if row.step == last else row.step
    stage = say_checkpoint(t, persona, row.step)
    images = "".join(picture(key, f"{persona.name}: {stage}", 120) for key in row.pictures)
    is_best = best is not None and best.why != "only" and best.step == step
    words = ("★ " if is_best else "") + t("checkpoint.at", stage=stage, value=f"{row.identity:.2f}")
    use = ""
    if kept and len(persona.samples) > 1:
        title = t("checkpoint.use_what", stage=stage)
        use = button(
            t("checkpoint.use"), "draw-as", pressed=now.checkpoint == step, title=title, persona=persona.id,
            checkpoint=step,
        )  # fmt: skip
    frame = ' class="best"' if is_best else ""
    return f"<figure{frame}>{images}<figcaption>{escape(words)}</figcaption>{use}</figure>"
