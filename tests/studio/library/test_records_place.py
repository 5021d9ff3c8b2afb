"""A data folder is opened with the records that its files belong to, or not at all."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.jobs.engine import Engine
from studio.library.grants import grant
from studio.library.integrity import repair_files
from studio.library.records import RecipeRecord
from studio.library.same_files import check_same_files
from studio.settings import Settings
from tests.postgres import Postgres, closed_engines
from tests.stored import place_in


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with closed_engines(monkeypatch):
        yield


def test_a_folder_of_a_database_is_not_opened_without_it(postgres: Postgres, tmp_path: Path) -> None:
    data, url = tmp_path / "data", postgres.new_database()
    studio = Studio(Settings(data=data, database=url))
    key = studio.store.put(b"a picture")
    grant(studio.records, "me", [key])
    for other in ("", postgres.new_database()):
        with pytest.raises(BadInput, match="records_elsewhere"):
            Studio(Settings(data=data, database=other))
    assert not (data / "studio.sqlite").exists()
    assert Studio(Settings(data=data, database=url)).store.has(key)
    assert (data / "records.url").stat().st_mode & 0o077 == 0


def test_the_note_has_no_password(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database().replace("postgres@", "postgres:secret@")
    Studio(Settings(data=tmp_path, database=url))
    assert "secret" not in (tmp_path / "records.url").read_text()


def test_a_folder_with_its_own_records_is_not_opened_with_a_database(postgres: Postgres, tmp_path: Path) -> None:
    Studio(Settings(data=tmp_path))
    with pytest.raises(BadInput, match="records_in_folder"):
        Studio(Settings(data=tmp_path, database=postgres.new_database()))


def test_nothing_is_swept_by_records_that_know_of_nothing(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    key = studio.store.put(b"somebody's picture")
    os.utime(place_in(studio.store, key), (0, 0))
    with pytest.raises(BadInput, match="records_empty"):
        repair_files(studio.library)
    assert studio.store.has(key)


@pytest.mark.parametrize(
    ("url", "code"),
    [("mysql://root@host/studio", "database_url_invalid"), ("studio", "database_url_invalid"),
     ("oracle://x", "database_url_invalid"), ("postgresql://me:secret@127.0.0.1:1/studio", "database_unreachable")],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_told(url: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        Studio(Settings(data=tmp_path, database=url))
    assert refused.value.code == code
    assert "secret" not in str(refused.value)


def test_two_folders_do_not_work_on_one_database(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    with (
        Engine(Studio(Settings(data=tmp_path / "a", database=url))),
        pytest.raises(BadInput, match="files_elsewhere"),
        Engine(Studio(Settings(data=tmp_path / "b", database=url))),
    ):
        pass
    with Engine(Studio(Settings(data=tmp_path / "a", database=url))):
        pass


def test_workers_that_start_at_once_agree_on_their_folder(postgres: Postgres, tmp_path: Path) -> None:
    records = Studio(Settings(data=tmp_path / "a", database=postgres.new_database())).records
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: check_same_files(tmp_path / "a", records), range(8)))
    with pytest.raises(BadInput, match="files_elsewhere"):
        check_same_files(tmp_path, records)
    assert [path.name for path in (tmp_path / "a").glob("studio.id*")] == ["studio.id"]


def test_the_largest_seed_is_kept(postgres: Postgres, tmp_path: Path) -> None:
    records = Studio(Settings(data=tmp_path, database=postgres.new_database())).records
    records.keep(RecipeRecord(id="r", owner="me", category="sweet", seed=2**32 - 1, facts={}))
    assert [row.seed for row in records.find(RecipeRecord, "me")] == [2**32 - 1]
