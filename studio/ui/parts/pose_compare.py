"""Sets beside each other, pose by pose: what another place, another persona or another strength made of the same."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from studio.domain.posts import PostSet
from studio.domain.same_pose import PoseRow, same_pose
from studio.jobs.album_sets import arranged_set
from studio.library.groups import groups_named
from studio.library.index import Search, find_things
from studio.ui.context import HIDDEN, LATEST, Ui, guarded, owner_of
from studio.ui.parts.html import empty, link, picture
from studio.ui.parts.opened_set import set_url
from studio.ui.parts.post_cards import show_scores
from studio.ui.parts.thing_cards import thing_name

__all__ = ["build_poses", "show_poses"]

_MOST_SETS, _LISTED = 4, 100


def build_poses(ui: Ui) -> None:
    """Lay out a choice of sets and what they show of the same poses, and connect them."""
    t = ui.t
    gr.HTML(f"<h2>{escape(t('poses.title'))}</h2><p class='st-soft'>{escape(t('poses.what'))}</p>", js_on_load=None)
    with gr.Row():
        who = gr.Dropdown([], label=t("posts.persona"), elem_id="poses-who", scale=1)
        sets = gr.Dropdown(
            [], multiselect=True, max_choices=_MOST_SETS, label=t("poses.sets"), elem_id="poses-sets", scale=3
        )
    shown = gr.HTML("", js_on_load=None, padding=False, elem_id="poses")

    def load(request: gr.Request) -> Any:
        owner = owner_of(request)
        people = [(name, name) for name in groups_named(ui.studio.records, owner, "person")]
        asked = str(dict(request.query_params).get("set", ""))[:64]
        choices = _sets(ui, owner, "")
        first = [key for _, key in choices if key == asked] or [key for _, key in choices[:2]]
        return {
            who: gr.Dropdown([(t("library.any_tag"), ""), *people], value=""),
            sets: gr.Dropdown(choices, value=first, multiselect=True),
            shown: show_poses(ui, owner, first),
        }

    def narrow(name: str | None, request: gr.Request) -> Any:
        owner = owner_of(request)
        choices = _sets(ui, owner, name or "")
        first = [key for _, key in choices[:2]]
        return gr.Dropdown(choices, value=first, multiselect=True), show_poses(ui, owner, first)

    def compare(keys: list[str] | None, request: gr.Request) -> str:
        return show_poses(ui, owner_of(request), keys or [])

    gr.on(None, guarded(ui, load), None, [who, sets, shown], **HIDDEN)
    who.input(guarded(ui, narrow), [who], [sets, shown], **LATEST)
    sets.input(guarded(ui, compare), [sets], [shown], **LATEST)


def show_poses(ui: Ui, owner: str, keys: Sequence[str]) -> str:
    """Return as HTML a row for each pose that at least two of these sets show, as their owner arranged them."""
    t = ui.t
    sets = [found for key in keys[:_MOST_SETS] if (found := ui.find(owner, PostSet, key)) is not None]
    if len(sets) < 2:
        return empty(t("poses.choose_two"))
    arranged = [arranged_set(ui.studio, owner, one) for one in sets]
    rows, others = same_pose([one.posts for one in arranged])
    if not rows:
        return empty(t("poses.none"))
    heads = "".join(
        f'<th scope="col">{link(_called(ui, one, keys), set_url(ui, one.id), big=False)}</th>' for one in sets
    )
    body = "".join(_row(ui, row) for row in rows)
    left = f"<p class='st-soft'>{escape(t('poses.others', count=others))}</p>" if others else ""
    return (
        f'<div class="st-scroll st-matrix" tabindex="0"><table><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{left}"
    )


def _row(ui: Ui, row: PoseRow) -> str:
    t = ui.t
    name = " · ".join(t.word(word) for word in row.pose)
    cells = ""
    for posts in row.columns:
        figures = "".join(
            f"<figure>{picture(post.picture, f'{name}: {post.caption}', 240)}"
            f"<figcaption>{show_scores(ui, post.scores, post.shot)}</figcaption></figure>"
            for post in posts
        )
        cells += f'<td><div class="st-pair">{figures or "–"}</div></td>'
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'


def _called(ui: Ui, one: PostSet, keys: Sequence[str]) -> str:
    who, where = one.request.persona.name, ui.t.word(one.request.scene.name)
    return f"{keys.index(one.id) + 1} · {who} · {where} · {ui.t('job.count', count=len(one.posts))}"


def _sets(ui: Ui, owner: str, person: str) -> list[tuple[str, str]]:
    """The newest sets, of all or of one person, by names that tell them apart."""
    groups = (f"person:{person}",) if person else ()
    things = find_things(ui.studio.records, Search(owner, PostSet.kind, groups=groups), None, _LISTED).things
    return [
        (f"{thing_name(ui.t, thing)} · {thing.created.astimezone():%m-%d %H:%M}", thing.id.partition(":")[2])
        for thing in things
    ]
