"""Whoever a LoRA says is shown is drawn with identity guidance, in every workflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from personas.looks import find_category
from personas.recipes import plan_recipe
from personas.shots import Shot
from pipelines.lora import Lora
from pipelines.progress import SILENT, Stage
from pipelines.sampling.request import DrawRequest
from studio.application import Studio
from studio.domain.report import StudioStage
from studio.settings import ASSETS, Settings
from studio.workflows import candidates, faces, preview, run_directly


class _SeenEnough(Exception):
    pass


def _candidates(studio: Any) -> None:
    candidates.draw_candidates(
        studio, run_directly, Stage(StudioStage.POSTS), Lora(()), ["a woman"], [1], [Shot()], SILENT
    )


def _mean_face(studio: Any) -> None:
    faces.mean_face(studio, Stage(StudioStage.DONOR, "x"), Lora(()), find_category("sweet"), "ohwx", SILENT)


def _preview(studio: Any) -> None:
    recipe = plan_recipe(studio.donors("sweet"), "sweet", seed=1, ceiling=0.9).recipe
    preview._draw(studio, [recipe], [1], SILENT)


@pytest.mark.parametrize(
    ("draw", "module", "name", "place"),
    [
        (_candidates, candidates, "draw_all", 3),
        (_mean_face, faces, "draw_all", 3),
        (_preview, preview, "draw_in_parts", 1),
    ],
)
def test_mixes_and_donors_are_guided_as_personas_are(
    draw: Callable[[Any], None], module: Any, name: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[DrawRequest] = []

    def record(*args: Any) -> Sequence[object]:
        asked.extend(args[place])
        raise _SeenEnough

    monkeypatch.setattr(module, name, record)
    real = Studio(Settings())
    spec = replace(real.backbone_spec, identity_guidance_scale=2.5)
    assert ASSETS in spec.folder.parents
    studio = SimpleNamespace(backbone=SimpleNamespace(spec=spec), donors=real.donors)
    with pytest.raises(_SeenEnough):
        draw(studio)
    assert asked
    assert all(r.identity_guidance and r.cfg_scale == 2.5 and r.loras for r in asked)
