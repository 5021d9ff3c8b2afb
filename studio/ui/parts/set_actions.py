"""Actions of the buttons of a set and of its posts: arrange, caption, draw again, vary, undo, export."""

from __future__ import annotations

import zlib

from studio.domain.arrangement import (
    Arrangement,
    Slot,
    add_take,
    close_choices,
    compose,
    move,
    step_back,
    weak_slots,
)
from studio.domain.posts import PostSet
from studio.domain.takes import VaryRequest
from studio.domain.values import MOST_CAPTION
from studio.ui.context import Pressed, Ui
from studio.ui.parts.post_cards import arrange_shown, keep_arrangement, read_arrangement, take_jobs

__all__ = ["act_on_post", "arranged_set", "redraw_weak"]

_VARIANTS = 3


def arranged_set(ui: Ui, owner: str, post_set: PostSet) -> PostSet:
    """Return the set as it is exported: as a person arranged it."""
    return compose(
        post_set, read_arrangement(ui, owner, post_set), take_jobs(ui, owner, post_set.id), ui.least_identity
    )


def redraw_weak(ui: Ui, owner: str, post_set: PostSet) -> None:
    """Queue a new take of each post with a weak score."""
    said = read_arrangement(ui, owner, post_set)
    for weak in weak_slots(arrange_shown(ui, owner, post_set), ui.least_identity):
        said = _redraw(ui, owner, post_set, said, weak)
    keep_arrangement(ui, owner, post_set, said)


def act_on_post(ui: Ui, owner: str, post_set: PostSet, slot: Slot, data: Pressed) -> None:
    """Do what a button of one post says, and keep what was said of the set."""
    said, jobs = read_arrangement(ui, owner, post_set), take_jobs(ui, owner, post_set.id)
    do, number = data["do"], slot.number
    if do == "leave":
        said = said.model_copy(update={"left_out": tuple(sorted({*said.left_out} ^ {number}))})
    elif do == "caption":
        text = " ".join(data.get("value", "").split())[:MOST_CAPTION]
        said = said.model_copy(update={"captions": {**said.captions, str(number): text}})
    elif do == "move":
        said = move(post_set, said, number, int(data["to"]))
    elif do in ("undo", "redo"):
        said = step_back(said, number, jobs, forward=do == "redo", shown=slot.take)
    elif do == "choose":
        said = add_take(said, number, data["take"])
    elif do == "close":
        said = close_choices(said, number)
    elif do == "redraw":
        said = _redraw(ui, owner, post_set, said, slot)
    elif do == "vary":
        said, job = _draw_again(ui, owner, post_set, said, slot, _VARIANTS)
        said = said.model_copy(update={"choices": {**said.choices, str(number): job}})
    keep_arrangement(ui, owner, post_set, said)


def _redraw(ui: Ui, owner: str, post_set: PostSet, said: Arrangement, slot: Slot) -> Arrangement:
    """The arrangement with a new take of one post, which is shown when it is there and no weaker than before."""
    said, job = _draw_again(ui, owner, post_set, said, slot, 1)
    return add_take(said, slot.number, f"{job}:0", compare=True)


def _draw_again(
    ui: Ui, owner: str, post_set: PostSet, said: Arrangement, slot: Slot, count: int
) -> tuple[Arrangement, str]:
    """Queue `count` takes with seeds that were not drawn yet; the arrangement and the job."""
    turn = said.turns + 1
    seed = zlib.crc32(f"{post_set.id} {slot.number} {turn}".encode()) % 2**31
    asked = VaryRequest.make(
        owner=owner, post_set=post_set, number=slot.number, seed=seed, count=count, shot=slot.post.shot
    )
    return said.model_copy(update={"turns": turn}), ui.queue.put(asked)
