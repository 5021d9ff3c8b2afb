"""The library in a browser: every set opens again, posts and albums, jobs with names and places, undo where it was.

What is shown was put into the data folder as the engine puts it there; nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from studio.application import Studio
from studio.domain.bundle import Bundle
from studio.domain.job_title import JobTitle
from studio.domain.posts import PostRequest
from studio.domain.values import Result
from studio.jobs.kinds import find_kind
from studio.jobs.queue import Queue
from studio.library.older import note_platform
from studio.settings import Settings
from tests.browser.conftest import Site, need_chromium, serious_violations, serve
from tests.library import PERSONA, SHOT, keep_cafe, keep_persona, keep_posts, keep_result

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def full_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A studio with a persona, two sets, the first of them exported, and three jobs that wait in a paused queue."""
    need_chromium()
    studio = Studio(Settings(data=tmp_path_factory.mktemp("full_library")))
    keep_persona(studio)
    cafe = keep_cafe(studio)
    sets = [keep_posts(studio, number, cafe, pictures=3) for number in (1, 2)]
    for post_set in sets:
        _name(studio, post_set, find_kind("posts").title(post_set.request))
    zipped = studio.store.put(b"PK a bundle")
    bundle = Bundle(
        id="bundle", post_set=sets[0].id, platform="xiaohongshu", name="Lin.zip", bundle=zipped, bytes=9, pictures=3
    )
    _name(studio, bundle, JobTitle(who="Lin", where="cafe", count=3, platform="xiaohongshu", post_set=sets[0].id))
    note_platform(studio.library, "me", sets[0].id, "xiaohongshu")
    with serve(studio.settings.data) as site:
        queue = Queue(Studio(studio.settings))
        queue.pause("me", True)
        for seed in (1, 2, 3):
            queue.put(PostRequest.make(persona=PERSONA, scene=cafe, shots=(SHOT,) * (seed + 1), seed=seed, owner="me"))
        yield site


def _name(studio: Studio, result: Result, title: JobTitle) -> None:
    """Keep a result's job under a name, as the engine does."""
    row = keep_result(studio, "me", result)
    row.facts = {**row.facts, "title": title.model_dump(mode="json")}
    studio.records.keep(row)


@pytest.fixture
def page(chromium: Any, full_library: Site) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", base_url=full_library.url)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def _open(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#running .st-line")


def _choose(page: Any, kind: str) -> None:
    page.locator(f"#kind input[value={kind}]").check(force=True)


def test_an_earlier_set_opens_again_with_its_own_bundle(page: Any) -> None:
    _open(page, "/en/library?kind=posts")
    page.wait_for_selector("#things .st-card")
    assert page.locator("#things .st-card").count() == 2
    page.locator("#things .st-card a[href$='set=set00001']").first.click()
    page.wait_for_url("**/en/posts?set=set00001")
    page.wait_for_selector("#posts [data-set=set00001]")
    assert page.locator("#posts [data-set=set00002]").count() == 0
    page.wait_for_selector("#posts #download")
    page.reload()  # the address can be kept
    page.wait_for_selector("#posts [data-set=set00001]")
    page.locator("#posts [data-do=caption]").first.fill("a new caption")
    page.keyboard.press("Tab")
    _open(page, "/en/posts?set=set00002")
    page.wait_for_selector("#posts [data-set=set00002]")
    assert page.locator("#posts #download").count() == 0
    _open(page, "/zh/posts?set=nobodys")
    page.wait_for_selector("#posts .st-empty")
    _open(page, "/en/library?kind=post")  # what was changed in the set is what the library shows
    page.wait_for_selector("#things .st-card:has-text('a new caption')")


def test_single_posts_are_filtered_and_put_into_an_album(page: Any) -> None:
    _open(page, "/en/library?kind=post")
    page.wait_for_function("document.querySelectorAll('#things .st-card').length === 6")
    page.locator("#platform input").click()
    page.get_by_role("option", name="Xiaohongshu note").click()
    page.wait_for_function("document.querySelectorAll('#things .st-card').length === 3")
    field = page.locator("#things input[data-do=put-into]").first
    field.fill("Spring")
    field.press("Enter")
    page.wait_for_selector("#things [data-do=take-out]")
    _choose(page, "album")
    page.wait_for_selector("#things input[data-do=rename-album]")
    assert page.locator("#things .st-card").inner_text().count("1 in it") == 1
    page.locator("#things input[data-do=rename-album]").fill("春季新品")
    page.keyboard.press("Tab")
    page.wait_for_selector("#things input[value='春季新品']")
    page.locator("#things a[href*='album=']").first.click()
    page.wait_for_selector("#things h2:has-text('春季新品')")
    assert page.locator("#things .st-card").count() == 1
    _open(page, "/en/library?kind=album")
    page.locator("#things [data-do=trash]").first.click()
    page.wait_for_selector("#things .st-gone")
    _choose(page, "post")
    page.wait_for_function("document.querySelectorAll('#things .st-card').length === 6")  # its pictures stay


def test_what_went_to_the_trash_comes_back_where_it_was(page: Any) -> None:
    _open(page, "/en/library?kind=posts")
    page.wait_for_selector("#things .st-card")
    before = page.locator("#things .st-card strong").all_inner_texts()
    page.locator("#things [data-do=trash]").nth(1).click()
    page.wait_for_selector("#things .st-grid > :nth-child(2).st-gone")
    assert page.locator("#things .st-card").count() == 1
    page.locator("#things .st-gone [data-do=restore]").click()
    page.wait_for_function("document.querySelectorAll('#things .st-card').length === 2")
    assert page.locator("#things .st-card strong").all_inner_texts() == before
    assert page.locator("#things .st-gone").count() == 0


@pytest.mark.parametrize(
    ("language", "name", "held"),
    [("en", "Posts: Lin · café · 2 pictures", "paused"), ("zh", "帖子：Lin · 咖啡馆 · 2 张", "已暂停")],
)
def test_the_line_names_what_comes_next_on_every_page(page: Any, language: str, name: str, held: str) -> None:
    for where in ("design", "select", "consolidate", "scenes", "posts", "library", "settings"):
        _open(page, f"/{language}/{where}")
        said = page.locator("#running .st-line").inner_text()
        assert name in said, where
        assert held in said, where
    page.evaluate("window.scrollTo(0, 600)")
    page.wait_for_timeout(300)
    assert page.locator("#running").bounding_box()["y"] >= 0  # in sight


def test_waiting_jobs_are_moved_by_arrows(page: Any) -> None:
    _open(page, "/en/library?kind=jobs")
    page.wait_for_selector("#jobs table")
    waiting = "#jobs tr:has([data-do=stop])"

    def counts() -> list[str]:
        return [text.split("·")[-1].split()[0] for text in page.locator(f"{waiting} .st-job").all_inner_texts()]

    assert counts() == ["2", "3", "4"]
    page.locator(f"{waiting} [data-do=up]").last.click()
    page.wait_for_function(f"document.querySelectorAll('{waiting}')[1].innerText.includes('4 pictures')")
    page.locator(f"{waiting} [data-do=down]").first.click()
    page.wait_for_function(f"document.querySelectorAll('{waiting}')[0].innerText.includes('4 pictures')")
    page.locator(f"{waiting} [data-do=next]").last.click()
    page.wait_for_function(f"document.querySelectorAll('{waiting}')[0].innerText.includes('3 pictures')")
    assert counts() == ["3", "4", "2"]
    page.locator("#jobs a[href$='/posts?set=set00001']").first.click()  # what a job made is a press away
    page.wait_for_selector("#posts [data-set=set00001]")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_personas_card_says_who_and_what_may_be_done(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    _open(page, "/en/library")
    page.locator("#things a[href$='persona=p1']").first.click()
    page.wait_for_selector("#things .st-persona")
    said = page.locator("#things .st-persona").inner_text()
    assert "Lin · version 2" in said
    assert ["50%" in said, said.count("25%")] == [True, 2]
    assert page.locator("#things .st-persona a[href*='set=set0000']").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    violations = serious_violations(page)
    assert violations == {}
    page.locator("#things [data-do=close-persona]").click()
    page.wait_for_function("!document.querySelector('#things .st-persona')")
