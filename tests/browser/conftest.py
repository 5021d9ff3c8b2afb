"""One studio for all browser tests, in a folder of its own, and a Chromium that tells of every foreign address."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.tables.test_page_words import NAMES

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Site:
    url: str
    data: Path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`python app.py` on a free port, with small trainings proposed."""
    need_chromium()
    with serve(tmp_path_factory.mktemp("studio")) as served:
        yield served


def need_chromium() -> None:
    """Skip the test where there is no Chromium; where one was promised, as in CI, fail."""
    if CHROMIUM is None:
        why = "there is no chromium (apt-get install chromium fonts-noto-cjk)"
        pytest.fail(why) if os.environ.get("STUDIO_NEEDS_CHROMIUM") else pytest.skip(f"NOT TESTED: {why}")


@contextmanager
def serve(data: Path, port: int = 0, **settings: str) -> Iterator[Site]:
    """A site over this data folder, with these settings of its own; at a free port, unless it is said."""
    if port == 0:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    environment = os.environ | {"PERSONA_STUDIO_EFFORT": "quick", "PERSONA_STUDIO_THREADS": "1"}
    environment |= {f"PERSONA_STUDIO_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "app.py", "--data", str(data), "--port", str(port)]
    with (data / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_for_site(f"http://127.0.0.1:{port}/health", server, data / "log")
            yield Site(f"http://127.0.0.1:{port}", data)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def wait_for_site(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if b"true" in answer.read():
                    return
        except OSError:
            pass
        time.sleep(0.3)
    pytest.fail(f"the studio does not start: {log.read_text()[-2000:]}")


def unfold(page: Any, section: str) -> None:
    """Open a section of a form, if it is folded."""
    tile = page.locator(f"#{section}-tile .st-tile")
    if tile.get_attribute("aria-expanded") != "true":
        tile.click()
    page.wait_for_selector(f"#{section}-box")


def open_page(page: Any, where: str, language: str = "en") -> None:
    """Open a page of the studio, and wait until it is filled."""
    page.goto(f"/{language}/{where}")
    page.wait_for_selector(".st-head h1")
    page.wait_for_timeout(800)


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    need_chromium()
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(driver: Any) -> Iterator[Any]:
    """One for each file of tests: a page that is left open looks for its server, gone or not, for ever."""
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Any, site: Site) -> Iterator[Any]:
    """A fresh person: English, a desk's screen. Whatever asks another machine for anything fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", base_url=site.url)
    one = context.new_page()
    foreign: list[str] = []
    one.on("request", lambda r: foreign.append(r.url) if r.url.startswith("http") and site.url not in r.url else None)
    yield one
    context.close()
    assert not foreign


AXE = resources.files("axe_playwright_python") / "axe.min.js"


def serious_violations(page: Any, exclude: str = "[]") -> dict[str, list[str]]:
    """What axe-core finds serious or critical on the page."""
    page.evaluate(AXE.read_text(encoding="utf-8"))  # a page's content policy would refuse a script element
    result = page.evaluate(f"axe.run({{exclude: {exclude}}})")
    return {
        v["id"]: [n["html"][:150] for n in v["nodes"][:3]]
        for v in result["violations"]
        if v["impact"] in ("serious", "critical")
    }


# What is seen, read out, or shown by pointing at it; not what a person wrote into a field.
_SAID = """() => {
  const seen = node => node.getClientRects().length > 0, said = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const at = walk.currentNode.parentElement;
    if (at && !at.closest('script, style, code, textarea, [lang=en]') && seen(at)) { said.push(walk.currentNode.data); }
  }
  for (const node of document.body.querySelectorAll('*')) {
    if (seen(node) && !node.closest('[lang=en]')) {
      for (const name of ['aria-label', 'placeholder', 'alt']) { said.push(node.getAttribute(name) || ''); }
      if (!node.closest('.html-container')) { said.push(node.title || ''); }  // ours may name what experts know it by
    }
  }
  return said;
}"""


def latin_words(page: Any, names: Collection[str] = ()) -> dict[str, str]:
    """Return by word what a Chinese page says in Latin letters, but for names that everybody knows and `names`."""
    known = {word.casefold() for word in (*NAMES, "Persona", "Studio", *names)}
    return {
        word: said.strip()[:120]
        for said in page.evaluate(_SAID)
        for word in re.findall(r"[A-Za-zÀ-ÿ]{2,}", said)
        if word.casefold() not in known
    }


def look_at(page: Any, language: str, names: Collection[str] = (), exclude: str = "[]") -> dict[str, Any]:
    """Return what is wrong with what a page shows: it scrolls sideways, shuts somebody out, or is not in Chinese."""
    found: dict[str, Any] = dict(serious_violations(page, exclude))
    width = page.viewport_size["width"]
    if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
        found["sideways"] = f"{wide} > {width}"
    if language == "zh" and (words := latin_words(page, names)):
        found["not Chinese"] = words
    return found
