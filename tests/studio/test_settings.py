"""Paths of settings are read as they are meant, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import BadInput
from studio.cli.outputs import check_folder, place_file
from studio.settings import read_settings

PATHS = (
    "data",
    "models",
    "fill_folder",
    "kontext_folder",
    "ip_adapter_folder",
    "face_pack",
    "reader",
    "person_package",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("name", [*PATHS, "backbone", "base", "bundled_donors"])
def test_a_tilde_is_the_home_folder_in_every_path(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("~/studio", " ~/studio\r", '"~/studio"', "'~/studio'"):
        monkeypatch.setenv(f"PERSONA_STUDIO_{name.upper()}", value)
        assert str(getattr(read_settings(), name)) == str(home / "studio")
    monkeypatch.delenv(f"PERSONA_STUDIO_{name.upper()}")
    assert str(getattr(read_settings(**{name: Path("~/studio")}), name)) == str(home / "studio")
    assert str(getattr(read_settings(**{name: "a~/b"}), name)) == "a~/b"


def test_a_home_that_nobody_has_is_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"setting_invalid.*DATA"):
        read_settings(data=Path("~nobody-of-this-name/x"))


def test_a_file_goes_where_it_is_told_or_into_the_folder_that_is_named(tmp_path: Path, home: Path) -> None:
    (tmp_path / "out").mkdir()
    for said, path in (
        ("out", "out/usual.zip"), ("out/", "out/usual.zip"), ("new/", "new/usual.zip"), ("a.zip", "a.zip"),
        ("a", "a.zip"), ("out/b.zip", "out/b.zip"),
    ):  # fmt: skip
        assert place_file(said, "usual.zip") == Path(path)
    assert place_file("~/x.zip", "usual.zip") == home / "x.zip"
    assert check_folder(Path("~/x")) == home / "x"
    assert not list(tmp_path.glob("~*"))


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"output_is_file.*file"):
        place_file(str(tmp_path / "file" / "a.zip"), "usual.zip")
    with pytest.raises(BadInput, match="output_is_file"):
        check_folder(tmp_path / "file")
