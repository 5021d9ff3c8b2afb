"""Every case has a check, and one that has none is an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cases import CHECKS, check_case, main
from benchmarks.cases_studio import Bench
from tests.data import need

QUICK = (
    "lora-conv-shaped", "lora-fp8", "lora-header-like-pickle", "lora-number-in-metadata", "lora-trailing-underscore",
    "file-names", "mask-alpha", "picture-wide-gamut", "recall-json-parameters", "shots-pasted", "title-xiaohongshu",
)  # fmt: skip


def test_every_case_has_a_check() -> None:
    assert {p.name for p in need("cases").iterdir() if p.is_dir()} <= CHECKS.keys()


@pytest.mark.parametrize("case", QUICK)
def test_cases_that_need_no_model_are_right(case: str, tmp_path: Path) -> None:
    row = check_case(need(f"cases/{case}"), Bench(tmp_path))
    assert row.right, row.seen


def test_a_case_without_a_check_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cases" / "something-new").mkdir(parents=True)
    monkeypatch.setattr("sys.argv", ["cases", "--data", str(tmp_path / "cases"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="no check for something-new"):
        main()
    assert not (tmp_path / "out").exists()


def test_a_case_that_is_wrong_is_a_row_and_an_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = tmp_path / "cases" / "title-xiaohongshu"
    case.mkdir(parents=True)
    (case / "titles.json").write_text('[{"title": "a", "counts": 7, "fits": true}]')
    monkeypatch.setattr("sys.argv", ["cases", "--data", str(tmp_path / "cases"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    (row,) = json.loads((tmp_path / "out" / "cases.json").read_text())
    assert row == {"case": "title-xiaohongshu", "right": False, "seen": "0 of 1, not: a"}
