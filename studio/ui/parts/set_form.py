"""A set's settings on the posts page: how person and place are shown, goods, the advanced part. SetSettings both
ways."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.references.catalogue import REFERENCES, find_kind
from studio.domain.capabilities import LiveAbilities, finishes_by_itself, upscaler_of
from studio.domain.limits import limits_of
from studio.domain.persona import Persona
from studio.domain.posts import MOST_RETAKES, USUAL_RETAKES, PostRequest, SetSettings
from studio.domain.scene import ReferenceDials, Scene
from studio.ui.context import Facts, Said, Ui
from studio.ui.parts.chosen import Sections
from studio.ui.parts.goods_form import GoodsForm, build_goods, read_goods, write_goods
from studio.ui.parts.person_form import PersonForm, build_person, fit_person, read_person, write_person
from studio.ui.parts.reference_cards import first_ways
from studio.ui.parts.reference_form import (
    ReferenceForm,
    build_cards,
    build_dials,
    connect_references,
    fit_references,
    read_references,
    write_references,
)
from studio.ui.parts.style_form import StyleForm, build_style, read_style, write_style

__all__ = ["SetForm", "build_form", "fit_form", "fit_settings", "read_form", "show_kept", "write_form"]


@dataclass(frozen=True)
class SetForm:
    """The components of all settings but persona, scene and shots."""

    person: PersonForm
    references: ReferenceForm
    goods: GoodsForm
    seed: gr.Number
    detail: gr.Slider
    renoise: gr.Slider
    keep: gr.Dropdown
    style: StyleForm
    finish: gr.Checkbox
    touch_up: gr.Checkbox
    retakes: gr.Slider
    finished_by_itself: Callable[[], bool]
    """Whether posts are finished where nobody says."""

    @property
    def inputs(self) -> set[Any]:
        own = {self.seed, self.detail, self.renoise, self.keep, self.finish, self.touch_up, self.retakes}
        return self.person.inputs | self.references.inputs | self.goods.inputs | self.style.inputs | own

    @property
    def outputs(self) -> set[Any]:
        own = {self.seed, self.detail, self.renoise, self.keep, self.finish, self.touch_up, self.retakes}
        return self.person.outputs | self.references.outputs | self.goods.outputs | self.style.outputs | own

    @property
    def fitted(self) -> set[Any]:
        """Return what `fit_form` writes."""
        return self.outputs | {self.person.box}


def read_form(form: SetForm, said: Said, owner: str) -> Facts:
    """Return fields of PostRequest from what the components say."""
    return {
        **read_person(form.person, said),
        **read_references(form.references, said),
        **read_goods(form.goods, said),
        **read_style(form.style, said, owner),
        "seed": int(said[form.seed] or 0),
        "detail": float(said[form.detail]),
        "renoise": float(said[form.renoise]),
        "keep": str(said[form.keep]),
        "finish": None if (finish := bool(said[form.finish])) == form.finished_by_itself() else finish,
        # drawings that are finished by themselves are small, and their faces are drawn once more by themselves
        "touch_up": None if (touch := bool(said[form.touch_up])) == form.finished_by_itself() else touch,
        "retakes": int(said[form.retakes]),
    }


def write_form(
    ui: Ui, form: SetForm, settings: SetSettings, who: Persona | None, where: Scene | None, owner: str
) -> Said:
    """Return what the components say of an owner's settings of a set, with the person and the place that it shows."""
    return {
        **write_person(ui, form.person, settings, who),
        **write_references(ui, form.references, settings),
        **write_goods(ui, form.goods, settings, where),
        **write_style(ui, form.style, settings, owner),
        form.seed: settings.seed,
        form.detail: settings.detail,
        form.renoise: settings.renoise,
        form.keep: settings.keep,
        form.finish: form.finished_by_itself() if settings.finish is None else settings.finish,
        form.touch_up: form.finished_by_itself() if settings.touch_up is None else settings.touch_up,
        form.retakes: settings.retakes,
    }


def show_kept(ui: Ui, form: SetForm, way: str) -> gr.Dropdown:
    """Return the ways to keep pixels that can be used now, with one of them chosen."""
    return gr.Dropdown(**_kept_ways(ui, form.references.able) | {"value": way})


def fit_settings(form: SetForm, settings: SetSettings) -> SetSettings:
    """Return a draft's settings for the backbone that is drawn with now: a way to show the place, or to keep pixels,
    that it lacks becomes its first one.
    """
    able, told = form.references.able, dict[str, Any]()
    if settings.inject not in able:
        inject = first_ways(able).inject
        told = {"inject": inject, "scale": float(inject in able), "blocks": "", "dials": ReferenceDials()}
    if not _can_keep(settings.keep, able):
        told["keep"] = limits_of(SetSettings, "keep").default
    return settings.model_copy(update=told)


def fit_form(ui: Ui, form: SetForm) -> Said:
    """Return what the components show of the backbone that is drawn with now: a page may be older than the choice."""
    return {
        **fit_person(form.person, form.references.able),
        **fit_references(ui, form.references),
        form.keep: gr.Dropdown(**_kept_ways(ui, form.references.able)),
        form.finish: gr.Checkbox(form.finished_by_itself(), **_finishing(ui)),
        form.touch_up: gr.Checkbox(form.finished_by_itself(), visible=_can_finish(ui)),
    }


def build_form(ui: Ui, sections: Sections, persona: gr.Dropdown, scene: gr.Dropdown, platform: gr.Dropdown) -> SetForm:
    """Lay the components out in their sections and connect them with each other."""
    t, able = ui.t, LiveAbilities(lambda: ui.studio.settings)
    with sections.person.body:
        person = build_person(ui, persona, able)
    with sections.place.body:
        cards = build_cards(ui, able)
    with sections.goods.body:
        goods = build_goods(ui, scene, platform)

    def finished() -> bool:
        return finishes_by_itself(ui.studio.settings)

    with sections.shots.kept:
        finish = gr.Checkbox(finished(), label=t("posts.finish"), elem_id="finish", **_finishing(ui))
        touch_up = gr.Checkbox(
            finished(), label=t("posts.touch_up"), info=t("posts.touch_up_what"), elem_id="touch-up",
            visible=_can_finish(ui),
        )  # fmt: skip
        retakes = gr.Slider(
            0, MOST_RETAKES, value=USUAL_RETAKES, step=1, label=t("posts.retakes"), info=t("posts.retakes_what"),
            elem_id="retakes",
        )  # fmt: skip
    with sections.advanced.body, gr.Row():
        with gr.Column():
            style = build_style(ui)
            detail = _slider("detail", 0.1, t("posts.detail"), t("posts.detail_what"))
            renoise = _slider("renoise", 0.05, t("posts.renoise"), t("posts.renoise_what"))
            keep = _keep(ui, able)
            seed = limits_of(PostRequest, "seed")
            number = gr.Number(
                seed.default, precision=0, minimum=seed.least, maximum=seed.most, label=t("posts.seed"),
                info=t("posts.seed_what"), elem_id="seed",
            )  # fmt: skip
        with gr.Column():
            dials = build_dials(ui, scene, able)
    references = connect_references(ui, cards, dials, able)
    return SetForm(person, references, goods, number, detail, renoise, keep, style, finish, touch_up, retakes, finished)


def _finishing(ui: Ui) -> dict[str, Any]:
    """Whether the switch can be used, and what is said under it."""
    able = _can_finish(ui)
    return {"interactive": able, "info": ui.t("posts.finish_what" if able else "posts.finish_cannot")}


def _can_finish(ui: Ui) -> bool:
    return upscaler_of(ui.studio.settings) is not None


def _slider(field: str, step: float, label: str, what: str) -> gr.Slider:
    limits = limits_of(PostRequest, field)
    return gr.Slider(limits.least or 0, limits.most or 1, value=limits.default, step=step, label=label, info=what)


def _keep(ui: Ui, able: Collection[str]) -> gr.Dropdown:
    return gr.Dropdown(**_kept_ways(ui, able), label=ui.t("posts.keep"), elem_id="keep")


def _kept_ways(ui: Ui, able: Collection[str]) -> dict[str, Any]:
    """The ways to keep pixels that can be used; what the others lack is said under them."""
    t, rows = ui.t, [row for row in REFERENCES if row.use == "keep"]
    usable = [row for row in rows if _can_keep(row.id, able)]
    choices = [(row.words[t.language].name, row.id) for row in usable]
    lacks = ", ".join(row.words[t.language].model for row in rows if row not in usable)
    said = t("keep.lacking", model=lacks) if lacks else t("keep.what")
    default = limits_of(PostRequest, "keep").default
    return {"choices": choices, "value": default, "info": said}


def _can_keep(way: str, able: Collection[str]) -> bool:
    return not find_kind(way).needs or way in able
