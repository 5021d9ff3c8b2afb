"""One region of one post, painted by hand and drawn anew."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from pipelines.errors import BadInput
from studio.domain.arrangement import Slot, add_take, arrange
from studio.domain.posts import PostSet
from studio.domain.takes import FixRequest
from studio.domain.values import FileKey
from studio.library.grants import grant
from studio.library.scenes import put_mask
from studio.ui.context import HIDDEN, Ui, guarded, owner_of
from studio.ui.pages.scenes import painted_mask
from studio.ui.parts.post_cards import facts_of, take_jobs

__all__ = ["Fixing", "build_fixing", "fix_request"]

_EDITOR_PX = 900
_CANVAS_PX = 640


@dataclass(frozen=True)
class Fixing:
    """The editor's components; `which` is the set's id and the post's number, `done` changes when a job was queued."""

    ui: Ui
    box: gr.Column
    editor: gr.ImageEditor
    which: gr.State
    done: gr.State

    @property
    def outputs(self) -> list[Any]:
        return [self.box, self.editor, self.which]

    def nothing(self) -> tuple[Any, ...]:
        """Leave the editor as it is."""
        return gr.skip(), gr.skip(), gr.skip()

    def open(self, owner: str, post_set: PostSet, slot: Slot) -> tuple[Any, ...]:
        """Show this post in the editor."""
        image = Image.fromarray(self.ui.studio.store.get_picture(slot.post.picture))
        scale = _CANVAS_PX / max(image.size)  # small pictures are painted large
        image = image.resize((round(image.width * scale), round(image.height * scale)))
        return gr.Column(visible=True), {"background": image, "layers": [], "composite": None}, (
            post_set.id, slot.number
        )  # fmt: skip


def fix_request(post_set: PostSet, slot: Slot, mask: FileKey, strength: float) -> FixRequest:
    """A region of the shown post; another region or strength is another seed."""
    seed = zlib.crc32(f"{slot.post.picture} {mask} {strength}".encode())
    return FixRequest.make(
        post_set=post_set, number=slot.number, post=slot.post, mask=mask, seed=seed, strength=strength,
        owner=post_set.request.owner,
    )  # fmt: skip


def build_fixing(ui: Ui) -> Fixing:
    """Hidden until a post's button opens it."""
    t = ui.t
    with gr.Column(visible=False, elem_id="fixing") as box:
        gr.HTML(f"<h2>{t('fix.title')}</h2><p class='st-soft'>{t('fix.what')}</p>", js_on_load=None)
        editor = gr.ImageEditor(
            label=t("fix.paint"), type="pil", sources=[], transforms=[], layers=False, height=560,
            brush=gr.Brush(default_size=40, colors=["#ff3b8d"], color_mode="fixed"), buttons=[],
            elem_id="fix-editor", canvas_size=(_EDITOR_PX, _EDITOR_PX), interactive=True,
        )  # fmt: skip
        with gr.Row():
            strength = gr.Slider(0.3, 1, value=0.8, step=0.05, label=t("fix.strength"), elem_id="fix-strength")
            go = gr.Button(t("fix.go"), variant="primary", elem_id="fix-go")
            leave = gr.Button(t("fix.leave"), elem_id="fix-leave")
    which, done = gr.State(None), gr.State(0)
    fixing = Fixing(ui, box, editor, which, done)

    def start(what: Any, painted: Any, how: float, times: int, request: gr.Request) -> Any:
        owner = owner_of(request)
        post_set = next((s for s in ui.results(owner, PostSet) if what and s.id == what[0]), None)
        mask = painted_mask(painted)
        if post_set is None or mask is None:
            raise BadInput("Nothing was painted.", "Paint over what should be drawn anew.", code="not_painted")
        facts = facts_of(ui, owner, post_set)
        slot = next(s for s in arrange(post_set, facts, take_jobs(ui, owner)).slots if s.number == what[1])
        key = put_mask(ui.studio.library, mask[..., 0] >= 128)
        grant(ui.studio.records, owner, [key])
        job = ui.queue.put(fix_request(post_set, slot, key, float(how)))
        with ui.turn:
            facts = facts_of(ui, owner, post_set)
            ui.mark(owner, f"posts:{post_set.id}", **add_take(facts, slot.number, f"{job}:0").as_marks())
        return gr.Column(visible=False), times + 1

    go.click(guarded(ui, start), [which, editor, strength, done], [box, done], **HIDDEN)
    leave.click(lambda: gr.Column(visible=False), None, [box], **HIDDEN)
    return fixing
