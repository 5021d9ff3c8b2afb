"""Which stored files a job needs, made and is made of: what rights and the trash follow."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import select

from pipelines.errors import StudioError
from studio.domain.migration import read_stored
from studio.domain.values import Request, Result, Value
from studio.jobs.holds import Hold, keep_as_holder, note_step
from studio.jobs.kinds import KINDS
from studio.library.grants import grant
from studio.library.library import Library
from studio.library.records import JobFilesRecord, JobRecord, Records
from studio.workflows import Run

__all__ = ["JobFiles", "note_older_files"]

_KEY = re.compile(r"[0-9a-f]{64}")


def _at_once(write: Callable[[], None]) -> None:
    write()


class JobFiles:
    """The list of one job's files, written before and behind every step, so that a crash loses none.

    `made` are the keys that the job stored, in earlier runs, too. `patiently` calls a write again while another process
    holds the records. A worker writes by its `hold` of the job.
    """

    def __init__(
        self,
        records: Records,
        job: str,
        owner: str,
        patiently: Callable[[Callable[[], None]], None] = _at_once,
        hold: Hold | None = None,
    ) -> None:
        self._records, self._job, self._owner, self._patiently, self._hold = records, job, owner, patiently, hold
        self.made: set[str] = set()
        self._needed: frozenset[str] = frozenset()
        patiently(self._read)

    def keep(self, request: Request) -> None:
        """The job needs what its request names, as long as it is not finished."""
        self._needed = frozenset(request.file_keys())
        self.write()

    def stepping(self, run: Run) -> Run:
        """Return the step runner, which writes down what a step stored before the step counts as done."""

        def run_step(name: str, step: Callable[[], Any]) -> Any:
            def noted() -> Any:
                before = len(self.made)
                value = step()
                if len(self.made) > before:
                    self.write()
                if (hold := self._hold) is not None:
                    self._patiently(lambda: note_step(self._records, hold))
                return value

            return run(name, noted)

        return run_step

    def finish(self, result: Result, key: str) -> None:
        """The job is made of its result's files, whose JSON has this `key`. Its owner may see those that it made; they
        might see the others already."""
        files = frozenset(result.file_keys())
        self.made &= files
        self._patiently(lambda: grant(self._records, self._owner, self.made))
        self._needed = files | {key}
        self.write()

    def write(self) -> None:
        """Write the list: what the job needs, and what it has made."""
        keys, made = sorted(self._needed | self.made), sorted(self.made)
        row = JobFilesRecord(id=self._job, owner=self._owner, keys=keys, made=made)
        self._patiently(lambda: keep_as_holder(self._records, self._hold, row))

    def _read(self) -> None:
        row = self._records.get(JobFilesRecord, self._job, self._owner)
        self.made |= set() if row is None else set(row.made)


def note_older_files(library: Library) -> None:
    """Write the lists of jobs that an older studio ran. Those that can't be read keep all that they may be made of."""
    records = library.records
    listed = select(JobFilesRecord.id).where(JobFilesRecord.id == JobRecord.id, JobFilesRecord.owner == JobRecord.owner)
    with records.transaction() as session:
        jobs = list(session.scalars(select(JobRecord).where(~listed.exists())))
    if not jobs:
        return
    unfinished = _unfinished_files(library)
    for job in jobs:
        keys = unfinished.get(job.id, set())
        if job.state == "done":
            keys = {str(job.facts.get("result", "")), *_files_of(library, job)} - {""}
        records.keep(JobFilesRecord(id=job.id, owner=job.owner, keys=sorted(keys), made=[]))


def _files_of(library: Library, job: JobRecord) -> Iterator[str]:
    value = None
    try:
        value = library.store.get_json(job.facts["result"])
        result: Value = read_stored(KINDS[job.kind].result, value)
    except (StudioError, KeyError):
        yield from _leaves(value)
    else:
        yield from result.file_keys()


def _unfinished_files(library: Library) -> dict[str, set[str]]:
    """Return the files that unfinished jobs name or made so far: in an older studio the engine alone knew."""
    path = library.data / "engine.sqlite"
    if not path.exists():
        return {}
    query = (
        "select workflow_uuid, o.output from operation_outputs o join workflow_status w using (workflow_uuid) "
        "where w.status != 'SUCCESS' union all select workflow_uuid, i.inputs from workflow_input i "
        "join workflow_status w using (workflow_uuid) where w.status != 'SUCCESS' "
        # where the engine kept inputs before it had a table for them, and still reads them
        "union all select workflow_uuid, w.inputs from workflow_status w where w.status != 'SUCCESS'"
    )
    found: dict[str, set[str]] = {}
    connection = sqlite3.connect(path, timeout=10)
    try:
        for job, text in connection.execute(query):
            found.setdefault(str(job), set()).update(_leaves(json.loads(text) if text else None))
    finally:
        connection.close()
    return found


def _leaves(value: object) -> Iterator[str]:
    """Every text in a JSON value that is a key, whatever it was meant as: too many files are kept rather than lost."""
    if isinstance(value, str):
        if _KEY.fullmatch(value):
            yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
