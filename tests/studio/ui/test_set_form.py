"""A set's settings: what the backbone can do is offered, what was chosen is asked for, bad goods are refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image, ImageDraw

from pipelines.errors import BadInput
from pipelines.references.catalogue import REFERENCES, kinds_that
from studio.application import Studio
from studio.domain.capabilities import abilities
from studio.domain.posts import USUAL_RETAKES, PostRequest, SetSettings
from studio.domain.scene import MorePlace, ReferenceDials
from studio.jobs.queue import Queue
from studio.library.scenes import add_goods
from studio.library.shipped_styles import shipped_styles
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.chosen import build_sections
from studio.ui.parts.person_form import Chosen, PersonForm, build_person, write_person
from studio.ui.parts.reference_cards import Ways, choose_way, most_strength, show_ways
from studio.ui.parts.set_form import SetForm, build_form, read_form, write_form
from tests.studio.domain.values import key, make_goods, make_post_set
from tests.tiny_flux2 import write_klein
from tests.tiny_z_image import write_z_image


def studio_of(folder: Path) -> Studio:
    return Studio(Settings(data=folder))


def build(settings: Settings) -> tuple[SetForm, dict[Any, Any]]:
    """The form and what its components say before anybody touched it."""
    studio = Studio(settings)

    async def lay_out() -> SetForm:
        with gr.Blocks():
            ui, platform = Ui(studio, Queue(studio), Texts("en")), gr.Dropdown(["xiaohongshu"], value="xiaohongshu")
            return build_form(ui, build_sections(ui), gr.Dropdown([]), gr.Dropdown([]), platform)

    form = asyncio.run(lay_out())  # Gradio wants a running event loop, else it leaves one of its own open
    return form, {part: part.value for part in form.inputs}


def test_what_lies_beside_the_backbone_is_offered(tiny_family: Path, tmp_path: Path) -> None:
    redux = {kind.id for kind in REFERENCES if kind.use == "show" and kind.is_able({"redux"})}
    assert redux >= {"redux"}
    redux |= {"character"}  # says who, not where: no card of the page
    assert abilities(Settings(data=tmp_path)) == redux
    assert abilities(Settings(data=tmp_path, backbone=str(tiny_family))) >= {"fill", "references"}
    assert abilities(Settings(data=tmp_path, kontext_folder=tmp_path)) == redux | {"references"}
    assert abilities(Settings(data=tmp_path, kontext_folder=tmp_path / "gone")) == redux
    assert abilities(Settings(data=tmp_path, backbone="nothing/here")) == set()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_way_that_is_lacking_says_why_and_cannot_be_chosen(language: Any) -> None:
    html = show_ways(Texts(language), Ways(), {"redux"})
    ways = kinds_that("show")
    assert html.count("<svg") == len(ways) + 2  # the landmark's pixels, and panels
    assert html.count("disabled") == len(ways) - 1
    assert "FLUX.1-Kontext" in html
    assert choose_way(Ways(), "references", {"redux"}) == Ways()
    assert choose_way(Ways(), "references", {"redux", "references"}) == Ways("references")
    assert choose_way(choose_way(Ways(), "exact", ()), "panels", ()) == Ways("redux", exact=False, panels=True)


def test_only_ways_with_a_strength_have_a_slider() -> None:
    assert [most_strength(Ways(way)) for way in ("redux", "ip-adapter", "references")] == [1, 2, 0]


def test_the_form_left_alone_asks_for_the_defaults(tmp_path: Path) -> None:
    form, values = build(Settings(data=tmp_path))
    asked = make_post_set().request
    assert asked.changed(**read_form(form, values, "me")) == asked.changed(retakes=USUAL_RETAKES)


ASKED = make_post_set().request
REDUX = {
    "inject": "redux", "scale": 0.5, "seed": 77, "detail": 0.4, "renoise": 0.2, "keep_landmark": False, "panels": 3,
    "goods": make_goods("a red tin"), "goods_as": "reference", "goods_box": (0.1, 0.2, 0.4, 0.9),
    "dials": ReferenceDials(
        weights=key("weights"), pool=3, merge=0.9, references=(MorePlace(sha256=key("file"), photo=key("more")),)
    ),
}  # fmt: skip
ADAPTER = {
    "inject": "ip-adapter", "scale": 1.5, "blocks": "0-4,9=0.5", "goods": make_goods(), "goods_box": None,
    "dials": ReferenceDials(references=(MorePlace(sha256=key("file"), photo=key("more")),)),
}  # fmt: skip

PERSON = {
    "inject": "references", "scale": 1.0, "person_as": "both", "person_picture": key("photo of her"),
    "goods": make_goods(), "goods_as": "both", "dials": ADAPTER["dials"],
}  # fmt: skip


STYLE = {"style": next(s for s in shipped_styles() if s.id == "natural-light"), "style_strength": 0.7, "retakes": 2}


@pytest.mark.parametrize("chosen", [REDUX, ADAPTER, {"keep": "fill"}, PERSON, STYLE, {}])
def test_a_request_is_written_into_the_form_and_read_back(tmp_path: Path, chosen: dict[str, Any]) -> None:
    form, values = build(Settings(data=tmp_path))
    asked = ASKED.changed(**chosen)
    written = write_form(
        Ui(studio_of(tmp_path), Queue(studio_of(tmp_path)), Texts("en")),
        form,
        asked,
        asked.persona,
        asked.scene,
        "me",
    )
    assert set(written) == form.outputs
    values |= {part: getattr(said, "value", said) for part, said in written.items()}
    assert ASKED.changed(**read_form(form, values, "me")) == asked


@pytest.mark.parametrize("asked", [None, True, False])
def test_finishing_is_switched_where_there_is_an_upscaler(tmp_path: Path, asked: bool | None) -> None:
    """What the model does by itself stays unsaid, so that it is still so with another model."""
    (tmp_path / "x.safetensors").touch()
    form, values = build(Settings(data=tmp_path, upscaler=tmp_path / "x.safetensors"))
    assert (values[form.finish], form.finish.interactive) == (True, True)
    ui = Ui(studio_of(tmp_path), Queue(studio_of(tmp_path)), Texts("en"))
    request = ASKED.changed(finish=asked)
    said = values | write_form(ui, form, request, request.persona, request.scene, "me")
    assert said[form.finish] == (asked is not False)
    read = read_form(form, values | {form.finish: said[form.finish]}, "me")
    assert read["finish"] == (False if asked is False else None)
    said = write_form(ui, form, ASKED.changed(touch_up=asked), None, None, "me")
    assert said[form.touch_up] == (asked is not False)
    read = read_form(form, values | {form.touch_up: said[form.touch_up]}, "me")
    assert read["touch_up"] == (False if asked is False else None)


def test_all_fields_of_a_set_are_on_the_page() -> None:
    told = set(REDUX) | set(ADAPTER) | set(PERSON) | set(STYLE)
    told |= {"keep", "shape", "any_look", "finish", "finish_px", "touch_up", "retakes"}
    assert told == set(SetSettings.model_fields)
    told |= {"persona", "scene", "shots", "seeds", "captions", "again", "guided"}
    photos = {"character", "character_consent"}  # said by the command line and the API so far
    assert told == set(PostRequest.model_fields) - {"owner", "schema_version"} - photos


def test_dials_that_a_way_does_not_have_are_left_out(tmp_path: Path) -> None:
    form, values = build(Settings(data=tmp_path))
    dials = form.references.dials
    values |= {dials.pool: 3, dials.blocks: "0-4", form.references.cards.ways: Ways("ip-adapter")}
    assert read_form(form, values, "me")["dials"] == ReferenceDials()
    assert read_form(form, values, "me")["blocks"] == "0-4"
    values[form.references.cards.ways] = Ways("references")
    assert read_form(form, values, "me")["blocks"] == ""


def test_a_model_that_reads_pictures_itself_begins_with_them(tmp_path: Path) -> None:
    klein = write_klein(tmp_path / "klein", distilled=True)
    form, values = build(Settings(data=tmp_path / "data", backbone=str(klein)))
    asked = ASKED.changed(**read_form(form, values, "me"))
    assert (asked.inject, asked.scale, asked.person_as, asked.person_picture) == ("references", 1.0, "lora", None)
    cards, dials = form.references.cards, form.references.dials
    assert not cards.strength.visible  # it is shown or not
    assert [part.visible for part in (dials.more, dials.redux, dials.adapter)] == [True, False, False]
    values |= {form.person.shown_as: "reference", form.person.picture: Chosen("persona", key("her"))}
    assert ASKED.changed(**read_form(form, values, "me")).shows == {"scene", "person"}
    values[form.person.shown_as] = "lora"
    assert read_form(form, values, "me")["person_picture"] is None


def test_a_model_without_any_way_begins_with_words_alone(tmp_path: Path) -> None:
    turbo = write_z_image(tmp_path / "z-image-turbo", shift=3.0)
    form, values = build(Settings(data=tmp_path / "data", backbone=str(turbo)))
    assert ASKED.changed(**read_form(form, values, "me")).scale == 0
    assert not form.references.cards.strength.visible


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_picture_of_the_persona_is_chosen_only_where_it_can_be_seen(tmp_path: Path, language: Any) -> None:
    for able, visible in (({"references"}, True), ({"redux", "ip-adapter"}, False)):
        ui = Ui(studio_of(tmp_path), Queue(studio_of(tmp_path)), Texts(language))

        async def lay_out(ui: Ui = ui, able: set[str] = able) -> PersonForm:
            with gr.Blocks():
                return build_person(ui, gr.Dropdown([]), able)

        form = asyncio.run(lay_out())
        box = form.shown_as.parent
        while box is not None and getattr(box, "elem_id", "") != "person-ways":
            box = box.parent
        assert box is not None
        assert box.visible == visible
        assert [choice for _, choice in form.shown_as.choices] == ["lora", "reference", "both"]
        hers = ASKED.changed(inject="references", person_as="both", person_picture=key("hers"))
        strip = write_person(ui, form, hers, hers.persona)
        html = strip[form.strip]
        assert html.count("<figure>") == 2  # the one that was brought, and the last that training drew
        assert html.index(str(key("hers"))) < html.index(str(key("sample")))
        assert html.count('aria-pressed="true"') == 1


def test_a_box_that_is_none_is_refused(tmp_path: Path) -> None:
    form, values = build(Settings(data=tmp_path))
    values |= {form.goods.goods: make_goods(), form.goods.stands: "own", form.goods.box[0]: 0.99}
    with pytest.raises(BadInput) as refused:
        ASKED.changed(**read_form(form, values, "me"))
    assert refused.value.code == "goods_box_invalid"


def test_ways_that_do_not_go_together_are_refused_before_they_are_queued() -> None:
    asked = make_post_set().request
    with pytest.raises(BadInput, match="fill_with_kontext"):
        asked.changed(keep="fill", inject="kontext")


def test_goods_are_cut_out_on_upload(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    image = Image.new("RGB", (240, 300), (215, 215, 215))
    image.save(tmp_path / "empty.png")
    ImageDraw.Draw(image).rectangle((80, 60, 160, 260), fill=(190, 30, 40))
    image.save(tmp_path / "tin.png")
    goods = add_goods(studio.library, tmp_path / "tin.png", "a red tin")
    assert studio.store.get_picture(goods.picture).shape[:2] == (201, 81)
    with pytest.raises(BadInput, match="goods_not_cut_out"):
        add_goods(studio.library, tmp_path / "empty.png", "nothing")
