"""What durable jobs cost beside the work itself: `python -m benchmarks.job_overhead --out out`.

Sets of posts are drawn as jobs and without an engine, in turns, on SQLite and on PostgreSQL: the difference is what the
engine, its steps, records and reports cost a picture. Then jobs are asked for, one after the other, of pages with a
worker of its own process: how long after the wish each one begins. Writes out/job_overhead.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fault_arena import Arena
from benchmarks.faults import prepare
from benchmarks.postgres import find_postgres, serve_postgres
from personas.shots import vary_shots
from studio.application import Studio
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, PostSet
from studio.jobs import engine as engine_module
from studio.jobs.engine import Engine
from studio.library.records import JobRecord
from studio.library.scenes import scenes_of
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.post import draw_posts

__all__ = ["main"]

_POSTS = 9
_OWNER = "me"
_WAIT_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--wishes", type=int, default=10)
    parser.add_argument("--child", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        print(json.dumps(time_sets(args.folder, args.child, args.repeats)))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"date": date.today().isoformat(), "python": platform.python_version()}
    found |= {"dbos": version("dbos"), "cores": os.cpu_count(), "rows": [_run(name, args) for name in _databases()]}
    (args.out / "job_overhead.json").write_text(json.dumps(found, indent=1))


def _databases() -> list[str]:
    if find_postgres() is None:
        print("There is no PostgreSQL here (apt-get install postgresql): SQLite alone is measured.")
        return ["sqlite"]
    return ["sqlite", "postgresql"]


def _run(database: str, args: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overhead-")))
        tools = find_postgres() if database == "postgresql" else None
        server = None if tools is None else stack.enter_context(serve_postgres(tools))
        url = "" if server is None else server.new_database()
        command = [sys.executable, "-m", "benchmarks.job_overhead", "--child", url, "--folder", str(folder / "engine")]
        command += ["--repeats", str(args.repeats)]
        # a process has one engine at most
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        row: dict[str, Any] = {"database": database} | json.loads(run.stdout.splitlines()[-1])
        row |= time_starts(folder / "worker", "" if server is None else server.new_database(), args.wishes)
    print(json.dumps({name: value for name, value in row.items() if not isinstance(value, list)}), flush=True)
    return row


def time_sets(data: Path, database: str, repeats: int) -> dict[str, Any]:
    """Return milliseconds a picture that a job takes more than the same set without an engine, in turns; `outside` is
    what passes outside of all steps, which reports and records inside of them are no part of.
    """
    studio = Studio(Settings(data=data, database=database, threads=1))
    persona, scene = prepare(studio)
    bodies: list[float] = []
    run_step = engine_module._run_step

    def timed(name: str, step: Any) -> Any:
        def body() -> Any:
            began = time.perf_counter()
            try:
                return step()
            finally:
                bodies.append(time.perf_counter() - began)

        return run_step(name, body)

    engine_module._run_step = timed
    more, outside = [], []
    with Engine(studio, None) as engine:
        for turn in range(repeats + 1):  # the first warms up
            began = time.perf_counter()
            engine.compute(draw_posts, studio, _request(studio, persona, scene, 2 * turn), run_directly)
            directly = time.perf_counter() - began
            bodies.clear()
            began = time.perf_counter()
            engine.run(_request(studio, persona, scene, 2 * turn + 1), PostSet)
            as_job = time.perf_counter() - began
            if turn:
                more.append(1000 * (as_job - directly) / _POSTS)
                outside.append(1000 * (as_job - sum(bodies)) / _POSTS)
    return {
        "ms_a_picture": round(float(np.median(more)), 1), "ms_outside": round(float(np.median(outside)), 1),
        "each_ms": [round(one, 1) for one in more], "each_outside_ms": [round(one, 1) for one in outside],
        "steps": len(bodies),
    }  # fmt: skip


def _request(studio: Studio, persona: str, scene: str, seed: int) -> PostRequest:
    kept = studio.records.get(JobRecord, f"consolidate-{persona}", _OWNER)
    assert kept is not None
    who = Persona.model_validate_json(studio.store.get(kept.facts["result"]))
    where = next(one for one in scenes_of(studio.library, _OWNER) if one.id == scene)
    return PostRequest.make(
        persona=who, scene=where, shots=vary_shots(_POSTS, seed), seed=seed, finish=False, owner=_OWNER
    )


def time_starts(data: Path, database: str, wishes: int) -> dict[str, Any]:
    """Return the seconds from a wish, asked of pages, to the running of its job in an idle worker's process."""
    studio = Studio(Settings(data=data, database=database, threads=1))
    persona, scene = prepare(studio)
    arena = Arena("overhead", data, database, 1 if database else 0, 120.0, random.Random(1))
    waits = []
    with arena.open():
        _until(lambda: (arena.ask("GET", "/health") or {}).get("worker"))
        for seed in range(wishes + 1):  # the first one loads the models
            body = {"kind": "posts", "persona": persona, "scene": scene, "count": 1, "seed": seed, "finish": False}
            asked = time.time()
            job = arena.ask("POST", "/api/jobs", body)["id"]
            row = _until(lambda job=job: _done(studio, job))
            if seed:
                waits.append(row.facts["began"] - asked)
    return {"start_s": round(float(np.median(waits)), 2), "start_most_s": round(max(waits), 2)}


def _done(studio: Studio, job: str) -> JobRecord | None:
    row = studio.records.get(JobRecord, job, _OWNER)
    return row if row is not None and row.state in ("done", "failed") else None


def _until(look: Any) -> Any:
    deadline = time.monotonic() + _WAIT_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit("Nothing happens.")
        time.sleep(0.2)
    return found


if __name__ == "__main__":
    main()
