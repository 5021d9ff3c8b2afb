"""What the studio makes of damaged and hostile inputs: `python -m benchmarks.fuzz --out out --inputs 20000`.

Pictures, LoRA files, bundles, scene packs, backups, pictures' recipes, typed texts and API requests, each made of a
whole one by a seed and a number. They are read in a process of its own, with limits of memory and time. Counted are
crashes (the process died, hung, or took too much memory), tracebacks (an error that nobody foresaw) and escapes (a file
outside of the data folder). Writes out/fuzz.json, and each input that failed to out/fuzz/; one of them is read again by

    python -m benchmarks.fuzz --kind picture --seed 1 --begin 1234 --inputs 1
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import psutil

from benchmarks.fuzz_inputs import KINDS, Whole, make_input
from pipelines.quiet import quiet_third_parties

__all__ = ["Found", "main", "run_fuzz"]

_ROOT = Path(__file__).resolve().parents[1]
_SHARES = {"picture": 0.3, "lora": 0.2, "bundle": 0.1, "pack": 0.06, "backup": 0.05, "recipe": 0.08, "text": 0.09,
           "api": 0.12}  # fmt: skip
_PATIENCE_S = 120.0  # for one input, on a machine that others use
_START_S = 600.0
_MORE_MB = 1_500  # than the process had before its first input: 40 megapixels in several copies
_API = "api"


@dataclass
class Found:
    """Of one kind of input. `refused` are those that were refused in words, the others were taken."""

    kind: str
    inputs: int = 0
    refused: int = 0
    crashes: int = 0
    tracebacks: int = 0
    escapes: int = 0
    memory_mb: float = 0.0
    most_memory_mb: float = 0.0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=[*KINDS, _API], help="this kind alone")
    parser.add_argument("--begin", type=int, default=0, help="the first input's number")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        read_all(args.child, args.kind, args.seed, args.begin, args.inputs)
        return
    shares = {args.kind: 1.0} if args.kind else _SHARES
    args.out.mkdir(parents=True, exist_ok=True)
    rows = run_fuzz(args.out, {kind: -(-int(args.inputs * share * 100) // 100) for kind, share in shares.items()},
                    args.seed, args.begin)  # fmt: skip
    found = sum_up(rows, args.seed)
    (args.out / "fuzz.json").write_text(json.dumps(found, indent=1))
    print(json.dumps({name: found[name] for name in ("inputs", "crashes", "tracebacks", "escapes")}))
    if found["crashes"] + found["tracebacks"] + found["escapes"]:
        sys.exit(1)


def sum_up(rows: list[Found], seed: int) -> dict[str, Any]:
    """Return what fuzz.json says."""
    counts = {name: sum(getattr(row, name) for row in rows) for name in ("inputs", "crashes", "tracebacks", "escapes")}
    return counts | {
        "most_memory_mb_more": max(round(row.most_memory_mb - row.memory_mb) for row in rows), "seed": seed,
        "kinds": [asdict(row) for row in rows], "date": date.today().isoformat(), "python": platform.python_version(),
        "studio": version("persona-studio"), "pillow": version("pillow"), "safetensors": version("safetensors"),
    }  # fmt: skip


def run_fuzz(out: Path, counts: dict[str, int], seed: int, begin: int = 0) -> list[Found]:
    """Let so many inputs of each kind be read, and return what came of them; those that failed lie in out/fuzz."""
    kept = out / "fuzz"
    kept.mkdir(parents=True, exist_ok=True)
    return [_run_kind(kept, kind, seed, begin, count) for kind, count in counts.items()]


def _run_kind(kept: Path, kind: str, seed: int, begin: int, count: int) -> Found:
    found, number, began = Found(kind), begin, time.monotonic()
    while number < begin + count:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            arena = Path(folder) / "a" / "b" / "c"
            for name in ("data", "scratch", "tmp"):
                (arena / name).mkdir(parents=True)
            number = _run_process(arena, kept, found, number, begin + count, seed)
            found.escapes += _look_for_escapes(arena, found)
    found.seconds = round(time.monotonic() - began, 1)
    print(json.dumps(asdict(found)), flush=True)
    return found


def _run_process(arena: Path, kept: Path, found: Found, number: int, end: int, seed: int) -> int:
    """Read from this number on until the end, or until the process dies; return the next number."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "--child", str(arena), "--kind", found.kind]
    command += ["--seed", str(seed), "--begin", str(number), "--inputs", str(end - number)]
    environment = os.environ | {"TMPDIR": str(arena / "tmp"), "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    log = kept / f"{found.kind}.log"
    with log.open("ab") as errors, subprocess.Popen(
        command, cwd=arena / "scratch", env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines: Queue[str] = Queue()
        stdout = process.stdout
        Thread(target=_hear, args=(stdout, lines), daemon=True).start()
        patience, under_way = _START_S, ""
        while True:
            try:
                line = lines.get(timeout=patience)
            except Empty:
                line = ""
            told = json.loads(line) if line else None
            if told is None:
                process.kill()
                if not under_way:
                    raise SystemExit(f"The process that reads does not start: {log}")
                if number < end:
                    found.crashes += 1
                    found.inputs += 1
                    _keep(kept, found, number, seed, "it hung, or the process died", under_way)
                return end if found.kind == _API else number + 1
            patience = _PATIENCE_S
            if "begun" in told:
                under_way = told["begun"]
            elif "memory" in told:
                found.memory_mb = found.most_memory_mb = told["memory"]
            elif "end" in told:
                return end
            else:
                number, found.inputs = number + 1, found.inputs + 1
                found.refused += bool(told["refused"])
                found.most_memory_mb = max(found.most_memory_mb, told["most"])
                if told["most"] - found.memory_mb > _MORE_MB:
                    found.crashes += 1
                    _keep(kept, found, number - 1, seed, f"{told['most']:.0f} MB", under_way)
                if told["wrong"]:
                    found.tracebacks += 1
                    _keep(kept, found, number - 1, seed, told["wrong"], under_way)


def _hear(stream: Any, lines: Queue[str]) -> None:
    """Pass each line on as it comes, and "" at the end."""
    for line in iter(stream.readline, ""):
        lines.put(line)
    lines.put("")


def _keep(kept: Path, found: Found, number: int, seed: int, why: str, under_way: str) -> None:
    name = f"{found.kind}-{seed}-{number}"
    found.failed.append(f"{name}: {why.strip().splitlines()[-1][:300]}")
    (kept / f"{name}.txt").write_text(f"{why}\n\n{under_way}", encoding="utf-8", errors="backslashreplace")


def _look_for_escapes(arena: Path, found: Found) -> int:
    """Files that lie where nothing of the studio's belongs."""
    root = arena.parents[2]
    inside = {arena / name for name in ("data", "scratch", "tmp")}
    wrong = [path for path in root.rglob("*") if path.is_file() and not inside & {*path.parents}]
    wrong += [path for path in (Path("/tmp/fuzz-escaped"), Path("/fuzz-escaped"), root.parent / "fuzz-escaped")
              if path.exists()]  # fmt: skip
    found.failed += [f"escaped: {path}" for path in wrong]
    return len(wrong)


def read_all(arena: Path, kind: str, seed: int, begin: int, count: int) -> None:
    """Be the process that reads, and tell of each input on standard output."""
    quiet_third_parties()
    logging.disable(logging.CRITICAL)
    from benchmarks.fuzz_targets import read_input, send_requests
    from studio.application import Studio
    from studio.settings import Settings

    studio = Studio(Settings(data=arena / "data", threads=1))
    whole = Whole(studio, arena / "scratch")
    if kind != _API:  # so that what is loaded at the first one is no input's
        read_input(studio, arena / "scratch", kind, make_whole(whole, kind))
    tell, before = _teller(), psutil.Process().memory_info()
    tell({"memory": before.rss / 1e6})
    most = before.vms + 2 * _MORE_MB * 10**6
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if kind == _API:
        begun = lambda said: tell({"begun": said[:5000]})  # noqa: E731
        for number, (said, wrong) in enumerate(send_requests(studio, seed, count, begun)):
            if number < begin + count:
                tell({"begun": said[:5000]})
                tell({"refused": wrong == "not sent", "wrong": "" if wrong == "not sent" else wrong, "most": _rss()})
    for number in range(begin, begin + count) if kind != _API else ():
        tell({"begun": f"{kind} {seed} {number}"})
        data, refused, wrong = make_input(whole, kind, seed, number), "", ""
        try:
            refused = read_input(studio, arena / "scratch", kind, data)
        except Exception:
            wrong = traceback.format_exc()[-4000:]
        tell({"refused": refused, "wrong": wrong, "most": _rss()})
    tell({"end": True})


def make_whole(whole: Whole, kind: str) -> bytes:
    """Return an input of this kind as it should be."""
    known = {"picture": whole.pictures, "lora": whole.loras, "bundle": whole.bundles, "pack": whole.packs,
             "backup": whole.backups, "recipe": whole.recipes}  # fmt: skip
    return known[kind][0] if kind in known else b"a text"


def _rss() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


def _teller() -> Any:
    """Only this writes to standard output from now on: libraries that print write to standard error."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(what: dict[str, Any]) -> None:
        stream.write(json.dumps(what) + "\n")
        stream.flush()

    return tell


if __name__ == "__main__":
    main()
