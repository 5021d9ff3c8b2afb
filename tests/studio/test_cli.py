"""The command line on LoRA files: a table for people, JSON for machines, a sentence for what is no LoRA."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from pipelines.lora import LoraMetadata, write_lora
from studio.application import Studio
from studio.cli import main
from studio.jobs.engine import Engine
from studio.library.scenes import scenes_of
from studio.settings import ASSETS, Settings
from tests.library import keep_persona
from tests.loras import make_layers, tiny_transformer
from tests.studio.jobs.local_kind import Work, add_kind

CAFE = ASSETS / "scenes" / "cafe.png"


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


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["persona-studio", *words])
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


def test_backbones_are_listed_with_what_a_merchant_may_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "backbones") == 0
    text = capsys.readouterr().out
    assert "FLUX.1-Krea-dev (backbone, 34 GB in bf16, or 24 GB one part at a time)" in text
    assert "selling the pictures: yes; running it for a business: only with a paid licence; fine-tuning it" in text
    assert "(read on 2026-11-30)" in text
    assert "(read about on 2026-11-22)" in text
    assert run(monkeypatch, "backbones", "--json") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["backbones"]}
    assert rows["FLUX.1-schnell"]["may_fine_tuning"] is True
    assert rows["Qwen-Image-2.1"]["licence_running"] == "no"
    assert rows["Qwen-Image-2.1"]["read_first_hand"] is False
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(monkeypatch, "backbones", "list") == 0
    assert "出售图片：可以；商业运行：须购买商业许可；微调：须购买商业许可" in capsys.readouterr().out
    monkeypatch.delenv("LC_ALL")
    assert rows["Qwen-Image"]["role"] == "not yet"
    assert run(monkeypatch, "backbones", "fetch", "Qwen-Image") == 1
    assert "cannot load Qwen-Image yet" in capsys.readouterr().err


def test_a_plan_is_said_before_anything_is_loaded(
    tiny_flux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_MODELS", str(tmp_path))
    assert run(monkeypatch, "backbones", "plan", str(tiny_flux)) == 0
    text = capsys.readouterr().out
    on_device = "all of it on the device: about 0.5 GB on the device"
    assert (on_device if torch.cuda.is_available() else ": about 0.5 GB of memory; free are") in text
    assert run(monkeypatch, "backbones", "plan", str(tiny_flux), "--precision", "fp8", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["precision"], found["trains"], found["kind"]) == ("fp8", False, "folder")
    assert run(monkeypatch, "backbones", "plan", str(tiny_flux), "--precision", "int3") == 1
    assert "Choose one of auto, fp32" in capsys.readouterr().err
    assert run(monkeypatch, "backbones", "plan", "FLUX.1-schnell") == 1
    assert "persona-studio backbones fetch black-forest-labs/FLUX.1-schnell" in capsys.readouterr().err


def test_a_fetch_without_network_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_MODELS", str(tmp_path))
    assert run(monkeypatch, "backbones", "fetch", "FLUX.1-schnell") == 1
    assert "HF_HUB_OFFLINE forbids the network" in capsys.readouterr().err


def test_the_version_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == version("persona-studio")


def test_a_data_folder_that_cannot_be_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(monkeypatch, "donors", "list", "--data", str(tmp_path / "file" / "data")) == 1
    assert "cannot be used: not a directory" in capsys.readouterr().err


def test_a_setting_that_cannot_be_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_EFFORT", "much")
    assert run(monkeypatch, "donors", "list") == 1
    assert "The setting PERSONA_STUDIO_EFFORT cannot be 'much'" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", str(tmp_path))
    for words in (("upload", "gone.bin"), ("jobs", "run", "vary", "--request", "gone.json"), ("verify", "gone.zip")):
        assert run(monkeypatch, *words, *(data if words[0] != "verify" else ())) == 1
        said = capsys.readouterr().err
        assert words[-1] in said
        assert "Errno" not in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("design", "tall"), "no look category"),
        (("design", "sweet", "--templates", "nowhere"), "nowhere is no folder"),
        (("consolidate", "Lin"), "no design yet"),
        (("posts", str(CAFE)), "no persona yet"),
        (("swap", str(CAFE)), "no persona yet"),
        (("bundle", "a.zip"), "no post set yet"),
        (("bundle", "a.zip", "--platform", "pigeon"), "pigeon"),
    ],
)
def test_what_cannot_be_is_refused_before_the_engine_starts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    why: str,
) -> None:
    monkeypatch.setattr(Engine, "__enter__", lambda _: pytest.fail("it started"))
    assert run(monkeypatch, *words, "--data", str(tmp_path)) == 1
    assert why in capsys.readouterr().err


def test_a_command_beside_an_open_studio_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(Settings(data=tmp_path))
    keep_persona(studio)
    said = io.StringIO()  # the engine's logger keeps the stream that it finds, so pytest's own may not be it
    with Engine(studio, None), redirect_stderr(said):
        assert run(monkeypatch, "posts", str(CAFE), "--data", str(tmp_path)) == 1
    assert "Another studio is working" in said.getvalue()
    assert scenes_of(studio.library, "me") == []


def test_any_kind_is_run_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_kind(monkeypatch, lambda studio, request, run, progress: Work(id="made", word=request.word))
    (tmp_path / "work.json").write_text('{"word": "好"}', encoding="utf-8")
    words = ("--request", str(tmp_path / "work.json"), "--data", str(tmp_path / "data"))
    said = io.StringIO()
    with redirect_stdout(said):
        assert run(monkeypatch, "jobs", "run", "work", *words, "--json") == 0
    assert json.loads(said.getvalue())["word"] == "好"


def test_what_is_no_request_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_kind(monkeypatch, lambda studio, request, run, progress: Work(id="made"))
    monkeypatch.setattr(Engine, "__enter__", lambda _: pytest.fail("it started"))
    words = ("--request", str(tmp_path / "work.json"), "--data", str(tmp_path / "data"))
    assert run(monkeypatch, "jobs", "run", "paint", *words) == 1
    assert "paint" in capsys.readouterr().err
    for wrong in ("[]", "{", '{"colour": 1}', '{"owner": "wang"}'):
        (tmp_path / "work.json").write_text(wrong)
        assert run(monkeypatch, "jobs", "run", "work", *words) == 1
        assert "→" in capsys.readouterr().err


def test_posts_are_asked_for_by_a_photo_or_by_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Engine, "__enter__", lambda _: pytest.fail("it started"))
    studio = Studio(Settings(data=tmp_path))
    keep_persona(studio)
    (tmp_path / "set.json").write_text('{"persona": "p1", "scene": "x", "scale": 3}')
    request = ("--request", str(tmp_path / "set.json"))
    for words, why in ((request, "scale"), ((), "no photo"), ((str(CAFE), *request), "both")):
        assert run(monkeypatch, "posts", *words, "--data", str(tmp_path)) == 1
        assert why in capsys.readouterr().err


def test_kept_files_are_named_for_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, name in (("picture", "key"), ("upload", "upload")):
        assert run(monkeypatch, command, str(CAFE), "--data", str(tmp_path), "--json") == 0
        assert len(json.loads(capsys.readouterr().out)[name]) == 64
