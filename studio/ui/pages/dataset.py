"""Data set: somebody's photos looked through, judged and described, and a source face learnt from the good ones."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from personas.captions.policy import SWITCHES, Switch
from pipelines.errors import BadInput
from pipelines.families.spec import BackboneSpec
from studio.datasets.keeping import decide, edits_of, set_limits, set_words, write_captions
from studio.datasets.opened import OpenedDataset, open_dataset
from studio.datasets.planned import learns_several, plan_dataset
from studio.domain.dataset import DataSet, DatasetRequest, FaceRequest, FaceTrained
from studio.domain.style import Style, StyleRequest
from studio.library.consents import dataset_consent
from studio.ui.context import EACH, HIDDEN, LATEST, Pressed, Said, Ui, actions, guarded, in_turn, owner_of, pressed
from studio.ui.parts.dataset_cards import SHOWN, View, show_cards, show_summary, show_training, show_words
from studio.ui.parts.dataset_form import ESTIMATE_FIRST, build_bringing
from studio.ui.parts.html import empty, link
from studio.ui.parts.page_head import open_page
from studio.workflows.datasets import check_may_ask

__all__ = ["build"]

_DECIDES: Mapping[str, bool | None] = {"keep": True, "drop": False, "measure": None}


@dataclass(frozen=True)
class _Parts:
    """What shows a data set; all but `which` and the jobs' panels are of the one that is chosen."""

    which: gr.Dropdown
    summary: gr.HTML
    cards: gr.HTML
    words: gr.HTML
    again: gr.Row
    outside: gr.Checkbox
    training: gr.HTML
    naming: gr.Row
    name: gr.Textbox
    several: gr.Checkbox

    @property
    def outputs(self) -> list[Any]:
        parts = [self.which, self.summary, self.cards, self.words, self.again, self.outside, self.training, self.naming]
        return [*parts, self.several]


def build(ui: Ui) -> None:
    pulse = open_page(ui, "dataset")
    build_bringing(ui)
    job = actions("", "job")
    parts, licence, ask = _lay_out(ui)
    face, look = actions("", "face-job"), actions("", "look-job")
    view = gr.State(View())

    def show(now: View, request: gr.Request) -> Any:
        owner = owner_of(request)
        choices = _choices(ui, owner)
        key = now.dataset if now.dataset in [value for _, value in choices] else choices[0][1] if choices else ""
        return {view: replace(now, dataset=key), **_show(ui, parts, owner, choices, replace(now, dataset=key))}

    def load(request: gr.Request) -> Any:
        asked = str(dict(request.query_params).get("set", ""))[:64]
        return show(View(dataset=asked), request)

    def choose(key: str, request: gr.Request) -> Any:
        return {**show(View(dataset=key or ""), request), parts.name: ""}

    def size(now: View, several: bool, request: gr.Request) -> Any:
        return show(replace(now, several=several), request)

    def act(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        owner, data, now = owner_of(request), pressed(event), said[view]
        dataset = ui.find(owner, DataSet, now.dataset)
        if dataset is None:
            raise BadInput("not_found", result=DataSet.__name__, key=now.dataset)
        if data.get("do") == "train":
            ui.queue.put(
                FaceRequest.make(
                    owner=owner, dataset=dataset, edits=edits_of(ui.studio.library, owner, dataset),
                    identity=data.get("identity", "stop"), name=said[parts.name] or "",
                    licence=(said[licence] or "unknown").strip(), several_sizes=now.several,
                )
            )  # fmt: skip
        elif data.get("do") == "learn-look":
            edits = edits_of(ui.studio.library, owner, dataset)
            ui.queue.put(StyleRequest.make(owner=owner, dataset=dataset, edits=edits, name=said[parts.name] or ""))
        elif data.get("do") == "describe":
            _describe(ui, owner, dataset, bool(said[parts.outside]), rest=True)
        else:
            with ui.turn:
                now = _edit(ui, owner, dataset, data, now)
        return show(now, request)

    def describe(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        dataset = ui.find(owner, DataSet, said[view].dataset)
        if dataset is not None:
            _describe(ui, owner, dataset, bool(said[parts.outside]), rest=False)
        return show(said[view], request)

    def act_on_job(now: View, event: gr.EventData, request: gr.Request) -> Any:
        data = pressed(event)
        ui.act(owner_of(request), data)
        return show(now, request)

    outputs = [view, *parts.outputs]
    gr.on(None, guarded(ui, load), None, outputs, **HIDDEN)
    parts.which.input(guarded(ui, choose), [parts.which], [*outputs, parts.name], **LATEST)
    parts.several.input(guarded(ui, size), [view, parts.several], outputs, **LATEST)
    inputs: set[Any] = {view, parts.name, parts.outside, licence}
    for part in (parts.summary, parts.cards, parts.words, parts.training):
        part.click(guarded(ui, act), inputs, outputs, **(EACH | in_turn("dataset")))
    ask.click(guarded(ui, describe), {view, parts.outside}, outputs, **HIDDEN)
    for part in (job, face, look):
        part.click(guarded(ui, act_on_job), [view], outputs, **EACH)
    pulse.shows(lambda said, request: {job: _job(ui, owner_of(request))}, [job], at_load=True)
    pulse.shows(lambda said, request: {face: _face_job(ui, owner_of(request))}, [face], at_load=True)
    pulse.shows(lambda said, request: {look: _look_job(ui, owner_of(request))}, [look], at_load=True)
    pulse.connect()


def _lay_out(ui: Ui) -> tuple[_Parts, gr.Textbox, gr.Button]:
    t = ui.t
    which = gr.Dropdown([], label=t("dataset.which"), visible=False, elem_id="which")
    summary, cards, words = actions("", "summary"), actions("", "cards"), actions("", "words")
    with gr.Row(visible=False, equal_height=True) as again:
        outside = gr.Checkbox(False, label=t("dataset.outside"), visible=False, elem_id="ask-outside")
        ask = gr.Button(t("dataset.ask"), elem_id="ask")
    with gr.Row(visible=False) as naming:
        name = gr.Textbox(
            "", label=t("dataset.face_name"), placeholder=t("dataset.face_name_hint"), max_length=60,
            elem_id="face-name",
        )  # fmt: skip
        licence = gr.Textbox("", label=t("adding.licence"), max_length=100)
    several = gr.Checkbox(False, label=t("dataset.several"), visible=False, elem_id="several-sizes")
    training = actions("", "training")
    return _Parts(which, summary, cards, words, again, outside, training, naming, name, several), licence, ask


def _show(ui: Ui, parts: _Parts, owner: str, choices: list[tuple[str, str]], now: View) -> Said:
    dataset = ui.find(owner, DataSet, now.dataset)
    chosen = ui.studio.caption_endpoint
    told: Said = {
        parts.which: gr.Dropdown(choices, value=now.dataset or None, visible=len(choices) > 1),
        parts.again: gr.Row(visible=dataset is not None and chosen is not None),
        parts.naming: gr.Row(visible=dataset is not None),
        parts.outside: gr.Checkbox(visible=False),
        parts.several: gr.Checkbox(visible=False),
    }
    if dataset is None:
        return told | {
            parts.summary: empty(ui.t("dataset.empty")),
            parts.cards: "",
            parts.words: "",
            parts.training: "",
        }
    opened, spec = open_dataset(ui.studio.library, owner, dataset), ui.studio.backbone_spec
    planned = plan_dataset(opened, spec, now.several)
    asks_others = chosen is not None and not chosen.is_here and not dataset.request.outside
    return told | {
        parts.outside: gr.Checkbox(visible=asks_others),
        parts.summary: show_summary(ui, opened, now),
        parts.cards: show_cards(ui, planned, now),
        parts.words: show_words(ui, opened),
        parts.training: show_training(ui, planned),
        parts.several: gr.Checkbox(planned.several, info=_say_sizes(ui, spec), visible=True),
    }


def _say_sizes(ui: Ui, spec: BackboneSpec) -> str:
    """What several sizes are good for with this model."""
    if learns_several(spec):
        return ui.t("dataset.several_usual")
    if not spec.sizes:
        return ui.t("dataset.several_small")
    return ui.t("dataset.several_not", sizes=" · ".join(f"{width}×{height}" for height, width in spec.sizes))


def _edit(ui: Ui, owner: str, dataset: DataSet, data: Pressed, now: View) -> View:
    """Keep what a person says, and return what is seen then."""
    library, do, value = ui.studio.library, data.get("do", ""), data.get("value", "")
    if do in _DECIDES:
        decide(library, owner, dataset, [_row(data)], _DECIDES[do])
    elif do == "caption":
        _write(open_dataset(library, owner, dataset), ui, owner, _row(data), value)
    elif do == "limit":
        said = dict(edits_of(library, owner, dataset).limits)
        set_limits(library, owner, dataset, said | {data.get("name", ""): _number(value)})
    elif do == "usual":
        set_limits(library, owner, dataset, {})
    elif do == "say":
        before, name = edits_of(library, owner, dataset).say, data.get("name", "")
        switches: list[Switch] = [one for one in SWITCHES if (one in before) is not (one == name)]
        set_words(library, owner, dataset, say=switches)
    elif do == "word":
        set_words(library, owner, dataset, trigger=value)
    elif do == "show" and data.get("name") in SHOWN:
        return replace(now, shown=data["name"], page=0)
    elif do == "page" and data.get("page", "").isdecimal():
        return replace(now, page=int(data["page"]))
    elif do == "limits":
        return replace(now, limits=not now.limits)
    return now


def _write(opened: OpenedDataset, ui: Ui, owner: str, row: int, text: str) -> None:
    """Keep a caption that was changed; one that is as it was shown is nobody's."""
    if 0 <= row < len(opened.captions) and " ".join(text.split()) != opened.captions[row]:
        write_captions(ui.studio.library, owner, opened.dataset, {row: text})


def _describe(ui: Ui, owner: str, dataset: DataSet, outside: bool, *, rest: bool) -> None:
    """Let the vision model describe the pictures: the first five, and after the estimate the `rest`."""
    asked = dataset.request
    check_may_ask(ui.studio, asked.outside or outside)
    tokens = 0 if rest else ESTIMATE_FIRST
    wanted = {name: getattr(asked, name) for name in DatasetRequest.model_fields}
    holds = dataset_consent(ui.studio.records, owner, dataset, datetime.date.today())
    wanted |= {"owner": owner, "expires": holds.expires, "writer": "endpoint"}
    wanted |= {"outside": asked.outside or outside, "most_tokens": tokens}
    ui.queue.put(DatasetRequest.make(**wanted))


def _row(data: Pressed) -> int:
    return int(data["row"]) if data.get("row", "").isdecimal() else -1


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _choices(ui: Ui, owner: str) -> list[tuple[str, str]]:
    """The data sets, the newest first; of those that a new description made of another only the newest."""
    found: dict[tuple[Any, ...], tuple[str, str]] = {}
    for one in ui.results(owner, DataSet):
        asked = one.request
        same = (asked.name, tuple(given.picture for given in asked.pictures))
        found.setdefault(same, (ui.t("dataset.choice", name=asked.name, count=len(asked.pictures)), one.id))
    return list(found.values())


def _job(ui: Ui, owner: str) -> str:
    job = ui.newest(owner, DataSet.kind)
    if job is None or job.state != "done":
        return ui.job_panel(owner, job)
    key = str(job.facts.get("id", ""))
    return ui.job_panel(owner, job, link(ui.t("dataset.open"), f"{ui.url('dataset')}?set={key}", big=False))


def _look_job(ui: Ui, owner: str) -> str:
    then = link(ui.t("dataset.to_looks"), f"{ui.url('library')}?kind=style", big=False)
    then += " " + link(ui.t("dataset.to_posts"), ui.url("posts"), big=False)
    return ui.job_panel(owner, ui.newest(owner, Style.kind), then)


def _face_job(ui: Ui, owner: str) -> str:
    job = ui.newest(owner, FaceTrained.kind)
    then = link(ui.t("dataset.to_faces"), f"{ui.url('library')}?kind=donor", big=False)
    then += " " + link(ui.t("dataset.to_design"), ui.url("design"), big=False)
    return ui.job_panel(owner, job, then)
