"""A slice of `make fuzz`, with the same seed each time."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks import fuzz
from benchmarks.fuzz_inputs import damage_bytes, damage_json

_SLICES = [
    ("picture", 160), ("lora", 80), ("bundle", 60), ("pack", 40), ("backup", 80), ("recipe", 80),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "count"), _SLICES)
def test_damaged_inputs_are_refused_in_words(kind: str, count: int, tmp_path: Path) -> None:
    (row,) = fuzz.run_fuzz(tmp_path, {kind: count}, seed=1)
    assert (row.inputs, row.crashes, row.tracebacks, row.escapes) == (count, 0, 0, 0), row.failed
    assert count / 5 < row.refused < count  # the damage is damage, and not all of it is at the beginning
    assert row.most_memory_mb - row.memory_mb < 1500


def test_damage_follows_from_the_seed() -> None:
    def made(seed: int) -> tuple[bytes, str]:
        dice = random.Random(seed)
        value = damage_json(dice, {"a": [1, 2], "b": {"c": "d"}})
        return damage_bytes(dice, bytes(range(200))), json.dumps(value)

    assert made(1) == made(1)
    assert len({made(seed) for seed in range(30)}) > 25
