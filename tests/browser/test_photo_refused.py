"""A real photo is refused in words where it is chosen and where it is to be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.application import Studio
from studio.library.scenes import add_scene
from studio.settings import Settings
from tests.browser.conftest import need_chromium, serve
from tests.data import need
from tests.library import keep_persona

pytestmark = [pytest.mark.browser, pytest.mark.journey]


@pytest.mark.parametrize(
    ("language", "said", "first"), [("zh", "像是真实照片", "街景"), ("en", "looks like a real photo", "Street")]
)
def test_a_real_photo_is_refused_in_words(chromium: Any, tmp_path: Path, language: str, said: str, first: str) -> None:
    need_chromium()
    studio = Studio(Settings(data=tmp_path))
    add_scene(studio.library, need("scenes/demo01.jpg"), None, first)
    keep_persona(studio)
    with serve(tmp_path) as site:
        context = chromium.new_context(viewport={"width": 390, "height": 800}, base_url=site.url)
        page = context.new_page()
        page.goto(f"/{language}/posts")
        page.wait_for_selector("#scene-look .st-panel", timeout=60_000)
        assert said in page.locator("#scene-look").inner_text()
        page.locator("#go").click()
        page.locator(".toast-body", has_text=said).wait_for(timeout=60_000)
        assert page.locator("#any-look").is_visible()
        context.close()
