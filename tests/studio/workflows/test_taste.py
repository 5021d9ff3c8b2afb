"""A set to its owner's taste: what is said behind its prompts, what goes with its request, and comments by a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personas.shots import Shot
from studio.application import Studio
from studio.captions.endpoint import Endpoint
from studio.domain.guidance import Guidance
from studio.domain.posts import PostRequest, plan_shots
from studio.library.scenes import add_scene
from studio.settings import Settings
from studio.taste.guiding import guide_set
from studio.taste.keeping import comment, edit, taste_of, tastes_of
from studio.workflows.injections import Injections
from studio.workflows.post import plan_requests
from studio.workflows.taste import keep_comment
from tests.studio.captions.server import Reply, completion, serve
from tests.studio.workflows.test_ways import persona


@pytest.fixture(scope="module")
def studio(tiny_family: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("taste"), backbone=str(tiny_family)))


@pytest.fixture
def asked(studio: Studio, tmp_path: Path) -> PostRequest:
    Image.fromarray(np.full((96, 64, 3), 128, np.uint8)).save(tmp_path / "scene.png")
    scene = add_scene(studio.library, tmp_path / "scene.png", None, "grey")
    return PostRequest.make(persona=persona(studio, tmp_path), scene=scene, shots=plan_shots(3, 1), scale=0.0)


def prompts(studio: Studio, request: PostRequest) -> list[str]:
    return [one.prompt for one in plan_requests(studio, request, request.shots, Injections(studio, request))]


def test_liked_words_stand_behind_every_prompt_and_nothing_else_changes(studio: Studio, asked: PostRequest) -> None:
    guided = Guidance.make(version=1, adventurous=0.3, words=("warm tones", "a cosy mood"))
    plain = prompts(studio, asked)
    assert prompts(studio, asked.changed(guided=guided)) == [f"{p}, warm tones, a cosy mood" for p in plain]


def test_a_set_without_a_taste_is_the_same_request_as_before(asked: PostRequest) -> None:
    assert "guided" not in json.loads(asked.model_dump_json())


def test_where_nothing_is_open_or_known_the_request_is_the_same(studio: Studio, asked: PostRequest) -> None:
    whole = {name: "left" if name == "view" else getattr(Shot(), name) for name in Shot.__dataclass_fields__}
    edit(studio.records, "me", "expression.laughing", weight=1.0)
    liked = tastes_of(studio.records, "me")
    stated = guide_set(liked, [whole], 1, 1, adventurous=0.3, vocabulary=None)
    assert (stated.shots, stated.guidance) == ((Shot(view="left"),), None)
    for tastes in ((), tastes_of(studio.records, "nobody")):
        found = guide_set(tastes, [], 3, 1, adventurous=0.3, vocabulary=None)
        assert asked.changed(**found.fields()) == asked
    guided = guide_set(liked, [], 3, 1, adventurous=0.0, vocabulary=None)
    request = asked.changed(**guided.fields())
    assert {shot.expression for shot in request.shots} == {"laughing"}
    assert PostRequest.model_validate_json(request.model_dump_json()) == request


def test_a_model_reads_within_its_budget_and_its_answers_are_kept(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = '{"items": [{"attribute": "tone.dark", "liked": false, "strength": 1, "quote": "想要亮"}]}'

    def script(number: int, body: dict[str, object]) -> Reply:
        return completion(told, tokens=studio.settings.captions_daily_tokens)

    with serve(script) as server:
        monkeypatch.setattr(
            "studio.workflows.taste.endpoint_of",
            lambda studio: Endpoint(server.url, "reader", sleep=lambda seconds: None),
        )
        for _ in range(2):
            kept = keep_comment(studio, "lin", "我想要亮的", reader="endpoint")
            assert [item.attribute for item in kept.said.items] == ["tone.dark"]
        assert len(server.asked) == 1
        spent = keep_comment(studio, "lin", "海边很好", reader="endpoint")
    assert len(server.asked) == 1
    assert spent.failed is not None
    assert spent.failed.code == "captions_budget_spent"
    assert [item.attribute for item in spent.said.items] == ["setting.beach"]
    assert taste_of(studio.records, "lin").version == 2
    assert comment(studio.records, "lin", "海边很好").said == spent.said
