"""Two users at once, in two browsers, who never see each other's pictures."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from studio.library.records import FileRecord, Records
from studio.library.users import Users
from tests.browser.conftest import ROOT, Site, serious_violations, wait_for_site

pytestmark = [pytest.mark.browser, pytest.mark.journey]
SECRET = "correct horse battery"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    """A studio with two users."""
    data = tmp_path / "studio"
    for name in ("mei", "wang"):
        Users(Records(data / "studio.sqlite")).add(name, SECRET)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--data", str(data), "--port", str(port)]
    with (data / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=log, stderr=log)
        try:
            wait_for_site(f"http://127.0.0.1:{port}/health", server, data / "log")
            yield Site(f"http://127.0.0.1:{port}", data)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def _come_in(chromium: Any, shop: Site, name: str) -> Any:
    page = chromium.new_context(locale="en-US", base_url=shop.url).new_page()
    page.set_default_timeout(90_000)
    page.set_default_navigation_timeout(90_000)
    page.goto("/en/scenes")
    page.wait_for_url("**/login?next=/en/scenes")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", SECRET)
    page.click("form button")
    page.wait_for_url("**/en/scenes")
    page.wait_for_selector(f".st-who:has-text('{name}')", timeout=60_000)
    return page


def test_two_users_at_once_never_see_each_others_pictures(chromium: Any, shop: Site, tmp_path: Path) -> None:
    photo = tmp_path / "her secret place.png"
    Image.effect_noise((300, 400), 90).convert("RGB").save(photo)
    mei, wang = _come_in(chromium, shop, "mei"), _come_in(chromium, shop, "wang")
    seen: list[str] = []
    mei.on("request", lambda request: seen.append(request.url))
    mei.locator("#upload input[type=file]").set_input_files(photo)
    mei.wait_for_function("document.querySelector('#name input, #name textarea').value !== ''", timeout=60_000)
    mei.locator("#save").click()
    mei.wait_for_selector("#mine .st-card", timeout=60_000)
    wang.reload()
    wang.wait_for_selector("#mine .st-empty", timeout=60_000)
    assert "secret" not in wang.content()
    keys = [row.id for row in Records(shop.data / "studio.sqlite").find(FileRecord, "mei")]
    uploads = [url.removeprefix(shop.url) for url in seen if "/gradio_api/file=" in url]
    assert keys
    for url in [*(f"/files/{key}" for key in keys), *(f"/thumbs/{key}" for key in keys), *uploads]:
        assert mei.request.get(url).status == 200, url
        assert wang.request.get(url).status == 404, url
    wang.click(".st-who button")
    expect(wang).to_have_url(re.compile("/login$"), timeout=60_000)
    assert wang.request.get(f"/files/{keys[0]}").status == 401
    mei.reload()
    mei.wait_for_selector("#mine .st-card", timeout=60_000)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_login_shuts_nobody_out(chromium: Any, shop: Site, language: str) -> None:
    """Its form is readable by machines, fits a phone, says what is wrong, and leads where one wanted to go."""
    for width in (1280, 390):
        context = chromium.new_context(
            viewport={"width": width, "height": 844}, locale="zh-CN" if language == "zh" else "en-US", base_url=shop.url
        )
        page = context.new_page()
        page.goto(f"/{language}/library")
        page.wait_for_url(f"**/login?next=/{language}/library")
        page.fill("input[name=name]", "mei")
        page.fill("input[name=password]", "wrong horse")
        page.keyboard.press("Enter")
        said = page.locator("[role=alert]").inner_text()
        assert any("一" <= sign <= "龥" for sign in said) == (language == "zh")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not serious_violations(page)
        page.fill("input[name=name]", "mei")
        page.fill("input[name=password]", SECRET)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{language}/library")
        page.wait_for_selector("#jobs .st-empty, #jobs table")
        context.clear_cookies()  # the session is over while the page is open: it asks to log in by itself
        # more than one of the page's requests may lead there: the last one's page counts
        expect(page).to_have_url(re.compile(rf"/login\?next=/{language}/library$"), timeout=30_000)
        context.close()
