"""What programs ask with: ids in place of results, shots by their number, nobody else's name."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import BadInput
from studio.domain.bundle import ExportRequest
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, PostSet, plan_shots
from studio.domain.scene import Scene
from studio.domain.takes import StrengthsRequest
from studio.domain.values import Result
from studio.jobs.bodies import parse_body
from tests.studio.domain.values import make_persona, make_post_set, make_scene

RESULTS: dict[tuple[type[Result], str], Result] = {
    (Persona, "persona"): make_persona("li"), (Scene, "scene"): make_scene(), (PostSet, "set"): make_post_set(),
}  # fmt: skip


def find(kind: type[Result], key: str) -> Result:
    if (kind, key) not in RESULTS:
        raise BadInput("not_found", kind=kind.kind, key=key)
    return RESULTS[kind, key]


def test_results_are_named_or_given() -> None:
    named = parse_body("export", {"kind": "export", "post_set": "set"}, "li", find)
    given = parse_body("export", {"post_set": make_post_set().model_dump(mode="json")}, "li", find)
    assert named == given == ExportRequest.make(owner="li", post_set=make_post_set())
    with pytest.raises(BadInput) as unknown:
        parse_body("export", {"post_set": "another's"}, "li", find)
    assert unknown.value.code == "not_found"


def test_a_number_of_shots_stands_for_varied_ones() -> None:
    asked: dict[str, Any] = {"persona": "persona", "scene": "scene", "seed": 5}
    usual = parse_body("posts", asked, "li", find)
    assert isinstance(usual, PostRequest)
    assert (usual.owner, usual.shots) == ("li", plan_shots(9, 5))
    three = parse_body("posts", asked | {"count": 3}, "li", find)
    assert isinstance(three, PostRequest)
    assert three.shots == plan_shots(3, 5)
    own = parse_body("posts", asked | {"count": 3, "shots": [{"outfit": "dress"}]}, "li", find)
    assert isinstance(own, PostRequest)
    assert [shot.outfit for shot in own.shots] == ["dress"]
    for wrong in ({"count": 36}, {"count": "3"}, {"seed": -1}, {"seed": "x"}):
        with pytest.raises(BadInput):
            parse_body("posts", asked | wrong, "li", find)


def test_who_named_no_way_is_given_the_backbones() -> None:
    asked: dict[str, Any] = {"persona": "persona", "scene": "scene"}
    for way, told, wanted in (
        ({"inject": "references"}, {}, ("references", 1.0)),
        ({"inject": "references"}, {"inject": "ip-adapter", "scale": 1.5}, ("ip-adapter", 1.5)),
        ({"scale": 0.0}, {}, ("redux", 0.0)),
        ({"scale": 0.0}, {"scale": 0.5}, ("redux", 0.5)),
        ({}, {}, ("redux", 1.0)),
    ):
        made = parse_body("posts", asked | told, "li", find, way)
        assert isinstance(made, PostRequest)
        assert (made.inject, made.scale) == wanted
        strip = parse_body("strengths", {"asked": asked | told, "scales": [0.5]}, "li", find, way)
        assert isinstance(strip, StrengthsRequest)
        assert (strip.asked.inject, strip.asked.scale) == wanted


def test_photos_of_a_person_are_named_by_their_keys_and_need_a_consent() -> None:
    asked: dict[str, Any] = {"persona": "persona", "scene": "scene", "character": {"photos": [{"picture": "a" * 64}]}}
    made = parse_body("posts", asked, "li", find)
    assert isinstance(made, PostRequest)
    assert made.character is not None
    assert made.character.photos[0].mask is None
    strip = parse_body("strengths", {"asked": asked, "scales": [0.5]}, "li", find)
    for unasked in (made, strip):
        with pytest.raises(BadInput, match="character_no_consent"):
            unasked.check_before()
    agreed = asked | {"character_consent": {"who": "Mei", "scope": "posts", "expires": "2099-12-31"}}
    parse_body("posts", agreed, "li", find).check_before()
    photos = [{"picture": "a" * 64}]
    several: list[dict[str, Any]] = [
        {"photos": []},
        {"photos": [{}]},
        {"photos": photos * 5},
        {"photos": photos, "end": 2},
    ]
    for wrong in several:
        with pytest.raises(BadInput):
            parse_body("posts", asked | {"character": wrong}, "li", find)


def test_a_request_in_a_request_is_the_same_owners() -> None:
    body = {"asked": {"persona": "persona", "scene": "scene", "count": 1}, "scales": [0.5, 1.0]}
    asked = parse_body("strengths", body, "li", find)
    assert isinstance(asked, StrengthsRequest)
    assert (asked.owner, asked.asked.owner, asked.asked.shots) == ("li", "li", plan_shots(1, 1))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"post_set": "set", "owner": "wang"}, "request_field_unknown"),
        ({"post_set": "set", "x": 1}, "request_field_unknown"),
        ({}, "request_field_missing"), ({"post_set": 3}, "request_type_invalid"),
        ({"post_set": "set", "title": "x" * 301}, "request_length_invalid"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body: dict[str, Any], code: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_body("export", body, "li", find)
    assert refused.value.code == code
