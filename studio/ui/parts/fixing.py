"""One region of one post, painted by hand and drawn anew."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from pipelines.errors import BadInput
from studio.domain.arrangement import Slot, add_take
from studio.domain.posts import Post, PostSet
from studio.domain.takes import FixRequest
from studio.domain.values import FileKey
from studio.library.grants import grant
from studio.library.scenes import put_mask
from studio.ui.context import HIDDEN, Said, Ui, guarded, owner_of
from studio.ui.parts.painting import build_editor, painted_mask
from studio.ui.parts.post_cards import keep_arrangement, read_arrangement

__all__ = ["Fixing", "build_fixing", "fix_request"]

_CANVAS_PX = 640


@dataclass(frozen=True)
class Fixing:
    """The editor's components; `which` is the set's id, the post's number and the take that is painted on: a better one
    may arrive meanwhile. `done` changes when a job was queued."""

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

    def open(self, post_set: PostSet, slot: Slot) -> tuple[Any, ...]:
        """Show this post in the editor."""
        image = Image.fromarray(self.ui.studio.store.get_picture(slot.post.picture))
        scale = _CANVAS_PX / max(image.size)  # small pictures are painted large
        image = image.resize((round(image.width * scale), round(image.height * scale)))
        shown = {"background": image, "layers": [], "composite": None}
        return gr.Column(visible=True), shown, (post_set.id, slot.number, slot.post)


def fix_request(post_set: PostSet, number: int, post: Post, mask: FileKey, strength: float) -> FixRequest:
    """A take of a post with a region drawn anew; another region or strength is another seed."""
    seed = zlib.crc32(f"{post.picture} {mask} {strength}".encode())
    return FixRequest.make(
        owner=post_set.request.owner,
        post_set=post_set,
        number=number,
        post=post,
        mask=mask,
        seed=seed,
        strength=strength,
    )


def build_fixing(ui: Ui) -> Fixing:
    """Hidden until a post's button opens it."""
    t = ui.t
    with gr.Column(visible=False, elem_id="fixing") as box:
        gr.HTML(f"<h2>{t('fix.title')}</h2><p class='st-soft'>{t('fix.what')}</p>", js_on_load=None)
        editor = build_editor(ui, "fix.paint", "fix-editor", height=560, brush=40)
        with gr.Row():
            strength = gr.Slider(0.3, 1, value=0.8, step=0.05, label=t("fix.strength"), elem_id="fix-strength")
            go = gr.Button(t("fix.go"), variant="primary", elem_id="fix-go")
            leave = gr.Button(t("fix.leave"), elem_id="fix-leave")
    which, done = gr.State(None), gr.State(0)
    fixing = Fixing(ui, box, editor, which, done)

    def start(said: Said, request: gr.Request) -> Any:
        owner, (key, number, post) = owner_of(request), said[which] or ("", 0, None)
        post_set, mask = ui.find(owner, PostSet, key), painted_mask(said[editor])
        if post_set is None or post is None or mask is None:
            raise BadInput("not_painted")
        painted = put_mask(ui.studio.library, mask[..., 0] >= 128)
        grant(ui.studio.records, owner, [painted])
        job = ui.queue.put(fix_request(post_set, number, post, painted, float(said[strength])))
        with ui.turn:
            now = read_arrangement(ui, owner, post_set)
            keep_arrangement(ui, owner, post_set, add_take(now, number, f"{job}:0"))
        return {box: gr.Column(visible=False), done: said[done] + 1}

    go.click(guarded(ui, start), {which, editor, strength, done}, [box, done], show_progress_on=[go], **HIDDEN)
    leave.click(lambda: gr.Column(visible=False), None, [box], **HIDDEN)
    return fixing
