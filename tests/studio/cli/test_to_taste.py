"""`--to-taste` of `design`: candidates follow what their owner said, as the page's box has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from personas.shots import vary_shots
from studio.application import Studio
from studio.cli.way import _to_taste
from studio.domain.design import DesignRequest
from studio.domain.guidance import follow_guidance
from studio.settings import Settings
from studio.taste.guiding import guide_candidates
from studio.taste.keeping import comment, tastes_of


def test_candidates_are_asked_for_to_their_owners_taste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studio = Studio(Settings(data=tmp_path, owner="me"))
    asked = DesignRequest.make(owner="me", category="sweet", seed=7, candidates=24)
    assert _to_taste(studio, None, asked) == asked
    assert capsys.readouterr().err == ""

    assert _to_taste(studio, 0.5, asked) == asked  # nothing was said yet: said so, and nothing moves
    assert "Your taste says nothing" in capsys.readouterr().err

    comment(studio.records, "me", "I love red clothes and the beach")
    comment(studio.records, "you", "I love blue clothes")
    found = _to_taste(studio, 0.5, asked)
    assert found.guided == guide_candidates(tastes_of(studio.records, "me"), 24, 7, adventurous=0.5)
    shots, plain = follow_guidance(vary_shots(24, 7), found.guided), vary_shots(24, 7)
    moved = sum(
        (a.outfit_colour != b.outfit_colour) + (a.setting != b.setting) for a, b in zip(shots, plain, strict=True)
    )
    assert f"{moved} things follow your taste" in capsys.readouterr().err
    assert sum(shot.outfit_colour == "red" for shot in shots) > sum(shot.outfit_colour == "red" for shot in plain)
    assert found.changed(guided=None) == asked
