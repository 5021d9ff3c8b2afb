"""Styles that come along are everybody's and their files are given when they are chosen; others are their owners'."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import BadInput
from pipelines.lora import check_fits, read_lora
from studio.application import Studio
from studio.domain.style import Style
from studio.jobs.bodies import body_of, parse_body
from studio.jobs.queue import admit
from studio.library.grants import may_read
from studio.library.marks import mark_thing
from studio.library.results import find_result
from studio.library.shipped_styles import FILE, SHIPPED, shipped_styles
from studio.library.styles import find_style, style_reason, styles_of
from studio.settings import Settings
from studio.texts.texts import LANGUAGES
from tests.library import keep_cafe, keep_posts, keep_result
from tests.studio.domain.values import make_style

every_shipped = pytest.mark.parametrize("style", shipped_styles(), ids=lambda style: style.id)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def test_natural_light_comes_along() -> None:
    assert "natural-light" in {style.id for style in shipped_styles()}


@every_shipped
def test_a_shipped_style_is_of_the_shipped_miniature_and_small(style: Style, studio: Studio) -> None:
    """After a new base: `python -m miniature.styles`."""
    assert style_reason(studio.settings, style) is None
    assert style.weights == (studio.backbone_sha256,)
    assert (SHIPPED / style.id / FILE).stat().st_size < 2e6
    file = read_lora(SHIPPED / style.id / FILE)
    assert (file.sha256, file.family, file.width) == (style.lora, style.family, style.width)
    assert not check_fits(file.layers, studio.backbone.model).left_out
    assert all(style.names[language] and style.learnt_from[language] for language in LANGUAGES)
    assert style.recipe["steps"]


@every_shipped
def test_whoever_chooses_a_shipped_one_may_draw_with_it(style: Style, studio: Studio) -> None:
    assert not may_read(studio.records, "wang", style.lora)
    assert find_style(studio.library, "wang", style.id) == style
    assert may_read(studio.records, "wang", style.lora)
    assert not may_read(studio.records, "me", style.lora)
    assert studio.store.is_whole(style.lora)
    assert find_result(studio.records, studio.store, "me", Style, style.id) == style


def test_an_own_one_is_its_owners_until_it_is_in_the_trash(studio: Studio) -> None:
    own = make_style(id="own")
    keep_result(studio, "me", own)
    count = len(shipped_styles())
    assert styles_of(studio.library, "me")[count:] == [own]
    assert styles_of(studio.library, "wang")[count:] == []
    assert find_style(studio.library, "me", "own") == own
    assert find_style(studio.library, "wang", "own") is None
    assert find_style(studio.library, "me", "") is None
    mark_thing(studio.records, "me", "style:own", trashed=True)
    assert styles_of(studio.library, "me")[count:] == []
    assert find_style(studio.library, "me", "own") is None


def test_a_name_is_said_in_both_languages() -> None:
    with pytest.raises(BadInput, match="request_invalid"):
        make_style(names={"en": "window light"})


def test_a_program_names_a_style_by_its_id(studio: Studio) -> None:
    post_set = keep_posts(studio, 1, keep_cafe(studio))
    told = {"persona": post_set.request.persona.model_dump(mode="json"), "scene": post_set.request.scene.id, "count": 1}

    def find(kind: type, key: str) -> object:
        return find_result(studio.records, studio.store, "me", kind, key)

    asked = parse_body("posts", {**told, "style": "natural-light", "style_strength": 0.5}, "me", find)  # type: ignore[arg-type]
    style = next(one for one in shipped_styles() if one.id == "natural-light")
    assert (asked.style, asked.style_strength) == (style, 0.5)  # type: ignore[attr-defined]
    assert parse_body("posts", told, "me", find).style is None  # type: ignore[arg-type, attr-defined]
    assert {"style", "style_strength"} <= set(body_of("posts").model_fields)
    admit(studio, asked.changed(scale=0.0))
    with pytest.raises(BadInput, match="not_found"):
        parse_body("posts", {**told, "style": "nobody's"}, "me", find)  # type: ignore[arg-type]
    keep_result(studio, "wang", make_style(id="his"))
    with pytest.raises(BadInput, match="not_found"):
        parse_body("posts", {**told, "style": "his"}, "me", find)  # type: ignore[arg-type]
