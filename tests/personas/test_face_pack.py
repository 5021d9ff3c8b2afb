"""Face packs by folder and by name, and which face a picture is of."""

import shutil
from pathlib import Path

import pytest

from personas.measures.face import FaceReader, face_rank, find_pack, pack_sha256
from pipelines.errors import ModelMissing
from studio.settings import ASSETS


def test_a_pack_is_found_by_folder_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelMissing, match="face_pack_missing"):
        find_pack("buffalo_m")
    named = shutil.copytree(ASSETS / "faces", tmp_path / ".insightface/models/buffalo_m")
    assert find_pack("buffalo_m") == named
    assert find_pack(ASSETS / "faces") == ASSETS / "faces"
    assert FaceReader("buffalo_m").sha256 == pack_sha256(ASSETS / "faces")
    assert pack_sha256(named) != pack_sha256(ASSETS / "faces_second")


def test_half_a_pack_is_refused(tmp_path: Path) -> None:
    for part in ("detection.onnx", "recognition.onnx"):
        half = tmp_path / part.split(".")[0]
        half.mkdir()
        shutil.copy(ASSETS / "faces" / part, half)
        with pytest.raises(ModelMissing, match="face_pack_incomplete"):
            FaceReader(half)


def test_the_right_face_is_sure_large_and_in_the_middle() -> None:
    def rank(x: float, y: float, side: float, score: float) -> float:
        return face_rank((x - side / 2, y - side / 2, x + side / 2, y + side / 2), score, 1000, 800)

    assert rank(400, 350, 200, 0.9) > rank(400, 350, 200, 0.6)
    assert rank(400, 350, 200, 0.9) > rank(400, 350, 100, 0.9)
    assert rank(400, 350, 200, 0.9) > rank(100, 900, 200, 0.9)
    # none decides alone: a dog, larger but unsure; a passer-by, sure but at the edge; a small clear face
    person = rank(400, 330, 180, 0.85)
    assert person > rank(420, 600, 330, 0.52)
    assert person > rank(60, 300, 200, 0.9)
    assert person > rank(400, 350, 40, 0.9)
    assert rank(390, 350, 0, 0.9) > 0
