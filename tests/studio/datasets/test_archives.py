"""Files that photos come in: a zip or a tar is the folder that it was, and writes nothing anywhere else."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from studio.datasets import archives
from studio.datasets.archives import unpack

NAMES = [
    "Mei/a.png",
    "Mei/a.txt",
    "Mei/.DS_Store",
    "__MACOSX/Mei/._a.png",
    "Mei/sub/deep/b.png",
    "Mei/",
    "Mei/ü 美.png",
]


def packed(tmp_path: Path, kind: str, names: list[str]) -> Path:
    path = tmp_path / f"photos.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, name.encode())
        return path
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.size = 0 if name.endswith("/") else len(name.encode())
            tar.addfile(entry, io.BytesIO(name.encode()))
    return path


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_it_is_the_folder_that_it_was(tmp_path: Path, kind: str) -> None:
    unpack(packed(tmp_path, kind, NAMES), tmp_path / "out")
    assert names_in(tmp_path / "out") == {"a.png", "a.txt", "sub/b.png", "ü 美.png"}
    assert (tmp_path / "out" / "sub" / "b.png").read_bytes() == b"Mei/sub/deep/b.png"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_nothing_is_written_anywhere_else(tmp_path: Path, kind: str) -> None:
    names = ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png", "ok.png", "same?.png", "same*.png"]
    inner = tmp_path / "in"
    inner.mkdir()
    unpack(packed(inner, kind, names), inner / "out")
    assert {path for path in tmp_path.rglob("*evil*") if not path.is_relative_to(inner / "out")} == set()
    assert len(names_in(inner / "out")) == len(names)


def test_a_link_in_a_tar_is_left_in_it(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        entry = tarfile.TarInfo("passwd.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert names_in(tmp_path / "out") == set()


def test_names_of_old_chinese_zips_are_read(tmp_path: Path) -> None:
    raw = "美.png".encode("gbk")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("XX.png", b"")
    path.write_bytes(path.read_bytes().replace(b"XX.png", raw))
    unpack(path, tmp_path / "out")
    assert {name[0] for name in names_in(tmp_path / "out")} == {"美"}


def test_one_picture_is_a_folder_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    unpack(tmp_path / "a.png", tmp_path / "out")
    assert names_in(tmp_path / "out") == {"a.png"}


def test_what_cannot_be_unpacked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path, "zip", ["a.png", "b.png"])
    broken = tmp_path / "broken.zip"
    broken.write_bytes(path.read_bytes().replace(b"a.pnga.png", b"a.pngX.png"))
    with pytest.raises(BadInput) as raised:
        unpack(broken, tmp_path / "out")
    assert raised.value.code == "dataset_file_damaged"
    monkeypatch.setattr(archives, "_MOST_BYTES", 3)
    with pytest.raises(BadInput) as raised:
        unpack(path, tmp_path / "more")
    assert raised.value.code == "too_large"
    monkeypatch.setattr(archives, "_MOST_FILES", 1)
    with pytest.raises(BadInput) as raised:
        unpack(path, tmp_path / "many")
    assert raised.value.code == "dataset_too_large"
