"""What a command says on standard error is the studio's own, off a terminal too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_loading_models_shows_no_bars_and_no_warnings(tmp_path: Path) -> None:
    script = "import sys; sys.argv[0] = 'persona-studio'; from studio.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    done = subprocess.run(
        [sys.executable, "-c", script, "doctor", "--data", str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "miniature" in done.stdout
    assert done.stderr == ""


def test_a_benchmark_is_quiet_before_its_own_imports() -> None:
    script = "import benchmarks, tqdm, sys; [None for _ in tqdm.tqdm(range(3))]"
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
