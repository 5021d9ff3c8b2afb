"""Model files that were copied in part, or are something else: a sentence names them, whatever a library raises."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from personas.measures.face import FaceReader
from personas.measures.pose import PoseReader
from personas.measures.regions import RegionReader
from pipelines.errors import BadInput, ModelMissing
from pipelines.families.flux1.redux import load_redux
from studio.settings import ASSETS

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "pointer": lambda data: POINTER,
    "list": lambda data: b"[]",
}


def damage(source: Path, folder: Path, pattern: str, how: str) -> Path:
    """A copy in which the files of a pattern are damaged."""
    shutil.copytree(source, folder)
    files = list(folder.rglob(pattern))
    assert files
    for file in files:
        file.write_bytes(DAMAGE[how](file.read_bytes()))
    return folder


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_face_pack_is_said(tmp_path: Path, how: str) -> None:
    with pytest.raises(ModelMissing):
        FaceReader(damage(ASSETS / "faces", tmp_path / "faces", "*.onnx", how))


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("pattern", ["reader.json", "reader.onnx", "eyes.json", "eyes.onnx"])
def test_a_damaged_picture_reader_is_said(tmp_path: Path, pattern: str, how: str) -> None:
    with pytest.raises((ModelMissing, BadInput)):  # a list of words is another vocabulary
        RegionReader(damage(ASSETS / "reader", tmp_path / "reader", pattern, how))


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("pattern", ["*.safetensors", "model_index.json", "preprocessor_config.json", "config.json"])
def test_a_damaged_redux_is_said(tmp_path: Path, pattern: str, how: str) -> None:
    with pytest.raises(ModelMissing):
        load_redux(
            damage(ASSETS / "redux", tmp_path / "redux", pattern, how), "miniature", torch.device("cpu"), torch.float32
        )


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_pose_model_is_said(tmp_path: Path, how: str) -> None:
    (tmp_path / "config.json").write_bytes(DAMAGE[how](b'{"model_type": "vitpose"}'))
    (tmp_path / "preprocessor_config.json").write_bytes(b"[]")
    with pytest.raises(ModelMissing):
        PoseReader(tmp_path, torch.device("cpu"))
