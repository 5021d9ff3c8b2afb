"""The comparison's form says what it will draw and how long; its table is named, used and undone; stages are chosen."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.grid import Grid, GridRequest, plan_cells
from studio.domain.persona import Persona
from studio.domain.times import JobSize, JobTime
from studio.domain.values import FileKey
from studio.jobs.queue import Queue
from studio.library.drawn_as import drawn_as
from studio.library.job_times import note_time
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.parts.checkpoint_cards import act_on_drawn_as, show_training
from studio.ui.parts.grid_cards import show_grids
from studio.ui.parts.grid_form import GridForm, fill_grid, lay_out_grid, read_grid, say_grid
from studio.ui.parts.misfits import split_people
from studio.ui.parts.pose_compare import show_poses
from tests.library import keep_cafe, keep_posts, keep_result, picture
from tests.studio.domain.test_checkpoints import trained
from tests.studio.domain.values import make_post_set


def make_lin(studio: Studio) -> Persona:
    """With stored pictures, a curve, and an end that is not the best."""
    lin = trained(0.5, 0.8, 0.7, 0.6, dropped=(60,))
    keys = [FileKey(studio.store.put_picture(picture(number))) for number in range(4)]
    samples = tuple(row.model_copy(update={"pictures": (k,)}) for row, k in zip(lin.samples, keys, strict=True))
    losses = FileKey(studio.store.put_json([1.0 / (i + 1) for i in range(240)]))
    lin = lin.model_copy(update={"samples": samples, "losses": losses})
    keep_result(studio, "me", lin)
    return lin


@pytest.fixture
def ui(tmp_path: Path) -> Ui:
    studio = Studio(Settings(data=tmp_path))
    return Ui(studio, Queue(studio), Texts("en"))


def keep_grid(ui: Ui, lin: Persona, likeness: float = 0.8) -> Grid:
    request = GridRequest.make(asked=make_post_set(persona=lin).request, strengths=(0.8, 1.0), checkpoints=(120, 0))
    why = BadInput("lora_empty").as_json()
    cells = [
        cell.model_copy(
            update={"picture": FileKey(ui.studio.store.put_picture(picture(90 + i))), "scores": {"identity": likeness}}
            if i else {"raised": why}
        )
        for i, cell in enumerate(plan_cells(request))
    ]  # fmt: skip
    sheet: dict[str, FileKey] = {language: FileKey(ui.studio.store.put_picture(picture(80))) for language in LANGUAGES}
    shot = request.asked.shots[0]
    made = Grid(id="g1", personas=(lin,), scene="cafe", shot=shot, cells=tuple(cells), sheet=sheet)
    keep_result(ui.studio, "me", made)
    return made


def form_of(ui: Ui) -> GridForm:
    async def lay_out() -> GridForm:
        with gr.Blocks():
            return lay_out_grid(ui)

    return asyncio.run(lay_out())  # Gradio wants a running event loop, else it leaves one of its own open


def filled(ui: Ui, form: GridForm, **changed: Any) -> dict[Any, Any]:
    """What the components say once the page is loaded, and some were `changed`, by their names."""
    told = fill_grid(ui, form, "me", "")
    said = {part: part.value for part in form.inputs}
    return (
        said
        | {part: getattr(told[part], "value", told[part]) for part in told if part in form.inputs}
        | {getattr(form, name): value for name, value in changed.items()}
    )


def test_the_number_and_the_time_are_said_before_the_start(ui: Ui) -> None:
    lin = make_lin(ui.studio)
    keep_cafe(ui.studio)
    form = form_of(ui)
    said = filled(ui, form)
    shown = say_grid(ui, form, said, "me")
    assert "4 pictures (people 1 × stages 1 × strengths 4 × tries 1)" in shown[form.estimate]
    assert ui.t("estimate.unknown") in shown[form.estimate]
    size = JobSize(units=9, like="something else")
    note_time(ui.studio.records, "a set", "posts", ui.studio.choice, JobTime(size=size, seconds=90.0))
    assert "About 40 s" in say_grid(ui, form, said, "me")[form.estimate]  # a cell is a post
    said |= {form.stages: [120, 180, 0], form.tries: 2}
    again = say_grid(ui, form, said, "me")[form.estimate]
    assert "24 pictures" in again
    assert "About 4 min" in again
    asked = read_grid(ui, form, said, "me")
    assert (asked.checkpoints, asked.strengths, asked.seeds) == ((120, 180, 0), (0.6, 0.8, 1.0, 1.2), (1, 2))
    assert asked.personas == (lin,)


@pytest.mark.parametrize(
    ("changed", "words"), [({"strengths": []}, "No strength"), ({"tries": 6, "stages": [120, 180, 0]}, "72 pictures")]
)
def test_what_cannot_be_drawn_is_said_in_place(ui: Ui, changed: dict[str, Any], words: str) -> None:
    make_lin(ui.studio)
    form = form_of(ui)
    shown = say_grid(ui, form, filled(ui, form, **changed), "me")
    assert words in shown[form.estimate]
    assert shown[form.go].interactive is False


def test_a_persona_of_before_has_no_stages_to_choose(ui: Ui) -> None:
    keep_result(ui.studio, "me", trained(0.1, 0.2, 0.3, 0.4, dropped=(60, 120, 180)))
    form = form_of(ui)
    told = fill_grid(ui, form, "me", "persona")
    assert told[form.stages].visible is False
    assert "strengths 4" in told[form.estimate]


def test_an_empty_studio_says_nothing(ui: Ui) -> None:
    form = form_of(ui)
    told = fill_grid(ui, form, "me", "nobody")
    assert told[form.estimate] == ""
    assert told[form.go].interactive is False


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_is_named_and_the_bad_cell_is_said(tmp_path: Path, language: Language) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts(language))
    made = keep_grid(ui, make_lin(studio))
    html = show_grids(ui, "me", "")
    for name in (ui.t("grid.strength", scale="0.8"), ui.t("stage_of.share", share=50), ui.t("stage_of.end")):
        assert name in html
    assert html.count("<figure>") == 3
    assert ui.t.error(BadInput("lora_empty"))[:20] in html
    assert f"/files/{made.sheet[language]}" in html
    gone = show_grids(ui, "me", "nothing")
    assert ui.t("grid.gone") in gone
    assert "lab?grid=g1" in gone
    assert show_grids(ui, "you", "") == ""


def test_a_cell_is_used_for_posts_and_undone(ui: Ui) -> None:
    lin = make_lin(ui.studio)
    keep_grid(ui, lin)
    data = dict(re.findall(r'data-(\w+)="([^"]*)"', button_of(show_grids(ui, "me", ""), 'data-scale="0.8"')))
    assert (data["do"], data["persona"], data["checkpoint"]) == ("draw-as", lin.id, "0")
    assert act_on_drawn_as(ui, "me", data)
    how = drawn_as(ui.studio.records, "me", lin.id)
    assert (how.scale, how.checkpoint) == (0.8, 0)
    html = show_grids(ui, "me", "")
    assert html.count('aria-pressed="true"') == 1
    assert "Posts draw Lin · version 1 with: strength 0.8" in html
    (choice,) = split_people(ui, ui.people("me"))[0]
    assert choice == ("Lin · version 1 · strength 0.8", lin.id)
    act_on_drawn_as(ui, "me", {"do": "undo-draw-as", "persona": lin.id})
    assert "Posts draw" not in show_grids(ui, "me", "")
    assert not act_on_drawn_as(ui, "me", {"do": "choose", "persona": lin.id})
    assert act_on_drawn_as(ui, "you", {"do": "draw-as", "persona": lin.id, "scale": "0.5"})  # not theirs: nothing
    assert drawn_as(ui.studio.records, "me", lin.id).scale == 1.0


def button_of(html: str, part: str) -> str:
    return next(str(found) for found in re.findall(r"<button[^>]*>", html) if part in found)


def test_a_checkpoint_is_chosen_by_its_curve_and_samples(ui: Ui) -> None:
    lin = make_lin(ui.studio)
    html = show_training(ui, "me", lin)
    assert html.count("<svg") == 2
    assert "Best: 50 % of the training, likeness 0.80. No other is as near to the person." in html
    assert re.findall(r'<figure class="best">.*?</figure>', html)[0].count("50 % of the training")
    assert html.count('data-do="draw-as"') == 3  # the first was not kept
    assert 'data-checkpoint="0" data-key="draw-as-persona-0" aria-pressed="true"' in html
    act_on_drawn_as(ui, "me", {"do": "draw-as", "persona": lin.id, "checkpoint": "120"})
    assert ui.person("me", lin.id) is not None
    assert 'data-checkpoint="120" data-key="draw-as-persona-120" aria-pressed="true"' in show_training(ui, "me", lin)
    person = ui.person("me", lin.id)
    assert person is not None
    assert person.lora == lin.samples[1].lora


def test_sets_stand_beside_each_other_pose_by_pose(ui: Ui) -> None:
    cafe = keep_cafe(ui.studio)
    one, two = (keep_posts(ui.studio, number, cafe, pictures=2) for number in (1, 2))
    ui.mark("me", f"posts:{two.id}", left_out=[1])
    html = show_poses(ui, "me", [one.id, two.id])
    assert html.count("<figure>") == 3  # as they are arranged
    assert "close-up · left · relaxed" in html
    assert f"posts?set={one.id}" in html
    for keys in ([one.id], [one.id, "nothing"], []):
        assert ui.t("poses.choose_two") in show_poses(ui, "me", keys)
    assert ui.t("poses.choose_two") in show_poses(ui, "you", [one.id, two.id])
    other = keep_posts(ui.studio, 3, cafe)
    post = other.posts[0].model_copy(update={"shot": Shot(view="right"), "origin": ("set00004", 0)})
    keep_result(ui.studio, "me", other.model_copy(update={"id": "set00004", "posts": (post,)}))
    assert ui.t("poses.none") in show_poses(ui, "me", [one.id, "set00004"])
