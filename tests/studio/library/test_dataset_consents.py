"""A data set has a consent: withdrawn or over, nothing more is learnt from its pictures, wherever they are."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from personas.datasets.limits import usual_limits
from pipelines.errors import BadInput, ConsentMissing
from studio.application import Studio
from studio.cli import app
from studio.datasets.opened import OpenedDataset
from studio.datasets.pairs import pack_pairs, write_pairs
from studio.domain.dataset import DataSet, DatasetEdits, DatasetPicture, DatasetRequest
from studio.domain.values import FileKey, Request
from studio.jobs.consents import check_consents
from studio.jobs.kinds import KINDS, Kind
from studio.library.consents import (
    dataset_consent,
    descendants_of_photo,
    prolong_dataset,
    prolong_photo,
    revoke_dataset,
    revoke_photo,
)
from studio.library.records import RightsRecord
from studio.settings import Settings
from tests.library import keep_result, picture

TODAY = datetime.date.today()


class LearnRequest(Request):
    """A job that learns from a data set, as any later kind may."""

    dataset: DataSet


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Kind("learn", LearnRequest, DataSet, "nowhere:learn", "", {}, lambda _: None, draws=False)  # type: ignore[arg-type, return-value]
    monkeypatch.setitem(KINDS, "learn", row)


def ask(studio: Studio, numbers: tuple[int, ...], **told: Any) -> DatasetRequest:
    pictures = tuple(
        DatasetPicture(name=f"{n}.png", picture=studio.store.put_picture(picture(n)), height=256, width=192)
        for n in numbers
    )
    usual = {"name": "mei", "category": "sweet", "who": "Lea Roth", "scope": "our shop", "pictures": pictures}
    return DatasetRequest.make(**usual | told)


def keep(studio: Studio, key: str, numbers: tuple[int, ...], **told: Any) -> DataSet:
    facts = FileKey(studio.store.put_json([]))
    made = DataSet(
        id=key, request=ask(studio, numbers, **told), facts=facts, limits=usual_limits(256, 192, 0.2), pixels=1
    )
    keep_result(studio, "me", made)
    return made


@pytest.mark.usefixtures("learning")
def test_withdrawn_it_stops_what_learns_from_it_and_from_its_pictures(studio: Studio, tmp_path: Path) -> None:
    made, other = keep(studio, "one", (1, 2)), keep(studio, "two", (3,))
    for dataset in (made, other):
        check_consents(studio, LearnRequest(dataset=dataset))
    revoke_dataset(studio.records, "me", made)
    with pytest.raises(ConsentMissing, match="dataset_consent_revoked"):
        check_consents(studio, LearnRequest(dataset=made))
    with pytest.raises(ConsentMissing, match="dataset_pictures_withdrawn") as raised:  # under another name, too
        check_consents(studio, ask(studio, (2, 9), name="another"))
    assert raised.value.fields["picture"] == "2.png"
    with pytest.raises(ConsentMissing, match="dataset_pictures_withdrawn"):
        check_consents(studio, LearnRequest(dataset=keep(studio, "three", (2, 9))))
    opened = OpenedDataset(made, DatasetEdits(), (), (), {})
    with pytest.raises(ConsentMissing, match="dataset_consent_revoked"):
        write_pairs(studio.library, opened, tmp_path / "pairs")
    with pytest.raises(ConsentMissing, match="dataset_consent_revoked"):
        pack_pairs(studio.library, opened)
    assert not (tmp_path / "pairs").exists()
    check_consents(studio, LearnRequest(dataset=other))
    check_consents(studio, LearnRequest(dataset=made, owner="wang"))  # another's word says nothing of his
    prolong_dataset(studio.records, "me", made, None)
    check_consents(studio, LearnRequest(dataset=made))
    check_consents(studio, ask(studio, (2, 9), name="another"))
    assert [row.facts["did"] for row in studio.records.find(RightsRecord, "me")] == ["revoked", "prolonged"]


@pytest.mark.usefixtures("learning")
def test_a_consent_that_is_over_stops_it_until_it_is_prolonged(studio: Studio) -> None:
    yesterday, tomorrow = TODAY - datetime.timedelta(1), TODAY + datetime.timedelta(1)
    made = keep(studio, "one", (1,), expires=yesterday.isoformat())
    assert dataset_consent(studio.records, "me", made, TODAY).state == "over"
    with pytest.raises(ConsentMissing, match="dataset_consent_over"):
        check_consents(studio, LearnRequest(dataset=made))
    with pytest.raises(BadInput, match="consent_over"):
        prolong_dataset(studio.records, "me", made, yesterday)
    prolong_dataset(studio.records, "me", made, tomorrow)
    check_consents(studio, LearnRequest(dataset=made))
    assert dataset_consent(studio.records, "me", made, TODAY).expires == tomorrow.isoformat()


@pytest.mark.usefixtures("learning")
def test_a_photo_that_is_withdrawn_stops_the_data_sets_that_it_is_in(studio: Studio) -> None:
    made = keep(studio, "one", (1, 2))
    photo = made.request.pictures[0].picture
    assert descendants_of_photo(studio.records, "me", photo).datasets == ("one",)
    assert descendants_of_photo(studio.records, "wang", photo).datasets == ()
    revoke_photo(studio.records, "me", photo)
    with pytest.raises(ConsentMissing, match="dataset_pictures_withdrawn"):
        check_consents(studio, LearnRequest(dataset=made))
    prolong_photo(studio.records, "me", photo, None)
    check_consents(studio, LearnRequest(dataset=made))


def test_the_command_line_withdraws_and_names_what_descends(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    made = keep(studio, "one", (1, 2))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["rights", *words, "--data", str(studio.settings.data)])
        if done.exception is not None:
            raise done.exception
        return str(done.output)

    assert "Sets of pictures to learn from with it: one" in run("revoke", made.request.pictures[0].picture)
    assert "The consent for the pictures “mei” is withdrawn" in run("revoke", "one")
    assert dataset_consent(studio.records, "me", made, TODAY).state == "revoked"
    assert "2099-01-01" in run("prolong", "one", "--until", "2099-01-01")
    assert json.loads(run("prolong", "one", "--json"))["dataset"] == "one"
    assert dataset_consent(studio.records, "me", made, TODAY).state == "holds"
