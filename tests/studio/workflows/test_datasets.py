"""A folder of pictures looked through, described, edited, and written out again: nothing is lost on the way."""

from __future__ import annotations

import asyncio
import datetime
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.fault_arena import small_disk
from benchmarks.learning_pictures import Given, person_folder
from personas.donors import Donor
from pipelines.errors import BadInput, ConsentMissing, NotEnough, OutOfDisk
from studio.application import Studio
from studio.datasets.keeping import decide, set_limits, set_words, write_captions
from studio.datasets.opened import OpenedDataset, open_dataset
from studio.datasets.pairs import bring_folder, write_pairs
from studio.domain.choice import CaptionEndpoint
from studio.domain.dataset import DataSet, DatasetRequest, FaceRequest
from studio.domain.migration import read_stored
from studio.jobs.queue import admit
from studio.library.consents import prolong_dataset, revoke_dataset
from studio.library.grants import grant
from studio.library.saved_settings import SavedFile
from studio.library.uploads import keep_upload
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.datasets import curate_dataset
from studio.workflows.donors import train_face
from tests.studio.captions.server import Reply, completion, serve
from tests.studio.captions.test_vision import TEXT

CLEAN, COPIES, FAULTY = 5, 2, 3


@pytest.fixture(scope="module")
def given() -> list[Given]:
    return person_folder(3, CLEAN, COPIES, FAULTY)


@pytest.fixture(scope="module")
def folder(given: list[Given], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mei")
    for i, one in enumerate(given):
        Image.fromarray(one.picture).save(place / f"{i:02}.png")
    (place / "01.txt").write_text("photo of ohwx young woman, 穿红色外套", encoding="utf-16")
    (place / "02.txt").write_bytes("她穿着红色外套".encode("gbk"))
    (place / "._00.png").write_bytes(b"\0\5\x16\7")
    (place / "notes.pdf").write_bytes(b"%PDF")
    moving = [Image.fromarray(np.full((80, 80, 3), v, np.uint8)) for v in (1, 200)]
    moving[0].save(place / "moving.webp", save_all=True, append_images=moving[1:])
    (place / "more").mkdir()
    Image.fromarray(given[0].picture).save(place / "more" / "inside.png")
    return place


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("data")))


def request_of(studio: Studio, folder: Path, **changed: Any) -> DatasetRequest:
    pictures, _ = bring_folder(studio.library, folder, "me")
    told: dict[str, Any] = {"name": "Mei", "category": "sweet", "who": "Mei", "scope": "posts", "pictures": pictures}
    told |= {"adult": True, "document": "d" * 64}
    return DatasetRequest.make(**told | changed)


@pytest.fixture(scope="module")
def made(studio: Studio, folder: Path) -> DataSet:
    return curate_dataset(studio, request_of(studio, folder), run_directly)


def trained(studio: Studio, made: DataSet, identity: str = "stop", name: str = "", **more: Any) -> Donor:
    """The donor of a training of one step."""
    request = FaceRequest.make(owner="me", dataset=made, identity=identity, name=name, steps=1, **more)
    face = train_face(studio, request, run_directly)
    return next(donor for donor in studio.donors() if donor.id == face.donor)


def opened(studio: Studio, made: DataSet) -> OpenedDataset:
    return open_dataset(studio.library, "me", made)


def test_what_is_left_out_is_named(studio: Studio, folder: Path) -> None:
    pictures, left_out = bring_folder(studio.library, folder, "me")
    assert [picture.name for picture in pictures] == [f"{i:02}.png" for i in range(CLEAN + COPIES + FAULTY)]
    assert sorted(error.code for error in left_out) == [
        "picture_moves", "picture_not_readable", "subfolder_left_out", "text_not_utf8",
    ]  # fmt: skip
    assert pictures[1].caption == "photo of ohwx young woman, 穿红色外套"
    assert pictures[2].caption == ""  # and named above: a wrong guess would be taught


def test_the_good_are_kept_and_the_others_have_reasons(studio: Studio, made: DataSet, given: list[Given]) -> None:
    assert read_stored(DataSet, made.model_dump(mode="json")) == made
    found = opened(studio, made).judged
    names = [{reason.name for reason in verdict.reasons} for verdict in found.verdicts]
    assert all(not row or row == {"copy"} for row, one in zip(names, given, strict=True) if not one.fault)
    assert [bool(row - {"copy"}) for row, one in zip(names, given, strict=True) if one.fault] == [True] * FAULTY
    assert len(found.kept) == CLEAN
    assert len(found.piles) == COPIES
    assert set(made.file_keys()) >= {picture.picture for picture in made.request.pictures}


def test_captions_are_of_what_is_seen_and_what_lay_beside_stays(
    studio: Studio, made: DataSet, given: list[Given]
) -> None:
    found = opened(studio, made)
    assert found.captions[1] == "photo of ohwx young woman, 穿红色外套"
    shot = given[0].shot
    assert shot is not None
    said = shot.prompt("a young woman", "ohwx").split(", ")
    assert found.captions[0].split(", ") == [*said[:4], *said[5:]]  # of arms the reader is not sure
    assert [one for one in found.findings if one.stops] == []


def test_edits_judge_again_at_once_and_are_taken_back(studio: Studio, made: DataSet) -> None:
    library = studio.library
    before = opened(studio, made).judged.kept
    set_limits(library, "me", made, {"crisp": 1.0})
    assert opened(studio, made).judged.kept == ()
    decide(library, "me", made, [0], True)
    assert opened(studio, made).judged.kept == (0,)
    set_limits(library, "me", made, {})
    decide(library, "me", made, [0], False)
    assert 0 not in opened(studio, made).judged.kept
    decide(library, "me", made, [0], None)
    assert opened(studio, made).judged.kept == before
    write_captions(library, "me", made, {0: "  a  dancer ", 1: ""})
    assert opened(studio, made).captions[0] == "ohwx a dancer"
    write_captions(library, "me", made, {0: "with long black hair"})
    assert [one.code for one in opened(studio, made).findings if one.stops] == ["identity"]
    set_words(library, "me", made, say=("hair",), trigger="mei1")
    assert [one.code for one in opened(studio, made).findings if one.stops] == []
    assert opened(studio, made).captions[0].startswith("mei1 ")
    write_captions(library, "me", made, {0: ""})
    set_words(library, "me", made, say=(), trigger="ohwx")
    assert opened(studio, made).edits.captions == {}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda s, m: set_limits(s.library, "me", m, {"sharp": 1}), "dataset_limit_unknown"),
        (lambda s, m: set_limits(s.library, "me", m, {"crisp": -3}), "dataset_limit_invalid"),
        (lambda s, m: decide(s.library, "me", m, [99], True), "dataset_picture_unknown"),
        (lambda s, m: write_captions(s.library, "me", m, {-1: "x"}), "dataset_picture_unknown"),
    ],
)
def test_what_cannot_be_is_refused(studio: Studio, made: DataSet, call: Any, code: str) -> None:
    with pytest.raises(BadInput) as raised:
        call(studio, made)
    assert raised.value.code == code


def test_pairs_go_out_and_come_in_again(studio: Studio, made: DataSet, tmp_path: Path) -> None:
    found = opened(studio, made)
    assert write_pairs(studio.library, found, tmp_path / "out") == CLEAN
    with pytest.raises(BadInput) as raised:
        write_pairs(studio.library, found, tmp_path / "out")
    assert raised.value.code == "dataset_folder_not_empty"
    pictures, left_out = bring_folder(studio.library, tmp_path / "out", "me")
    assert left_out == ()
    kept = found.judged.kept
    assert [picture.picture for picture in pictures] == [made.request.pictures[i].picture for i in kept]
    assert [picture.caption for picture in pictures] == [found.captions[i] for i in kept]


def test_a_consent_that_is_over_comes_before_any_pixel(studio: Studio, folder: Path) -> None:
    request = request_of(studio, folder, expires="2020-01-01")
    with pytest.raises(BadInput) as raised:
        curate_dataset(studio, request, run_directly)
    assert raised.value.code == "consent_over"


def see(colour: str) -> Reply:
    return completion(colour, 10)


def script(tokens: int) -> Any:
    """A model that sees colours and describes pictures."""

    def answer(n: int, body: dict[str, Any]) -> Reply:
        asked = body["messages"][-1]["content"]
        if "Which colour" in json.dumps(asked):
            return see(("red", "blue")[n % 2])
        return completion(TEXT, tokens)

    return answer


def with_model(tmp_path: Path, url: str) -> Studio:
    saved = SavedFile(tmp_path)
    saved.write(saved.read().model_copy(update={"captions": CaptionEndpoint(url=url, model="eyes")}))
    return Studio(Settings(data=tmp_path))


def test_a_vision_model_is_asked_and_never_twice(folder: Path, tmp_path: Path) -> None:
    with serve(script(100)) as server:
        studio = with_model(tmp_path, server.url)
        made = curate_dataset(studio, request_of(studio, folder, writer="endpoint"), run_directly)
        found = opened(studio, made)
        once = len({one.pixels for one in found.facts})  # of a file with another name nothing is asked either
        assert len(server.asked) == once + 2
        assert "wearing a white linen blouse" in found.captions[3]
        assert found.failed == {}
        again = curate_dataset(studio, request_of(studio, folder, writer="endpoint", name="Again"), run_directly)
        assert len(server.asked) == once + 2
        assert opened(studio, again).captions == found.captions


def test_the_rest_is_estimated_after_five_and_another_run_goes_on(folder: Path, tmp_path: Path) -> None:
    with serve(script(100)) as server:
        studio = with_model(tmp_path, server.url)
        made = curate_dataset(studio, request_of(studio, folder, writer="endpoint", most_tokens=600), run_directly)
        count = len(made.request.pictures)
        assert (made.unasked, made.estimate) == (count - 5, 100 * (count - 5))
        assert len(server.asked) == 5 + 2
        more = curate_dataset(studio, request_of(studio, folder, writer="endpoint", most_tokens=9000), run_directly)
        assert more.unasked == 0
        once = len({one.pixels for one in opened(studio, more).facts})
        assert len(server.asked) == once + 2  # the first five were answered: nobody is probed or asked again


def test_pictures_go_to_another_machine_only_with_the_consents_word(folder: Path, tmp_path: Path) -> None:
    studio = with_model(tmp_path, "https://models.example.com/v1")
    with pytest.raises(BadInput) as raised:
        curate_dataset(studio, request_of(studio, folder, writer="endpoint"), run_directly)
    assert raised.value.code == "consent_not_outside"
    assert raised.value.fields["host"] == "models.example.com"


def test_captions_that_tell_who_it_is_stop_a_training_until_somebody_decides(studio: Studio, made: DataSet) -> None:
    library = studio.library
    write_captions(library, "me", made, {0: "ohwx a young woman with long black hair, in a cafe"})
    with pytest.raises(BadInput) as raised:
        trained(studio, made)
    assert raised.value.code == "captions_tell_identity"
    assert raised.value.fields["phrases"] == ["long black hair"]
    donor = trained(studio, made, "strip", "Stripped")
    assert (donor.name, donor.trigger, donor.consent.who, donor.category) == ("Stripped", "ohwx", "Mei", "sweet")
    assert (donor.consent.adult, donor.consent.document_sha256) == (True, "d" * 64)
    assert donor.lora_path.is_file()
    with pytest.raises(BadInput) as raised:
        trained(studio, made, "strip", "Stripped")
    assert raised.value.code == "donor_exists"
    write_captions(library, "me", made, {0: ""})


def test_a_training_goes_by_what_was_said_of_the_consent_since(folder: Path, tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    tomorrow = datetime.date.today() + datetime.timedelta(days=1)
    dataset = curate_dataset(studio, request_of(studio, folder, expires=tomorrow.isoformat()), run_directly)
    later = tomorrow + datetime.timedelta(days=300)
    prolong_dataset(studio.records, "me", dataset, later)
    assert trained(studio, dataset).consent.expires == later
    revoke_dataset(studio.records, "me", dataset)
    with pytest.raises(ConsentMissing, match="dataset_consent_revoked"):
        trained(studio, dataset, name="Again")


def test_a_prolonged_consent_is_asked_for_a_training_as_it_stands(folder: Path, tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    yesterday = datetime.date.today() - datetime.timedelta(days=1)
    made = curate_dataset(studio, request_of(studio, folder), run_directly)
    # as one that was made while its consent held
    dataset = made.model_copy(update={"request": made.request.changed(expires=yesterday.isoformat())})
    asked = FaceRequest.make(dataset=dataset, owner="me")
    grant(studio.records, "me", asked.file_keys())
    with pytest.raises(ConsentMissing, match="dataset_consent_over"):
        admit(studio, asked)
    prolong_dataset(studio.records, "me", dataset, yesterday + datetime.timedelta(days=300))
    admit(studio, asked)


def test_fewer_than_four_good_pictures_teach_nobody(studio: Studio, made: DataSet) -> None:
    decide(studio.library, "me", made, [0, 1], False)
    with pytest.raises(NotEnough) as raised:
        trained(studio, made, name="Few")
    assert raised.value.fields["count"] < 4
    decide(studio.library, "me", made, [0, 1], None)


def test_a_zip_is_taken_in_by_the_job_and_a_stopped_one_goes_on(
    studio: Studio, folder: Path, made: DataSet, tmp_path: Path
) -> None:
    """The same pictures and words as of the folder; what is left out is named; no scratch stays."""
    path = tmp_path / "Mei.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for one in sorted(folder.rglob("*")):
            packed.write(one, f"Mei/{one.relative_to(folder)}")

    async def blocks() -> AsyncIterator[bytes]:
        yield path.read_bytes()

    token = asyncio.run(keep_upload(studio.settings, "me", "Mei.zip", blocks()))
    request = DatasetRequest.make(
        name="Mei", category="sweet", who="Mei", scope="posts", upload=token, adult=True, document="d" * 64
    )
    steps: dict[str, Any] = {}

    def run(name: str, step: Callable[[], Any]) -> Any:
        if name not in steps:
            if len(steps) == 2:
                steps["stopped"] = None
                raise KeyboardInterrupt
            steps[name] = step()
        return steps[name]

    with pytest.raises(KeyboardInterrupt):
        curate_dataset(studio, request, run)
    zipped = curate_dataset(studio, request, run)
    assert zipped.request.pictures == made.request.pictures
    assert zipped.request.upload == ""
    assert {row.error.code for row in zipped.request.left_out} == {
        "picture_moves", "picture_not_readable", "subfolder_left_out", "text_not_utf8",
    }  # fmt: skip
    assert opened(studio, zipped).judged.kept == opened(studio, made).judged.kept
    assert not list(studio.library.work.glob("dataset-*"))


class Memory:
    """Runs steps as an engine does: once each, whichever run asks. `after` is told the names of those that are done."""

    def __init__(self, after: Callable[[list[str]], None] = lambda done: None) -> None:
        self.done: dict[str, Any] = {}
        self._after = after

    def __call__(self, name: str, step: Callable[[], Any]) -> Any:
        if name not in self.done:
            self.done[name] = step()
            self._after([*self.done])
        return self.done[name]


def test_a_disk_that_fills_up_in_the_middle_loses_nothing_and_the_next_run_goes_on(
    folder: Path, made: DataSet, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "data") as mounted:
        if not mounted:
            pytest.skip("this account may not mount a disk of its own")
        studio, ballast = Studio(Settings(data=tmp_path / "data")), tmp_path / "data" / "ballast"
        request = request_of(studio, folder)

        def fill(done: list[str]) -> None:
            if done == ["measure-0"]:
                with suppress(OSError), ballast.open("wb", buffering=0) as stream:
                    while stream.write(b"0" * 65_536):
                        pass

        run = Memory(fill)
        with pytest.raises(OutOfDisk):
            curate_dataset(studio, request, run)
        assert [*run.done] == ["measure-0"]
        ballast.unlink()
        again = curate_dataset(studio, request, run)
        assert (
            open_dataset(studio.library, "me", again).judged.kept
            == open_dataset(studio.library, "me", made).judged.kept
        )


def test_a_model_that_goes_away_in_the_middle_is_not_asked_twice(folder: Path, tmp_path: Path) -> None:
    """What it said is kept; the run that comes after it asks for the rest."""
    gone = [True]

    def answer(n: int, body: dict[str, Any]) -> Reply:
        if gone[0] and n >= 2 + 5 + 2:
            return Reply(404, b"{}")
        said: Reply = script(100)(n, body)
        return said

    with serve(answer) as server:
        studio, run = with_model(tmp_path, server.url), Memory()
        request = request_of(studio, folder, writer="endpoint")
        with pytest.raises(BadInput) as raised:
            curate_dataset(studio, request, run)
        assert raised.value.code == "endpoint_without_model"
        assert "told-0" in run.done
        gone[0] = False
        found = opened(studio, curate_dataset(studio, request, run))
        once = len({one.pixels for one in found.facts})
        assert len(server.asked) == 2 + once + 1  # one got no answer
        assert all(found.told)


def test_what_was_opened_is_not_read_again_by_a_click(studio: Studio, made: DataSet) -> None:
    before = opened(studio, made)
    assert opened(studio, made) is before
    decide(studio.library, "me", made, [0], False)
    after = opened(studio, made)
    assert after is not before
    assert after.facts is before.facts
    assert 0 not in after.judged.kept
    decide(studio.library, "me", made, [0], None)
    assert opened(studio, made).judged.kept == before.judged.kept


def test_pictures_that_were_withdrawn_do_not_come_back_in_a_zip(folder: Path, tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    first = curate_dataset(studio, request_of(studio, folder), run_directly)
    revoke_dataset(studio.records, "me", first)
    with zipfile.ZipFile(tmp_path / "again.zip", "w") as archive:
        for path in sorted(folder.glob("*.png")):
            archive.write(path, path.name)

    async def blocks() -> AsyncIterator[bytes]:
        yield (tmp_path / "again.zip").read_bytes()

    token = asyncio.run(keep_upload(studio.settings, "me", "again.zip", blocks()))
    again = DatasetRequest.make(
        name="Again", category="sweet", who="Mei", scope="posts", upload=token, adult=True, document="d" * 64
    )
    with pytest.raises(ConsentMissing, match="dataset_pictures_withdrawn"):
        curate_dataset(studio, again, run_directly)


def test_an_edit_outlives_a_new_description(studio: Studio, made: DataSet) -> None:
    write_captions(studio.library, "me", made, {0: "a dancer"})
    again = made.model_copy(update={"id": "another", "request": made.request.changed(most_tokens=7)})
    assert opened(studio, again).captions[0] == "ohwx a dancer"
    other = made.model_copy(update={"request": made.request.changed(name="Lin")})
    assert opened(studio, other).captions[0] != "ohwx a dancer"
    write_captions(studio.library, "me", made, {0: ""})


@pytest.mark.parametrize("told", [{}, {"upload": "a" * 64, "pictures": "both"}])
def test_pictures_come_in_one_way(studio: Studio, made: DataSet, told: dict[str, Any]) -> None:
    if "pictures" in told:
        told = told | {"pictures": made.request.pictures}
    with pytest.raises(BadInput) as raised:
        DatasetRequest.make(name="Mei", category="sweet", who="Mei", scope="posts", **told)
    assert raised.value.code == "dataset_pictures_or_upload"


def test_a_vision_model_s_marks_are_reasons(folder: Path, tmp_path: Path) -> None:
    marked = TEXT.replace('"defects": []', '"defects": ["watermark"]')
    assert marked != TEXT

    def answer(n: int, body: dict[str, Any]) -> Reply:
        asked = json.dumps(body["messages"][-1]["content"])
        return see(("red", "blue")[n % 2]) if "Which colour" in asked else completion(marked, 100)

    with serve(answer) as server:
        studio = with_model(tmp_path, server.url)
        made = curate_dataset(studio, request_of(studio, folder, writer="endpoint", most_tokens=1), run_directly)
    assert made.unasked == CLEAN + COPIES + FAULTY - 5
    assert made.estimate > 0
    verdicts = opened(studio, made).judged.verdicts
    assert [verdict.checked for verdict in verdicts] == [True] * 5 + [False] * made.unasked
    assert all("watermark" in [one.name for one in verdict.reasons] for verdict in verdicts[:5])
    assert not any("watermark" in [one.name for one in verdict.reasons] for verdict in verdicts[5:])
