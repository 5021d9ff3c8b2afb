"""What Gradio says by itself is said in the page's language: toasts, uploads, tables, sliders, the picture editor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.application import Studio
from studio.domain.persona import Swap, SwappedPicture
from studio.domain.posts import post_thing
from studio.domain.values import FileKey
from studio.library.albums import make_album, put_into
from studio.settings import Settings
from studio.texts.texts import Texts
from tests.browser.conftest import Site, latin_words, look_at, open_page, serve, unfold
from tests.library import keep_cafe, keep_persona, keep_posts, keep_result

pytestmark = pytest.mark.browser
# Gradio's own upload buttons have another name than their text says
EXCLUDED = "[['#upload'], ['#goods'], ['#also'], ['#weights'], ['#person-photo'], ['#swap-photos']]"
NAMES = ("Lin", "mei", "png", "zip", "tin", "txt", "not", "Apache", "miniature")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Site]:
    """A studio with a persona, a café, a set, an album and a swap; nothing is drawn."""
    studio = Studio(Settings(data=tmp_path_factory.mktemp("shop")))
    keep_persona(studio)
    post_set = keep_posts(studio, 1, keep_cafe(studio), pictures=3)
    album = make_album(studio.records, "me", "春季新品")
    put_into(studio.records, "me", album.id, [post_thing(post_set.id, 0)])
    keys = [FileKey(studio.store.put_picture(np.full((256, 192, 3), 40 * n, np.uint8))) for n in range(4)]
    told: dict[str, Any] = {"identity_before": 0.1, "identity": 0.8, "moved": 0.1, "old_face": 0.1, "old_hair": 0.05}
    rows = (
        SwappedPicture.make(name="店里.png", before=keys[0], picture=keys[1], seed=1, faults=(), **told),
        SwappedPicture.make(name="街上.png", before=keys[2], picture=keys[3], seed=2, faults=("look",), **told),
    )
    keep_result(studio, "me", Swap(id="s1", persona="p1", pictures=rows))
    with serve(studio.settings.data) as served:
        yield served


@pytest.fixture
def at(chromium: Any, shop: Site) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", base_url=shop.url)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_word_of_gradios_own_is_ours_on_the_page(at: Any, language: Any) -> None:
    """Put where Gradio puts it: as a toast's title, its text, and as the name of a button."""
    open_page(at, "scenes", language)
    for theirs, ours in Texts(language).said_by_gradio:
        said = re.sub(r"\{(\w+)\}", "12", theirs)
        shown = at.evaluate(
            """said => new Promise(done => {
              const toast = document.createElement('div');
              toast.className = 'toast-body';
              toast.innerHTML = '<div class="toast-title"></div><div class="toast-text"></div><button></button>';
              toast.children[0].textContent = toast.children[1].textContent = said;
              toast.children[2].setAttribute('aria-label', said);
              document.body.append(toast);
              requestAnimationFrame(() => {
                done([...toast.children].map(n => n.getAttribute('aria-label') || n.textContent));
                toast.remove();
              });
            })""",
            said,
        )
        assert shown == [re.sub(r"\{(\w+)\}", "12", ours)] * 3


def test_a_toast_is_in_chinese_whoever_raised_it(at: Any, tmp_path: Path) -> None:
    open_page(at, "posts", "zh")
    unfold(at, "goods")
    Image.new("RGB", (9, 9)).save(tmp_path / "tin.png")
    at.locator("#goods input[type=file]").set_input_files(tmp_path / "tin.png")
    at.wait_for_selector(".toast-title", timeout=30_000)
    titles = set(at.locator(".toast-title").all_inner_texts())
    assert titles == {"没有成功"}
    assert latin_words(at, NAMES) == {}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_that_opens_is_in_its_language_and_shuts_nobody_out(
    chromium: Any, shop: Site, tmp_path: Path, language: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale="en-US", base_url=shop.url)
    page = context.new_page()
    page.set_default_timeout(60_000)
    found: dict[str, Any] = {}

    def look(where: str) -> None:
        page.wait_for_timeout(1200)
        seen = look_at(page, language, NAMES, EXCLUDED)
        found.update({f"{where}: {what}": told for what, told in seen.items()})

    photo = np.full((300, 240, 3), 215, np.uint8)
    photo[60:260, 80:160] = (190, 30, 40)
    Image.fromarray(photo).save(tmp_path / "tin.png")
    open_page(page, "posts", language)
    page.wait_for_selector("#posts [data-drag]")
    for section in ("person", "place", "goods", "shots", "text"):
        unfold(page, section)
        if section == "goods":
            page.locator("#goods input[type=file]").set_input_files(tmp_path / "tin.png")
            page.wait_for_selector("#stage .st-box")
        look(f"posts, {section}")
        page.locator(f"#{section}-tile .st-tile").click()
        page.wait_for_selector(f"#{section}-box", state="detached")
    page.locator("#start-from input, #posts img").last.scroll_into_view_if_needed()
    page.locator("#posts [data-do=look]").click()
    page.wait_for_selector("#look", timeout=120_000)
    look("posts, before the export")
    page.locator("#posts [data-do=fix]").first.click()
    page.wait_for_selector("#fix-editor canvas")
    look("posts, a region")
    open_page(page, "scenes", language)
    page.locator("#mine [data-do=open]").first.click()
    page.wait_for_selector("#crop-stage .st-box")
    look("scenes, opened")
    page.locator("#mine img[data-zoom]").first.click()
    page.wait_for_selector(".st-zoom[open]")
    look("a picture, enlarged")
    open_page(page, "consolidate", language)
    page.wait_for_selector("#swapped .st-card")
    unfold(page, "swap")
    look("swap")
    for kind in ("album", "post", "posts", "consolidate", "jobs", "trash"):
        page.goto(f"/{language}/library?kind={kind}")
        page.wait_for_selector("#jobs table")
        look(f"library, {kind}")
    page.goto(f"/{language}/library?album={_album(shop)}")
    page.wait_for_selector("#things .st-card")
    look("an album")
    context.close()
    assert not found, "\n".join(f"{what}: {where}" for what, where in found.items())


def _album(shop: Site) -> str:
    studio = Studio(Settings(data=shop.data))
    return make_album(studio.records, "me", "春季新品").id
