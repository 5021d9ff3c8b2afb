"""`verify` says what a picture or a bundle tells of itself, and ends with 1 where that does not hold."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from studio.application import Studio
from studio.cli import app
from studio.settings import Settings
from tests.library import export
from tests.studio.export.test_content_credentials import change_pixel


def verify(place: Path, data: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", str(place), "--data", str(data), *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    studio = Studio(Settings(data=tmp_path / "data"))
    export(studio, tmp_path / "a.zip", "archive")
    return tmp_path / "a.zip"


def test_a_picture_and_its_bundle_are_read_back(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said = verify(bundle, tmp_path / "data", "--json")
    told = json.loads(said)
    assert (status, told["wrong"]) == (0, [])
    assert told["pictures"]["pictures/01.png"]["c2pa"]["is_test"]
    with zipfile.ZipFile(bundle) as zipped:
        png = zipped.read("pictures/01.png")
    place = tmp_path / "one.png"
    place.write_bytes(png)
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    status, said = verify(place, tmp_path / "data")
    assert status == 0
    for words in ("valid, with a studio's local test certificate", "AIGC", "IPTC", "it shows Lin", "byte for byte"):
        assert words in said
    assert "none found" in said  # an archive has no label that is seen
    status, said = verify(place, tmp_path / "nowhere")
    assert "byte for byte" not in said
    assert not (tmp_path / "nowhere").exists()  # a look makes no studio
    place.write_bytes(change_pixel(png))
    status, said = verify(place, tmp_path / "data")
    assert status == 1
    assert "BROKEN" in said
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "已失效" in verify(place, tmp_path / "data")[1]


def test_a_picture_without_any_label_is_said_to_have_none(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "plain.jpg")
    status, said = verify(tmp_path / "plain.jpg", tmp_path / "data", "--json")
    assert status == 1
    assert len(json.loads(said)["wrong"]) == 1
