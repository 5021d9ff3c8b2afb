"""The settings page in a real browser: another backbone is chosen, what does not fit it is greyed, and back again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.application import Studio
from studio.settings import Settings
from tests.browser.conftest import Site, need_chromium, serious_violations, serve, unfold
from tests.library import keep_persona
from tests.siblings import shake
from tests.tiny_flux2 import write_klein

pytestmark = [pytest.mark.browser, pytest.mark.journey]
KLEIN, BASE = "FLUX.2-klein-4B", "FLUX.2-klein-base-4B"
PATIENCE_MS = 180_000  # a process of its own loads torch before it answers


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    """A studio of the miniature with a persona; a tiny klein and its base sibling lie in the folder of models."""
    need_chromium()
    write_klein(tmp_path / "models" / KLEIN, distilled=True)
    sibling = write_klein(tmp_path / "models" / BASE)
    (sibling / "studio.json").unlink()
    shake(sibling)
    keep_persona(Studio(Settings(data=tmp_path / "data")))
    with serve(tmp_path / "data", models=str(tmp_path / "models")) as site:
        yield site


def _choose(page: Any, name: str) -> None:
    page.goto("/en/settings")
    page.locator(f"#backbones .st-card:has(strong:text-is('{name}')) button").click()
    page.wait_for_selector(f"#backbones .st-card.kept strong:text-is('{name}')", timeout=PATIENCE_MS)


def test_another_backbone_is_chosen_and_what_does_not_fit_it_is_greyed(
    chromium: Any, shop: Site, tmp_path: Path
) -> None:
    page = chromium.new_context(
        viewport={"width": 390, "height": 844}, locale="en-US", base_url=shop.url
    ).new_page()  # a phone
    page.set_default_timeout(90_000)
    _choose(page, KLEIN)
    assert f"Personas are trained on {BASE}, which is here" in page.inner_text("#backbones")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.reload()  # without the toast, whose markup is the library's own
    page.wait_for_selector(f"#backbones .st-card.kept strong:text-is('{KLEIN}')")
    assert serious_violations(page) == {}

    page.goto("/en/design")
    page.wait_for_selector("#desk .st-card .st-bad")
    assert page.locator("#desk [data-do=weight]").count() == 0  # no mix of the miniature's donors is left standing
    assert "was made on FLUX.1; the studio is drawing with FLUX.2-klein-4B" in page.inner_text("#desk")
    assert page.locator("#training-notice .st-panel").count() == 0
    assert serious_violations(page) == {}
    page.goto("/en/posts")
    page.wait_for_function("document.querySelector('#persona input')?.value.endsWith('by a picture only')")
    unfold(page, "person")  # no LoRA of another family's
    page.wait_for_function("document.querySelector('#person-as input[value=reference]')?.checked")

    shutil.rmtree(tmp_path / "models" / BASE)
    page.goto("/en/design")
    page.wait_for_selector(f"#training-notice:has-text('Its face files are trained on {BASE}, which is not here')")

    _choose(page, "miniature")
    page.goto("/en/design")
    page.wait_for_selector("#desk [data-do=weight]")
    assert page.locator("#desk .st-bad").count() == 0
    assert page.locator("#training-notice .st-panel").count() == 0
