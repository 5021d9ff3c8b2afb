"""The studio's look: a small Gradio theme with the system's own fonts, and the style sheet beside this file."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

__all__ = ["CSS", "HEAD", "make_theme"]

_FONTS = ("system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif")
CSS = (Path(__file__).resolve().parent / "style.css").read_text(encoding="utf-8")
# nothing that a browser translates by itself is what the studio says
HEAD = "<script>document.documentElement.setAttribute('translate','no')</script>"
# a session that ended in an open tab leads to the login, not to an error a second
HEAD += (
    "<script>(ask=>{window.fetch=async(...all)=>{const got=await ask(...all);"
    "if(got.status===401)location.reload();return got}})(window.fetch.bind(window))</script>"
)


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
