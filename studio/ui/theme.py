"""The studio's look: a small Gradio theme with the system's own fonts, the style sheet beside this file, the head."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from studio.texts.texts import Texts

__all__ = ["CSS", "make_head", "make_theme"]

_FONTS = ("system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif")
CSS = (Path(__file__).resolve().parent / "style.css").read_text(encoding="utf-8")
_PARTS = Path(__file__).resolve().parent / "parts"
_SCRIPT = "".join((_PARTS / name).read_text(encoding="utf-8") for name in ("page.js", "lightbox.js", "gradio_words.js"))


def make_head(t: Texts, run: str) -> str:
    """Return the script of every page's head; `run` is this process's own id (see `studio.web.run_id`)."""
    zoom = {name: t(f"zoom.{name}") for name in ("title", "back", "next", "close")}
    names = {"RUN": run, "WORDS": t("connection.lost"), "ZOOM": zoom, "SAID": t.said_by_gradio}
    told = "".join(f"const {name}={json.dumps(value)};" for name, value in names.items())
    return f"<script>{{{told}{_SCRIPT}}}</script>"


def make_theme() -> gr.themes.Base:
    """Nothing in it is fetched from anywhere."""
    theme = gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=list(_FONTS),
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
    return theme.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_text_color="white",
        slider_color="*primary_700",
        block_label_text_color="*neutral_700",
        block_info_text_color="*neutral_700",
        block_title_text_color="*neutral_800",
        body_text_color_subdued="*neutral_700",
    )
