"""The data set page: every picture has a verdict in words, sliders and hands change it at once, edits are kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.learning_pictures import person_folder
from studio.application import Studio
from studio.datasets.keeping import decide, edits_of
from studio.datasets.opened import open_dataset
from studio.datasets.planned import PlannedDataset, plan_dataset
from studio.datasets.telling import tell_dataset
from studio.domain.dataset import DataSet, DatasetPicture, DatasetRequest
from studio.jobs.queue import Queue
from studio.library.scenes import add_picture
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.context import Ui
from studio.ui.pages.dataset import _choices, _edit
from studio.ui.parts.dataset_cards import SHOWN, View, show_cards, show_summary, show_training, show_words
from studio.web.app import make_site
from studio.workflows import run_directly
from studio.workflows.datasets import curate_dataset
from tests.library import keep_result
from tests.site import TestClient


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def made(studio: Studio) -> DataSet:
    rows = []
    for i, one in enumerate(person_folder(3, 4, 1, 2)):
        key = add_picture(studio.library, one.picture, "me")
        height, width = one.picture.shape[:2]
        said = "photo of ohwx woman with long black hair" if i == 0 else ""
        rows.append(DatasetPicture(name=f"{i}<b>.png", picture=key, height=height, width=width, caption=said))
    request = DatasetRequest.make(name="Mei", category="sweet", who="Mei", scope="posts", pictures=tuple(rows))
    dataset = curate_dataset(studio, request, run_directly)
    keep_result(studio, "me", dataset)
    return dataset


@pytest.fixture(params=LANGUAGES)
def ui(request: pytest.FixtureRequest, studio: Studio) -> Ui:
    return Ui(studio, Queue(studio), Texts(request.param))


def planned_of(ui: Ui, made: DataSet, several: bool | None = None) -> PlannedDataset:
    return plan_dataset(open_dataset(ui.studio.library, "me", made), ui.studio.backbone_spec, several)


def whole(ui: Ui, made: DataSet, view: View) -> str:
    planned = planned_of(ui, made)
    opened = planned.opened
    parts = show_summary(ui, opened, view), show_cards(ui, planned, view), show_words(ui, opened)
    return "".join((*parts, show_training(ui, planned)))


def test_every_picture_has_a_verdict_with_reasons_and_what_nobody_looked_for_is_said(ui: Ui, made: DataSet) -> None:
    said = whole(ui, made, View(made.id, limits=True))
    assert said.count("<textarea") == 7
    assert "<b>.png" not in said
    planned = planned_of(ui, made)
    opened = planned.opened
    for verdict in opened.judged.verdicts:
        for reason in verdict.reasons:
            assert ui.t(f"dataset.reason.{reason.name}") in said
    assert ui.t("dataset.unchecked", count=7) in said
    assert said.count('type="range"') == 11
    for shown in SHOWN:
        show_cards(ui, planned, View(made.id, shown))
    doubles = show_cards(ui, planned, View(made.id, "doubles"))
    assert doubles.count("<textarea") == 1
    assert ui.t("dataset.instead") in doubles


def test_a_slider_and_a_hand_judge_again_at_once(ui: Ui, made: DataSet) -> None:
    library, view = ui.studio.library, View(made.id)

    def kept() -> tuple[int, ...]:
        return open_dataset(library, "me", made).judged.kept

    before = kept()
    assert _edit(ui, "me", made, {"do": "limit", "name": "crisp", "value": "0.5"}, view) == view
    assert kept() != before
    assert ui.t("dataset.changed") in whole(ui, made, View(made.id, limits=True))
    _edit(ui, "me", made, {"do": "usual"}, view)
    assert kept() == before
    _edit(ui, "me", made, {"do": "drop", "row": "0"}, view)
    assert 0 not in kept()
    _edit(ui, "me", made, {"do": "measure", "row": "0"}, view)
    assert kept() == before
    for wrong in ({"do": "limit", "name": "crisp", "value": "much"}, {"do": "keep", "row": "99"}):
        with pytest.raises(Exception, match="dataset_"):
            _edit(ui, "me", made, wrong, view)


def test_a_caption_is_kept_only_where_it_was_changed(ui: Ui, made: DataSet) -> None:
    library, view = ui.studio.library, View(made.id)
    shown = open_dataset(library, "me", made).captions
    _edit(ui, "me", made, {"do": "caption", "row": "1", "value": shown[1]}, view)
    assert edits_of(library, "me", made).captions == {}
    _edit(ui, "me", made, {"do": "caption", "row": "1", "value": "ohwx woman at the sea"}, view)
    assert open_dataset(library, "me", made).captions[1] == "ohwx woman at the sea"
    _edit(ui, "me", made, {"do": "caption", "row": "1", "value": ""}, view)
    assert open_dataset(library, "me", made).captions == shown


def test_captions_that_say_who_it_is_ask_before_a_training(ui: Ui, made: DataSet) -> None:
    identities = re.findall(r'data-identity="(\w+)"', whole(ui, made, View(made.id)))
    assert identities == ["strip", "keep"]
    _edit(ui, "me", made, {"do": "say", "name": "hair"}, View(made.id))
    assert re.findall(r'data-identity="(\w+)"', whole(ui, made, View(made.id))) == ["stop"]
    _edit(ui, "me", made, {"do": "say", "name": "hair"}, View(made.id))
    assert edits_of(ui.studio.library, "me", made).say == ()


def test_a_new_description_takes_the_old_one_s_place_in_the_list(ui: Ui, made: DataSet) -> None:
    keep_result(ui.studio, "me", made.model_copy(update={"id": f"again-{ui.t.language}"}))
    assert _choices(ui, "me") == [(ui.t("dataset.choice", name="Mei", count=7), f"again-{ui.t.language}")]


def test_three_photos_are_too_few_and_it_is_said_before_anybody_asks(ui: Ui, made: DataSet) -> None:
    kept = planned_of(ui, made).opened.judged.kept
    decide(ui.studio.library, "me", made, kept[3:], False)
    said = show_training(ui, planned_of(ui, made))
    assert ui.t("dataset.too_few", count=3, needed=4) in said
    assert 'data-do="train"' not in said
    decide(ui.studio.library, "me", made, kept[3:], None)


def test_the_sizes_of_a_training_are_shown_before_it(ui: Ui, made: DataSet) -> None:
    one, more = planned_of(ui, made), planned_of(ui, made, several=True)
    assert not one.several  # of a model that knows two sizes only
    assert ui.t("dataset.plan_size", size="192×256", count=len(one.opened.judged.kept)) in show_training(ui, one)
    assert {(b.height, b.width) for b in more.plan.buckets} <= set(ui.studio.backbone_spec.sizes)


def test_programs_can_do_the_same(studio: Studio, made: DataSet, tmp_path: Path) -> None:
    site = TestClient(make_site(Studio(studio.settings)))
    url = f"/api/datasets/{made.id}"
    told = site.get(url, headers={"accept-language": "en"}).json()
    assert told == tell_dataset(Texts("en"), open_dataset(studio.library, "me", made))
    told = site.put(url, json={"drop": [1], "captions": {"2": "a dancer"}, "limits": {"crisp": 0.0}}).json()
    assert told["pictures"][0]["by_hand"]
    assert not told["pictures"][0]["kept"]
    assert told["pictures"][1]["caption"] == "ohwx a dancer"
    planned = site.get(f"{url}/plan", params={"several_sizes": False}).json()
    assert [row["number"] for row in planned["pictures"]] == [r["number"] for r in told["pictures"] if r["kept"]]
    assert planned["sizes"][0]["size"] == "192×256"
    packed = site.get(f"{url}/pairs")
    assert packed.content[:2] == b"PK"
    told = site.put(url, json={"undecide": [1], "captions": {"2": ""}, "usual_limits": True}).json()
    assert told == site.get(url).json()
    assert told["limits"] == made.limits.model_dump()
    assert site.get("/api/datasets/nobody").status_code == 404
    assert site.put(url, json={"keep": [99]}).status_code == 422
