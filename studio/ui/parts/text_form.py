"""What leaves the studio: for which platform, as what, and with which texts, kept as they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput, StudioError
from studio.domain.bundle import CheckRequest, ExportRequest
from studio.domain.captions import Captions, CaptionsRequest
from studio.domain.limits import limits_of
from studio.domain.platforms import Platform, find_platform, load_platforms, overlong, tag_text, text_length
from studio.domain.posts import PostSet
from studio.export.content_check import find_checker
from studio.ui.context import LATEST, Said, Ui, guarded, owner_of
from studio.ui.parts.html import panel
from studio.ui.parts.post_cards import arrange_shown, keep_arrangement, newest_set, read_arrangement
from studio.ui.parts.sections import build_section, show_tile
from studio.workflows import run_directly
from studio.workflows.captions import write_captions

__all__ = ["EXPORTING", "TextForm", "build_text", "kept_text"]

EXPORTING = ("export", "look", "write")
"""What buttons of a set say that this form answers."""
_DRAFT, _VOICE, _AWAITED = "text:draft", "text:voice", "text:awaited"


@dataclass(frozen=True)
class TextForm:
    """The components; `box` is laid out where the page renders it, and `tile` says what is filled in. `target` is the
    platform that is exported for, `opened` a state: the id of the set that the page shows, "" for the newest.
    """

    box: gr.Column
    tile: gr.HTML
    target: gr.Dropdown
    content: gr.Radio
    unlabelled: gr.Checkbox
    allow_flagged: gr.Checkbox
    about: gr.HTML
    product: gr.Textbox
    voice: gr.Textbox
    writer: gr.Radio
    title: gr.Textbox
    body: gr.Textbox
    tags: gr.Textbox
    length: gr.HTML
    opened: gr.State

    @property
    def inputs(self) -> set[Any]:
        own = {self.target, self.content, self.unlabelled, self.allow_flagged, self.product, self.voice, self.writer}
        return own | {self.title, self.body, self.tags, self.opened}

    @property
    def kept(self) -> set[Any]:
        """Return what `kept_text` writes."""
        return {self.title, self.body, self.tags, self.product, self.voice, self.tile}

    @property
    def outputs(self) -> set[Any]:
        return {self.title, self.body, self.tags, self.length, self.tile}

    def ask(self, owner: str, post_set: PostSet, said: Said) -> ExportRequest:
        """Return the request for a bundle of this set. Raises BadInput."""
        return ExportRequest.make(**self._fields(owner, post_set, said))

    def act(self, ui: Ui, owner: str, do: str, post_set: PostSet, said: Said) -> Said:
        """Export the set (as a person arranged it), show how it would look, or write its texts.

        Raises BadInput.
        """
        if do == "export":
            ui.queue.put(self.ask(owner, post_set, said))
            return {}
        if do == "look":
            ui.queue.put(CheckRequest.make(**self._fields(owner, post_set, said)))
            return {}
        wish = self._wish(ui, owner, post_set, said)
        if wish.writer == "endpoint":
            ui.mark(owner, _AWAITED, job=ui.queue.put(wish))
            return {}
        return self._take(ui, owner, write_captions(ui.studio, wish, run_directly), said[self.target])

    def arrived(self, ui: Ui, owner: str, said: Said) -> Said:
        """Keep what the language model was asked for on a page, once it is there; return it where its set is shown.

        Texts of any other job are not what is shown here, and would replace what somebody types.
        """
        job = ui.queue.find(str(ui.said(owner, _AWAITED).get("job", "")), owner)
        if job is None or job.state != "done":
            return {}
        ui.mark(owner, _AWAITED, job="")
        made, shown = ui.queue.result(job, Captions), _shown(ui, owner, said[self.opened])
        told = self._take(ui, owner, made, said[self.target])
        return told if shown is not None and shown.id == made.post_set else {}

    def _fields(self, owner: str, post_set: PostSet, said: Said) -> dict[str, Any]:
        target = find_platform(said[self.target])
        return {
            "owner": owner, "post_set": post_set, "platform": target.id, "title": said[self.title] or "",
            "body": said[self.body] or "", "tags": read_tags(said[self.tags]), "content": str(said[self.content]),
            "unlabelled": bool(said[self.unlabelled]) and target.label != "none",
            "allow_flagged": bool(said[self.allow_flagged]),
        }  # fmt: skip

    def _wish(self, ui: Ui, owner: str, post_set: PostSet, said: Said) -> CaptionsRequest:
        """Another press, other words."""
        count = int(ui.said(owner, _VOICE).get("presses", 0)) + 1
        ui.mark(owner, _VOICE, voice=said[self.voice] or "", presses=count)
        writer = str(said[self.writer])
        if writer == "endpoint" and ui.studio.caption_endpoint is None:
            raise BadInput("endpoint_not_set")
        return CaptionsRequest.make(
            owner=owner, post_set=post_set, platform=find_platform(said[self.target]).id, writer=writer, seed=count,
            product=said[self.product] or "", voice=said[self.voice] or "",
        )  # fmt: skip

    def _take(self, ui: Ui, owner: str, made: Captions, target: str) -> Said:
        """Put what was written where it can be edited; a caption that a person wrote stays."""
        post_set = ui.find(owner, PostSet, made.post_set)
        if post_set is None:
            return {}
        with ui.turn:
            _keep_captions(ui, owner, post_set, made)
            told = {"title": made.title, "body": made.body, "tags": tag_text(made.tags)}
            for thing in (_DRAFT, f"posts:{post_set.id}"):
                ui.mark(owner, thing, **told)
        values = (told["title"], told["body"], told["tags"])
        return {
            self.title: values[0], self.body: values[1], self.tags: values[2],
            self.length: _length(ui, target, *values, made.left_out),
            self.tile: _tile(ui, target, "", values[0]),
        }  # fmt: skip


def build_text(ui: Ui, platform: gr.Dropdown) -> TextForm:
    """`platform` is what the set is drawn for: it is exported for the same unless somebody says otherwise."""
    form = _lay_out(ui)

    def measure(said: Said) -> Any:
        told = _length(ui, said[form.target], said[form.title] or "", said[form.body] or "", said[form.tags] or "")
        return {
            form.length: told,
            form.about: _about(ui, find_platform(said[form.target])),
            form.tile: _tile(ui, said[form.target], str(said[form.content]), said[form.title] or ""),
        }

    def write(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        post_set = _shown(ui, owner, said[form.opened])
        told = {name: said[getattr(form, name)] or "" for name in ("title", "body", "tags", "product")}
        with ui.turn:
            for thing in [_DRAFT] + ([] if post_set is None else [f"posts:{post_set.id}"]):
                ui.mark(owner, thing, **told)
            ui.mark(owner, _VOICE, voice=said[form.voice] or "")
        return measure(said)

    def follow(said: Said) -> Any:
        return {form.target: said[platform], **measure(said | {form.target: said[platform]})}

    shown = [form.length, form.about, form.tile]
    gr.on([form.target.input, form.content.input], guarded(ui, measure), form.inputs, shown, **LATEST)
    platform.change(guarded(ui, follow), form.inputs | {platform}, [form.target, *shown], **LATEST)
    # what is pasted is told one event late, so the field is read again when it is left
    typed = (form.title, form.body, form.tags, form.product, form.voice)
    gr.on([e for field in typed for e in (field.input, field.blur)], guarded(ui, write), form.inputs, shown, **LATEST)
    return form


def kept_text(ui: Ui, form: TextForm, owner: str, opened: str = "", target: str = "xiaohongshu") -> Said:
    """Return what the components say of a set ("": the newest) for a platform: its own texts, those written last where
    it has none.
    """
    post_set, marks = _shown(ui, owner, opened), ui.marks(owner)
    own = {} if post_set is None else marks.get(f"posts:{post_set.id}", {})
    facts = own if "title" in own else marks.get(_DRAFT, {})
    told = {getattr(form, name): str(facts.get(name, "")) for name in ("title", "body", "tags", "product")}
    voice = str(marks.get(_VOICE, {}).get("voice", ""))
    return told | {form.voice: voice, form.tile: _tile(ui, target, "", told[form.title])}


def keep_voice(ui: Ui, owner: str, voice: str) -> None:
    """Keep how captions are to be written, as if it had been typed."""
    with ui.turn:
        ui.mark(owner, _VOICE, voice=voice)


def read_tags(text: str | None) -> tuple[str, ...]:
    """Return the tags of a line as people write them: with # or commas between, or with spaces alone."""
    plain = text or ""
    parts = re.split(r"[#＃,，、;；\n]+" if re.search(r"[#＃,，、;；\n]", plain) else r"\s+", plain)
    return tuple(dict.fromkeys(" ".join(part.split()) for part in parts if part.strip()))


def _lay_out(ui: Ui) -> TextForm:
    t, limits = ui.t, {name: limits_of(CaptionsRequest, name).longest for name in ("product", "voice")}
    writers = [(t(f"text.writer.{name}"), name) for name in limits_of(CaptionsRequest, "writer").choices]
    with gr.Column(render=False) as box:
        section = build_section(ui, "text")
    with section.body:
        with gr.Row():
            target = gr.Dropdown(
                [(p.words[t.language], p.id) for p in load_platforms()], value="xiaohongshu", label=t("text.target"),
                elem_id="target",
            )  # fmt: skip
            content = gr.Radio(
                [(t(f"text.content.{name}"), name) for name in limits_of(ExportRequest, "content").choices],
                value="bundle", label=t("text.content"), elem_id="content",
            )  # fmt: skip
        unlabelled = gr.Checkbox(False, label=t("text.unlabelled"), elem_id="unlabelled")
        allow_flagged = gr.Checkbox(
            False, label=t("text.allow_flagged"), visible=_is_checked(ui), elem_id="allow-flagged"
        )
        about = gr.HTML(_about(ui, find_platform("xiaohongshu")), js_on_load=None, elem_id="about", padding=False)
        with gr.Row():
            with gr.Column():
                product = gr.Textbox(
                    "", label=t("text.product"), info=t("text.product_what"), lines=4, max_length=limits["product"],
                    elem_id="product",
                )  # fmt: skip
                voice = gr.Textbox(
                    "", label=t("text.voice"), placeholder=t("text.voice_hint"), max_length=limits["voice"],
                    elem_id="voice",
                )  # fmt: skip
                writer = gr.Radio(
                    writers, value="templates", label=t("text.writer"), visible=_can_ask(ui), elem_id="writer"
                )
            with gr.Column():
                title = gr.Textbox(
                    "", label=t("text.title"), max_length=limits_of(ExportRequest, "title").longest, elem_id="title"
                )
                body = gr.Textbox(
                    "", label=t("text.body"), lines=4, max_length=limits_of(ExportRequest, "body").longest,
                    elem_id="body",
                )  # fmt: skip
                tags = gr.Textbox("", label=t("text.tags"), max_length=1000, elem_id="tags")
                length = gr.HTML("", js_on_load=None, elem_id="length", padding=False)
    return TextForm(
        box,
        section.tile,
        target,
        content,
        unlabelled,
        allow_flagged,
        about,
        product,
        voice,
        writer,
        title,
        body,
        tags,
        length,
        gr.State(""),
    )


def _tile(ui: Ui, target: str, content: str, title: str) -> str:
    """What is filled in, in a line; `content` is "" where it is as usual."""
    said = [find_platform(target).words[ui.t.language]]
    said += [ui.t(f"text.content.{content}")] if content else []
    said.append(" ".join(title.split()) or ui.t("chosen.no_title"))
    return show_tile(ui, "text", " · ".join(said))


def _can_ask(ui: Ui) -> bool:
    try:
        return ui.studio.caption_endpoint is not None
    except StudioError:
        return False


def _is_checked(ui: Ui) -> bool:
    """Whether anything looks at pictures before they are exported, or is meant to."""
    try:
        return find_checker(ui.studio.settings) is not None
    except StudioError:
        return True


def _shown(ui: Ui, owner: str, opened: str) -> PostSet | None:
    return ui.find(owner, PostSet, opened) if opened else newest_set(ui, owner)


def _keep_captions(ui: Ui, owner: str, post_set: PostSet, made: Captions) -> None:
    said, key = read_arrangement(ui, owner, post_set), f"posts:{post_set.id}"
    written: dict[str, str] = dict(ui.said(owner, key).get("written", {}))
    now = dict(said.captions)
    captions = dict(zip(made.pictures, made.captions, strict=True))
    for slot in arrange_shown(ui, owner, post_set).shown:
        number, caption = str(slot.number), captions.get(slot.post.picture)
        if caption is None:  # drawn again or put back meanwhile
            continue
        if now.get(number, written.get(number)) == written.get(number):  # else a person wrote it
            now[number] = written[number] = caption
    keep_arrangement(ui, owner, post_set, said.model_copy(update={"captions": now}))
    ui.mark(owner, key, written=written)


def _about(ui: Ui, target: Platform) -> str:
    """What the platform takes, and what its pictures tell."""
    t = ui.t
    size = t("text.as_drawn") if not target.width else f"{target.width}×{target.height}"
    told = [t("text.takes", size=size, count=target.max_pictures, size_mb=f"{target.max_bytes / 1e6:g}")]
    told.append(t(f"text.label.{target.label}"))
    told.append(t("text.recipe" if target.embeds_recipe else "text.no_recipe"))
    return f'<p class="st-soft">{escape((" " if t.language == "en" else "").join(told))}</p>'


def _length(ui: Ui, where: str, title: str, body: str, tags: str, left_out: tuple[str, ...] = ()) -> str:
    """How long the texts are, and what is too long or was left out."""
    target, t, listed = find_platform(where), ui.t, read_tags(tags)
    name = target.words[t.language]
    wrong = [
        t("text.many_tags" if what == "tags" else "text.long", what=t(f"text.{what}"), length=length, most=most,
          platform=name)
        for what, length, most in overlong(target, title, body, listed)
    ]  # fmt: skip
    wrong += [t("text.left_out", said=sentence) for sentence in left_out]
    whole = "\n".join(part for part in (body.strip(), tag_text(listed)) if part)
    counted = (
        ("title", text_length(" ".join(title.split()), target.title_unit), target.max_title),
        ("body", text_length(whole, target.body_unit), target.max_body),
        ("tags", len(listed), target.max_tags),
    )
    counts = " · ".join(f"{t(f'text.{what}')} {now}/{most}" for what, now, most in counted if most)
    said = f'<p class="st-soft">{escape(counts)}</p>' if counts else ""
    return said + (panel("<br>".join(map(escape, wrong)), "failed") if wrong else "")
