"""Every command and every option says what it is, in English and in Chinese."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from studio.cli import app
from studio.cli.translation import translate_help

ROOT = Path(__file__).resolve().parents[3]
HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "gradio",
    "peft",
    "accelerate",
    "dbos",
    "scipy",
    "sklearn",
    "insightface",
)


def walk(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, part in getattr(command, "commands", {}).items():
        yield from walk(part, f"{path} {name}".strip())


COMMANDS = list(walk(typer.main.get_command(app)))
HELPS = [
    (f"{path} {param.opts[-1]}", param.help) for path, command in COMMANDS for param in command.params
] + [(path, command.help) for path, command in COMMANDS]  # fmt: skip


def test_there_are_commands() -> None:
    assert {"design", "donors train", "backbones plan", "users add"} <= {path for path, _ in COMMANDS}


@pytest.mark.parametrize(("place", "help_text"), HELPS)
def test_every_command_and_option_has_help_in_both_languages(place: str, help_text: str | None) -> None:
    assert help_text, place
    assert any("\u4e00" <= sign <= "\u9fff" for sign in translate_help(help_text)), place


def test_help_names_the_choices() -> None:
    said = dict(HELPS)
    for place, choice in (
        ("demo --category", "boyish"), ("donors add --category", "ceo"), ("bundle --platform", "taobao"),
        ("posts --inject", "redux"), ("posts --keep", "fill"), ("lora inspect --family", "flux2"),
        ("backbones use --precision", "nf4"), ("jobs run kind", "consolidate"), ("design --gate", "min_sharpness"),
    ):  # fmt: skip
        assert choice in str(said[place])
        assert choice in translate_help(str(said[place]))


SCRIPT = """
import sys
sys.argv[0] = "persona-studio"
from studio.cli import main
try:
    main()
finally:
    print("loaded:", *sorted(name for name in sys.modules if name in {heavy}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("--help", 0), ("design tall", 1), ("demo --category tall", 1), ("design sweet --seed x", 2),
        ("posts gone.png", 1), ("swap gone.png", 1), ("bundle a.zip --platform pigeon", 1), ("consolidate Lin", 1),
        ("design sweet --gate min_sharpness=much", 1), ("verify gone.zip", 1), ("scene gone.png", 1),
        ("donors add gone.safetensors --category tall --consent gone.json", 1), ("recall gone.png", 1),
        ("jobs run paint --request gone.json", 1), ("lora inspect gone.safetensors", 1),
        ("donors train gone --category tall --consent gone.json", 1), ("calibrate gone --pack gone", 1),
    ],
)  # fmt: skip
def test_a_refusal_comes_before_anything_is_loaded(tmp_path: Path, words: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("{heavy}", repr(HEAVY)), *words.split()],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "zh_CN.UTF-8", "PERSONA_STUDIO_DATA": str(tmp_path / "d")},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1].split() == ["loaded:"], done.stderr
    if status == 0:
        assert all(word in done.stdout for word in ("选项", "命令", "新面孔"))


def test_what_a_command_says_at_its_end_is_in_the_terminals_language(tmp_path: Path, monkeypatch: Any) -> None:
    for language, said in (("zh_CN.UTF-8", "没有用户"), ("en_GB.UTF-8", "There are no users")):
        monkeypatch.setenv("LC_ALL", language)
        ended = CliRunner().invoke(app, ["users", "list", "--data", str(tmp_path)])
        assert ended.exit_code == 0
        assert ended.output.startswith(said)


@pytest.mark.parametrize("words", ["", "posts", "swap", "albums bundle", "backbones plan"])
def test_the_chinese_help_is_chinese_and_whole(words: str) -> None:
    """In a terminal of eighty columns no sentence is cut, and nothing is said in English but names."""
    shown = subprocess.run(
        [sys.executable, "-c", "from studio.cli import main; main()", *words.split(), "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
        env=os.environ | {"LC_ALL": "zh_CN.UTF-8", "COLUMNS": "80", "PERSONA_STUDIO_LANGUAGE": ""},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "…" not in shown.stdout
    assert "用法：" in shown.stdout
    assert not re.search(r"\b(the|this|every|and|is)\b", shown.stdout, re.IGNORECASE), shown.stdout
