"""Many people at the pages at once, while a worker draws: `python -m benchmarks.load --out out --users 50`.

Everybody logs in, opens pages, looks at them while their clocks tick, searches, rolls dice, fetches pictures, and now
and then somebody asks for posts, so that the one worker always has something to draw. Each request is timed. Writes
out/load.json: errors, seconds by what was asked for, and the memory of the pages' process at the beginning and the end.
The people are made by this process, on the same machine: what they cost is part of what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.fault_arena import Arena
from benchmarks.faults import prepare
from benchmarks.load_browser import Measured, Person
from studio.application import Studio
from studio.library.records import JobRecord
from studio.library.users import Users
from studio.settings import Settings

__all__ = ["main", "run_load"]

_PASSWORD = "a long password of {name}"
_WISH_S = 5.0  # how often it is looked whether anything waits to be drawn
_SAMPLE_S = 5.0
_WANTED_S = 0.5
_SLOW = ("login",)  # argon2 takes as long as it is meant to


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    found = run_load(args.users, 60 * args.minutes, args.seed, args.out)
    (args.out / "load.json").write_text(json.dumps(found, indent=1))
    print(_say(found))


def run_load(users: int, seconds: float, seed: int, out: Path) -> dict[str, Any]:
    """Let so many people click about on a studio of their own, and return what was measured."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        data = Path(folder) / "data"
        studio = Studio(Settings(data=data, threads=1))
        names = [f"user{number + 1}" for number in range(users)]
        known = Users(studio.records)
        things = {}
        for name in names:
            known.add(name, _PASSWORD.format(name=name))
            things[name] = prepare(studio, name)
        arena = Arena("load", data, "", 0, 120.0, random.Random(seed))
        try:
            with arena.open():
                _wait_for(arena)
                return asyncio.run(_run(arena, studio, names, things, seconds, seed))
        finally:
            for log in Path(folder).glob("*.log"):
                (out / log.name).write_bytes(log.read_bytes())


def _wait_for(arena: Arena) -> None:
    deadline = time.monotonic() + 180
    while not (arena.ask("GET", "/health") or {}).get("worker"):
        if time.monotonic() > deadline:
            raise SystemExit("The studio does not start.")
        time.sleep(0.5)


async def _run(
    arena: Arena, studio: Studio, names: Sequence[str], things: dict[str, tuple[str, str]], seconds: float, seed: int
) -> dict[str, Any]:
    measured, dice = Measured(), random.Random(seed)
    people = [Person(name, _PASSWORD.format(name=name), arena.url, measured, random.Random(dice.random()))
              for name in names]  # fmt: skip
    for person in people:  # as on a morning, not as one flood: that one is refused, and tested elsewhere
        await person.log_in()
    until = time.monotonic() + seconds
    memory: list[tuple[float, float]] = []
    tasks = [asyncio.create_task(person.click_about(until)) for person in people]
    tasks += [
        asyncio.create_task(_wish(studio, people, things, until)),
        asyncio.create_task(_watch(arena.pages, memory, until)),
    ]
    began = time.monotonic()
    for task in asyncio.as_completed(tasks):
        await task
    return _sum_up(measured, memory, len(names), time.monotonic() - began)


async def _wish(studio: Studio, people: list[Person], things: dict[str, tuple[str, str]], until: float) -> None:
    """Let two sets of one post wait or be drawn at any time, for one user after the other."""
    number = 0
    await asyncio.sleep(1)
    while time.monotonic() < until - 5:
        if len(studio.records.everyones(JobRecord, "state", ("queued", "running"))) < 2:
            person = people[number % len(people)]
            persona, scene = things[person.name]
            body = {"kind": "posts", "persona": persona, "scene": scene, "count": 1, "seed": number + 1}
            with suppress(RuntimeError):  # the client of who has left
                await person.wish(body)
            number += 1
        await asyncio.sleep(_WISH_S)


async def _watch(pages: psutil.Process, memory: list[tuple[float, float]], until: float) -> None:
    """Note the memory of the pages' process, in MB, every five seconds."""
    began = time.monotonic()
    while time.monotonic() < until:
        memory.append((time.monotonic() - began, pages.memory_info().rss / 1e6))
        await asyncio.sleep(_SAMPLE_S)


def _sum_up(measured: Measured, memory: list[tuple[float, float]], users: int, seconds: float) -> dict[str, Any]:
    routes = {
        what: {
            "count": len(took), "p50_s": _percentile(took, 50), "p95_s": _percentile(took, 95),
            "most_s": round(max(took), 3),
        }
        for what, took in sorted(measured.seconds.items())
    }  # fmt: skip
    quick = [one for what, took in measured.seconds.items() if what not in _SLOW for one in took]
    later = [(at, mb) for at, mb in memory if at > seconds / 2] or memory
    slope = float(np.polyfit([at for at, _ in later], [mb for _, mb in later], 1)[0]) * 60 if len(later) > 2 else None
    return {
        "users": users, "seconds": round(seconds, 1), "asked": measured.asked,
        "asked_a_second": round(measured.asked / seconds, 1),
        "errors": len(measured.errors), "errors_by_kind": dict(Counter(measured.errors).most_common(20)),
        "p50_s": _percentile(quick, 50), "p95_s": _percentile(quick, 95), "wanted_p95_s": _WANTED_S, "routes": routes,
        "memory_mb": {
            "begin": round(memory[0][1], 1), "middle": round(later[0][1], 1), "end": round(memory[-1][1], 1),
            "most": round(max(mb for _, mb in memory), 1),
            "a_minute_in_the_second_half": None if slope is None else round(slope, 2),
        },
        "cores": os.cpu_count(), "date": date.today().isoformat(), "python": platform.python_version(),
        "gradio": version("gradio"), "studio": version("persona-studio"),
    }  # fmt: skip


def _percentile(seconds: list[float], which: float) -> float:
    return round(float(np.percentile(seconds, which)), 3) if seconds else 0.0


def _say(found: dict[str, Any]) -> str:
    lines = [f"{'asked for':<22}{'times':>8}{'p50 s':>8}{'p95 s':>8}{'most s':>8}"]
    lines += [
        f"{what:<22}{row['count']:>8}{row['p50_s']:>8.3f}{row['p95_s']:>8.3f}{row['most_s']:>8.2f}"
        for what, row in found["routes"].items()
    ]
    memory = " → ".join(f"{found['memory_mb'][when]:.0f}" for when in ("begin", "middle", "end"))
    lines.append(
        f"{found['users']} people, {found['seconds']:.0f} s, {found['asked_a_second']} requests a second: p95 "
        f"{found['p95_s']:.3f} s, {found['errors']} errors; memory {memory} MB"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
