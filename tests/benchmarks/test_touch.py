"""What `benchmarks.touch` does to a copy: lines go where they belong, all is undone, and every surface is asked for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.touch import (
    DUMMIES,
    DUMMY,
    MOST_FILES,
    ROOT,
    SURFACES,
    Dummy,
    Line,
    apply,
    copy_checkout,
    seen_in,
    undo,
)


@pytest.mark.parametrize("dummy", DUMMIES, ids=lambda dummy: dummy.table)
def test_every_dummy_fits_into_todays_tables(dummy: Dummy, tmp_path: Path) -> None:
    for line in dummy.lines:
        (tmp_path / line.file).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / line.file).exists():
            (tmp_path / line.file).write_bytes((ROOT / line.file).read_bytes())
    before = apply(tmp_path, dummy.lines)
    for name in before:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert DUMMY in text
        if name.endswith(".json"):
            json.loads(text)
        else:
            compile(text, name, "exec")
    undo(tmp_path, before)
    for name, held in before.items():
        assert (tmp_path / name).exists() == (held is not None)
        if held is not None:
            assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.mark.parametrize("dummy", DUMMIES, ids=lambda dummy: dummy.table)
def test_every_dummy_is_looked_for_on_every_surface(dummy: Dummy) -> None:
    assert dummy.files <= MOST_FILES
    text = (ROOT / dummy.tests[0]).read_text(encoding="utf-8")
    for surface in SURFACES:
        assert f"def {surface}(" in text


def test_a_place_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("ROWS = (\n)\n", encoding="utf-8")
    with pytest.raises(ValueError, match="COLUMNS"):
        apply(tmp_path, [Line("a.py", "ROWS", "    1,\n"), Line("a.py", "COLUMNS", "    2,\n")])
    with pytest.raises(ValueError, match="already"):
        apply(tmp_path, [Line("a.py", "", "new\n")])
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "ROWS = (\n)\n"


def test_two_lines_of_one_file_are_one_file() -> None:
    dummy = Dummy(
        "x", (Line("a.py", "import", "import b\n"), Line("a.py", "ROWS", "    b,\n"), Line("b.py", "", "")), ()
    )
    assert dummy.files == 2


def test_only_what_passed_counts(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        f'<testcase name="test_words[{DUMMY}]"/>'
        f'<testcase name="test_api[en-min_{DUMMY}]"/>'
        '<testcase name="test_page[face]"/>'
        f'<testcase name="test_command_line[{DUMMY}]"><skipped/></testcase>'
        "</testsuite></testsuites>",
        encoding="utf-8",
    )
    assert seen_in(report) == {"test_words", "test_api"}


def test_a_copy_has_what_lies_there_now(tmp_path: Path) -> None:
    root, copy = tmp_path / "root", tmp_path / "copy"
    (root / "inner").mkdir(parents=True)
    (root / ".gitignore").write_text("left_out\n")
    (root / "inner" / "tracked.py").write_text("1\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    (root / "inner" / "tracked.py").write_text("2\n")
    (root / "new.py").write_text("3\n")
    (root / "left_out").write_text("4\n")
    copy_checkout(root, copy)
    assert (copy / "inner" / "tracked.py").read_text() == "2\n"
    assert (copy / "new.py").exists()
    assert not (copy / "left_out").exists()
