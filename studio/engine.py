"""The durable engine: workflows that go on where they were after a crash (DBOS Transact on SQLite).

What is closed on purpose (see docs/decisions): portable JSON instead of pickle; an executor id that belongs to the
data folder, and a lock so that no second process takes its jobs; a pinned application version; steps whose results
are content keys, so that running one twice changes nothing; a job that failed may be tried again; no telemetry, no
cloud.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dbos import DBOS, DBOSConfig, DBOSConfiguredInstance, DBOSPortableJSONSerializer, SetWorkflowID

from pipelines.errors import BadInput, Cancelled, StudioError
from pipelines.progress import SILENT, Progress
from studio.application import Studio
from studio.records import JobRecord, content_id

__all__ = ["APPLICATION_VERSION", "Engine"]

APPLICATION_VERSION = "2"  # raise it when a workflow's steps change; old jobs then need to be started anew
_MAX_RECOVERIES = 3


@DBOS.dbos_class()
class _Jobs(DBOSConfiguredInstance):
    """The workflows as the engine knows them; JSON in, JSON out."""

    def __init__(self, studio: Studio, engine: Engine) -> None:
        super().__init__("studio")
        self.studio, self.engine = studio, engine

    @DBOS.workflow(name="job", max_recovery_attempts=_MAX_RECOVERIES)
    def job(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        return _FUNCTIONS[kind](self.studio, request, _run_step, self.engine.progress)


def _run_step(name: str, step: Callable[[], Any]) -> Any:
    return DBOS.run_step({"name": name}, step)


def _design(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.requests import DesignRequest
    from studio.workflows.design import design_persona

    return design_persona(studio, DesignRequest(**request), run, progress)


def _consolidate(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.requests import ConsolidateRequest
    from studio.workflows.consolidate import consolidate_persona

    return consolidate_persona(studio, ConsolidateRequest(**request), run, progress)


def _posts(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.requests import PostRequest
    from studio.workflows.post import draw_posts

    return draw_posts(studio, PostRequest(**request), run, progress)


def _swap(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.workflows.swap import SwapRequest, swap_faces

    return swap_faces(studio, SwapRequest(**request), run, progress)


_FUNCTIONS: dict[str, Callable[[Studio, dict[str, Any], Any, Progress], dict[str, Any]]] = {
    "design": _design,
    "consolidate": _consolidate,
    "posts": _posts,
    "swap": _swap,
}


class Engine:
    """One worker process on one data folder. Use it as a context manager."""

    def __init__(self, studio: Studio, progress: Progress = SILENT) -> None:
        self.studio, self.progress = studio, progress
        self._lock: IO[str] | None = None

    def __enter__(self) -> Engine:
        """Start; jobs that were running when the last process died go on at once."""
        data = self.studio.settings.data
        data.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(data / "worker.lock")
        config = DBOSConfig(
            name="persona-studio",
            system_database_url=f"sqlite:///{data.resolve() / 'engine.sqlite'}",
            application_version=APPLICATION_VERSION,
            executor_id=f"worker-{hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]}",
            serializer=DBOSPortableJSONSerializer(),
            log_level="ERROR",
            enable_otlp=False,
        )
        DBOS(config=config)
        self._jobs = _Jobs(self.studio, self)
        DBOS.launch()
        return self

    def __exit__(self, *_: object) -> None:
        DBOS.destroy(destroy_registry=False)
        registry_forget(self._jobs)
        if self._lock is not None:
            self._lock.close()

    def run(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run a job to its end, or join the one that already runs; a finished one is not run again.

        Raises the job's own StudioError. A job that failed is tried again, from its first unfinished step on.
        """
        if kind not in _FUNCTIONS:
            raise BadInput(f"There is no job of the kind {kind!r}.", f"Choose one of: {', '.join(_FUNCTIONS)}.")
        owner = str(request.get("owner", self.studio.settings.owner))
        job = f"{kind}-{content_id({'kind': kind, 'request': request, 'version': APPLICATION_VERSION})}"
        self._note(job, kind, owner, "running", None)
        try:
            result = self._result(job, kind, request)
        except StudioError as error:
            self._note(job, kind, owner, "cancelled" if isinstance(error, Cancelled) else "failed", str(error))
            raise
        except Exception as error:
            # The engine wraps what a step raised; the cause is what a person can do something about.
            self._note(job, kind, owner, "failed", f"{type(error).__name__}: {error}")
            raise
        self._note(job, kind, owner, "done", None, id=result["id"], result=self.studio.store.put_json(result))
        return result

    def recall(self, kind: str, key: str = "") -> dict[str, Any]:
        """The result of an earlier job by the beginning of its id; the newest if `key` is empty. Raises BadInput."""
        owner = self.studio.settings.owner
        rows = [
            row
            for row in self.studio.records.find(JobRecord, owner, kind=kind, state="done")
            if str(row.facts["id"]).startswith(key)
        ]
        if not rows:
            raise BadInput(
                f"There is no finished {kind} {key}.".replace(" .", "."), f"Run `persona-studio {kind}` first."
            )
        return dict(self.studio.store.get_json(rows[-1].facts["result"]))

    def _result(self, job: str, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        status = DBOS.get_workflow_status(job)
        if status is not None and status.status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
            # A failed job ignores "resume": fork it behind its last finished step.
            job = _retry(job)
            return dict(DBOS.retrieve_workflow(job).get_result())
        with SetWorkflowID(job):
            handle = DBOS.start_workflow(self._jobs.job, kind, request)
        return dict(handle.get_result())

    def _note(self, job: str, kind: str, owner: str, state: str, error: str | None, **facts: str) -> None:
        row = JobRecord(id=job, owner=owner, kind=kind, state=state, error=error, facts={"pid": os.getpid(), **facts})
        self.studio.records.keep(row)


def _retry(job: str) -> str:
    steps = DBOS.list_workflow_steps(job)
    failed = [s["function_id"] for s in steps if s["error"] is not None]
    start = min(failed) if failed else max((s["function_id"] for s in steps), default=0) + 1
    return str(DBOS.fork_workflow(job, start).get_workflow_id())


def registry_forget(instance: DBOSConfiguredInstance) -> None:
    """Let another engine in this process register its own jobs (tests open several studios in a row)."""
    from dbos._dbos import _get_or_create_dbos_registry

    instances = _get_or_create_dbos_registry().instance_info_map
    for key in [key for key, value in instances.items() if value is instance]:
        del instances[key]


def _lock(path: Path) -> IO[str]:
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise BadInput(
            f"Another studio is working in {path.parent}.", "Wait until it is done, or choose another data folder."
        ) from error
    return handle
