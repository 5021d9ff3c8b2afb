"""One studio for all browser tests, in a folder of its own, and a Chromium that tells of every foreign address."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Site:
    url: str
    data: Path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`python app.py` on a free port, with small trainings proposed."""
    if CHROMIUM is None:
        pytest.skip("NOT TESTED: there is no chromium (apt-get install chromium fonts-noto-cjk)")
    with serve(tmp_path_factory.mktemp("studio")) as served:
        yield served


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


def open_page(page: Any, where: str, language: str = "en") -> None:
    """Open a page of the studio, and wait until it is filled."""
    page.goto(f"/{language}/{where}")
    page.wait_for_selector(".st-head h1")
    page.wait_for_timeout(800)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
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


AXE = ROOT / "build" / "axe" / "axe.min.js"


def serious_violations(page: Any, exclude: str = "[]") -> dict[str, list[str]]:
    """What axe-core finds serious or critical on the page; nothing where there is no axe (see `need_axe`)."""
    if not AXE.exists():
        return {}
    page.evaluate(AXE.read_text(encoding="utf-8"))  # a page's content policy would refuse a script element
    result = page.evaluate(f"axe.run({{exclude: {exclude}}})")
    return {
        v["id"]: [n["html"][:150] for n in v["nodes"][:3]]
        for v in result["violations"]
        if v["impact"] in ("serious", "critical")
    }


def need_axe() -> None:
    """At a test's end: says that the rest was tested and this was not."""
    if not AXE.exists():
        pytest.skip(f"NOT TESTED: {AXE.relative_to(ROOT)} is absent (make test-browser fetches it)")
