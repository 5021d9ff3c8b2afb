"""Goods and crops are put where they belong with the mouse, and with the keyboard alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from pipelines.shapes import Box
from studio.application import Studio
from studio.library.drafts import kept_draft
from studio.library.records import SceneRecord
from studio.settings import Settings
from tests.browser.conftest import Site, serve, unfold
from tests.library import keep_cafe, keep_persona

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Site]:
    """A studio with a persona and a café; nothing is drawn."""
    studio = Studio(Settings(data=tmp_path_factory.mktemp("shop")))
    keep_persona(studio)
    keep_cafe(studio)
    with serve(studio.settings.data) as served:
        yield served


@pytest.fixture(params=[1280, 390])
def at(chromium: Any, shop: Site, request: pytest.FixtureRequest) -> Iterator[Any]:
    context = chromium.new_context(
        viewport={"width": request.param, "height": 900}, locale="zh-CN", base_url=shop.url
    )  # fmt: skip
    yield context.new_page()
    context.close()


def drag(page: Any, handle: str, across: float, down: float) -> None:
    """Drag what is shown by this many pixels."""
    node = page.locator(handle)
    node.scroll_into_view_if_needed()
    box = node.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across, y + down, steps=8)
    page.mouse.up()


def stand_at(site: Site, box: Box) -> None:
    """Wait until the kept form has the goods stand there: its four numbers arrive one by one."""
    library, seen = Studio(Settings(data=site.data)).library, set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        draft = kept_draft(library, "me")
        if draft is not None and draft.settings.goods_box == pytest.approx(box, abs=0.02):
            return
        seen.add(None if draft is None else draft.settings.goods_box)
        time.sleep(0.2)
    pytest.fail(f"the goods stand at {seen}, not at {box}")


def test_goods_are_dragged_on_the_place(at: Any, shop: Site, tmp_path: Path) -> None:
    tin = tmp_path / "tin.png"
    image = Image.new("RGB", (240, 300), (215, 215, 215))
    ImageDraw.Draw(image).rectangle((80, 60, 160, 260), fill=(190, 30, 40))
    image.save(tin)
    at.goto("/zh/posts")
    at.wait_for_selector("#place-tile img", timeout=60_000)
    unfold(at, "goods")
    at.locator("#goods input[type=file]").set_input_files(tin)
    at.wait_for_selector("#stage .st-box")
    at.wait_for_timeout(1500)
    at.locator("#stands input").click()
    at.get_by_role("option", name="左下").click()
    stand_at(shop, (0.04, 0.5, 0.38, 0.98))
    stage = at.locator("#stage .st-stage").bounding_box()
    drag(at, "#stage .st-box", 0.3 * stage["width"], -0.2 * stage["height"])
    stand_at(shop, (0.34, 0.3, 0.68, 0.78))
    assert at.locator("#stands input").input_value() == "自定义位置"
    drag(at, "#stage [data-corner]", 0.1 * stage["width"], 0.1 * stage["height"])
    stand_at(shop, (0.34, 0.3, 0.78, 0.88))
    at.locator("#stage .st-box").focus()
    for _ in range(3):
        at.keyboard.press("ArrowLeft")
    stand_at(shop, (0.28, 0.3, 0.72, 0.88))
    at.keyboard.press("-")
    stand_at(shop, (0.28, 0.3, 0.70, 0.86))
    assert at.evaluate("document.activeElement.dataset.box") == "place"  # the keyboard stays where it was
    at.locator("#goods-tile .st-tile").click()
    assert "原样" in at.locator("#goods-tile").inner_text()
    assert at.locator("#goods-tile img").count() == 1
    unfold(at, "goods")
    at.locator("#goods-remove").click()
    at.wait_for_selector("#goods-tile :text('没有')")


def test_a_crop_is_dragged_on_the_photo(at: Any, shop: Site) -> None:
    studio = Studio(Settings(data=shop.data))
    at.goto("/zh/scenes")
    at.wait_for_selector("#mine .st-card", timeout=60_000)
    at.locator("#mine [data-do=open]").first.click()
    at.wait_for_selector("#crop-stage .st-box", timeout=30_000)
    at.wait_for_timeout(2500)
    at.locator("#crop-shape label").nth(2).click()
    at.wait_for_selector("#crop-stage .st-box[aria-label^='1:1']")
    before = at.locator("#crop-stage .st-box").get_attribute("style")
    drag(at, "#crop-stage .st-box", 0, -600)  # farther than there is photo: it ends at the edge
    at.wait_for_function("document.querySelector('#crop-down input[type=range]').value === '0'")
    drag(at, "#crop-stage [data-corner]", -60, -60)
    at.wait_for_function("Number(document.querySelector('#crop-size input[type=range]').value) < 1")
    assert at.locator("#crop-stage .st-box").get_attribute("style") != before
    at.locator("#save").click()
    at.wait_for_selector("#said .done", timeout=30_000)
    crop = (studio.records.find(SceneRecord, "me")[-1].crops or [])[0]
    left, top, right, bottom = crop["box"]
    assert crop["shape"] == "1:1"
    assert top == 0
    assert right - left < 0.99
    assert (right - left) / (bottom - top) == pytest.approx(4 / 3, abs=0.02)  # a square of a photo that is 3:4
