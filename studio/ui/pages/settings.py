"""Settings: which backbone the studio draws with, what each costs in memory and time, and what its licence allows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from threading import Lock

import gradio as gr

from pipelines.errors import BadInput, ModelMissing
from pipelines.models.catalogue import KnownModel
from pipelines.models.licences import LICENCES, USES, find_licence
from studio.domain.capabilities import BackboneFacts
from studio.domain.choice import Speeds, estimate_seconds
from studio.domain.installed import InstalledBackbone, list_installed, list_published
from studio.domain.training import training_refusal
from studio.library.saved_settings import read_speeds
from studio.library.users import check_administrator
from studio.texts.licences import say_licence, say_permission, say_read_on
from studio.ui.context import HIDDEN, Ui, actions, guarded, owner_of, pressed, toast
from studio.ui.parts.endpoint_form import build_endpoint
from studio.ui.parts.html import button, card, panel, table
from studio.ui.parts.machine_state import build_machine_state
from studio.ui.parts.page_head import open_page
from studio.ui.parts.session_list import build_sessions
from studio.workflows.choosing import Memory, ask_apart, check_loadable, choose_backbone, plan_memory

__all__ = ["build", "show_backbones"]

_MEASURED: dict[tuple[str, ...], dict[str, Memory]] = {}  # the last answer: it takes seconds, and a machine stays
_MEASURING = Lock()


def build(ui: Ui) -> None:
    t = ui.t
    pulse = open_page(ui, "settings")
    html = actions("", "backbones")
    build_endpoint(ui)
    build_machine_state(ui, pulse)
    build_sessions(ui)

    def load(request: gr.Request) -> str:
        return show_backbones(ui, owner_of(request), _known_memory(ui))

    def measure(request: gr.Request) -> str:
        return show_backbones(ui, owner_of(request), _measure_memory(ui))

    def act(event: gr.EventData, request: gr.Request) -> str:
        owner, data = owner_of(request), pressed(event)
        if data.get("do") == "use":
            check_administrator(ui.users, ui.studio.settings.owner, owner)
            row = next((r for r in _installed(ui) if r.choice.backbone == data.get("backbone")), None)
            if row is None:
                raise BadInput("backbone_gone")
            if row.chosen:
                return show_backbones(ui, owner, _known_memory(ui))
            toast(t("settings.checking", name=row.name))
            choose_backbone(ui.studio, row.choice, lambda settings: ask_apart(check_loadable, settings))
            toast(t("settings.chosen_now", name=row.name))
        return show_backbones(ui, owner, _known_memory(ui))

    shown = gr.on(None, guarded(ui, load), None, [html], **HIDDEN)
    shown.then(guarded(ui, measure), None, [html], **HIDDEN)
    html.click(guarded(ui, act), None, [html], **HIDDEN)  # one at a time: it takes seconds
    pulse.connect()


def show_backbones(ui: Ui, owner: str, memory: dict[str, Memory] | None) -> str:
    """Return the page's HTML; `memory` None: still being measured."""
    t, studio = ui.t, ui.studio
    installed, speeds = _installed(ui), read_speeds(studio.settings.data)
    who = ui.users.administrator(studio.settings.owner)
    may_choose = not studio.backbone_is_given and who in (None, owner)
    notes = []
    if studio.backbone_is_given:
        notes.append(t("settings.given", backbone=studio.settings.backbone))
    elif who not in (None, owner):
        notes.append(t("settings.who", who=who))
    told = "".join(panel(escape(note)) for note in notes)
    cards = "".join(_card(ui, row, memory, speeds, may_choose, _trained_here(row, installed)) for row in installed)
    here = f"<h2>{escape(t('settings.here'))}</h2>{_machine(ui, memory)}<div class='st-grid st-wide'>{cards}</div>"
    named = {row.facts.id for row in installed if row.facts is not None}
    published = [model for model in list_published(studio.settings) if model.id not in named]
    there = f"<h2>{escape(t('settings.there'))}</h2><p class='st-soft'>{escape(t('settings.how'))}</p>"
    return told + here + (there + _published(ui, published) if published else "")


def _installed(ui: Ui) -> tuple[InstalledBackbone, ...]:
    return list_installed(ui.studio.settings, ui.studio.choice, ui.studio.saved.read().places)


def _trained_here(row: InstalledBackbone, installed: Sequence[InstalledBackbone]) -> str:
    """Return the names of those here that draw with what is trained on this one, "" for none."""
    if row.facts is None:
        return ""
    names = [o.name for o in installed if o.facts is not None and o.facts.variant.train_on == row.facts.variant.id]
    return ", ".join(names)


def _names(ui: Ui) -> tuple[str, ...]:
    return tuple(row.choice.backbone for row in _installed(ui) if row.facts is not None)


def _known_memory(ui: Ui) -> dict[str, Memory] | None:
    return _MEASURED.get(_names(ui))


def _measure_memory(ui: Ui) -> dict[str, Memory]:
    names = _names(ui)
    with _MEASURING:  # whoever comes meanwhile waits for the same answer
        if names not in _MEASURED:
            choices = [row.choice for row in _installed(ui) if row.facts is not None]
            found = ask_apart(plan_memory, ui.studio.settings, choices)
            _MEASURED.clear()
            _MEASURED[names] = found
        return _MEASURED[names]


def _machine(ui: Ui, memory: dict[str, Memory] | None) -> str:
    t, one = ui.t, next(iter((memory or {}).values()), None)
    if one is None:
        return f"<p class='st-soft'>{escape(t('settings.measuring'))}</p>" if memory is None else ""
    said = t(f"settings.machine.{'gpu' if one.device != 'cpu' else 'cpu'}", device=_gb(one.device_bytes),
             ram=_gb(one.ram_bytes))  # fmt: skip
    return f"<p class='st-soft'>{escape(said)}</p>"


def _card(
    ui: Ui, row: InstalledBackbone, memory: dict[str, Memory] | None, speeds: Speeds, may_choose: bool, trained: str
) -> str:
    t, facts = ui.t, row.facts
    if facts is None:
        why = "" if row.error is None else t.error(row.error)
        return card("", [f"<strong>{escape(row.name)}</strong>", f"<p class='st-bad'>{escape(why)}</p>"], "dropped")
    if row.chosen:
        do = f"<span class='st-good'>✓ {escape(t('settings.chosen'))}</span>"
    else:
        do = button(t("settings.use"), "use", backbone=row.choice.backbone) if may_choose else ""
    plans = (memory or {}).get(row.choice.backbone)
    body = [
        f"<strong>{escape(row.name)}</strong><span class='st-soft'>{escape(facts.family_name)}</span>",
        f"<div class='st-row'>{do}</div>",
        _licence(ui, facts.licence),
        _facts(ui, facts, speeds, row.choice.backbone),
        _training(ui, row, facts, trained),
        "" if plans is None else _memory(ui, plans),
    ]
    return card("", body, "kept" if row.chosen else "")


def _licence(ui: Ui, licence: str) -> str:
    """The three answers, when they were read, and the licence in a sentence."""
    t, known = ui.t, find_licence(licence)
    said = f"<p class='st-soft'>{escape(say_licence(t, licence))}</p>"
    if known.id not in LICENCES:
        return said
    colon = "：" if t.language == "zh" else ": "
    colours = {"yes": "st-good", "no": "st-bad", "paid": "st-bad"}
    rows = "".join(
        f"<li>{escape(t(f'licence.use.{use}'))}{colon}<span class='{colours.get(known.allows(use), '')}'>"
        f"{escape(say_permission(t, known.allows(use)))}</span></li>"
        for use in USES
    )
    read = f"{known.id} · {say_read_on(t, known)}"
    return f"<ul class='st-list'>{rows}</ul>{said}<p class='st-soft'>{escape(read)}</p>"


def _facts(ui: Ui, facts: BackboneFacts, speeds: Speeds, name: str) -> str:
    """What it can do, and how long a picture takes where that was measured."""
    t, drawn = ui.t, facts.drawn
    uses = (", " if t.language == "en" else "、").join(t(f"settings.can.{use}") for use in _uses(facts))
    known = speeds.of.get(name)
    if known is not None:
        took = t("settings.took", seconds=f"{known.seconds:.1f}")
    else:
        work = drawn.steps * drawn.passes * drawn.height * drawn.width
        estimate = estimate_seconds(list(speeds.of.values()), facts.family, facts.width, work)
        took = t("settings.not_measured") if estimate is None else t("settings.estimate", seconds=f"{estimate:.1f}")
    lines = [
        t("settings.drawn", steps=drawn.steps * drawn.passes, height=drawn.height, width=drawn.width),
        took,
        t("settings.can", uses=uses),
    ]
    return "".join(f"<p class='st-soft'>{escape(line)}</p>" for line in lines)


def _training(ui: Ui, row: InstalledBackbone, facts: BackboneFacts, trained: str) -> str:
    """Where its personas are trained, whether that is here, and for whom it trains."""
    t, model = ui.t, facts.variant.train_on
    lines = [f"<p class='st-soft'>{escape(t('settings.trains', models=trained))}</p>"] if trained else []
    if model:
        why = training_refusal(ui.studio.settings.model_copy(update=row.choice.model_dump()))
        if why is None:
            lines.append(f"<p class='st-soft'>{escape(t('settings.train_on', model=model))}</p>")
        else:
            said = t("settings.train_missing", model=model) if isinstance(why, ModelMissing) else t.error(why)
            lines.append(f"<p class='st-bad'>{escape(said)}</p>")
    return "".join(lines)


def _uses(facts: BackboneFacts) -> list[str]:
    """What it can do here: companions that are not installed can do nothing."""
    return [use for use in facts.can.uses if use not in facts.can.companions or use in facts.companions]


def _memory(ui: Ui, memory: Memory) -> str:
    t = ui.t
    rows = [
        [
            escape(plan.precision + (f" ({t('settings.automatic')})" if plan.precision == memory.automatic else "")),
            escape(_gb(plan.device_bytes)),
            escape(_gb(plan.ram_bytes)),
            f"<span class='{'st-good' if plan.fits else 'st-bad'}'>"
            f"{escape(t('settings.fits' if plan.fits else 'settings.too_large'))}</span>",
        ]
        for plan in memory.plans
    ]
    return table([t(f"settings.{name}") for name in ("precision", "device", "ram", "here_fits")], rows)


def _published(ui: Ui, models: Sequence[KnownModel]) -> str:
    t = ui.t
    rows = []
    for model in models:
        licence = find_licence(model.licence)
        size = f"{2 * model.parameters / 1e9:.0f} GB" if model.parameters else "–"
        answers = [escape(say_permission(t, licence.allows(use))) for use in USES]
        command = f"<code>persona-studio backbones fetch {escape(model.id)}</code>"
        rows.append([escape(model.id), *answers, escape(say_read_on(t, licence)), escape(size), command])
    names = [t("settings.model"), *(t(f"licence.use.{use}") for use in USES)]
    names += [t("settings.licence_read"), t("settings.bf16"), t("settings.get")]
    return f"<div class='st-published'>{table(names, rows)}</div>"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
