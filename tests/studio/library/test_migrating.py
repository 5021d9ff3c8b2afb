"""Databases of every version become today's, with all that is in them, or stay as they are."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect, text

from pipelines.errors import BadInput
from studio.library.database import connect
from studio.library.migrating import NEWEST, migrate
from studio.library.records import (
    Base,
    DraftRecord,
    JobRecord,
    MarkRecord,
    PersonaRecord,
    Records,
    SceneRecord,
    UserRecord,
)
from tests.postgres import closed_engines

OLD = (Path(__file__).parent / "data" / "records-0.1.sql").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with closed_engines(monkeypatch):
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "studio.sqlite"
    url: str = request.getfixturevalue("postgres").new_database()
    return url


def make_old(place: Path | str) -> None:
    """Fill a database as version 0.1 did."""
    with connect(place).begin() as connection:
        for statement in OLD.split(";\n"):
            if connection.dialect.name == "postgresql":
                statement = statement.replace("DATETIME", "TIMESTAMP WITH TIME ZONE").replace("DOUBLE", "FLOAT")
                statement = statement.replace(".000000'", ".000000Z'")
            if statement.strip():
                connection.exec_driver_sql(statement)


def differences(place: Path | str) -> list[Any]:
    """What today's tables have and these lack, or the other way round."""
    with connect(place).connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


def test_an_empty_database_gets_todays_tables(place: Path | str) -> None:
    Records(place)
    assert differences(place) == []


def test_a_database_of_version_0_1_keeps_all_that_is_in_it(place: Path | str) -> None:
    make_old(place)
    assert differences(place) != []
    records = Records(place)
    assert differences(place) == []
    (scene,), (persona,) = records.find(SceneRecord, "mei"), records.find(PersonaRecord, "mei")
    assert (scene.name, scene.crops, scene.created) == ("café", None, datetime(2026, 11, 2, 9, tzinfo=UTC))
    assert (persona.name, persona.version, persona.facts["kept"]) == ("小美", 2, 42)
    mark = records.get(MarkRecord, "posts:set0000000000001", "mei")
    assert mark is not None
    assert mark.facts["favourite"]
    (user,), (job,) = records.find(UserRecord, "mei"), records.find(JobRecord, "mei", kind="posts")
    assert (user.password[:10], job.state) == ("$argon2id$", "done")
    records.keep(DraftRecord(id="posts", owner="mei", facts={"count": 9}, keys=["k"]))
    assert Records(place).find(DraftRecord, "mei")[0].keys == ["k"]


@pytest.mark.parametrize("lacking", ["tastes", "members", "times", "requests"])
def test_a_database_from_between_the_versions_gets_what_it_lacks(lacking: str, place: Path | str) -> None:
    records = Records(place)
    with records.engine.begin() as connection:
        connection.execute(text(f"drop table {lacking}"))
        connection.execute(text("drop table alembic_version"))
        connection.execute(
            text("insert into users (password, id, owner, created) values ('p', 'mei', 'mei', '2026-11-01 08:00:00')")
        )
    assert differences(place) != []
    assert [row.id for row in Records(place).find(UserRecord, "mei")] == ["mei"]
    assert differences(place) == []


def test_a_database_of_a_newer_studio_is_refused_and_left(place: Path | str) -> None:
    records = Records(place)
    with records.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(BadInput) as refused:
        Records(place)
    assert (refused.value.code, refused.value.fields["revision"]) == ("records_newer", "9999")
    with records.engine.connect() as connection:
        assert connection.scalar(text("select version_num from alembic_version")) == "9999"


def test_a_step_that_fails_halfway_changes_nothing(place: Path | str) -> None:
    make_old(place)
    engine = connect(place)

    def fail(conn: object, cursor: object, statement: str, *rest: object) -> None:
        if "CREATE TABLE" in statement and "members" in statement:
            raise OSError("the plug was pulled")

    event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(OSError, match="plug"):
        migrate(engine)
    assert not inspect(connect(place)).has_table("albums")  # made before it failed
    assert not inspect(connect(place)).has_table("alembic_version")
    event.remove(engine, "before_cursor_execute", fail)
    migrate(engine)
    assert differences(place) == []


def test_processes_that_start_at_once_wait_for_the_first(place: Path | str) -> None:
    make_old(place)
    start = (
        "import sys, pathlib; from studio.library.records import Records; given = sys.argv[1]; "
        "Records(given if '://' in given else pathlib.Path(given))"
    )
    begun = [
        subprocess.Popen([sys.executable, "-c", start, str(place)], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [(one.communicate(timeout=120)[1], one.returncode) for one in begun] == [("", 0)] * 4
    assert differences(place) == []


def test_alembic_is_not_imported_where_nothing_is_to_do(tmp_path: Path) -> None:
    place = tmp_path / "studio.sqlite"
    Records(place)
    code = (
        f"import sys, pathlib; from studio.library.records import Records; Records(pathlib.Path({str(place)!r}));"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_newest_step_is_the_last_one() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path("studio/library/migrations").resolve()))
    assert script.get_heads() == [NEWEST]


def test_sqlite_without_tables_of_ours_is_not_harmed(tmp_path: Path) -> None:
    """Somebody's own file in that place keeps its tables."""
    place = tmp_path / "studio.sqlite"
    with sqlite3.connect(place) as other:
        other.execute("create table diary (day text)")
        other.execute("insert into diary values ('monday')")
    Records(place)
    with sqlite3.connect(place) as other:
        assert other.execute("select day from diary").fetchall() == [("monday",)]
