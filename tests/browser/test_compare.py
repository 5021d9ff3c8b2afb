"""The compare page in a browser: a grid of two strengths is drawn, one of them is used, and that is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from studio.application import Studio
from studio.library.drawn_as import drawn_as
from studio.settings import Settings
from tests.browser.conftest import Site, look_at, need_chromium, serve
from tests.library import keep_result
from tests.studio.domain.values import make_persona

pytestmark = pytest.mark.browser
PATIENCE_MS = 300_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A studio with a persona that is one source face's own LoRA."""
    need_chromium()
    studio = Studio(Settings(data=tmp_path_factory.mktemp("compare")))
    donor = studio.donors("sweet")[0]
    person = make_persona(name="Mira").model_copy(
        update={
            "lora": studio.store.put(donor.lora_path.read_bytes()), "trigger": donor.trigger, "samples": (),
            "rounds": (), "enrolment": (128**-0.5,) * 128,
        }
    )  # fmt: skip
    keep_result(studio, "me", person)
    with serve(studio.settings.data) as served:
        yield served


def test_a_strength_is_compared_used_and_taken_back(chromium: Any, shop: Site) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN", base_url=shop.url)
    page = context.new_page()
    page.set_default_timeout(60_000)
    records = Studio(Settings(data=shop.data)).records
    page.goto("/zh/lab")
    page.wait_for_selector("#grid-go:not([disabled])")
    for strength in ("0.8", "1.2"):  # of four that are proposed, two are enough
        page.locator(f"#grid-strengths label:has-text('{strength}') input").uncheck()
    page.wait_for_selector("#grid-estimate:has-text('共 2 张')")
    page.locator("#grid-go").click()
    page.wait_for_selector("#grids .st-bar")
    page.wait_for_selector("#grids [data-do=draw-as]", timeout=PATIENCE_MS)
    assert page.locator("#grids figure img").count() == 2
    persona = str(page.locator("#grids [data-do=draw-as]").first.get_attribute("data-persona"))
    before = drawn_as(records, "me", persona)
    page.locator("#grids [data-do=draw-as][aria-pressed=false]").click()
    page.wait_for_selector("#grids .st-drawn-as")
    assert drawn_as(records, "me", persona).scale == 0.6
    page.locator("#grids [data-do=undo-draw-as]").click()
    page.wait_for_selector("#grids .st-drawn-as", state="detached")
    assert drawn_as(records, "me", persona) == before
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        assert look_at(page, "zh", names=("Mira",)) == {}
    context.close()
