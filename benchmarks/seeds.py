"""The main job on several seeds, averaged and judged: `python -m benchmarks.seeds --out out --seeds 1 2 3`.

Runs `benchmarks.main_job` once per seed in a process of its own (out/seed-N), then writes out/seeds.json and prints
the table: each demand, what was measured per seed, the mean, and whether it holds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Report = dict[str, Any]


@dataclass(frozen=True)
class Demand:
    """`value` of one report is compared with `limit`: at least, or at most. `each`: every seed, not the mean."""

    name: str
    value: Callable[[Report], float]
    limit: float
    at_most: bool = False
    each: bool = False

    def holds(self, values: Sequence[float]) -> bool:
        judged = list(values) if self.each else [sum(values) / len(values)]
        return all(v <= self.limit if self.at_most else v >= self.limit for v in judged)


def gap_closed(faces: dict[str, float]) -> float:
    """The share of the gap from fused to renders that the persona closes; 1 where the gap is small and it keeps up."""
    gap = faces["renders"] - faces["fused"]
    if gap < 0.03:
        return 1.0 if faces["persona"] >= faces["fused"] - 0.01 else 0.0
    return (faces["persona"] - faces["fused"]) / gap


DEMANDS = (
    Demand("seconds of the whole job", lambda r: sum(r["seconds"].values()), 720, at_most=True, each=True),
    Demand("gap closed, recogniser one", lambda r: gap_closed(r["pairwise_face"]), 0.5),
    Demand("gap closed, recogniser two", lambda r: gap_closed(r["pairwise_face_second"]), 0.5),
    Demand("persona / renders, one", lambda r: r["pairwise_face"]["persona"] / r["pairwise_face"]["renders"], 0.7),
    Demand(
        "persona / renders, two",
        lambda r: r["pairwise_face_second"]["persona"] / r["pairwise_face_second"]["renders"],
        0.7,
    ),
    Demand("shots obeyed, persona - fused", lambda r: r["shots_obeyed"]["persona"] - r["shots_obeyed"]["fused"], -0.05),
    Demand("persona - another category", lambda r: r["pairwise_face"]["persona"] - r["cross_face"], 0.3),
    Demand("novelty below ceiling by", lambda r: r["novelty_ceiling"] - r["novelty_max"], 0.0, each=True),
    Demand("fusion error", lambda r: r["fusion_error"], 1e-6, at_most=True, each=True),
    Demand("landmark exact", lambda r: float(r["landmark_exact"]), 1.0, each=True),
    Demand(
        "posts: scene above no injection",
        lambda r: sum(p["scene"] > p["scene_without"] for p in r["posts"]),
        8,
        each=True,
    ),
    Demand("posts: outfit and framing obeyed", lambda r: sum(p["prompt"] == 1 for p in r["posts"]), 7, each=True),
    Demand(
        "posts: identity above another category",
        lambda r: sum(p["identity"] is not None and p["identity"] > r["cross_face"] for p in r["posts"]),
        9,
        each=True,
    ),
)


def judge(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Per demand: name, limit, values (one per report), mean, holds."""
    rows = []
    for demand in DEMANDS:
        values = [float(demand.value(r)) for r in reports]
        rows.append({
            "name": demand.name, "limit": demand.limit, "at_most": demand.at_most, "values": values,
            "mean": sum(values) / len(values), "holds": demand.holds(values),
        })  # fmt: skip
    return rows


def show(rows: Sequence[dict[str, Any]], reports: Sequence[Report]) -> None:
    """Print the table."""
    table = Table(*("demand", *(f"seed {r['seed']}" for r in reports), "mean", "wanted", "holds"))
    for row in rows:
        wanted = f"{'≤' if row['at_most'] else '≥'} {row['limit']:g}"
        numbers = (*row["values"], row["mean"])
        table.add_row(row["name"], *(f"{v:.3g}" for v in numbers), wanted, "yes" if row["holds"] else "MISSED")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--backbone", default="miniature")
    parser.add_argument("--category", default="sweet")
    args = parser.parse_args()
    reports: list[Report] = []
    for seed in args.seeds:
        folder = args.out / f"seed-{seed}"
        command = ("--out", str(folder), "--seed", str(seed), "--backbone", args.backbone, "--category", args.category)
        done = subprocess.run([sys.executable, "-m", "benchmarks.main_job", *command], stdout=subprocess.DEVNULL)
        if done.returncode < 0:
            sys.exit(f"Seed {seed} was ended by signal {-done.returncode}.")
        if done.returncode:  # it has said why
            sys.exit(done.returncode)
        reports.append(json.loads((folder / "report.json").read_text()))
    rows = judge(reports)
    (args.out / "seeds.json").write_text(json.dumps(rows, indent=1) + "\n")
    show(rows, reports)
    sys.exit(0 if all(row["holds"] for row in rows) else 1)


if __name__ == "__main__":
    main()
