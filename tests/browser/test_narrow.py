"""On a phone, what stays in sight while one scrolls lies over everything else, and over little of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import open_page, unfold

# What is seen in the place of the button that stays, every few pixels of it.
_OVER = """() => {
  const box = document.querySelector('#go').getBoundingClientRect(), found = new Set();
  for (let x = box.left + 12; x < box.right - 8; x += 10) {
    for (let y = box.top + 4; y < box.bottom - 2; y += 8) {
      const seen = document.elementFromPoint(x, y);
      if (seen && !seen.closest('#go')) { found.add(seen.innerText || seen.className || seen.tagName); }
    }
  }
  return [...found];
}"""


@pytest.mark.browser
@pytest.mark.short
def test_titles_of_fields_do_not_show_through_the_button_that_stays(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    open_page(page, "posts")
    unfold(page, "shots")
    page.wait_for_timeout(1200)
    for down in range(0, 900, 40):
        page.evaluate(f"scrollTo(0, {down})")
        assert page.evaluate(_OVER) == [], down
    page.evaluate("scrollTo(0, 0)")
    bar = page.locator("#go").bounding_box()
    assert bar["height"] < 60
    assert 830 < bar["y"] + bar["height"] <= 900
