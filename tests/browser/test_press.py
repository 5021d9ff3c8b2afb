"""The posts page's form stays, an open tab comes back, each press draws another set, and progress is where the press
was: in a real browser, with a persona that is one source face's own LoRA.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.domain.drafts import PostsDraft
from studio.domain.posts import PostSet
from studio.domain.times import JobTime
from studio.jobs.kinds import size_of_set
from studio.jobs.queue import Queue
from studio.library.drafts import kept_draft
from studio.library.job_times import note_time
from studio.settings import Settings
from tests.browser.conftest import Site, need_chromium, serve, unfold
from tests.library import keep_result
from tests.studio.domain.values import make_persona

pytestmark = pytest.mark.browser
PATIENCE_MS = 240_000


@dataclass
class Shop:
    """A studio that can be restarted at its port."""

    data: Path
    site: Site
    stack: ExitStack

    def restart(self, between: Any = None) -> None:
        port = int(self.site.url.rsplit(":", 1)[1])
        self.stack.close()
        if between is not None:
            between()
        self.site = self.stack.enter_context(serve(self.data, port))

    @property
    def draft(self) -> PostsDraft | None:
        return kept_draft(Studio(Settings(data=self.data)).library, "me")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    need_chromium()
    data = tmp_path_factory.mktemp("press")
    studio = Studio(Settings(data=data))
    donor = studio.donors("sweet")[0]
    person = make_persona(name="Mira").model_copy(
        update={
            "lora": studio.store.put(donor.lora_path.read_bytes()), "trigger": donor.trigger, "samples": (),
            "rounds": (), "enrolment": (128**-0.5,) * 128,
        }
    )  # fmt: skip
    keep_result(studio, "me", person)
    with ExitStack() as stack:
        yield Shop(data, stack.enter_context(serve(data)), stack)


@pytest.fixture
def tab(chromium: Any, shop: Shop) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN", base_url=shop.site.url)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def _open(page: Any, where: str) -> None:
    page.goto(where)
    page.wait_for_selector(".st-head h1")
    if where.endswith("posts"):
        _loaded(page)


def _loaded(page: Any) -> None:
    page.wait_for_function("document.querySelector('#loaded textarea, #loaded input')?.value.startsWith('loaded')")


def _value(page: Any, what: str) -> str:
    return str(page.locator(f"{what} input, {what} textarea").first.input_value())


def _choose(page: Any, what: str, name: str) -> None:
    page.locator(f"{what} input").first.click()
    page.get_by_role("option", name=name, exact=True).click()


def _form(page: Any) -> dict[str, Any]:
    """What is filled in, as the page shows it; what is folded is not there at all."""
    for section in ("shots", "goods", "advanced"):
        unfold(page, section)
    page.wait_for_timeout(1000)
    names = ("persona", "scene", "platform", "template", "count", "paste", "goods-name", "seed")
    told: dict[str, Any] = {name: _value(page, f"#{name}") for name in names}
    told["table"] = page.inner_text("#shots")  # its first td are a hidden row that the library measures with
    told["goods"] = page.locator("#stage img").count()
    return told


def _kept(shop: Shop, **told: Any) -> None:
    """Wait until the draft in the records says so."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (draft := shop.draft) is not None and told.items() <= _said(draft).items():
            return
        time.sleep(0.2)
    pytest.fail(f"{shop.draft} lacks {told}")


def _said(draft: PostsDraft) -> dict[str, Any]:
    return draft.model_dump(mode="json") | draft.shots.model_dump() | draft.settings.model_dump(mode="json")


def test_the_form_is_as_it_was_left_after_another_page_a_reload_and_a_restart(
    tab: Any, shop: Shop, tmp_path: Path
) -> None:
    tin = tmp_path / "tin.png"
    image = Image.new("RGB", (240, 300), (215, 215, 215))
    ImageDraw.Draw(image).rectangle((80, 60, 160, 260), fill=(190, 30, 40))
    image.save(tin)
    _open(tab, "/zh/posts")
    unfold(tab, "shots")
    _choose(tab, "#platform", "Instagram 3:4")
    tab.locator("#paste textarea").fill("微笑 红色 连衣裙\n大笑 蓝色 卫衣 挥手")
    tab.locator("#paste-go").click()
    tab.wait_for_function("document.querySelector('#count input').value === '2'")
    unfold(tab, "goods")
    tab.locator("#goods input[type=file]").set_input_files(tin)
    tab.wait_for_selector("#stage img")
    tab.locator("#goods-name input, #goods-name textarea").first.fill("红罐")
    tab.locator("#goods-name input, #goods-name textarea").first.blur()
    _kept(shop, platform="instagram", count=2, template="own", lines="微笑 红色 连衣裙\n大笑 蓝色 卫衣 挥手")
    tab.wait_for_timeout(1500)
    before = _form(tab)
    assert before["goods"]
    assert before["goods-name"] == "红罐"

    _open(tab, "/zh/design")
    _open(tab, "/zh/posts")
    assert _form(tab) == before
    tab.reload()
    _loaded(tab)
    assert _form(tab) == before
    tab.evaluate("window.before = true")
    shop.restart()
    tab.wait_for_function("window.before === undefined")  # it comes back by itself
    _loaded(tab)
    assert _form(tab) == before
    _open(tab, "/en/posts")  # the same form in the other language
    english = _form(tab)
    assert (english["count"], english["goods-name"]) == ("2", "红罐")
    assert "dress" in english["table"]
    tab.locator("#goods-remove").click()
    tab.wait_for_selector("#stage img", state="detached")
    _choose(tab, "#template", "A bit of everything")
    tab.wait_for_timeout(1000)
    _kept(shop, goods=None, template="mixed")


def test_an_open_tab_comes_back_by_itself_after_a_restart(tab: Any, shop: Shop) -> None:
    _open(tab, "/zh/posts")
    unfold(tab, "shots")
    tab.locator("#paste textarea").fill("微笑 红色 连衣裙")
    _kept(shop, lines="微笑 红色 连衣裙")
    tab.evaluate("window.before = true")
    seen: list[str] = []

    def look() -> None:
        tab.wait_for_selector(".st-away")
        seen.append(tab.locator(".st-away").inner_text())
        tab.wait_for_timeout(4000)
        seen.extend(text for text in tab.locator(".toast-body").all_inner_texts() if text.strip())
        seen.append(tab.inner_text("body"))

    shop.restart(look)
    assert "自动重新打开" in seen[0]
    assert len(seen) == 2, seen  # nothing of the library's own is laid over it
    assert "Connection" not in seen[1]
    tab.wait_for_function("window.before === undefined")
    _loaded(tab)
    unfold(tab, "shots")
    assert _value(tab, "#paste") == "微笑 红色 连衣裙"
    tab.locator("#go").wait_for()


def test_two_presses_draw_two_sets_of_which_no_post_is_like_another(tab: Any, shop: Shop) -> None:
    _open(tab, "/en/posts")
    for number in range(2):
        tab.locator("#go").dblclick() if number else tab.locator("#go").click()
        tab.wait_for_selector("#progress .st-bar", timeout=PATIENCE_MS)
        tab.wait_for_selector("#progress .st-panel.done", timeout=PATIENCE_MS)
        tab.wait_for_selector("#posts [data-drag]")
    studio = Studio(Settings(data=shop.data))
    sets = Queue(studio).results(PostSet, "me")
    assert len(sets) == 2  # a double click is one press
    posts = [post for one in sets for post in one.posts]
    assert len({post.seed for post in posts}) == len({post.shot for post in posts}) == len(posts)
    assert len({post.picture for post in posts}) == len(posts)
    assert [one.request.again for one in sets] == [1, 0]


def test_the_estimate_follows_what_happens_elsewhere(tab: Any, shop: Shop) -> None:
    """Nobody touches the form: a job like it is done, then another drawing model is chosen, then the first again."""
    studio = Studio(Settings(data=shop.data))
    _open(tab, "/en/posts")
    tab.wait_for_selector("#estimate :text('on this machine')")
    draft = shop.draft or PostsDraft()  # as the tests before have left it
    rows = sum(any(row) for row in draft.shots.rows)
    hours = JobTime(size=size_of_set(draft.settings, max(rows, 1)), seconds=9 * 3600)
    for number in range(30):  # more than all that were measured before
        note_time(studio.records, f"posts-long-{number}", "posts", studio.choice, hours)
    tab.wait_for_selector("#estimate :text('About 9 h')")
    before = studio.choice
    studio.saved.choose(BackboneChoice(backbone="another"))
    tab.wait_for_selector("#estimate :text('not measured yet')")
    studio.saved.choose(before)
    tab.wait_for_selector("#estimate :text('About 9 h')")


def test_progress_is_in_sight_at_once_and_the_first_preview_soon(tab: Any, shop: Shop) -> None:
    """With the worker warm: the medians of three presses, and once more after a minute's rest."""
    _open(tab, "/zh/design")
    tab.wait_for_selector("#mixer .st-card")
    _preview(tab)  # loads the models, and the source faces' own measures
    presses = [_preview(tab) for _ in range(3)]
    tab.wait_for_timeout(60_000)
    presses.append(_preview(tab))
    sight = statistics.median(press[0] for press in presses[:3])
    picture = statistics.median(press[1] for press in presses[:3])
    said = f"press to progress {sight:.2f} s, to the first picture {picture:.1f} s; after a rest {presses[3]}"
    print(said)
    if os.getloadavg()[0] > 1 + (os.cpu_count() or 1):
        pytest.skip(f"NOT TESTED: others are busy on this machine ({os.getloadavg()[0]:.0f}): {said}")
    assert max(sight, presses[3][0]) <= 1, said
    assert max(picture, presses[3][1]) <= 10, said


def _preview(page: Any) -> tuple[float, float]:
    """Roll the dice, ask for previews, stop; seconds until progress, and the first picture, are in sight."""
    page.locator("#desk [data-do=dice]").click()
    page.wait_for_timeout(1500)
    # whatever an earlier preview showed is no news
    page.evaluate("window.seen = new Set([...document.querySelectorAll('#progress .st-card img')].map(n => n.src))")
    began = time.perf_counter()
    page.locator("#desk [data-do=preview]").click()
    page.wait_for_selector("#progress .st-panel .st-bar")
    progress = time.perf_counter() - began
    fresh = "[...document.querySelectorAll('#progress .st-card img')].some(n => !window.seen.has(n.src))"
    page.wait_for_function(fresh, timeout=PATIENCE_MS)
    picture = time.perf_counter() - began
    box = page.locator("#progress .st-panel:has(.st-bar)").first.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < page.viewport_size["height"], "progress is out of sight"
    page.locator("#progress [data-do=stop]").first.click()
    page.wait_for_selector("#progress .st-panel.cancelled, #progress .st-panel.done", timeout=PATIENCE_MS)
    return progress, picture
