"""A job draws nothing where one of its pictures cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput
from pipelines.models.hardware import step_bytes
from pipelines.progress import SILENT, Stage
from pipelines.sampling.request import DrawRequest, request_from
from studio.application import Studio
from studio.domain.report import StudioStage
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.drawing import draw_all, draw_beside, draw_panels
from tests.tiny_z_image import write_z_image

STAGE = Stage(StudioStage.POSTS)
LONG = "a woman in a red dress " * 20


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """On a folder that reads longer prompts than it has positions for: 96 tokens."""
    root = tmp_path_factory.mktemp("studio")
    folder = write_z_image(root / "z-image", settings={"max_sequence_length": 512, "true_cfg_scale": 1.0})
    return Studio(Settings(data=root / "data", backbone=str(folder), batch_size=1))


def ask(studio: Studio, *prompts: str) -> list[DrawRequest]:
    spec = studio.backbone.spec
    return [request_from(spec, prompt, i, num_inference_steps=1) for i, prompt in enumerate(prompts)]


def test_a_prompt_that_is_too_long_is_said_before_the_first_picture(studio: Studio) -> None:
    arrived: list[int] = []

    def told(number: int, key: str) -> None:
        arrived.append(number)

    with pytest.raises(BadInput, match=r"prompt_beyond_positions.*limit=96"):
        draw_all(studio, run_directly, STAGE, ask(studio, "a", LONG), SILENT, told)
    # two prompts that fit alone are one that does not as panels of one picture
    pair = ask(studio, "a", LONG[:150], LONG[:150])
    with pytest.raises(BadInput, match="prompt_beyond_positions"):
        draw_panels(studio, run_directly, STAGE, pair, 2, SILENT, told)
    with pytest.raises(BadInput, match="prompt_beyond_positions"):
        draw_beside(studio, run_directly, STAGE, ask(studio, "a", LONG), ("f" * 64, "b"), SILENT, told)
    assert arrived == []
    drawn = draw_all(studio, run_directly, STAGE, ask(studio, "a", "b"), SILENT, told)
    assert arrived == [0, 1]
    assert len(set(drawn.pictures)) == 2


def test_a_size_that_cannot_be_drawn_is_said_before_the_first_picture(studio: Studio) -> None:
    wrong = request_from(studio.backbone.spec, "a", 1, height=104)
    with pytest.raises(BadInput, match="size_not_drawable"):
        draw_all(studio, run_directly, STAGE, [*ask(studio, "a"), wrong], SILENT, lambda number, key: pytest.fail(key))


def test_what_was_drawn_together_is_noted_and_remembered_where_the_device_has_little_room(
    tmp_path: Path, tiny_flux: Path
) -> None:
    """After a crash there may be more room: what is remembered still says how many were drawn at once."""
    studio = Studio(Settings(data=tmp_path, backbone=str(tiny_flux), batch_size=4))
    backbone, asked = studio.backbone, ask(studio, *"abcde")
    room = step_bytes(backbone.model.width, 3 * asked[0].height * asked[0].width)
    remembered: dict[str, Any] = {}

    def run(name: str, step: Callable[[], Any]) -> Any:
        if name not in remembered:
            remembered[name] = step()
        return remembered[name]

    studio.__dict__["backbone"] = replace(backbone, plan=replace(backbone.plan, room_bytes=room))
    drawn = draw_all(studio, run, STAGE, asked, SILENT)
    assert drawn.batches == ((0, 1, 2), (3,), (4,))
    del remembered[f"{STAGE}-2"]
    studio.__dict__["backbone"] = backbone
    assert draw_all(studio, run, STAGE, asked, SILENT) == drawn
    assert list(remembered) == [f"{STAGE}-{number}" for number in range(3)]
