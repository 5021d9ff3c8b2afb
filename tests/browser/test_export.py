"""What leaves the studio, in a browser: texts written, each picture seen before the export, a scene's crop and mask."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.references.goods import place_goods
from studio.application import Studio
from studio.domain.posts import PostRequest, PostSet
from studio.library.records import SceneRecord
from studio.library.scenes import add_goods
from studio.settings import Settings
from studio.workflows.shown import goods_cutout, stand
from tests.browser.conftest import Site, serve, unfold
from tests.library import PERSONA, SHOT, keep_cafe, keep_persona, keep_result
from tests.studio.domain.values import make_post

pytestmark = pytest.mark.browser
POSTS = 8


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Site]:
    """A studio with a persona and eight posts that show goods, each elsewhere: nothing is drawn."""
    data = tmp_path_factory.mktemp("stocked")
    studio = Studio(Settings(data=data))
    keep_persona(studio)
    scene = keep_cafe(studio)
    photo = np.full((300, 240, 3), 215, np.uint8)
    photo[60:260, 80:160] = (190, 30, 40)
    Image.fromarray(photo).save(data / "tin.png")
    goods = add_goods(studio.library, data / "tin.png", "a red tin")
    canvas = np.asarray(Image.fromarray(studio.store.get_picture(scene.photo)).resize((192, 256)))
    drawn = place_goods(goods_cutout(studio, goods), stand(None, SHOT), canvas).image
    tinted = [np.clip(drawn.astype(int) + i, 0, 255).astype(np.uint8) for i in range(POSTS)]  # no two the same
    keys = [studio.store.put_picture(one) for one in tinted]
    posts = tuple(
        make_post(i, "set00001", picture=key, shot=SHOT, caption="", scores={"identity": 0.8})
        for i, key in enumerate(keys)
    )
    asked = PostRequest.make(persona=PERSONA, scene=scene, shots=(SHOT,) * POSTS, goods=goods)
    keep_result(studio, "me", PostSet(id="set00001", request=asked, posts=posts, batches=(tuple(range(POSTS)),)))
    with serve(data) as served:
        yield served


@pytest.fixture
def at(chromium: Any, stocked: Site) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN", base_url=stocked.url)
    yield context.new_page()
    context.close()


def captions(page: Any) -> list[str]:
    return [field.input_value() for field in page.locator("#posts [data-do=caption]").all()]


def test_texts_are_written_seen_and_exported(at: Any) -> None:
    at.goto("/zh/posts")
    at.wait_for_selector("#posts .st-card", timeout=60_000)
    unfold(at, "text")
    at.wait_for_function(
        "document.querySelector('#target input') && document.querySelector('#target input').value === '小红书笔记'"
    )
    at.locator("#product textarea").fill("红色铁罐。容量五百毫升。")
    at.locator("#posts [data-do=write]").click()
    at.wait_for_function("document.querySelector('#posts [data-do=caption]').value !== ''", timeout=30_000)
    written = captions(at)
    assert len(set(written)) == POSTS
    assert any("容量五百毫升" in caption for caption in written)
    assert at.locator("#title input, #title textarea").first.input_value() == "红色铁罐"
    own = at.locator("#posts [data-do=caption]").first
    own.fill("我自己写的")
    own.press("Tab")
    at.wait_for_timeout(1500)
    at.locator("#posts [data-do=write]").click()
    at.wait_for_function(
        f"[...document.querySelectorAll('#posts [data-do=caption]')][1].value !== {written[1]!r}", timeout=30_000
    )
    again = captions(at)
    assert again[0] == "我自己写的"
    assert again[1:] != written[1:]

    at.locator("#posts [data-do=look]").click()
    at.wait_for_selector("#look", timeout=300_000)
    said = at.locator("#look figcaption").all_inner_texts()
    assert len(said) == POSTS
    assert not any("⚠" in one for one in said)  # the label is off the goods in eight of eight
    assert not any("右下角" in one for one in said)  # where they stand
    at.locator("#posts [data-do=export]").click()
    at.wait_for_selector("#download", timeout=300_000)


def test_a_scenes_mask_stays_where_it_is_and_its_crop_is_kept(at: Any, stocked: Site) -> None:
    studio = Studio(Settings(data=stocked.data))
    (before,) = studio.records.find(SceneRecord, "me")
    at.goto("/zh/scenes")
    at.wait_for_selector("#mine .st-card", timeout=60_000)
    at.locator("#mine [data-do=open]").first.click()
    at.wait_for_selector("#crop-stage .st-crop", timeout=30_000)
    at.wait_for_timeout(2000)
    at.locator("#crop-shape label").nth(2).click()
    at.wait_for_timeout(1000)
    at.locator("#crop-down input[type=range]").evaluate(
        "node => { node.value = 0; node.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    at.wait_for_function("document.querySelector('#crop-stage .st-box').style.top === '0%'", timeout=20_000)
    for _ in range(2):  # saved twice: what the editor shows again is what it showed
        at.locator("#save").click()
        at.wait_for_selector("#said .done", timeout=30_000)
        at.wait_for_timeout(2000)
    rows = studio.records.find(SceneRecord, "me")
    assert {row.landmark for row in rows} == {before.landmark}
    assert len(rows) == 2
    crops = rows[-1].crops or []
    assert [crop["shape"] for crop in crops] == ["1:1"]
    assert crops[0]["box"][1] == 0


def test_a_key_is_kept_and_never_shown(at: Any, stocked: Site, tmp_path: Path) -> None:
    at.goto("/zh/settings")
    unfold(at, "endpoint")
    at.wait_for_selector("#endpoint-state .st-panel", timeout=60_000)
    at.locator("#endpoint-url input, #endpoint-url textarea").first.fill("http://127.0.0.1:9/v1")
    at.locator("#endpoint-model input, #endpoint-model textarea").first.fill("writer")
    at.locator("#endpoint-key input").fill("sk-secret-123")
    at.locator("#endpoint-save").click()
    at.wait_for_selector("text=可以使用 writer，密钥已保存", timeout=30_000)
    assert "sk-secret-123" not in at.content()
    assert at.locator("#endpoint-key input").input_value() == ""
    assert "sk-secret-123" in (stocked.data / "settings.json").read_text()
    at.locator("#endpoint-off").click()
    at.wait_for_selector("text=文案用自带的句子写", timeout=30_000)
    assert "sk-secret-123" not in (stocked.data / "settings.json").read_text()


def test_an_album_is_filled_opened_and_exported(at: Any, tmp_path: Path) -> None:
    at.goto("/zh/library?kind=posts")
    at.wait_for_selector("#things .st-card", timeout=60_000)
    field = at.locator("#things input[data-do=put-into]").first
    field.fill("双十一")
    field.press("Enter")
    at.wait_for_selector("#things [data-do=take-out]")
    at.goto("/zh/library?kind=album")
    at.locator("#things a[href*='album=']").first.click()
    at.wait_for_selector("#things h2:has-text('双十一')")
    at.locator("#things .st-export summary").click()
    at.locator("#things [data-do=export-album][data-platform=xiaohongshu]").click()
    link = at.locator("#jobs tr:has-text('双十一') a[download]").first
    link.wait_for(timeout=300_000)
    with at.expect_download() as waiting:
        link.click()
    waiting.value.save_as(tmp_path / "album.zip")
    with zipfile.ZipFile(tmp_path / "album.zip") as album:
        pictures = [name for name in album.namelist() if "/pictures/" in name]
    assert len(pictures) == POSTS
