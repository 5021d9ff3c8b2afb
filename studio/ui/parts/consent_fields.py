"""Fields of who agreed to what: the same for a face file and for photos."""

from __future__ import annotations

from typing import Any

import gradio as gr

from personas.looks import LOOK_CATEGORIES
from studio.ui.context import Ui

__all__ = ["build_consent", "build_look"]


def build_look(ui: Ui, prefix: str) -> gr.Radio:
    """Lay out the choice of a look."""
    t = ui.t
    return gr.Radio(
        [(look.name_zh if t.language == "zh" else look.name_en, look.id) for look in LOOK_CATEGORIES],
        value="sweet", label=t("design.category"), elem_id=f"{prefix}-category",
    )  # fmt: skip


def build_consent(ui: Ui, prefix: str) -> dict[str, Any]:
    """Lay out who agreed, what for and until when; return the components by the request's fields."""
    t, fields = ui.t, dict[str, Any]()
    with gr.Row():
        for name in ("who", "scope"):
            fields[name] = gr.Textbox(
                "", label=t(f"adding.{name}"), placeholder=t(f"adding.{name}_hint"), max_length=300,
                elem_id=f"{prefix}-{name}",
            )  # fmt: skip
        fields["expires"] = gr.Textbox("", label=t("adding.expires"), placeholder="2028-12-31", max_length=30)
    return fields
