"""Texts and export: each set has its own texts, written ones are edited, own ones stay, tags are read as typed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.arrangement import Arrangement, compose, move
from studio.domain.bundle import CheckedPicture, ExportCheck
from studio.domain.captions import CaptionsRequest
from studio.domain.job_title import JobTitle
from studio.domain.platforms import find_platform
from studio.domain.posts import PostSet
from studio.jobs.queue import Queue
from studio.settings import Settings
from studio.texts.texts import Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.look import show_look
from studio.ui.parts.post_cards import keep_arrangement, read_arrangement
from studio.ui.parts.text_form import TextForm, _about, _length, build_text, kept_text, read_tags
from studio.workflows import run_directly
from studio.workflows.captions import write_captions
from tests.library import keep_cafe, keep_persona, keep_posts, keep_result


def build(data: Path, language: Language = "zh") -> tuple[Ui, TextForm, dict[Any, Any], tuple[PostSet, PostSet]]:
    """The form, what its components say before anybody touched it, and two sets, the second the newest."""
    studio = Studio(Settings(data=data))
    keep_persona(studio)
    scene = keep_cafe(studio)
    sets = keep_posts(studio, 1, scene, pictures=3), keep_posts(studio, 2, scene, pictures=2)
    ui = Ui(studio, Queue(studio), Texts(language))

    async def lay_out() -> TextForm:
        with gr.Blocks():
            form = build_text(ui, gr.Dropdown(["xiaohongshu"], value="xiaohongshu"))
            form.box.render()  # type: ignore[no-untyped-call]
            return form

    form = asyncio.run(lay_out())  # Gradio wants a running event loop, else it leaves one of its own open
    return ui, form, {part: part.value for part in form.inputs}, sets


def test_each_set_has_its_own_texts(tmp_path: Path) -> None:
    ui, form, _, (older, newest) = build(tmp_path)
    ui.mark("me", f"posts:{older.id}", title="旧标题", body="旧", tags="#旧", product="旧介绍")
    ui.mark("me", f"posts:{newest.id}", title="新标题", body="新", tags="#新", product="新介绍")
    ui.mark("me", "text:voice", voice="活泼")
    told = {key: kept_text(ui, form, "me", key) for key in ("", older.id)}
    assert [told[""][part] for part in (form.title, form.tags, form.product, form.voice)] == [
        "新标题", "#新", "新介绍", "活泼",
    ]  # fmt: skip
    assert told[older.id][form.title] == "旧标题"
    assert set(told[""]) == form.kept


def test_written_captions_are_kept_by_post_and_a_persons_own_stay(tmp_path: Path) -> None:
    ui, form, said, (older, _) = build(tmp_path)
    said |= {form.product: "纯棉。", form.voice: "活泼"}
    first = form.act(ui, "me", "write", older, said)
    assert first[form.title]
    captions = dict(read_arrangement(ui, "me", older).captions)
    assert len(set(captions.values())) == 3
    arranged = read_arrangement(ui, "me", older)
    keep_arrangement(ui, "me", older, arranged.model_copy(update={"captions": captions | {"1": "我写的"}}))
    form.act(ui, "me", "write", older, said)
    again = read_arrangement(ui, "me", older).captions
    assert again["1"] == "我写的"
    assert (again["0"], again["2"]) != (captions["0"], captions["2"])  # another press, other words
    exported = form.ask("me", compose(older, read_arrangement(ui, "me", older), {}), said | first)
    assert [post.caption for post in exported.post_set.posts] == [again["0"], "我写的", again["2"]]
    assert exported.tags == read_tags(first[form.tags])


def test_captions_go_to_the_posts_that_they_were_written_for(tmp_path: Path) -> None:
    ui, form, _, (older, _) = build(tmp_path)
    wish = CaptionsRequest.make(owner="me", post_set=older, product="纯棉。")
    made = write_captions(ui.studio, wish, run_directly)
    arranged = move(older, read_arrangement(ui, "me", older), 2, 0).model_copy(update={"left_out": (0,)})
    keep_arrangement(ui, "me", older, arranged)
    form._take(ui, "me", made, "xiaohongshu")
    kept = read_arrangement(ui, "me", older)
    assert dict(kept.captions) == {"1": made.captions[1], "2": made.captions[2]}
    drawn_again = made.model_copy(update={"pictures": ("0" * 64, *made.pictures[1:]), "captions": ("a", "b", "c")})
    keep_arrangement(ui, "me", older, Arrangement())
    form._take(ui, "me", drawn_again, "xiaohongshu")
    assert dict(read_arrangement(ui, "me", older).captions) == {"1": "b", "2": "c"}


def test_only_texts_that_a_page_asked_for_arrive_on_it_and_once(tmp_path: Path) -> None:
    ui, form, said, (older, _) = build(tmp_path)
    made = write_captions(ui.studio, CaptionsRequest.make(owner="me", post_set=older), run_directly)
    keep_result(ui.studio, "me", made)
    job = ui.queue.jobs("me", kind="captions")[0].id
    here = said | {form.opened: older.id}
    assert form.arrived(ui, "me", here) == {}  # a program asked for them
    ui.mark("me", "text:awaited", job=job)
    assert form.arrived(ui, "me", said) == {}  # the other set is shown: they are kept for theirs
    assert kept_text(ui, form, "me", older.id)[form.title] == made.title
    ui.mark("me", "text:awaited", job=job)
    assert form.arrived(ui, "me", here)[form.title] == made.title
    assert form.arrived(ui, "me", here) == {}
    assert form.arrived(ui, "somebody else", here) == {}


def test_a_language_model_that_is_not_set_is_refused_before_it_is_queued(tmp_path: Path) -> None:
    ui, form, said, (older, _) = build(tmp_path)
    assert form.writer.visible is False
    with pytest.raises(BadInput, match="endpoint_not_set"):
        form.act(ui, "me", "write", older, said | {form.writer: "endpoint"})


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("#穿搭 #红色 连衣裙", ("穿搭", "红色 连衣裙")), ("穿搭，咖啡馆、穿搭", ("穿搭", "咖啡馆")),
        ("a b  c", ("a", "b", "c")),
        ("", ()), (None, ()), ("＃ootd＃café", ("ootd", "café")), (" # ", ()),
    ],
)  # fmt: skip
def test_tags_are_read_as_people_write_them(text: str | None, tags: tuple[str, ...]) -> None:
    assert read_tags(text) == tags


def test_lengths_and_what_a_platform_takes_are_said(tmp_path: Path) -> None:
    ui, _, _, _ = build(tmp_path)
    said = _length(ui, "xiaohongshu", "秋" * 21, "正文", " ".join(f"#{i}" for i in "一二三四五六七八九十甲"))
    assert "标题 21/20" in said
    assert "标签 11/10" in said
    assert "failed" in said
    assert "failed" not in _length(ui, "xiaohongshu", "秋天", "正文", "#一")
    assert "能治疗失眠" in _length(ui, "xiaohongshu", "", "", "", ("能治疗失眠。",))
    assert "请不要发布" in _about(ui, find_platform("archive"))
    assert "没有制作信息" in _about(ui, find_platform("xiaohongshu"))
    assert json.dumps(_about(ui, find_platform("taobao-white")), ensure_ascii=False).count("没有标识") == 1


def test_a_look_at_what_was_changed_since_says_so(tmp_path: Path) -> None:
    ui, _, _, (older, _) = build(tmp_path)
    seen = tuple(CheckedPicture(picture=post.picture, caption=post.caption, bytes=9) for post in older.posts)
    row = keep_result(ui.studio, "me", ExportCheck(id="look", post_set=older.id, platform="xiaohongshu", pictures=seen))
    title = JobTitle(who="Lin", where="cafe", count=3, platform="xiaohongshu", post_set=older.id)
    row.facts = {**row.facts, "title": title.model_dump(mode="json")}
    ui.studio.records.keep(row)
    assert 'id="look"' in show_look(ui, "me", older)
    assert ui.t("look.old") not in show_look(ui, "me", older)
    keep_arrangement(ui, "me", older, Arrangement(captions={"1": "我写的"}))
    assert ui.t("look.old") in show_look(ui, "me", older)
