"""A folder of photos on the data set page: chosen, said whose it is, looked through, edited by keys, both languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.learning_pictures import person_folder
from tests.browser.conftest import look_at, open_page

pytestmark = pytest.mark.browser
PATIENCE_MS = 240_000


def test_from_a_folder_to_captions(page: Any, tmp_path: Path) -> None:
    folder = tmp_path / "小美"
    folder.mkdir()
    for i, one in enumerate(person_folder(3, 4, 1, 1)):
        Image.fromarray(one.picture).save(folder / f"{i}.png")
    (folder / f"{'很长' * 40}.txt").write_text("x")  # a name that needs more than a tar's first hundred bytes
    (folder / ".hidden.png").write_bytes(b"x")
    page.set_default_timeout(PATIENCE_MS)
    open_page(page, "dataset", "zh")
    assert look_at(page, "zh") == {}
    page.locator("#dataset-drop input[type=file]").nth(1).set_input_files(folder)
    page.wait_for_selector("#dataset-form")
    assert page.locator("#dataset-name textarea, #dataset-name input").input_value() == "小美"
    for name, said in (("who", "林小美"), ("scope", "组合")):
        page.fill(f"#dataset-{name} textarea, #dataset-{name} input", said)
    page.check("#dataset-agreed input")
    page.click("#dataset-go")
    page.click("#job .done a")
    page.wait_for_selector("#cards .st-card")
    assert page.locator("#cards .st-card").count() == 6
    assert page.locator("#summary details li").count() == 1
    page.locator("#cards [data-do=drop]").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#cards [data-do=measure]")
    text = page.locator("#cards textarea").nth(1)
    text.fill("ohwx woman at the sea")
    text.blur()
    page.locator("#cards [data-name=hand]").click()
    page.wait_for_selector("#cards .st-card:only-child")
    page.set_viewport_size({"width": 390, "height": 844})
    assert look_at(page, "zh", ("ohwx", "png", "txt")) == {}
    open_page(page, "dataset")
    page.wait_for_selector("#cards textarea")
    assert page.locator("#cards textarea").nth(1).input_value() == "ohwx woman at the sea"
    assert look_at(page, "en") == {}
