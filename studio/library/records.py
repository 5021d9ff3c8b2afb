"""Records: who made what from what. One table a thing, ids made from content, an owner on every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import JSON, BigInteger, Engine, Index, String, delete, select
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Mapped, Session, mapped_column

from pipelines.errors import BadInput
from studio.library.database import connect, over_restarts, without_password
from studio.library.migrating import migrate
from studio.library.row import Base, Changing, Facts, content_id

__all__ = [
    "AlbumRecord", "Base", "BundleRecord", "CandidateRecord", "CountRecord", "DonorRecord", "DraftRecord",
    "ExportedRecord", "FaceRecord", "Facts", "FileRecord", "HoldRecord", "IndexRecord", "JobFilesRecord", "JobRecord",
    "MarkRecord", "MemberRecord", "PAUSED", "PersonaRecord", "PostRecord", "PostSetRecord", "RankRecord",
    "RecipeRecord", "Records", "ReportRecord", "RequestRecord", "RightsRecord", "SceneRecord", "SessionRecord",
    "StopRecord", "TasteRecord", "TimeRecord", "UserRecord", "WHOLE", "WorkerRecord", "content_id",
]  # fmt: skip


WHOLE = -1


class DonorRecord(Base):
    __tablename__ = "donors"
    name: Mapped[str]
    category: Mapped[str] = mapped_column(index=True)
    facts: Mapped[Facts]


class RecipeRecord(Base):
    __tablename__ = "recipes"
    category: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)  # up to 2³² − 1
    facts: Mapped[Facts]


class CandidateRecord(Base):
    """One drawn candidate of a design; `facts` hold its shot and verdict."""

    __tablename__ = "candidates"
    design: Mapped[str] = mapped_column(String(64), index=True)
    picture: Mapped[str] = mapped_column(String(64))
    kept: Mapped[bool]
    facts: Mapped[Facts]


class PersonaRecord(Base):
    """A version of a persona: `name` and `version` for people, `lora` a key of the store."""

    __tablename__ = "personas"
    name: Mapped[str] = mapped_column(index=True)
    version: Mapped[int]
    design: Mapped[str] = mapped_column(String(64))
    lora: Mapped[str] = mapped_column(String(64))
    facts: Mapped[Facts]


class SceneRecord(Base):
    __tablename__ = "scenes"
    name: Mapped[str] = mapped_column(index=True)
    photo: Mapped[str] = mapped_column(String(64))
    landmark: Mapped[str | None] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    crops: Mapped[list[Any] | None] = mapped_column(JSON)


class PostSetRecord(Base):
    __tablename__ = "post_sets"
    persona: Mapped[str] = mapped_column(String(64))
    scene: Mapped[str] = mapped_column(String(64))
    facts: Mapped[Facts]


class PostRecord(Base):
    __tablename__ = "posts"
    post_set: Mapped[str] = mapped_column(String(64), index=True)
    number: Mapped[int]
    picture: Mapped[str] = mapped_column(String(64))
    facts: Mapped[Facts]


class BundleRecord(Base):
    __tablename__ = "bundles"
    post_set: Mapped[str] = mapped_column(String(64))
    platform: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))


class RightsRecord(Base):
    """A person's word on what may be done, which is never changed and stays when its thing goes.

    `kind`: "unlabelled" (they label an export themselves), "flagged" (they export what the content checker would
    stop), "consent" (one was withdrawn or prolonged), "novelty" (a
    face may be nearer to a donor than the studio would let it). `thing` is "kind:id", `facts` what was said of it.
    """

    __tablename__ = "rights"
    __table_args__ = (Index("rights_thing", "thing"),)
    kind: Mapped[str]
    thing: Mapped[str] = mapped_column(String(200))
    facts: Mapped[Facts]


class ExportedRecord(Base):
    """A picture that left in a bundle; its id is the ProduceID in its label, `manifest` a key of the store.

    `number` is its place in the manifest, or `WHOLE` for the contact sheet of all.
    """

    __tablename__ = "exported"
    manifest: Mapped[str] = mapped_column(String(64))
    number: Mapped[int]


class JobRecord(Changing, Base):
    """A workflow's run as a person sees it; its id is the workflow's."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_order", "owner", "kind", "created"), Index("jobs_state", "state"),
        Index("jobs_changed", "owner", "changed"),
    )  # fmt: skip
    kind: Mapped[str]
    state: Mapped[str]
    error: Mapped[str | None]
    facts: Mapped[Facts]


class RequestRecord(Base):
    """A request, until the engine has it; its id is the job's. `facts`: kind and request."""

    __tablename__ = "requests"
    facts: Mapped[Facts]


class ReportRecord(Base):
    """How far a job is, written by the worker alone; its id is the job's."""

    __tablename__ = "reports"
    facts: Mapped[Facts]


class RankRecord(Base):
    """The place that a person gave a waiting job; its id is the job's (`studio.jobs.ranks`)."""

    __tablename__ = "ranks"
    rank: Mapped[float]


class IndexRecord(Base):
    """A thing of the library; its id is "kind:id" as a mark's. `words` is what a search looks through, lower case."""

    __tablename__ = "shelf"  # the name that tables of the first versions have
    __table_args__ = (Index("shelf_order", "owner", "kind", "created"), Index("shelf_newest", "owner", "created"))
    kind: Mapped[str]
    words: Mapped[str]
    facts: Mapped[Facts]


class FaceRecord(Base):
    """The face that a thing of the library shows, by the thing's id: float16 of length 1, nothing where none was seen.
    `pack` is the SHA-256 of what read it, `written` when, by the database's clock (`studio.library.faces`)."""

    __tablename__ = "faces"
    __table_args__ = (Index("faces_written", "owner", "pack", "written"),)
    pack: Mapped[str] = mapped_column(String(64))
    written: Mapped[float]
    face: Mapped[bytes]


class AlbumRecord(Base):
    """A named collection of posts and sets, which are its members (`studio.library.groups`)."""

    __tablename__ = "albums"
    name: Mapped[str]


class MemberRecord(Base):
    """A thing of the library belongs to a group: `thing` is the thing's id, `of` the group's; the id is made of both.

    Groups are "person:name", "place:name", "platform:id", "album:id", and a set ("posts:id") of its posts.
    """

    __tablename__ = "members"
    __table_args__ = (Index("members_of", "owner", "of"), Index("members_thing", "owner", "thing"))
    of: Mapped[str]
    thing: Mapped[str]


class StopRecord(Base):
    """Somebody asked this job to stop."""

    __tablename__ = "stops"


class WorkerRecord(Base):
    """A worker process that lives; the machines' own, so that its owner is nobody. `beat` is when it was last heard of,
    in seconds since 1970 by the database's clock; `facts` say what it is and does (`studio.jobs.workers`)."""

    __tablename__ = "workers"
    beat: Mapped[float]
    facts: Mapped[Facts]


class HoldRecord(Base):
    """The worker, by its id, that alone may write of this job, "" where none does (`studio.jobs.holds`); `takeovers`
    are those since the job last finished a step."""

    __tablename__ = "holds"
    worker: Mapped[str] = mapped_column(String(64))
    token: Mapped[str] = mapped_column(String(32))
    takeovers: Mapped[int]


class FileRecord(Base):
    """A grant: this owner may see the stored file of this key; `created` is when it was last granted."""

    __tablename__ = "files"


class JobFilesRecord(Base):
    """The stored files that a job needs or is made of, by its id: `keys` are kept as long as the job is known, `made`
    are those of them that the job itself stored."""

    __tablename__ = "job_files"
    keys: Mapped[list[str]] = mapped_column(JSON)
    made: Mapped[list[str]] = mapped_column(JSON)


PAUSED = "queue:paused"
"""The mark of an owner whose waiting jobs shall not start."""


class MarkRecord(Changing, Base):
    """A person's words on a thing; its id is "kind:id". `facts` may hold `trashed` and `favourite`."""

    __tablename__ = "marks"
    __table_args__ = (Index("marks_changed", "owner", "changed"),)
    facts: Mapped[Facts]


class DraftRecord(Changing, Base):
    """A form as its owner left it; its id is the page's. `keys` are the stored files that it names."""

    __tablename__ = "drafts"
    facts: Mapped[Facts]
    keys: Mapped[list[str]] = mapped_column(JSON)


class TasteRecord(Base):
    """An event of a taste (`studio.domain.taste`), which `facts` hold; `scope` is its scope's key."""

    __tablename__ = "tastes"
    __table_args__ = (Index("tastes_scope", "owner", "scope", "created"),)
    scope: Mapped[str] = mapped_column(String(80))
    facts: Mapped[Facts]


class TimeRecord(Base):
    """How long a job took, by its id; the machine's, so that its owner is nobody. `facts` hold its size."""

    __tablename__ = "times"
    __table_args__ = (Index("times_order", "kind", "backbone", "created"),)
    kind: Mapped[str]
    backbone: Mapped[str]
    seconds: Mapped[float]
    facts: Mapped[Facts]


class CountRecord(Base):
    """How often something happened, by its name, on all machines together; nobody's (`studio.library.counts`)."""

    __tablename__ = "counts"
    value: Mapped[float]


class UserRecord(Base):
    """A person who may log in; the id is the name, which is the owner of all that they make."""

    __tablename__ = "users"
    password: Mapped[str]  # argon2's own string


class SessionRecord(Base):
    """A login from an `address`; its id is the SHA-256 of the token that the browser holds. `expires` and `seen` (when
    it last asked) are seconds since 1970."""

    __tablename__ = "sessions"
    expires: Mapped[float]
    seen: Mapped[float] = mapped_column(default=0.0, server_default="0")
    address: Mapped[str] = mapped_column(String(64), default="", server_default="")


Record = TypeVar("Record", bound=Base)


class Records:
    """The database: a file of SQLite's own, so that a full disk elsewhere does not lock it, or PostgreSQL's by URL."""

    def __init__(self, place: Path | str) -> None:
        """Open, and bring the tables to today's.

        Raises BadInput where a newer studio made them, for a URL that is none, and where no server answers at it.
        """
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._engine = connect(place)
            migrate(self._engine)
            return
        try:
            self._engine = connect(place)
            migrate(self._engine)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise BadInput("database_url_invalid") from error
        except OperationalError as error:
            raise BadInput("database_unreachable", url=without_password(place)) from error

    @property
    def engine(self) -> Engine:
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """All or nothing."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @over_restarts
    def keep(self, *rows: Base) -> None:
        """Insert or update; a workflow's step may run twice and must not fail the second time."""
        try:
            self._merge(rows)
        except IntegrityError:  # somebody inserted the same between our look and our insert
            self._merge(rows)

    def _merge(self, rows: Sequence[Base]) -> None:
        with self.transaction() as session:
            for row in rows:
                session.merge(row)

    @over_restarts
    def remove(self, table: type[Base], key: str, owner: str) -> None:
        """Forget a row; nothing happens where there is none, or where another process was quicker."""
        with self.transaction() as session:
            session.execute(delete(table).where(table.id == key, table.owner == owner))

    @over_restarts
    def get(self, table: type[Record], key: str, owner: str) -> Record | None:
        """A row of this owner, never another's."""
        with self.transaction() as session:
            return session.get(table, (key, owner))

    @over_restarts
    def newest(self, table: type[Record], owner: str, limit: int, **equal: Any) -> list[Record]:
        """This owner's last rows, newest first."""
        with self.transaction() as session:
            order = (table.created.desc(), table.id.desc())
            query = select(table).where(table.owner == owner).filter_by(**equal).order_by(*order).limit(limit)
            return list(session.scalars(query))

    @over_restarts
    def everyones(self, table: type[Record], column: str = "", values: Sequence[str] = ()) -> list[Record]:
        """Return the rows whose column has one of these values (without a column: all), whoever's they are: for who
        keeps the worker, never for a page."""
        query = select(table).where(getattr(table, column).in_(values)) if column else select(table)
        with self.transaction() as session:
            return list(session.scalars(query))

    @over_restarts
    def find(self, table: type[Record], owner: str, **equal: Any) -> list[Record]:
        """This owner's rows, oldest first."""
        with self.transaction() as session:
            query = select(table).where(table.owner == owner).filter_by(**equal).order_by(table.created, table.id)
            return list(session.scalars(query))
