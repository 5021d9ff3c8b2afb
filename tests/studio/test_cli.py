"""The command line on LoRA files: a table for people, JSON for machines, a sentence for what is no LoRA."""

import json
from pathlib import Path

import pytest

from pipelines.lora import LoraMetadata, write_lora
from studio.cli import main
from tests.loras import make_layers, tiny_transformer


def test_inspect_prints_what_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "米拉 'face'.safetensors"
    sha256 = write_lora(path, make_layers(tiny_transformer(), 1), LoraMetadata(title="Mira", trigger_phrase="mira"))
    monkeypatch.setattr("sys.argv", ["persona-studio", "lora", "inspect", str(path), "--json"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sha256"], said["trigger_words"], said["licence"]) == (sha256, ["mira"], "")
    monkeypatch.setattr("sys.argv", ["persona-studio", "lora", "inspect", str(path)])
    with pytest.raises(SystemExit):
        main()
    text = capsys.readouterr().out
    assert "3 attention" in text
    assert "(not said)" in text


def test_inspect_says_why_a_file_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "face.safetensors").write_bytes(b"\x80\x04 a pickle")
    monkeypatch.setattr("sys.argv", ["persona-studio", "lora", "inspect", str(tmp_path / "face.safetensors")])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    assert "is a pickle" in capsys.readouterr().err
