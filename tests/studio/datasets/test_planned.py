"""Which part of each picture a training is shown, at which size, and what its caption says then: one truth for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.learning_pictures import person_folder
from personas.captions.schema import CaptionFacts
from pipelines.families.folders import token_px_of
from studio.application import Studio
from studio.datasets.keeping import decide, write_captions
from studio.datasets.opened import OpenedDataset, open_dataset
from studio.datasets.pairs import request_of_folder
from studio.datasets.planned import PlannedDataset, learns_several, plan_dataset
from studio.datasets.telling import tell_plan
from studio.domain.consent import ConsentForm
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.datasets import curate_dataset

TALL, WIDE = 0, 1
"""Rows: one with ground below that a 3:4 canvas has no room for, one with walls on both sides, one as it is drawn."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def opened(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> OpenedDataset:
    folder = tmp_path_factory.mktemp("mei")
    pictures = [one.picture for one in person_folder(5, 3, 0, 0)]
    pictures[TALL] = np.pad(pictures[TALL], ((0, 200), (0, 0), (0, 0)), mode="edge")
    pictures[WIDE] = np.pad(pictures[WIDE], ((0, 0), (0, 200), (0, 0)), mode="edge")
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i}.png")
    request = request_of_folder(studio.library, folder, "sweet", ConsentForm("Mei", "posts"), "me", "Mei")
    made = curate_dataset(studio, request, run_directly)
    decide(studio.library, "me", made, range(3), True)
    return open_dataset(studio.library, "me", made)


@pytest.fixture(scope="module")
def planned(studio: Studio, opened: OpenedDataset) -> PlannedDataset:
    return plan_dataset(opened, studio.backbone_spec)


def test_the_head_stays_in_every_part(opened: OpenedDataset, planned: PlannedDataset) -> None:
    for row, facts in enumerate(opened.facts):
        x0, y0, x1, y1 = planned.window(row)
        for box in facts.keep[:1]:
            assert x0 - 0.01 <= box[0]
            assert y0 - 0.01 <= box[1]
            assert box[2] <= x1 + 0.01
            assert box[3] <= y1 + 0.01
        height, width = (y1 - y0) * facts.height, (x1 - x0) * facts.width
        assert height / width == pytest.approx(256 / 192, abs=0.02)
    assert planned.window(WIDE)[0] < (1 - 192 / 392) / 2 - 0.05  # left of the middle, where the person stands
    assert planned.cut == (TALL, WIDE)
    assert planned.window(2) == (0, 0, 1, 1)
    assert planned.caption(2) == opened.captions[2]


def test_a_framing_that_the_cut_changes_is_not_said_as_before(
    studio: Studio, opened: OpenedDataset, planned: PlannedDataset
) -> None:
    """The picture is cut below: what its caption says of the framing is what the part shows, or nothing."""
    _, top, _, bottom = planned.window(TALL)
    assert bottom - top < 0.9
    before = opened.facts[TALL].words.get("framing")
    after = planned.framing(TALL)
    said = planned.caption(TALL)
    assert str(before) not in said if after is None else after.split("-")[0] in said
    told = CaptionFacts.model_validate({"shot": {"framing": "full-body"}})
    by_model = OpenedDataset(opened.dataset, opened.edits, opened.facts, (told, None, None), {})
    again = plan_dataset(by_model, studio.backbone_spec)
    assert again.framing(TALL) == after  # nor what a model said of the whole


def test_what_a_person_wrote_stays(studio: Studio, opened: OpenedDataset) -> None:
    write_captions(studio.library, "me", opened.dataset, {TALL: "ohwx full-body, my own words"})
    again = plan_dataset(open_dataset(studio.library, "me", opened.dataset), studio.backbone_spec)
    assert again.caption(TALL) == "ohwx full-body, my own words"
    write_captions(studio.library, "me", opened.dataset, {TALL: ""})


def test_one_size_for_the_miniature_and_several_for_those_that_draw_any(studio: Studio) -> None:
    spec = studio.backbone_spec
    assert token_px_of(spec.folder) == 32
    assert not learns_several(spec)


def test_several_sizes_are_those_that_the_backbone_knows(studio: Studio, opened: OpenedDataset) -> None:
    more = plan_dataset(opened, studio.backbone_spec, several=True)
    told = tell_plan(more)
    assert told["several_sizes"]
    assert {row["size"] for row in told["sizes"]} <= {f"{w}×{h}" for h, w in studio.backbone_spec.sizes}
    assert sum(row["share"] for row in told["sizes"]) == pytest.approx(1, abs=0.001)
    assert [row["number"] for row in told["pictures"]] == [1, 2, 3]


def test_small_pictures_are_named(studio: Studio, tmp_path: Path) -> None:
    picture = Image.fromarray(person_folder(5, 1, 0, 0)[0].picture)
    picture.resize((96, 128)).save(tmp_path / "small.png")
    request = request_of_folder(studio.library, tmp_path, "sweet", ConsentForm("Mei", "posts"), "me", "Small")
    made = curate_dataset(studio, request, run_directly)
    decide(studio.library, "me", made, [0], True)
    assert plan_dataset(open_dataset(studio.library, "me", made), studio.backbone_spec).enlarged == (0,)
