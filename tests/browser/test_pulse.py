"""An open page asks rarely while nothing moves, soon after a press, and not at all while nobody looks at it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Site, open_page, serve

pytestmark = pytest.mark.browser

_HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A studio of its own: in the other tests' one a job may still run, and what is pressed here would stay there."""
    with serve(tmp_path_factory.mktemp("pulse")) as site:
        yield site


def asked_in(page: Any, seconds: float) -> int:
    """How often the page asked for an event of its own in so many seconds."""
    asked: list[str] = []

    def hear(request: Any) -> None:
        if "/queue/join" in request.url:
            asked.append(request.url)

    page.on("request", hear)
    page.wait_for_timeout(1000 * seconds)
    page.remove_listener("request", hear)
    return len(asked)


@pytest.mark.parametrize("where", ["posts", "design", "library", "settings"])
def test_an_idle_page_asks_every_three_seconds(page: Any, where: str) -> None:
    open_page(page, where)
    page.wait_for_timeout(7000)
    assert 2 <= asked_in(page, 12) <= 7  # what a form keeps while it is filled in may come late
    page.evaluate(_HIDE, True)
    page.wait_for_timeout(500)
    assert asked_in(page, 7) == 0
    page.evaluate(_HIDE, False)
    assert asked_in(page, 5) >= 1  # the first may have been asked before anybody listens


def test_what_was_pressed_is_seen_within_a_second_or_two(page: Any) -> None:
    """A preview is asked for on an idle page: from then on it is looked at each second, and told when it is done."""
    open_page(page, "design")
    page.wait_for_timeout(4000)
    page.click("[data-do=preview]")
    began = time.monotonic()
    page.wait_for_selector("#progress .st-bar", timeout=10_000)
    page.wait_for_function("document.querySelector('#running .st-line')", timeout=10_000)
    assert time.monotonic() - began < 10
    assert asked_in(page, 6) >= 3
    page.wait_for_selector("#progress figure img, #progress .st-card img", timeout=240_000)
    page.wait_for_function("!document.querySelector('#running .st-line')", timeout=240_000)
