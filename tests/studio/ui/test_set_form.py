"""A set's settings: what the backbone can do is offered, what was chosen is asked for, bad goods are refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image, ImageDraw

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.capabilities import abilities
from studio.jobs.queue import Queue
from studio.library.scenes import add_goods
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.reference_cards import Ways, choose_way, most_strength, show_ways
from studio.ui.parts.set_form import SetForm, build_form, read_form
from tests.studio.domain.values import make_goods, make_post_set


def build(settings: Settings) -> tuple[SetForm, dict[Any, Any]]:
    """The form and what its components say before anybody touched it."""
    studio = Studio(settings)

    async def lay_out() -> SetForm:
        with gr.Blocks():
            return build_form(Ui(studio, Queue(studio), Texts("en")), gr.Dropdown([]))

    form = asyncio.run(lay_out())  # Gradio wants a running event loop, else it leaves one of its own open
    return form, {part: part.value for part in form.inputs}


def test_what_lies_beside_the_backbone_is_offered(tiny_family: Path, tmp_path: Path) -> None:
    assert abilities(Settings(data=tmp_path)) == {"redux"}
    assert abilities(Settings(data=tmp_path, backbone=str(tiny_family))) >= {"fill", "kontext"}
    assert abilities(Settings(data=tmp_path, kontext_folder=tmp_path)) == {"redux", "kontext"}
    assert abilities(Settings(data=tmp_path, kontext_folder=tmp_path / "gone")) == {"redux"}
    assert abilities(Settings(data=tmp_path, backbone="nothing/here")) == set()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_way_that_is_lacking_says_why_and_cannot_be_chosen(language: Any) -> None:
    html = show_ways(Texts(language), Ways(), {"redux"})
    assert html.count("<svg") == 5
    assert html.count("disabled") == 2
    assert "FLUX.1-Kontext" in html
    assert choose_way(Ways(), "kontext", {"redux"}) == Ways()
    assert choose_way(Ways(), "kontext", {"redux", "kontext"}) == Ways("kontext")
    assert choose_way(choose_way(Ways(), "exact", ()), "panels", ()) == Ways("redux", exact=False, panels=True)


def test_only_ways_with_a_strength_have_a_slider() -> None:
    assert [most_strength(Ways(way)) for way in ("redux", "ip-adapter", "kontext")] == [1, 2, 0]


def test_the_form_left_alone_asks_for_the_defaults(tmp_path: Path) -> None:
    form, values = build(Settings(data=tmp_path))
    asked = make_post_set().request
    assert asked.changed(**read_form(form, values)) == asked


def test_everything_that_was_chosen_is_asked_for(tmp_path: Path) -> None:
    form, values = build(Settings(data=tmp_path))
    values |= {
        form.ways: Ways("ip-adapter", exact=False, panels=True), form.strength: 1.5, form.panels: 3,
        form.goods: make_goods("a product"), form.goods_name: "  a   red tin ", form.stands: "own",
        form.goods_as: "reference", form.detail: 0.4, form.renoise: 0.2, form.keep: "fill",
    }  # fmt: skip
    values |= dict(zip(form.box, (0.1, 0.2, 0.4, 0.9), strict=True))
    assert read_form(form, values) == {
        "scale": 1.5, "inject": "ip-adapter", "keep_landmark": False, "panels": 3, "detail": 0.4, "renoise": 0.2,
        "keep": "fill", "goods": make_goods("a red tin"), "goods_as": "reference",
        "goods_box": (0.1, 0.2, 0.4, 0.9),
    }  # fmt: skip
    values[form.stands] = "shot"
    assert read_form(form, values)["goods_box"] is None
    values |= {form.stands: "own", form.box[0]: 0.8}
    with pytest.raises(BadInput, match="no box"):
        read_form(form, values)


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
    with pytest.raises(BadInput, match="no product"):
        add_goods(studio.library, tmp_path / "empty.png", "nothing")
