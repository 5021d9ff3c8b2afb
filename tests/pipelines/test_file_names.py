"""Names of files that every disk takes, and files that replace none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.file_names import file_name, free_path, keep_beside
from tests.data import need


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Lin: v2?", "Lin v2"),
        ("../../x", "x"),
        ('a"b|c', "a b c"),
        ("CON", "CON_"),
        ("com1.tar", "com1_.tar"),
        ("小红🌸", "小红🌸"),
        ("👩\u200d🦰", "👩\u200d🦰"),
        ("Mei. ", "Mei"),
        ("...", "file"),
        ("a\x00b\u202ec\n\td", "abc d"),
        ("\\\\server\\x", "server x"),
        (".hidden", "hidden"),
        ("e\u0301", "é"),
        ("console", "console"),
    ],
)
def test_a_name_is_as_every_disk_takes_it(name: str, plain: str) -> None:
    assert file_name(name) == plain
    assert file_name(plain) == plain


def test_a_long_name_leaves_room_for_its_ending() -> None:
    name = file_name("很长" * 200, "-xiaohongshu-abcdef.zip")
    assert name.endswith("长-xiaohongshu-abcdef.zip") or name.endswith("很-xiaohongshu-abcdef.zip")
    assert len(name.encode()) < 200
    assert file_name("CON", ".png") == "CON_.png"


def test_a_different_file_is_never_replaced(tmp_path: Path) -> None:
    first = keep_beside(tmp_path / "new" / "a.png", b"one")
    again = keep_beside(tmp_path / "new" / "a.png", b"one")
    other = keep_beside(tmp_path / "new" / "A.PNG", b"two")
    third = keep_beside(tmp_path / "new" / "a.png", b"three")
    assert (first.name, again.name, other.name, third.name) == ("a.png", "a.png", "A-2.PNG", "a-3.png")
    assert [p.read_bytes() for p in (first, other, third)] == [b"one", b"two", b"three"]
    (tmp_path / "b").mkdir()
    assert free_path(tmp_path / "b").name == "b-2"


def test_real_names_become_names_of_files() -> None:
    for name in json.loads((need("cases/file-names") / "names.json").read_text(encoding="utf-8")):
        plain = file_name(name, ".zip")
        assert not set(plain) & set('<>:"/\\|?*')
        assert plain.removesuffix(".zip").strip(" .")
        assert plain.casefold() != "con.zip"
