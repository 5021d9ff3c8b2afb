"""Texts are as long as each platform takes them to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.bundle import ExportRequest, bundle_name
from studio.domain.platforms import find_platform, overlong, text_length
from studio.jobs.queue import admit
from studio.library.grants import grant
from studio.settings import Settings
from tests.data import need
from tests.studio.domain.values import make_post_set


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", (0, 0, 0)), ("a", (1, 1, 1)), ("ab", (2, 2, 1)), ("秋a", (2, 2, 2)), ("新款2.0上架", (7, 7, 6)),
        ("🌸", (1, 2, 2)), ("é", (1, 1, 1)),
    ],
)  # fmt: skip
def test_three_ways_of_counting(text: str, lengths: tuple[int, int, int]) -> None:
    assert text_length(text, "characters") == lengths[0]
    assert text_length(text, "utf16") == lengths[1]
    assert text_length(text, "half_ascii") == lengths[2]


def test_real_titles_of_xiaohongshu() -> None:
    platform = find_platform("xiaohongshu")
    for row in json.loads((need("cases/title-xiaohongshu") / "titles.json").read_text(encoding="utf-8")):
        assert text_length(row["title"], platform.title_unit) == row["counts"], row["title"]
        assert (overlong(platform, row["title"], "") == ()) == row["fits"], row["title"]


def test_what_is_counted_is_what_is_exported() -> None:
    platform = find_platform("xiaohongshu")
    assert overlong(platform, "  " + "秋" * 20 + "\n", "a" * 1000 + "\n\n") == ()
    assert overlong(platform, "秋" * 21, "a" * 1001) == (("title", 21, 20), ("body", 1001, 1000))
    assert overlong(find_platform("tiktok"), "🌸" * 46, "") == (("title", 92, 90),)


def test_a_text_that_is_too_long_is_refused_before_it_is_queued(tmp_path: Path) -> None:
    asked = ExportRequest.make(post_set=make_post_set(), platform="xiaohongshu", title="秋" * 21)
    with pytest.raises(BadInput, match="platform_text_too_long"):
        asked.check_before()
    studio = Studio(Settings(data=tmp_path))
    grant(studio.records, "me", asked.file_keys())
    with pytest.raises(BadInput, match="platform_text_too_long"):
        admit(studio, asked)
    assert admit(studio, asked.changed(title="秋" * 20))[1].name == "export"


def test_a_bundles_name_is_one_of_every_disk() -> None:
    post_set = make_post_set()
    asked = post_set.request
    told = asked.model_copy(update={"persona": asked.persona.model_copy(update={"name": "../../Lin: v2?"})})
    name = bundle_name(post_set.model_copy(update={"request": told}), "xiaohongshu")
    assert name == f"Lin v2-xiaohongshu-{post_set.id[:6]}.zip"
