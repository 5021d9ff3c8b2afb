"""Values are strict and frozen, know the files that they are of, and requests check themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from personas.recipes import Recipe
from personas.shots import Shot
from pipelines.errors import BadInput, StudioError
from studio.domain.design import DesignRequest, PreviewRequest
from studio.domain.donor import DonorRequest
from studio.domain.migration import read_stored
from studio.domain.persona import ConsolidateRequest
from studio.domain.posts import PostRequest, PostSet
from studio.domain.scene import MorePlace, ReferenceDials
from studio.domain.takes import FixRequest, VaryRequest
from studio.texts.errors import error_table, say_error
from studio.texts.texts import Texts
from tests.studio.domain.values import (
    key,
    make_design,
    make_goods,
    make_persona,
    make_post_set,
    make_scene,
    make_take,
)


def ask(**fields: Any) -> PostRequest:
    return PostRequest.make(**{"persona": make_persona(), "scene": make_scene(), "shots": (Shot(),)} | fields)


def test_a_value_names_the_files_it_is_of_and_no_word_that_looks_like_one() -> None:
    words = key("somebody else's")
    asked = ask(captions=(str(words),), goods=make_goods(name=str(words)), scene=make_scene(name=str(words)))
    files = {
        "lora", "losses", "round", "sample", "photo", "landmark", "goods", "goods mask",
    }  # fmt: skip
    assert asked.file_keys() == {key(name) for name in files}
    drawn = {key(f"candidate {i}") for i in range(3)}
    assert make_design().file_keys() == drawn | {key("measures"), key("report"), key("sheet")}
    dials = ReferenceDials(weights=key("w"), references=(MorePlace(sha256=key("f"), photo=key("more")),))
    assert dials.file_keys() == {key("w"), key("more")}
    assert make_take().file_keys() == {key("take 0")}


@pytest.mark.parametrize(
    "value",
    [make_design(), make_persona(), make_scene(), make_post_set(), make_take(), ask(goods=make_goods())],
    ids=lambda v: type(v).__name__,
)
def test_values_come_back_from_json_as_they_were(value: Any) -> None:
    assert read_stored(type(value), value.model_dump(mode="json")) == value
    with pytest.raises(ValidationError):
        value.schema_version = 2
    with pytest.raises(StudioError) as refused:
        read_stored(type(value), value.model_dump(mode="json") | {"unheard": 1})
    assert refused.value.code in ("result_damaged", "request_field_unknown")
    with pytest.raises(StudioError) as refused:
        read_stored(type(value), value.model_dump(mode="json") | {"schema_version": 2, "unheard": 1})
    assert refused.value.code == "result_too_new"
    assert all(say_error(refused.value, Texts(language))[1] for language in ("en", "zh"))


@pytest.mark.parametrize(
    ("make", "field", "limit"),
    [
        (lambda: ask(scale=-0.1), "scale", "≥ 0"),
        (lambda: ask(scale=float("nan")), "scale", "finite"),
        (lambda: ask(detail=2.5), "detail", "≤ 2"),
        (lambda: ask(shots=()), "shots", "≥ 1"),
        (lambda: ask(captions=("x" * 301,)), "captions.0", "≤ 300"),
        (lambda: ask(seed=2**32), "seed", "< 4294967296"),
        (lambda: ConsolidateRequest.make(design=make_design(), name=" \n "), "name", "≥ 1"),
        (lambda: ConsolidateRequest.make(design=make_design(), name="a\x07"), "name", "printable"),
        (lambda: DesignRequest.make(category="sweet", donors=2), "donors", "≥ 3"),
        (lambda: PreviewRequest.make(recipes=(Recipe("r", "sweet", ("a",), (0.9,), 1, True),)), "recipes.0", "= 1"),
        (lambda: VaryRequest.make(post_set=make_post_set(), number=0, seed=1, count=0), "count", "≥ 1"),
        (lambda: FixRequest.make(post_set=make_post_set(), number=0, seed=1, mask="../x"), "mask", "[0-9a-f]"),
    ],
)  # fmt: skip
def test_a_request_says_which_field_breaks_which_limit(make: Callable[[], Any], field: str, limit: str) -> None:
    with pytest.raises(BadInput) as refused:
        make()
    assert refused.value.code in ("request_invalid", "request_length_invalid")
    assert refused.value.fields["field"] == field
    assert limit in refused.value.fields["limit"]
    assert field in say_error(refused.value, Texts("zh"))[0]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"goods": "c" * 64}, "“goods”的值必须是带字段的对象。"), ({"seed": 1.5}, "“seed”的值必须是整数。"),
        ({"scale": "1"}, "“scale”的值必须是数字。"), ({"keep_landmark": 1}, "“keep_landmark”的值必须是“是”或“否”。"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_said_in_words(made: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match="request_type_invalid") as refused:
        ask(**made)
    assert say_error(refused.value, Texts("zh"))[0] == said


@pytest.mark.parametrize(
    ("made", "field", "choices"),
    [
        ({"panels": 5}, "panels", ["1", "2", "3", "4", "6", "9"]),
        ({"inject": "magic"}, "inject", ["redux", "ip-adapter", "references"]),
    ],
)
def test_a_choice_is_said_with_all_choices(made: dict[str, Any], field: str, choices: list[str]) -> None:
    with pytest.raises(BadInput, match="request_choice_invalid") as refused:
        ask(**made)
    assert refused.value.fields == {"field": field, "choices": choices}


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: ask(goods_box=(0.1, 0.1, 0.5, 0.5)), "goods_box_without_goods"),
        (lambda: ask(goods=make_goods(), goods_box=(0.5, 0.1, 0.4, 0.5)), "goods_box_invalid"),
        (lambda: ask(goods=make_goods(), goods_as="reference", scale=0), "goods_reference_unseen"),
        (lambda: ask(keep="fill", keep_landmark=False), "fill_keeps_nothing"),
        (lambda: ask(keep="fill", scene=make_scene(landmark=False)), "fill_keeps_nothing"),
        (lambda: ask(keep="fill", inject="ip-adapter"), "fill_with_ip_adapter"),
        (lambda: ask(keep="fill", inject="references"), "fill_with_kontext"),
        (lambda: ask(blocks="0-4"), "blocks_need_ip_adapter"),
        (lambda: ask(inject="ip-adapter", dials=ReferenceDials(pool=2)), "dials_need_redux"),
        (lambda: ask(person_picture=key("p")), "person_picture_unused"),
        (lambda: ask(person_as="reference", person_picture=key("p")), "person_reference_unseen"),
        (lambda: ask(inject="references", person_as="both"), "person_picture_missing"),
        (lambda: ask(unheard=1), "request_field_unknown"),
        (lambda: PostRequest.make(persona=make_persona()), "request_field_missing"),
        (lambda: DesignRequest.make(category="sweet", gates={"min_luck": 1.0}), "unknown_threshold"),
        (lambda: DesignRequest.make(category="tall"), "unknown_category"),
        (lambda: VaryRequest.make(post_set=make_post_set(), number=3, seed=1), "post_number_unknown"),
        (lambda: donor(name="../x"), "bad_name"),
        (lambda: donor(who=" "), "no_consent"),
        (lambda: donor(scope="x" * 301), "too_long"),
        (lambda: donor(expires="soon"), "bad_date"),
    ],
)
def test_fields_that_do_not_go_together_are_refused_in_both_languages(make: Callable[[], Any], code: str) -> None:
    with pytest.raises(BadInput) as refused:
        make()
    assert refused.value.code == code
    if code in error_table():
        assert all(part for language in ("en", "zh") for part in say_error(refused.value, Texts(language)))


def donor(**fields: Any) -> DonorRequest:
    told = {"upload": key("lora"), "category": "甜美系", "name": " Li \n Lei ", "who": "Li Lei", "scope": "fusion"}
    return DonorRequest.make(**told | fields)


def test_a_donors_words_are_trimmed() -> None:
    request = donor(licence=" ", expires=" 2028-12-31 ")
    assert (request.name, request.licence, str(request.until)) == ("Li Lei", "unknown", "2028-12-31")
    assert donor().until is None


def test_a_changed_request_is_checked_again() -> None:
    assert ask().changed(scale=0.5).scale == 0.5
    with pytest.raises(BadInput):
        ask().changed(scale=5.0)


def test_a_take_is_asked_with_all_that_its_set_was_asked_for() -> None:
    post_set = make_post_set(panels=2, detail=0.5, seeds=(7, 8, 9))
    request = VaryRequest.make(post_set=post_set, number=1, seed=99, count=3, shot=Shot(view="left"))
    changed = {"shots": (Shot(view="left"),) * 3, "seed": 99, "seeds": (), "captions": ("c1",) * 3}
    assert request.asked == post_set.request.changed(**changed)
    assert request.given == post_set.posts[0]
    assert VaryRequest.make(post_set=make_post_set(), number=1, seed=99).given is None
    fix = FixRequest.make(post_set=post_set, number=2, seed=1, mask=key("mask"))
    assert fix.shown == post_set.posts[2]
    assert fix.asked.shots == (post_set.posts[2].shot,)


@pytest.mark.parametrize("said", [{"inject": "kontext"}, {"inject": "references"}])
def test_an_id_of_an_earlier_version_is_read(said: dict[str, Any]) -> None:
    """In a request, in a set that holds it, and in JSON of either."""
    asked = ask(**said)
    assert asked.inject == "references"
    stored = make_post_set(inject="references").model_dump(mode="json")
    stored["request"] |= said
    assert read_stored(PostSet, stored).request.inject == "references"
    assert read_stored(PostRequest, asked.model_dump(mode="json") | said) == asked


def test_what_the_model_is_shown() -> None:
    every = ask(
        inject="references", scale=0.0, goods=make_goods(), goods_as="both", person_as="both", person_picture=key("p")
    )
    assert every.shows == {"person", "goods"}
    assert every.changed(scale=1.0, goods_as="pixels").shows == {"scene", "person"}
    assert key("p") in every.file_keys()
