"""Real files to measure with. They are not part of the project; without them these tests skip, and say so."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("STUDIO_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def need(part: str) -> Path:
    """A file or folder of the test data; skips the calling test where it is absent."""
    path = FOLDER / part
    if not path.exists():
        pytest.skip(f"NOT TESTED: {path} is absent (set STUDIO_TEST_DATA)")
    return path
