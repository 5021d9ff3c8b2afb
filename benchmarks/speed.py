"""How fast the studio is, each piece of work beside plain code for the same: `python -m benchmarks.speed --out out`.

Ours and the peer's are timed in turns in one process, with the same weights, number type and threads, and what they
give is compared. Writes out/bench.json: rows of {name, ours_s, peer_s, ratio, low, high, wanted, agrees, repeats,
spread, note}. `--check FILE` compares the ratios with an earlier run: exit status 1 where one fell by more than a
fifth.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed_draw import Drawing, pictures, posts, recipes, scoring
from benchmarks.speed_library import page, search
from benchmarks.speed_lora import fused_overhead, reweight
from benchmarks.speed_start import cold_start
from benchmarks.speed_timing import SpeedRow
from benchmarks.speed_training import training
from pipelines.backbones import fast_dtype

__all__ = ["fallen", "main"]

_LEAST = 0.8  # of an earlier ratio
_REPEATS = {"reweight": 9, "fused_overhead": 30, "recipes": 5, "picture": 5, "posts": 3, "scoring": 3, "training": 5,
            "page": 30, "search": 30, "cold_start": 3}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--only", nargs="*", choices=sorted(_REPEATS), default=sorted(_REPEATS))
    parser.add_argument("--check", type=Path, default=None, help="an earlier bench.json")
    args = parser.parse_args(arguments)
    before = json.loads(args.check.read_text()) if args.check else None  # what is missing is said before an hour's work
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[SpeedRow] = []
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        for name, work in _works(Path(folder)).items():
            if name in args.only:
                made = work(_REPEATS[name])
                print("\n".join(map(_say, made)), flush=True)
                rows += made
                (args.out / "bench.json").write_text(json.dumps(_report(rows), indent=1))
    lost = fallen(_report(rows), before) if before else []
    for line in lost:
        print(line)
    return 1 if lost else 0


def _works(folder: Path) -> dict[str, Callable[[int], list[SpeedRow]]]:
    at = Drawing(folder)
    return {
        "reweight": reweight, "fused_overhead": fused_overhead, "recipes": lambda n: recipes(at, n),
        "picture": lambda n: pictures(at, n), "posts": lambda n: posts(at, n), "scoring": lambda n: scoring(at, n),
        "training": training, "page": page, "search": search, "cold_start": cold_start,
    }  # fmt: skip


def fallen(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Return a line for each row whose ratio fell by more than a fifth, or that no longer agrees, against `before`."""
    known = {row["name"]: row for row in before["rows"]}
    lines = []
    for row in now["rows"]:
        was = known.get(row["name"])
        if was is None:
            continue
        if row["ratio"] < _LEAST * was["ratio"]:
            lines.append(f"{row['name']}: {row['ratio']:.2f} times as fast as the peer, before {was['ratio']:.2f}")
        if was["agrees"] and not row["agrees"]:
            lines.append(f"{row['name']}: no longer gives what the peer gives ({row['note']})")
    return lines


def _report(rows: Sequence[SpeedRow]) -> dict[str, Any]:
    return {
        "date": date.today().isoformat(), "cores": os.cpu_count(), "threads": 1, "python": platform.python_version(),
        "torch": version("torch"), "diffusers": version("diffusers"), "dtype": str(fast_dtype(torch.device("cpu"))),
        "rows": [asdict(row) for row in rows],
    }  # fmt: skip


def _say(row: SpeedRow) -> str:
    agrees = "" if row.agrees else "  DIFFERS"
    return (
        f"{row.name:<16}{row.ours_s:>9.3f} s{row.peer_s:>9.3f} s  ×{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f}), "
        f"wanted {row.wanted:.2f}{agrees}; {row.note}"
    )


if __name__ == "__main__":
    sys.exit(main())
