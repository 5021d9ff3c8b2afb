"""A style is learnt from a folder or a data set: its card says how, and what is refused is refused before it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.learning_pictures import person_folder
from pipelines.errors import BadInput, ConsentMissing, NotEnough
from pipelines.lora import read_lora
from pipelines.progress import SILENT, TrainingStep
from studio.application import Studio
from studio.datasets.keeping import decide, write_captions
from studio.datasets.opened import open_dataset
from studio.domain.dataset import DataSet, DatasetPicture, DatasetRequest
from studio.domain.report import LeftOut
from studio.domain.style import StyleRequest
from studio.jobs.consents import check_consents
from studio.library.consents import prolong_dataset, revoke_dataset
from studio.library.index import Search, find_things
from studio.library.marks import mark_thing
from studio.library.records import JobFilesRecord, JobRecord
from studio.library.scenes import add_picture
from studio.library.styles import find_style, style_consent, why_not
from studio.library.trash import empty_trash
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.datasets import curate_dataset
from studio.workflows.rights import lineage_of_set
from studio.workflows.styles import MIN_PHOTOS, _photos_of, learn_style, train_folder_style
from tests.library import keep_cafe, keep_persona, keep_posts, keep_result
from tests.stored import place_in
from tests.studio.workflows.test_training_folder import _consent, _Told, studio

__all__ = ["studio"]


def _photos(folder: Path, count: int = MIN_PHOTOS) -> Path:
    rng = np.random.default_rng(1)
    folder.mkdir()
    for k in range(count):
        Image.fromarray(rng.integers(0, 256, (96, 64, 3), np.uint8)).save(folder / f"{k:02d}.png")
    (folder / "00.txt").write_text("a woman in a cafe")
    return folder


def test_a_style_says_on_its_card_how_it_was_learnt_and_is_found_again(studio: Studio, tmp_path: Path) -> None:
    photos, out, told = _photos(tmp_path / "photos"), tmp_path / "style.safetensors", _Told()
    (photos / "notes.pdf").write_bytes(b"%PDF")
    made = train_folder_style(studio, photos, _consent(tmp_path), out, "window light", steps=2, progress=told)
    assert [error.code for error in made.left_out] == ["picture_not_readable"]
    assert any(isinstance(event, LeftOut) for event in told.events)
    file = read_lora(made.path)
    card = file.metadata["modelspec.description"]
    for said in ("20 photographs", "sigma is between 0.25 and 0.85", "single_transformer_blocks", "fusion"):
        assert said in card
    assert ("measured on this model" in card) == json.loads(file.metadata["ss_style_recipe"])["measured"]
    who = json.loads(_consent(tmp_path).read_text(encoding="utf-8"))["who"]
    assert who not in json.dumps(dict(file.metadata), ensure_ascii=False)  # the file travels, people's names do not
    again = _Told()
    train_folder_style(studio, photos, _consent(tmp_path), out, "window light", steps=2, progress=again)
    assert not any(isinstance(event, TrainingStep) for event in again.events)


def test_what_cannot_work_is_refused_before_any_work(studio: Studio, tmp_path: Path) -> None:
    out = tmp_path / "style.safetensors"
    with pytest.raises(NotEnough):
        train_folder_style(studio, _photos(tmp_path / "few", 3), _consent(tmp_path), out)
    over = _consent(tmp_path, expires="2001-02-03")
    with pytest.raises(BadInput, match="consent_over"):
        train_folder_style(studio, _photos(tmp_path / "photos"), over, out)
    assert not out.exists()
    assert not list(studio.library.work.glob("style-*"))


GOOD = 5


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """The miniature's: its reader knows the pictures."""
    return Studio(Settings(data=tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def dataset(drawing: Studio) -> DataSet:
    rows = []
    for i, one in enumerate(person_folder(3, GOOD, 0, 2)):
        key = add_picture(drawing.library, one.picture, "me")
        height, width = one.picture.shape[:2]
        rows.append(DatasetPicture(name=f"{i}.png", picture=key, height=height, width=width))
    request = DatasetRequest.make(
        name="Window light", category="sweet", who="Mei Lin", scope="posts", pictures=tuple(rows)
    )
    made = curate_dataset(drawing, request, run_directly)
    keep_result(drawing, "me", made)
    return made


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.workflows.styles.MIN_PHOTOS", 3)


def test_captions_of_a_style_say_all_and_name_nobody(drawing: Studio, dataset: DataSet) -> None:
    write_captions(drawing.library, "me", dataset, {0: "photo of ohwx woman with red hair, not ohwxing"})
    opened = open_dataset(drawing.library, "me", dataset)
    captions = [caption for _, caption in _photos_of(drawing, opened, SILENT)]
    write_captions(drawing.library, "me", dataset, {0: ""})
    assert len(captions) == len(opened.judged.kept) == GOOD
    assert captions[0] == "photo of woman with red hair, not ohwxing"
    assert not any("ohwx" in caption for caption in captions[1:])
    assert all("young woman" in caption for caption in captions[1:])


@pytest.mark.usefixtures("few")
def test_a_style_of_a_data_set_is_its_owners_until_they_throw_it_away(drawing: Studio, dataset: DataSet) -> None:
    style = learn_style(drawing, StyleRequest.make(dataset=dataset, name="my light", steps=1), run_directly)
    keep_result(drawing, "me", style)
    assert dict(style.names) == {"en": "my light", "zh": "my light"}
    assert (style.pictures, style.dataset, style.recipe["steps"]) == (GOOD, dataset.id, 1)
    assert style.weights == (drawing.backbone_sha256,)
    assert style.sample is not None
    assert drawing.store.get_picture(style.sample).shape == (256, 192, 3)
    assert why_not(drawing.library, drawing.settings, "me", style) is None
    file = read_lora(drawing.store.open_local(style.lora))
    assert (file.family, file.width) == (style.family, style.width)
    assert "Mei Lin" not in json.dumps(dict(file.metadata), ensure_ascii=False) + style.model_dump_json()
    assert find_style(drawing.library, "me", style.id) == style
    assert find_style(drawing.library, "wang", style.id) is None
    (thing,) = find_things(drawing.records, Search("me", "style")).things
    assert (thing.facts["name"], thing.facts["picture"]) == ("my light", style.sample)
    mark_thing(drawing.records, "me", f"style:{style.id}", trashed=True)
    assert find_style(drawing.library, "me", style.id) is None
    assert not find_things(drawing.records, Search("me", "style")).things

    def forget(jobs: list[str], owner: str) -> None:
        for job in jobs:
            for table in (JobRecord, JobFilesRecord):
                drawing.records.remove(table, job, owner)

    assert empty_trash(drawing.library, "me", forget, young_s=0).things == 1
    assert not place_in(drawing.store, style.lora).exists()
    assert drawing.store.is_whole(dataset.request.pictures[0].picture)


@pytest.mark.usefixtures("few")
def test_a_withdrawn_consent_stops_the_style_and_new_posts_in_it(drawing: Studio, dataset: DataSet) -> None:
    style = learn_style(drawing, StyleRequest.make(dataset=dataset, steps=1), run_directly)
    assert dict(style.names) == {"en": f"Look {dataset.id[:6]}", "zh": f"风格 {dataset.id[:6]}"}  # nobody's name
    keep_result(drawing, "me", style)
    keep_persona(drawing)
    drawn = keep_posts(drawing, 7, keep_cafe(drawing))
    styled = drawn.model_copy(update={"request": drawn.request.changed(style=style, style_strength=0.5)})
    off = drawn.request.changed(style=style, style_strength=0.0)
    check_consents(drawing, styled.request)
    found = lineage_of_set(drawing, "me", styled)
    assert found.style is not None
    assert found.style.consent is not None
    assert (found.style.consent.state, found.style.consent.who, found.style.strength) == ("holds", "Mei Lin", 0.5)
    assert lineage_of_set(drawing, "me", drawn).style is None
    revoke_dataset(drawing.records, "me", dataset)
    for wish in (styled.request, StyleRequest.make(dataset=dataset)):
        with pytest.raises(ConsentMissing, match="dataset_consent_revoked"):
            check_consents(drawing, wish)
    with pytest.raises(ConsentMissing, match="dataset_consent_revoked"):
        learn_style(drawing, StyleRequest.make(dataset=dataset, steps=1), run_directly)
    check_consents(drawing, off)  # nothing of it is drawn
    now = lineage_of_set(drawing, "me", styled)
    assert now.style is not None
    assert now.style.consent is not None
    assert (now.style.consent.state, now.is_free) == ("revoked", False)
    assert why_not(drawing.library, drawing.settings, "me", style) is not None
    prolong_dataset(drawing.records, "me", dataset, None)
    check_consents(drawing, styled.request)
    consent = style_consent(drawing.library, "me", style)
    assert consent is not None
    assert consent.state == "holds"


def test_too_few_good_pictures_teach_no_style(drawing: Studio, dataset: DataSet) -> None:
    decide(drawing.library, "me", dataset, [0], False)
    with pytest.raises(NotEnough) as raised:
        learn_style(drawing, StyleRequest.make(dataset=dataset, steps=1), run_directly)
    assert (raised.value.fields["count"], raised.value.fields["needed"]) == (GOOD - 1, MIN_PHOTOS)
    decide(drawing.library, "me", dataset, [0], None)
