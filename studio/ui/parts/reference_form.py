"""How the place is shown to the model: the way as a card, how strongly, and the dials that each way has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from pipelines.pictures import PICTURE_SUFFIXES
from studio.domain.capabilities import backbone_facts
from studio.domain.limits import limits_of
from studio.domain.posts import PostRequest, SetSettings
from studio.domain.scene import ReferenceDials
from studio.library.scenes import add_place, add_weights
from studio.ui.context import EACH, HIDDEN, Facts, Said, Ui, actions, guarded, in_turn, owner_of, pressed
from studio.ui.parts.html import picture
from studio.ui.parts.reference_cards import PANELS, Ways, choose_way, first_ways, most_strength, show_ways

__all__ = [
    "Cards", "Dials", "ReferenceForm", "build_cards", "build_dials", "connect_references", "fit_references",
    "read_references",
    "write_references",
]  # fmt: skip

_SEVERAL = ("redux", "ip-adapter", "references")  # ways that show further places, too


@dataclass(frozen=True)
class Dials:
    """Components in the advanced part; `pictures` is a state of ReferenceDials: what was uploaded."""

    redux: gr.Column
    pool: gr.Slider
    merge: gr.Slider
    weights: gr.File
    adapter: gr.Column
    blocks: gr.Textbox
    more: gr.Column
    also: gr.File
    pictures: gr.State
    shown: gr.HTML
    remove: gr.Button


@dataclass(frozen=True)
class Cards:
    """The ways as cards: `ways` is a state, `strengths` the column for the strip of strengths."""

    ways: gr.State
    html: gr.HTML
    strength: gr.Slider
    panels: gr.Dropdown
    strengths: gr.Column


@dataclass(frozen=True)
class ReferenceForm:
    """Cards and dials; `able` are the ways that the backbone has."""

    cards: Cards
    dials: Dials
    able: Collection[str]

    @property
    def inputs(self) -> set[Any]:
        cards, dials = self.cards, self.dials
        return {cards.ways, cards.strength, cards.panels, dials.pool, dials.merge, dials.blocks, dials.pictures}

    @property
    def outputs(self) -> set[Any]:
        cards, dials = self.cards, self.dials
        return self.inputs | {
            cards.html,
            cards.strengths,
            dials.redux,
            dials.adapter,
            dials.more,
            dials.shown,
            dials.remove,
        }


def read_references(form: ReferenceForm, said: Said) -> Facts:
    """Return fields of PostRequest from what the components say; dials that the way does not have are left out."""
    ways, uploaded = said[form.cards.ways], said[form.dials.pictures]
    told: dict[str, Any] = {}
    if ways.inject == "redux":
        told = {"pool": int(said[form.dials.pool]), "merge": float(said[form.dials.merge]), "weights": uploaded.weights}
    if ways.inject in _SEVERAL:
        told["references"] = uploaded.references
    return {
        "inject": ways.inject,
        "scale": float(said[form.cards.strength]),
        "keep_landmark": ways.exact,
        "panels": int(said[form.cards.panels]) if ways.panels else 1,
        "dials": ReferenceDials(**told),
        "blocks": str(said[form.dials.blocks] or "").strip() if ways.inject == "ip-adapter" else "",
    }


def write_references(ui: Ui, form: ReferenceForm, request: SetSettings) -> Said:
    """Return what the components say of a set's settings."""
    ways = Ways(request.inject, exact=request.keep_landmark, panels=request.panels > 1)
    return {
        form.cards.ways: ways,
        **_fit(ui, form, ways, request.scale),
        form.cards.panels: gr.Dropdown(
            list(PANELS), value=request.panels if ways.panels else PANELS[2], visible=ways.panels
        ),
        form.dials.pool: request.dials.pool,
        form.dials.merge: request.dials.merge,
        form.dials.blocks: request.blocks,
        **_show_pictures(ui, form.dials, request.dials),
    }


def build_cards(ui: Ui, able: Collection[str]) -> Cards:
    """Lay the cards out where the caller is."""
    t, ways = ui.t, first_ways(able)
    most = most_strength(ways)
    cards = actions(show_ways(t, ways, able), "ways")
    with gr.Row():
        # where the backbone has no way at all, the words alone say the place
        strength = gr.Slider(
            0, most or 1, value=float(ways.inject in able), step=0.05, label=t("posts.strength"),
            info=t("posts.strength_what"), visible=most > 0 and ways.inject in able, elem_id="strength",
        )  # fmt: skip
        panels = gr.Dropdown(list(PANELS), value=PANELS[2], label=t("ways.panels"), visible=False, elem_id="panels")
    strengths = gr.Column(visible=most > 0 and ways.inject in able)
    return Cards(gr.State(ways), cards, strength, panels, strengths)


def connect_references(ui: Ui, cards: Cards, dials: Dials, able: Collection[str]) -> ReferenceForm:
    """A card that is pressed shows the dials of its way."""
    form = ReferenceForm(cards, dials, able)

    def press(said: Said, event: gr.EventData) -> Any:
        after = choose_way(said[cards.ways], pressed(event).get("way", ""), able)
        return {
            cards.ways: after, **_fit(ui, form, after, said[cards.strength]),
            cards.panels: gr.Dropdown(visible=after.panels),
        }  # fmt: skip

    changed = [
        cards.ways, cards.html, cards.strength, cards.panels, cards.strengths, dials.redux, dials.adapter, dials.more
    ]  # fmt: skip
    cards.html.click(guarded(ui, press), {cards.ways, cards.strength}, changed, **(EACH | in_turn("ways")))
    return form


def fit_references(ui: Ui, form: ReferenceForm) -> Said:
    """Return what the components say before anybody chose, with the backbone that is drawn with now."""
    ways = first_ways(form.able)
    shown = most_strength(ways) > 0 and ways.inject in form.able
    return {
        form.cards.ways: ways,
        **_fit(ui, form, ways, float(ways.inject in form.able)),
        form.cards.strength: gr.Slider(
            maximum=most_strength(ways) or 1, value=float(ways.inject in form.able), visible=shown
        ),
        form.cards.strengths: gr.Column(visible=shown),
        form.cards.panels: gr.Dropdown(visible=False),
    }


def _fit(ui: Ui, form: ReferenceForm, ways: Ways, strength: float) -> Said:
    """The components that depend on the way."""
    most = most_strength(ways)
    return {
        form.cards.html: show_ways(ui.t, ways, form.able, backbone_facts(ui.studio.settings)),
        form.cards.strength: gr.Slider(maximum=most or 1, value=min(strength, most) if most else 1, visible=most > 0),
        form.cards.strengths: gr.Column(visible=most > 0),
        form.dials.redux: gr.Column(visible=ways.inject == "redux"),
        form.dials.adapter: gr.Column(visible=ways.inject == "ip-adapter"),
        form.dials.more: gr.Column(visible=ways.inject in _SEVERAL),
    }


def build_dials(ui: Ui, scene: gr.Dropdown, able: Collection[str]) -> Dials:
    """Lay the dials out where the caller is; weights go with a scene, and go when it changes."""
    t, way = ui.t, first_ways(able).inject
    with gr.Column(visible=way in _SEVERAL) as more:
        also = gr.File(
            label=t("dials.also"), file_count="multiple", file_types=[*PICTURE_SUFFIXES], height=110, elem_id="also"
        )
        shown = gr.HTML("", js_on_load=None, padding=False, elem_id="dials-pictures")
        remove = gr.Button(t("dials.remove"), visible=False, size="sm", elem_id="dials-remove")
    with gr.Column(visible=way == "redux") as redux:
        weights = gr.File(
            label=t("dials.weights"), file_count="single", file_types=[*PICTURE_SUFFIXES], height=110, elem_id="weights"
        )
        pool = gr.Slider(1, 9, value=1, step=1, label=t("dials.pool"), info=t("dials.pool_what"), elem_id="pool")
        merge = gr.Slider(
            0.5, 1, value=1, step=0.01, label=t("dials.merge"), info=t("dials.merge_what"), elem_id="merge"
        )
    with gr.Column(visible=way == "ip-adapter") as adapter:
        blocks = gr.Textbox(
            "", label=t("dials.blocks"), info=t("dials.blocks_what"), placeholder="0-4,9=0.5", elem_id="blocks",
            max_length=limits_of(PostRequest, "blocks").longest,
        )  # fmt: skip
    dials = Dials(redux, pool, merge, weights, adapter, blocks, more, also, gr.State(ReferenceDials()), shown, remove)
    _connect(ui, dials, scene)
    return dials


def _connect(ui: Ui, dials: Dials, scene: gr.Dropdown) -> None:
    def keep(now: ReferenceDials) -> Any:
        return _show_pictures(ui, dials, now)

    def put_places(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        added = tuple(add_place(ui.studio.library, Path(path), owner) for path in said[dials.also] or ())
        return keep(said[dials.pictures].model_copy(update={"references": added}))

    def put_weights(said: Said, request: gr.Request) -> Any:
        owner, path, key = owner_of(request), said[dials.weights], None
        if path:
            place = next((s for s in ui.scenes(owner) if s.id == said[scene]), None)
            if place is None:
                raise BadInput("scene_not_chosen")
            key = add_weights(ui.studio.library, place, Path(path), owner)
        return keep(said[dials.pictures].model_copy(update={"weights": key}))

    def forget(said: Said) -> Any:
        return {dials.weights: None, **keep(said[dials.pictures].model_copy(update={"weights": None}))}

    def remove() -> Any:
        return {dials.also: None, dials.weights: None, **keep(ReferenceDials())}

    pictures, outputs = dials.pictures, [dials.pictures, dials.shown, dials.remove]
    dials.remove.click(guarded(ui, remove), None, [dials.also, dials.weights, *outputs], **HIDDEN)
    gr.on([dials.also.upload, dials.also.clear], guarded(ui, put_places), {dials.also, pictures}, outputs, **HIDDEN)
    gr.on(
        [dials.weights.upload, dials.weights.clear], guarded(ui, put_weights), {dials.weights, pictures, scene},
        outputs, **HIDDEN,
    )  # fmt: skip
    scene.input(guarded(ui, forget), {pictures}, [dials.weights, *outputs], **HIDDEN)


def _show_pictures(ui: Ui, form: Dials, dials: ReferenceDials) -> Said:
    """The components of what is shown besides the scene."""
    html = _pictures(ui, dials)
    return {form.pictures: dials, form.shown: html, form.remove: gr.Button(visible=bool(html))}


def _pictures(ui: Ui, dials: ReferenceDials) -> str:
    keys = [*(place.photo for place in dials.references), *([dials.weights] if dials.weights else [])]
    if not keys:
        return ""
    words = ui.t("dials.kept", count=len(dials.references), weights=ui.t("yes" if dials.weights else "no"))
    strip = "".join(picture(key, words, 96) for key in keys)
    return f'<p class="st-soft">{escape(words)}</p><div class="st-strip">{strip}</div>'
