"""Compare: one shot at several strengths and stages of training, and pictures of the same pose beside each other."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from studio.ui.context import EACH, HIDDEN, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.checkpoint_cards import act_on_drawn_as
from studio.ui.parts.grid_cards import show_grids
from studio.ui.parts.grid_form import fill_grid, lay_out_grid, read_grid
from studio.ui.parts.page_head import open_page
from studio.ui.parts.pose_compare import build_poses

__all__ = ["build"]


def build(ui: Ui) -> None:
    t = ui.t
    pulse = open_page(ui, "lab")
    gr.HTML(f"<h2>{escape(t('grid.title'))}</h2><p class='st-soft'>{escape(t('grid.what'))}</p>", js_on_load=None)
    form = lay_out_grid(ui)
    grids = actions("", "grids")
    opened = gr.State("")

    def load(request: gr.Request) -> Any:
        owner, asked = owner_of(request), dict(request.query_params)
        key = str(asked.get("grid", ""))[:64]
        filled = fill_grid(ui, form, owner, str(asked.get("persona", ""))[:64])
        return {**filled, opened: key, grids: show_grids(ui, owner, key)}

    def start(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        ui.queue.put(read_grid(ui, form, said, owner))
        return {opened: "", grids: show_grids(ui, owner, "")}

    def show(said: Said, request: gr.Request) -> Said:
        return {grids: show_grids(ui, owner_of(request), said[opened])}

    def act(key: str, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), pressed(event)
        if not ui.act(owner, data):
            act_on_drawn_as(ui, owner, data)
        return show_grids(ui, owner, key)

    filled = [form.people, form.misfits, form.scene, form.stages, form.estimate, form.go]
    gr.on(None, guarded(ui, load), None, [*filled, opened, grids], **HIDDEN)
    form.go.click(guarded(ui, start), form.inputs, [opened, grids], **HIDDEN)
    pulse.shows(show, [grids], [opened])
    grids.click(guarded(ui, act), [opened], [grids], **EACH)
    build_poses(ui)
    pulse.connect()
