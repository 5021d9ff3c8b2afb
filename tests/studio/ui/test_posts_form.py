"""The posts page's form: it is kept as it was typed, and each press asks for another set unless the same is wanted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.character import Character
from studio.domain.drafts import OWN_LIST, PostsDraft, keep_valid
from studio.domain.persona import Persona
from studio.domain.platforms import find_platform, load_platforms
from studio.domain.posts import PostRequest, SetSettings, plan_shots
from studio.jobs.kinds import read_request
from studio.jobs.queue import Queue
from studio.library.drafts import keep_draft, kept_draft
from studio.library.grants import grant
from studio.library.records import DraftRecord, PostSetRecord
from studio.library.trash import sweep
from studio.settings import Settings
from studio.taste.keeping import comment
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Said, Ui
from studio.ui.parts.another import next_number, show_due, show_number, take_number
from studio.ui.parts.posts_form import Form, lay_out, read_draft, write_draft
from studio.ui.parts.posts_form import read_request as read_form_request
from studio.ui.parts.shots_form import write_table
from studio.ui.parts.shots_table import HEADERS, Table, make_shots, paste_shots, write_shots
from studio.ui.parts.taste_fill import show_why
from tests.stored import place_in
from tests.studio.domain.values import make_goods, make_persona, make_post_set, make_scene

WHO, WHERE = make_persona(), make_scene()


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.fixture(autouse=True)
def _one_person_and_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ui, "results", lambda self, owner, kind: [WHO] if kind is Persona else [])
    monkeypatch.setattr(Ui, "find", lambda self, owner, kind, key: WHO if (kind, key) == (Persona, WHO.id) else None)
    monkeypatch.setattr(Ui, "scenes", lambda self, owner: [WHERE])


def open_page(studio: Studio, language: Language = "en") -> tuple[Ui, Form, Said]:
    """The form of a page, and what its components say before anybody touched it."""
    ui = Ui(studio, Queue(studio), Texts(language))

    async def build() -> Form:
        with gr.Blocks():
            return lay_out(ui)

    form = asyncio.run(build())
    said = {part: part.value for part in form.inputs} | {form.persona: WHO.id, form.scene: WHERE.id}
    table = form.shots.rows.value
    return ui, form, said | {form.shots.rows: table["data"] if isinstance(table, dict) else table}


def show(said: Said, changed: Said) -> Said:
    """What the components say after an answer."""
    return said | {
        part: getattr(value, "value", value) if isinstance(value, gr.blocks.Block) else value
        for part, value in changed.items()
    }


def press(ui: Ui, form: Form, said: Said) -> tuple[PostRequest, Said]:
    """As the page does."""
    if said[form.fresh]:
        said = show(said, show_due(ui, form.shots, said, "me", WHO.id))
    asked = read_form_request(ui, form, said, "me")
    return asked, show(said, take_number(ui, form.shots, said, "me", WHO.id)) if said[form.fresh] else said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", ["mixed", "outfits", "portraits", "goods"])
def test_two_presses_ask_for_eighteen_different_posts(studio: Studio, language: Language, template: str) -> None:
    ui, form, said = open_page(studio, language)
    said |= {form.shots.template: template, form.shots.rows: write_shots(ui, make_shots(template, 9))}
    first, said = press(ui, form, said)
    second, said = press(ui, form, said)
    third, _ = press(ui, form, said)
    assert [request.again for request in (first, second, third)] == [0, 1, 2]
    assert len({*first.shots, *second.shots, *third.shots}) == 27
    for name in ("outfit", "pose", "outfit_colour"):
        assert [getattr(s, name) for s in first.shots] != [getattr(s, name) for s in second.shots]
    assert read_form_request(ui, form, said, "me") == third  # the table shows what the next press draws


def test_a_new_page_goes_on_counting_and_so_do_other_ways_of_asking(studio: Studio) -> None:
    ui, form, said = open_page(studio)
    press(ui, form, said)
    chinese, other, fresh = open_page(studio, "zh")
    asked, _ = press(chinese, other, fresh)
    assert asked.again == 1
    for number in range(5):
        studio.records.keep(
            PostSetRecord(id=f"set {number}", owner="me", persona=WHO.id, scene="x", facts={}),
            PostSetRecord(id=f"set {number}", owner="wang", persona="hers", scene="x", facts={}),
        )
    assert next_number(ui, "me", WHO.id) == 5
    assert next_number(ui, "me", "nobody") == 0


def test_the_same_again_is_the_same_request(studio: Studio) -> None:
    ui, form, said = open_page(studio)
    first, said = press(ui, form, said)
    said = show(said, {form.fresh: False} | show_number(ui, form.shots, said, 0))
    again, said = press(ui, form, said)
    assert again == first
    once_more, _ = press(ui, form, said)
    assert once_more == first


def test_what_a_person_wrote_stays_and_their_seeds_are_for_one_set(studio: Studio) -> None:
    ui, form, said = open_page(studio)
    seed, caption = HEADERS.index("seed"), HEADERS.index("caption")
    rows = [list(row) for row in said[form.shots.rows]]
    rows[0][HEADERS.index("pose")], rows[0][seed], rows[0][caption] = "relaxed", "7", "mine"
    rows[0][HEADERS.index("outfit")] = next(o for o in ("suit", "coat") if o != rows[0][HEADERS.index("outfit")])
    first, said = press(ui, form, said | {form.shots.rows: rows})
    second, _ = press(ui, form, said)
    assert (first.seeds[0], second.seeds[0]) == (7, None)
    assert first.captions[0] == second.captions[0] == "mine"
    assert first.shots[0].outfit == second.shots[0].outfit
    assert first.shots[1:] != second.shots[1:]


def test_a_person_of_photos_wears_what_these_show_but_where_somebody_wrote_other_clothes(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    character = Character.make(photos=({"picture": "a" * 64},), worn={"outfit": "dress", "outfit_colour": "green"})
    who = make_persona().model_copy(update={"lora": None, "character": character, "character_consent": None})
    monkeypatch.setattr(Ui, "find", lambda self, owner, kind, key: who if kind is Persona else None)
    ui, form, said = open_page(studio)
    row, at = said[form.shots.rows][1], HEADERS.index("outfit")
    row[at] = "hoodie" if row[at] != "hoodie" else "coat"
    asked = read_form_request(ui, form, said, "me")
    worn = [(shot.outfit, shot.outfit_colour) for shot in asked.shots]
    assert worn[1][0] == row[at]
    assert {*worn[:1], *worn[2:]} == {("dress", "green")}
    assert asked.photos == character
    own = read_form_request(ui, form, said | {form.shots.template: OWN_LIST}, "me")
    assert len({(shot.outfit, shot.outfit_colour) for shot in own.shots}) > 3


def test_a_list_of_ones_own_is_drawn_as_it_is_with_other_seeds(studio: Studio) -> None:
    ui, form, said = open_page(studio)
    shots = tuple(paste_shots("smiling, red dress\n微笑 红色 连衣裙 挥手"))
    said = show(said, write_table(ui, form.shots, Table(shots, (3, None))))
    assert said[form.shots.template] == OWN_LIST
    first, said = press(ui, form, said)
    second, _ = press(ui, form, said)
    assert first.shots == second.shots == shots
    assert (first.again, second.again) == (0, 1)
    assert (first.seeds, second.seeds) == ((3, None), (None, None))


@pytest.mark.parametrize("platform", [row.id for row in load_platforms()])
def test_a_set_is_drawn_in_the_shape_of_its_platform(studio: Studio, platform: str) -> None:
    ui, form, said = open_page(studio)
    asked, _ = press(ui, form, said | {form.platform: platform})
    assert asked.shape == (find_platform(platform).shape or "")


def test_a_request_from_before_is_the_same_request_and_job(studio: Studio) -> None:
    asked = make_post_set().request
    value = asked.model_dump(mode="json")
    assert "again" not in value
    other = asked.changed(again=4)
    assert read_request("posts", other.model_dump(mode="json"), lambda kind, key: WHO) == other
    assert plan_shots(9, 1) == plan_shots(9, 1, 0)
    with pytest.raises(BadInput, match=r"request_invalid.*again"):
        asked.changed(again=-1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_before_anybody_filled_it_in_the_form_proposes_a_set(studio: Studio, language: Language) -> None:
    ui, form, said = open_page(studio, language)
    shown = show(said, write_draft(ui, form, PostsDraft(), "me", WHO.id, WHERE.id))
    assert {part: shown[part] for part in form.inputs} == {part: said[part] for part in form.inputs}
    assert len(read_form_request(ui, form, shown, "me").shots) == 9


SETTINGS = SetSettings(
    scale=0.4, detail=0.3, panels=3, keep_landmark=False, seed=9, goods=make_goods("a red tin"), goods_as="both",
    goods_box=(0.1, 0.2, 0.3, 0.9),
)  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_comes_back_as_it_was_typed_wrong_or_not(studio: Studio, language: Language) -> None:
    ui, form, said = open_page(studio)
    rows = [list(row) for row in said[form.shots.rows]]
    rows[2][HEADERS.index("pose")], rows[2][HEADERS.index("caption")] = "dancing on a table", "新品 🌸"
    rows[3][HEADERS.index("view")] = "from below"
    draft = PostsDraft(platform="instagram", persona=WHO.id, scene=WHERE.id, settings=SETTINGS)
    said = show(said, write_draft(ui, form, draft, "me", WHO.id, WHERE.id))
    said = show(said, {form.shots.rows: rows, form.shots.lines: "smiling\nxyz", form.fresh: False})
    grant(studio.records, "me", SETTINGS.file_keys())
    for key in SETTINGS.file_keys():
        place_in(studio.store, key).parent.mkdir(parents=True, exist_ok=True)
        place_in(studio.store, key).write_bytes(b"x")
    keep_draft(studio.records, "me", read_draft(ui, form, said, "me"))

    other, theirs, blank = open_page(Studio(Settings(data=studio.settings.data)), language)
    kept = kept_draft(other.studio.library, "me")
    assert kept is not None
    assert kept_draft(other.studio.library, "wang") is None
    again = show(blank, write_draft(other, theirs, kept, "me", WHO.id, WHERE.id))
    assert (again[theirs.platform], again[theirs.fresh], again[theirs.shots.lines]) == (
        "instagram",
        False,
        "smiling\nxyz",
    )
    assert again[theirs.shots.rows][2][HEADERS.index("pose")] == "dancing on a table"
    assert again[theirs.shots.rows][2][HEADERS.index("caption")] == "新品 🌸"
    assert again[theirs.shots.rows][0][0] == Texts(language).word(Texts("en").word_back(rows[0][0]))
    assert read_draft(other, theirs, again, "me").settings == kept.settings == SETTINGS
    with pytest.raises(BadInput, match="bad_shot"):
        read_form_request(other, theirs, again, "me")


def test_what_a_draft_names_is_kept_and_what_is_gone_is_left_out(studio: Studio) -> None:
    product = studio.store.put_picture(np.zeros((8, 8, 3), np.uint8))
    mask = studio.store.put_picture(np.ones((8, 8, 3), np.uint8))
    goods = make_goods().model_copy(update={"picture": product, "mask": mask})
    draft = PostsDraft(settings=SetSettings(goods=goods, scale=0.5))
    grant(studio.records, "me", [product, mask])
    keep_draft(studio.records, "me", draft)
    sweep(studio.library, young_s=-1, draft_s=-1)
    assert kept_draft(studio.library, "me") == draft
    assert kept_draft(studio.library, "wang") is None
    keep_draft(studio.records, "wang", draft)  # whose files are another's
    hers = kept_draft(studio.library, "wang")
    assert hers is not None
    assert (hers.settings.goods, hers.settings.scale) == (None, 0.5)


def test_settings_that_cannot_be_kept_are_as_usual() -> None:
    assert keep_valid({"seed": 2**40, "scale": 0.5, "blocks": "x" * 400}) == SetSettings(scale=0.5)
    assert keep_valid({"nothing": 1}) == SetSettings()


def test_a_draft_of_a_newer_studio_is_left_alone(studio: Studio) -> None:
    keep_draft(studio.records, "me", PostsDraft())
    facts = json.loads(PostsDraft().model_dump_json()) | {"later": 1}
    studio.records.keep(DraftRecord(id="posts", owner="me", facts=facts, keys=[]))
    assert kept_draft(studio.library, "me") is None


def test_what_nobody_wrote_follows_the_taste_where_that_is_asked_for_and_says_why(studio: Studio) -> None:
    ui, form, said = open_page(studio)
    plain = read_form_request(ui, form, said, "me")
    comment(studio.records, "me", "I love red clothes. No serious faces. I like a waving pose")
    assert read_form_request(ui, form, said, "me") == plain  # it is off
    rows = [list(row) for row in said[form.shots.rows]]
    rows[0][HEADERS.index("outfit_colour")] = "green"
    rows[1][HEADERS.index("caption")] = "My own words"
    asked = said | {form.shots.rows: rows, form.fill.box: True, form.fill.bold: 0.0}
    made = read_form_request(ui, form, asked, "me")
    assert made.shots[0].outfit_colour == "green"
    assert {shot.outfit_colour for shot in made.shots[1:]} == {"red"}
    assert {shot.pose for shot in made.shots} == {"waving"}
    assert "serious" not in {shot.expression for shot in made.shots}
    for field in ("framing", "view", "setting", "light", "outfit", "goods"):
        assert [getattr(s, field) for s in made.shots] == [getattr(s, field) for s in plain.shots]
    assert made.guided is not None
    assert all(made.captions[n] for n in range(len(made.shots)))
    assert made.captions[1] == "My own words"
    assert "red" in str(made.captions[2])
    why = show_why(ui, made.guided)
    assert "waving" in why
    assert why == show_why(ui, read_form_request(ui, form, asked, "me").guided)
    assert "serious" not in {shot.expression for shot in read_form_request(ui, form, asked, "me").shots}
    dressed = asked | {form.shots.template: "one_outfit", form.shots.rows: write_shots(ui, make_shots("one_outfit", 3))}
    assert {(s.outfit, s.outfit_colour) for s in read_form_request(ui, form, dressed, "me").shots} == {("dress", "red")}
    later = read_form_request(ui, form, asked | {form.shots.again: 1}, "me")
    assert later.captions[1] == "My own words"
    assert {a for a in later.captions if a in made.captions} == {"My own words"}  # another set of the list
    nobody = read_form_request(ui, form, asked, "you")
    assert nobody.guided is None
    assert [s.pose for s in nobody.shots] == [s.pose for s in plain.shots]
