"""A place of one's own: its fixed object is painted, and what cannot be used is refused in words."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from studio.library.records import Records, SceneRecord
from studio.library.store import Store
from tests.browser.conftest import Site, open_page

pytestmark = [pytest.mark.browser, pytest.mark.journey]


def test_a_painted_landmark_is_kept(page: Any, tmp_path: Path, site: Site) -> None:
    photo = tmp_path / "café 'тест' 🌸.png"
    image = Image.new("RGB", (600, 800), "#88aacc")
    ImageDraw.Draw(image).rectangle((200, 300, 400, 500), fill="#cc3311")
    image.save(photo)
    open_page(page, "scenes")
    page.locator("#upload input[type=file]").set_input_files(photo)
    page.wait_for_function("document.querySelector('#name input, #name textarea').value !== ''", timeout=20_000)
    page.wait_for_timeout(1500)
    canvas = page.locator("#editor canvas").first
    page.locator("#editor button[aria-label*='rush'], #editor [aria-label*='Draw']").first.click()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for _ in range(8):  # a busy machine takes the brush up later; a stroke before that paints nothing
        page.mouse.move(x - 30, y)
        page.mouse.down()
        page.mouse.move(x + 30, y + 10, steps=8)
        page.mouse.up()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.wait_for_timeout(800)
        seen = Image.open(BytesIO(page.screenshot())).convert("RGB").getpixel((round(x), round(y + 5)))
        if seen != (0xCC, 0x33, 0x11):  # the photo's own colour there
            break
    page.locator("#save").click()
    page.wait_for_selector("#said .done", timeout=20_000)
    assert "with its fixed object" in page.locator("#said").inner_text()
    assert "without" not in page.locator("#said").inner_text()
    rows = [row for row in Records(site.data / "studio.sqlite").find(SceneRecord, "me") if row.landmark]
    mask = Store(site.data / "files").get_picture(str(rows[-1].landmark))
    assert mask.shape[:2] == (800, 600)
    assert 0.001 < np.mean(mask > 128) < 0.3


@pytest.mark.parametrize("what", ["no picture", "damaged", "huge", "tiny"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_bad_uploads_are_refused_in_words(page: Any, tmp_path: Path, what: str, language: str) -> None:
    path = tmp_path / "a.png"
    if what == "no picture":
        path.write_bytes(b"GIF89a, not really" * 50)
    elif what == "tiny":
        Image.new("RGB", (9, 9)).save(path)
    elif what == "huge":
        Image.new("1", (9000, 9000)).save(path)
    else:
        Image.effect_noise((300, 300), 90).convert("RGB").save(path)
        path.write_bytes(path.read_bytes()[:9000])
    open_page(page, "scenes", language)
    page.locator("#upload input[type=file]").set_input_files(path)
    said = page.locator("#said [role=alert]")
    said.wait_for(timeout=20_000)
    assert bool(re.search("[一-龥]", said.inner_text())) == (language == "zh")
    page.locator("#offered button").first.click()  # the page goes on
    page.wait_for_selector("#mine .st-card")
