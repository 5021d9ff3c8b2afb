"""One short journey on a phone, from the form to a bundle, and a look at every page: what CI sees of the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.application import Studio
from studio.export.bundle import verify_bundle
from studio.settings import Settings
from studio.ui.parts.html import PAGES
from tests.browser.conftest import Site, look_at, open_page, serve, unfold
from tests.library import keep_result
from tests.studio.domain.values import make_persona

pytestmark = [pytest.mark.browser, pytest.mark.short]
MINUTES_MS = 180_000
# Gradio's own upload button has another name than its text says
EXCLUDED = "[['#upload']]"
LICENSED = ("Apache", "miniature")  # what a model and its licence are called, where it says what a set was made of


@pytest.fixture(scope="module")
def stall(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Site]:
    """A studio with one person: a source face's own file, so that nothing has to be trained."""
    studio = Studio(Settings(data=tmp_path_factory.mktemp("stall")))
    donor = studio.donors("sweet")[0]
    told = {
        "lora": studio.store.put(donor.lora_path.read_bytes()),
        "trigger": donor.trigger,
        "samples": (),
        "rounds": (),
        "losses": None,
    }
    keep_result(studio, "me", make_persona(name="小美").model_copy(update=told | {"enrolment": (128**-0.5,) * 128}))
    with serve(studio.settings.data) as served:
        yield served


def test_from_the_form_to_a_bundle_on_a_phone(chromium: Any, stall: Site, tmp_path: Path) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN", base_url=stall.url)
    page = context.new_page()
    page.set_default_timeout(MINUTES_MS)
    open_page(page, "posts", "zh")
    page.wait_for_selector("#person-tile :text('小美')")
    page.wait_for_selector("#place-tile img")
    unfold(page, "shots")
    page.locator("#paste textarea").fill("微笑 红色 连衣裙\n大笑 蓝色 卫衣")
    page.locator("#paste-go").click()
    page.wait_for_selector("#shots-tile :text('2 张')")
    go = page.locator("#go").bounding_box()
    assert go["y"] + go["height"] <= 844  # in sight, although the form is longer than the screen
    page.locator("#go").click()
    page.wait_for_selector("#posts [data-drag]")
    assert page.locator("#posts [data-drag]").count() == 2
    page.evaluate("document.querySelectorAll('#posts [data-drag]')[1].scrollIntoView()")
    page.locator("#posts [data-do=export]").click()
    page.wait_for_selector("#posts #download")
    with page.expect_download() as waiting:
        page.locator("#download").click()
    waiting.value.save_as(tmp_path / "bundle.zip")
    assert verify_bundle(tmp_path / "bundle.zip") == ()
    assert look_at(page, "zh", ["bundle", "zip", *LICENSED], EXCLUDED) == {}
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_is_in_its_language_and_shuts_nobody_out(
    chromium: Any, stall: Site, language: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, base_url=stall.url)
    page = context.new_page()
    names = [*LICENSED, *(donor.name for donor in Studio(Settings(data=stall.data)).donors())]
    found: dict[str, Any] = {}
    for name in PAGES:
        open_page(page, name, language)
        page.wait_for_timeout(700)
        # the settings are for whoever serves the studio: they name models as their makers do
        seen = look_at(page, "" if name == "settings" else language, names, EXCLUDED)
        found |= {f"{name}: {what}": where for what, where in seen.items()}
    context.close()
    assert not found, "\n".join(f"{what}: {where}" for what, where in found.items())
