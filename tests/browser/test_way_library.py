"""After the way (test_way.py, in the same run): what was made is found, tagged, trashed, brought back, re-used."""

from __future__ import annotations

import re
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from studio.application import Studio
from studio.domain.bundle import Bundle
from studio.export.manifest import read_manifest
from studio.jobs.queue import Queue
from studio.library.records import JobRecord, Records
from studio.settings import Settings
from tests.browser.conftest import ROOT, Site, unfold
from tests.stored import place_in

pytestmark = [pytest.mark.browser, pytest.mark.journey]
DONOR = ROOT / "assets" / "miniature" / "donors" / "sweet" / "mei" / "lora.safetensors"


def _bundle(site: Site) -> Path:
    """The bundle that the first test of test_way.py exported."""
    studio = Studio(Settings(data=site.data))
    made = Queue(studio).results(Bundle, "me")
    if not made:
        pytest.fail("nothing was exported yet: run this file together with test_way.py")
    return place_in(studio.store, made[-1].bundle)


def _library(page: Any, kind: str, language: str = "en") -> None:
    page.goto(f"/{language}/library")
    page.wait_for_selector("#jobs table")
    page.locator(f"#kind input[value={kind}]").check()
    page.wait_for_timeout(800)


def test_a_set_is_tagged_found_trashed_and_brought_back(page: Any, site: Site) -> None:
    _bundle(site)
    _library(page, "posts")
    page.wait_for_selector("#things .st-card")
    cards = page.locator("#things .st-card").count()
    page.locator("#things .st-tag").first.fill("spring 新品")
    page.keyboard.press("Enter")
    page.wait_for_selector("#things [data-do=untag][data-tag=新品]")
    page.locator("#search input, #search textarea").first.fill("spring")
    page.wait_for_function("document.querySelectorAll('#things .st-card').length === 1")
    page.locator("#search input, #search textarea").first.fill("unicorn")
    page.wait_for_selector("#things .st-empty")
    page.locator("#search input, #search textarea").first.fill("")
    page.wait_for_function(f"document.querySelectorAll('#things .st-card').length === {cards}")

    page.locator("#things [data-do=trash]").first.click()
    page.wait_for_function(f"document.querySelectorAll('#things .st-card').length === {cards - 1}")
    _library(page, "trash")
    page.wait_for_selector("#things [data-do=restore]")
    page.locator("#things [data-do=empty]").click()
    page.wait_for_selector("#things [data-do=empty-not]")  # asked first, and nothing was deleted yet
    page.locator("#things [data-do=empty-not]").click()
    page.wait_for_selector("#things [data-do=restore]")
    page.locator("#things [data-do=restore]").first.click()
    page.wait_for_selector("#things .st-empty")
    _library(page, "posts")
    page.wait_for_function(f"document.querySelectorAll('#things .st-card').length === {cards}")
    page.locator("#things [data-do=untag]").first.click()
    page.wait_for_function("document.querySelectorAll('#things [data-do=untag]').length === 1")


def test_an_exported_picture_brings_its_set_back(page: Any, site: Site, tmp_path: Path) -> None:
    with zipfile.ZipFile(_bundle(site)) as bundle:
        name = next(n for n in bundle.namelist() if n.startswith("pictures/"))
        picture = Path(bundle.extract(name, tmp_path))
    _library(page, "posts")
    page.locator("#recall input[type=file]").set_input_files(picture)
    page.wait_for_selector("#recalled .st-panel.done")
    seeds = page.locator("#recalled td").first.inner_text()
    assert seeds.isdigit()
    page.locator("#reuse").click()
    page.wait_for_url("**/posts?recalled=*")
    page.wait_for_selector("#person-tile img")
    unfold(page, "shots")
    page.wait_for_timeout(1500)
    assert seeds in page.locator("#shots").inner_text() or seeds in page.content()
    caption = next(post.caption for post in read_manifest(_bundle(site)).posts if post.file == name)
    assert caption
    assert caption not in page.locator("#shots").inner_text()  # nobody wrote it: the new set gets its own


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_lora_is_inspected_before_it_is_kept(page: Any, site: Site, tmp_path: Path, language: str) -> None:
    records = Records(site.data / "studio.sqlite")
    before = len(records.find(JobRecord, "me", kind="donor"))
    pickled = tmp_path / "someone.safetensors"
    pickled.write_bytes(b"PK\x03\x04 not what it says")
    _library(page, "donor", language)
    page.locator("#donor-drop input[type=file]").set_input_files(pickled)
    alert = page.locator("[role=alert], .toast-body").first
    alert.wait_for()
    assert bool(re.search("[一-龥]", alert.inner_text())) == (language == "zh")
    assert not page.locator("#donor-form").is_visible()

    mine = tmp_path / "Nova 🌸.safetensors"  # a bundled donor's own file would be refused as known
    share = np.float16(0.9 if language == "en" else 0.8)
    with safe_open(DONOR, "numpy") as file:
        weaker = {name: file.get_tensor(name) * share for name in file.keys()}  # noqa: SIM118
        save_file(weaker, mine, file.metadata())
    page.locator("#donor-drop input[type=file]").set_input_files(mine)
    page.wait_for_selector("#donor-said .st-panel.done")
    name = f"Nova {language}"
    page.locator("#donor-name input, #donor-name textarea").first.fill(name)
    page.locator("#donor-who input, #donor-who textarea").first.fill("Nova, 24, by contract")
    page.locator("#donor-scope input, #donor-scope textarea").first.fill("posts")
    page.locator("#donor-keep").click()
    page.wait_for_timeout(1500)
    assert len(records.find(JobRecord, "me", kind="donor")) == before  # nobody has said that this adult agreed
    page.locator("#donor-agreed input").check()
    page.locator("#donor-keep").click()
    deadline = time.monotonic() + 180
    while [row.state for row in records.find(JobRecord, "me", kind="donor")] != ["done"] * (before + 1):
        assert time.monotonic() < deadline
        page.wait_for_timeout(500)
    for _ in range(10):  # a page remembers its donors for some seconds
        _library(page, "donor", language)
        if page.locator(f"#things .st-card:has-text('{name}')").count():
            break
        page.wait_for_timeout(1000)
    assert page.locator(f"#things .st-card:has-text('{name}')").count() == 1


def test_the_tour_is_closed_for_good(page: Any, site: Site) -> None:
    _bundle(site)
    page.goto("/en/design")
    page.locator("[data-do=close-tour]").click()
    page.wait_for_function("!document.querySelector('[data-do=close-tour]')")
    page.goto("/zh/posts")
    page.wait_for_selector("#person-tile img")
    assert page.locator("[data-do=close-tour]").count() == 0
